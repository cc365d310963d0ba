"""Full refresh: every model of the graph, phase by phase, on one machine or with a Spark engine beside it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property, partial
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.engines.base import word
from journeyflow.models import Graph, Model, Phase, checks
from journeyflow.models.model import build_python_model, select_of
from journeyflow.state.folder import clear_shared, derived_key, person_secret
from journeyflow.state.warehouse import RunRow, runs_schema
from journeyflow.utils.formatting import Progress

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines.spark import SparkEngine


SEARCH = "statistics.pains"
"""Computes for long, outside the database and on one core: it is built beside other models."""


class Builder:
    """Builds models in `engine`, to which the warehouse is attached as ``warehouse``."""

    def __init__(self, engine: DuckDBEngine, graph: Graph, config: Config) -> None:
        self.engine = engine
        self._graph = graph
        self._config = config
        self._built: set[str] = set()

    def attach_sources(self) -> None:
        """Create `raw.*` and `ledger.*` as views of the warehouse."""
        for model in self._graph.of_phase(Phase.LOAD):
            if model.name.startswith(("raw.", "ledger.")):
                self.engine.run(model.name, f"select * from warehouse.{model.name}", kind="view")

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build the models of one phase, upstream before downstream."""
        self._build_models(self._graph.of_phase(phase), phase, progress)

    def _build_models(self, models: Sequence[Model], phase: Phase, progress: Progress) -> None:
        """Build some models, upstream before downstream: the search as early as can be, what reads it as late."""
        upstream, downstream = self._graph.ancestors([SEARCH]), self._graph.descendants(SEARCH)
        ordered = sorted(models, key=lambda model: (model.name in downstream) - (model.name in upstream))
        searching: Future[None] | None = None
        with ThreadPoolExecutor(1) as pool, self.engine.beside() as beside:
            try:
                for done, model in enumerate(ordered):
                    progress(phase, model.name, done, len(ordered))
                    if model.name == SEARCH:
                        self._prepare(model)
                        self.engine.make_schema(SEARCH)  # Two connections must not make it at once.
                        searching = pool.submit(self._build_in, beside, model)
                        continue
                    if searching and model.name in downstream:
                        searching.result()
                    self.build_model(model)
                if searching:
                    searching.result()
            except BaseException:
                beside.stop()  # Else it would be waited for.
                if searching:
                    wait([searching])
                raise
        progress(phase, "models", len(ordered), len(ordered))

    def _prepare(self, model: Model) -> None:
        """Make the inputs of a model that is built in `engine` exist there."""

    def check(self) -> int:
        """Check every model against its metadata; return the number of checks. Raises CheckFailedError."""
        return checks.require_checks(
            self.engine, [model for model in self._graph if not model.name.startswith(("raw.", "ledger."))]
        )

    @property
    def next_position(self) -> int:
        """The first number that no session or attempt has."""
        return self.engine.count("kernel.events") if "kernel.events" in self._built else 0

    @property
    def runs_kernel(self) -> bool:
        """Events are put through the kernel."""
        return True

    @property
    def byte_count(self) -> int:
        """Size of the file after the last full refresh; 0 while it is being written."""
        return 0

    def refresh_run_log(self, row: RunRow) -> None:
        """Add `row` to the earlier runs in `ledger.runs`, and rebuild what has been built from it."""
        earlier = self.engine.rows("select * from warehouse.ledger.runs where run_id <> ?", [row.run_id])
        self.engine.register("ledger.runs", pa.concat_tables([earlier.cast(runs_schema()), row.table()]))
        for model in self._graph:
            # An incremental build holds them from the run before: they wait until their other inputs are updated.
            if "ledger.runs" in model.inputs and model.name in self._built and model.sql is not None:
                self.build_model(model)

    def close(self) -> None:
        """Close the database."""
        self.engine.close()

    def build_model(self, model: Model) -> None:
        """Build one model; its inputs exist."""
        self._build_in(self.engine, model)

    def _build_in(self, engine: DuckDBEngine, model: Model) -> None:
        self._built.add(model.name)
        if model.sql is not None:
            engine.run(model.name, model.sql, kind=model.metadata.kind)
            return
        build_python_model(engine, self._config, model)


ENTITY_KEYS = frozenset({"event_ix", "person_key", "device_key", "user_key", "session_ix", "attempt_ix", "unit_key"})
"""Columns that number what grows with the events: a relation whose key has one of them has rows of people."""
_LOADING = "loading and identity run on the machine that loads"
_PYTHON = "a Python model that reads its inputs as arrays"
ON_DRIVER = {
    "sources.events": _LOADING,
    "sources.traits": _LOADING,
    "staging.events": _LOADING,
    "identity._device_users": _LOADING,
    "identity._device_persons": _LOADING,
    "identity.user_aliases": _LOADING,
    "identity.shared_device_persons": _LOADING,
    "identity.person_components": _LOADING,
    "identity.identities": _LOADING,
    "identity.users": _LOADING,
    "analyses.referral_claims": _LOADING,
    "analyses.referral_rates": _PYTHON,
    "identity.persons": _LOADING,
    "journeys.event_types": "the configuration decides the types of its columns; read while loading",
    "analyses.early_items": _PYTHON,
    "analyses.discovered_classes": _PYTHON,
    "statistics.text_scores": _PYTHON,
    "statistics.stage_sentiment": _PYTHON,
    "statistics.step_survival": _PYTHON,
    "statistics.pains": _PYTHON,
    "statistics.pain_persons": _PYTHON,
}
"""Relations of people and aggregates of them that a run with `engine: spark` builds in DuckDB all the same, and why."""
READ_LATER = ("analyses.audience_members",)
"""Relations of people that publication reads from the build."""
WITHHELD = ("person_secret",)
"""Columns that leave this machine empty: the key behind `person_id` is for identities, which are made here."""
_STREAM_ORDER = ("component_key", "occurred_us", "sequence", "event_id", "source_ix")
_UNIT_ORDER = ("unit_key", "occurred_us", "sequence", "event_id", "source_ix")


def is_of_entities(model: Model) -> bool:
    """Return whether the rows of a model are of events, persons, devices, sessions or attempts."""
    if model.layer in ("config", "ledger", "raw"):
        return False
    keys = {*(model.grain or ()), *model.metadata.unique_key}
    return bool(ENTITY_KEYS & (keys or {*model.columns} if model.grain is None else keys))


def spark_cut(graph: Graph) -> frozenset[str]:
    """Return the models of people and those that read one of them: what a run with `engine: spark` builds there.

    But for `ON_DRIVER` and for a user's own models, whose SQL may be of DuckDB.
    """
    people = {model.name for model in graph if is_of_entities(model)}
    found = people | {model.name for model in graph if people & {*model.inputs}}
    return frozenset(name for name in found if name not in ON_DRIVER and not graph[name].is_own)


class SparkBuilder(Builder):
    """A full refresh that builds `spark_cut` in a Spark engine, and the rest in DuckDB.

    A relation is copied to the other side when the first model there reads it. At the end all aggregates are in DuckDB,
    as in any build; relations of people are there only where a model in DuckDB reads them.
    """

    def __init__(self, engine: DuckDBEngine, spark: SparkEngine, graph: Graph, config: Config) -> None:
        super().__init__(engine, graph, config)
        self.spark = spark

    def close(self) -> None:
        """Close both; nothing stays in the folder of the Spark engine."""
        self.spark.close()
        clear_shared(self._config.state)
        super().close()

    @cached_property
    def _cut(self) -> frozenset[str]:
        return spark_cut(self._graph)

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build the models of one phase; after the last one bring every aggregate back."""
        super().build(phase, progress)
        if phase == Phase.BUILD:
            for model in self._graph:
                if model.name in self._cut and (not is_of_entities(model) or model.name in READ_LATER):
                    self.bring(model)

    def check(self) -> int:
        """Check each model where it was built; return the number of checks. Raises CheckFailedError.

        One that is compared with relations of people is checked where they are.
        """
        here: list[Model] = []
        there: list[Model] = []
        for model in (model for model in self._graph if not model.name.startswith(("raw.", "ledger."))):
            read = [self._graph[name] for name in checks.tables_checked(model)]
            is_there = any(other.name in self._cut and is_of_entities(other) for other in (model, *read))
            for other in (model, *read):
                (self.ship if is_there else self.bring)(other)
            (there if is_there else here).append(model)
        return checks.require_checks(self.spark, there) + checks.require_checks(self.engine, here)

    def build_model(self, model: Model) -> None:
        """Build one model on its side; its inputs exist on one of them."""
        if model.name not in self._cut:
            self._prepare(model)
            super().build_model(model)
            return
        self._built.add(model.name)
        if model.layer == "kernel" and model.sql is None:
            if not model.filled_with:
                self._fill_kernel(model)
            return
        for name in model.inputs:
            self.ship(self._graph[name])
        self.spark.pointers = self._pointers
        select = model.sql or select_of(self._config, model)
        self.spark.run(model.name, select, _types(model))

    @cached_property
    def _pointers(self) -> tuple[str, ...]:
        """The properties that goals and promises name."""
        query = "select value_path from config.goals union select match_path from config.promises"
        return tuple(sorted(pointer for (pointer,) in self.engine.values(query) if pointer is not None))

    def _fill_kernel(self, leader: Model) -> None:
        from journeyflow.kernel.events import RELATIONS
        from journeyflow.kernel.plan import plan_of
        from journeyflow.kernel.run import SUMMED, BucketWork, added_up, property_units, unit_events

        for name in leader.inputs:
            if not is_of_entities(self._graph[name]):
                self.bring(self._graph[name])
        plan = plan_of(self.engine, self._config)
        types = {name: _types(self._graph[name]) for name in RELATIONS}
        stream = "journeys.event_stream"
        self.spark.mapped(stream, "component_key", _STREAM_ORDER, partial(BucketWork, plan), types)
        for name in SUMMED:
            self.spark.register(name, added_up(name, [self.spark.reader(name).read_all()]))
        of_units = {name: types[name] for name in RELATIONS if name.startswith("kernel.funnel_")}
        for column in property_units(plan):
            units, work = f"kernel._units_{column}", partial(BucketWork, plan, column=column)
            self.ship(self._graph["staging.events"])
            self.spark.run(units, unit_events(column))
            self.spark.mapped(units, "unit_key", _UNIT_ORDER, work, of_units, is_added=True)

    def _prepare(self, model: Model) -> None:
        """Bring the inputs of a model that is built in DuckDB."""
        for name in model.inputs:
            self.bring(self._graph[name])

    def ship(self, model: Model) -> None:
        """Copy a relation of DuckDB to Spark."""
        if not self.spark.columns(model.name):
            types = self.engine.columns(model.name)  # First: a reader that is open blocks its connection.
            columns = (f"'' as {word(name)}" if name in WITHHELD else word(name) for name in types)
            rows = self.engine.reader(f"select {', '.join(columns)} from {model.name}", SHIPPED_ROWS)
            self.spark.write(model.name, rows, types)

    def bring(self, model: Model) -> None:
        """Copy a relation of Spark to DuckDB."""
        if model.name in self._cut and not self.engine.columns(model.name):
            chosen = ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in _types(model).items())
            with self.engine.shown("_brought", self.spark.reader(model.name)):
                self.engine.run(model.name, f"select {chosen} from _brought")


def spark_engine(config: Config, run_id: str) -> SparkEngine:
    """Return a session of the configured Spark Connect server; its folder has nothing of earlier runs."""
    from journeyflow.engines.spark import SparkEngine

    assert config.spark is not None, "the configuration is validated"
    # A secret of the project: other machines that share the folder have projects at the same path.
    own = derived_key(person_secret(config), f"spark folder of {config.state.resolve()}")[:16]
    folder = config.spark.folder / f"journeyflow-{own}"
    clear_shared(config.state, folder)
    return SparkEngine(config.spark.address, folder / run_id)


SHIPPED_ROWS = 250_000


def _types(model: Model) -> dict[str, str]:
    return {name: column.type for name, column in model.columns.items()}
