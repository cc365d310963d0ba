"""Incremental builds: only affected persons are rebuilt. Decides between them and a full refresh."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.compile.staging_events import MOST_CHANNELS, MOST_NAMES, UNKNOWN_CHANNEL
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import CheckFailedError, EngineError
from journeyflow.models import Graph, Model, Phase, checks
from journeyflow.pipeline.builder import Builder, SparkBuilder, spark_engine
from journeyflow.pipeline.incremental.affected import find_affected, find_superseded
from journeyflow.pipeline.incremental.merge import (
    append_rows,
    assign_surrogate_keys,
    count_after,
    count_before,
    delete_insert,
    replace_table,
    update_maturity,
)
from journeyflow.pipeline.incremental.state import (
    BuildState,
    build_state_of,
    inputs_of,
    read_build_state,
    rules_of,
    write_build_state,
)
from journeyflow.pipeline.load_phase import register_configuration
from journeyflow.state.paths import BUILD, writable_build

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.kernel.plan import KernelPlan
    from journeyflow.pipeline.load_phase import LoadResult
    from journeyflow.state.run_log import RunRow
    from journeyflow.utils.progress import Progress


KERNEL = "kernel"
EVENTS = "staging.events"
_SUMS = {
    "every event is staged": (
        "select abs(count(*) - (select count(*) from sources.events)) from staging.events"
    ),
    "every counted event has a person": (
        "select abs(count(*) - (select count(*) from kernel.events)) from staging.events "
        "where not is_bot and not is_internal"
    ),
    "classifications add up to the events": (
        "select abs(coalesce(sum(event_count), 0) - (select count(*) from kernel.events)) "
        "from kernel.classifications where model_index = 1"
    ),
}  # fmt: skip
"""Differences that must be 0 after rows were replaced."""


class IncrementalBuilder(Builder):
    """Updates the last build, in the phases of a `Builder`.

    `base` is the last build, which changes from `begin` on. `delta` is an in-memory database attached to it: it holds
    `affected.*`, the events of affected persons, and the types of all events.

    Where it `is_idle`, nothing that was built before depends on what the run brings, but for what follows from the run
    log: the rest is neither built nor checked again.

    See `docs/adr/0028-incremental-builds.md`.
    """

    def __init__(
        self,
        base: DuckDBEngine,
        delta: DuckDBEngine,
        graph: Graph,
        config: Config,
        state: BuildState,
        high_water_at: datetime,
        *,
        is_idle: bool = False,
    ) -> None:
        super().__init__(base, graph, config)
        self._is_idle = is_idle
        self._delta = Builder(delta, graph, config)
        self._state = state
        self._high_water_at = high_water_at
        self._plan: KernelPlan | None = None

    @property
    def summary(self) -> str:
        """The size of the increment."""
        counts = {name: self._delta.engine.count(f"affected.{name}") for name in ("new_events", "superseded_events")}
        superseded = f"{counts['superseded_events']:,} superseded, " if counts["superseded_events"] else ""
        persons = self._delta.engine.count("affected.person_key")
        return f"incremental: {counts['new_events']:,} new events, {superseded}{persons:,} affected persons"

    def begin(self) -> None:
        """Mark the last build as incomplete: should this run die, the next one is a full refresh."""
        write_build_state(self.engine, replace(self._state, is_complete=False))

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build the increment of one phase in `delta`; in the last phase merge it and build the rest."""
        in_delta = frozenset() if self._is_idle else self._in_delta
        models = [model for model in self._graph.of_phase(phase) if model.name in in_delta]
        for done, model in enumerate(models):
            progress(phase, model.name, done, len(models))
            self._build_delta(model)
        if phase == Phase.BUILD:
            if not self._is_idle:
                self._merge()
            self._build_models([*filter(self._is_rebuilt_in_full, self._graph)], phase, progress)

    def check(self) -> int:
        """Check the rows of `delta`, all other tables in full, and that both add up; return the number of checks."""
        if self._is_idle:
            return checks.require_checks(self.engine, filter(self._is_rebuilt_in_full, self._graph))
        for demand, query in _SUMS.items():
            if self.engine.rows(query).column(0)[0].as_py():
                raise CheckFailedError(
                    f"After the incremental build it does not hold that {demand}. Nothing was published. The next run "
                    "is a full refresh; please report this."
                )
        models = [model for model in self._graph if not model.name.startswith(("raw.", "ledger."))]
        updated = [model for model in models if model.name in self._incremental]
        rest = [model for model in models if model.name not in self._incremental]
        return (
            len(_SUMS) + checks.require_checks(self._delta.engine, updated) + checks.require_checks(self.engine, rest)
        )

    @property
    def next_position(self) -> int:
        """The first number that no session or attempt has."""
        added = 0 if self._is_idle else self._delta.engine.count("kernel.events")
        return self._state.next_position + added

    @property
    def runs_kernel(self) -> bool:
        """Events are put through the kernel."""
        return not self._is_idle

    @property
    def byte_count(self) -> int:
        """Size of the file after the last full refresh."""
        return self._state.byte_count

    @cached_property
    def _incremental(self) -> frozenset[str]:
        """Models of which only rows of affected persons are rebuilt.

        A unit of a property may span many persons, so what follows its attempts is rebuilt in full.
        """
        found = {model.name for model in self._graph if model.metadata.unique_key}
        if self._has_property_units:
            followers = (name for name in found if self._graph[name].metadata.unique_key == ("attempt_ix",))
            found -= {name for name in followers if self._graph[name].layer != KERNEL}
        return frozenset(found)

    @cached_property
    def _in_delta(self) -> frozenset[str]:
        """What is built in `delta`: incremental models, and the few others that they read."""
        wanted = self._graph.ancestors(self._incremental)
        built = {"sources.events", EVENTS, "journeys.event_types"}
        return frozenset(name for name in wanted if self._graph.phase(name) != Phase.LOAD) - built

    @property
    def _has_property_units(self) -> bool:
        return any(funnel.unit.property is not None for funnel in self._config.funnels.values())

    def _is_rebuilt_in_full(self, model: Model) -> bool:
        """Return whether a model is rebuilt in full.

        So are views: a model that is a view now may have been a table, and metadata are not among the rules.
        """
        if self._is_idle and model.name not in self._of_run_log:
            return False
        return (
            model.name not in self._incremental
            and not model.metadata.surrogate_key
            and not _is_kernel(model)
            and self._graph.phase(model.name) != Phase.LOAD
        )

    @cached_property
    def _of_run_log(self) -> frozenset[str]:
        """What reads the run log or the meanings of columns, and the user's own models, which every run rebuilds."""
        found: set[str] = set()
        for model in self._graph:  # Upstream before downstream.
            if model.is_own or found & {*model.inputs} or any(_is_of_run(name) for name in model.inputs):
                found.add(model.name)
        return frozenset(found)

    def _build_delta(self, model: Model) -> None:
        delta = self._delta.engine
        if not _is_kernel(model):
            self._delta.build_model(model)
            if model.metadata.surrogate_key:
                assign_surrogate_keys(self.engine, delta, model)
        elif self._plan is None:
            from journeyflow.kernel.plan import plan_of
            from journeyflow.kernel.run import fill_affected

            self._plan = plan_of(delta, self._config)
            fill_affected(delta, self._plan, first_position=self._state.next_position)

    def _merge(self) -> None:
        base = self.engine
        base.execute("begin transaction")
        count_before(base)
        for model in self._graph:
            if model.metadata.surrogate_key:
                replace_table(base, model)
            elif model.name == EVENTS:
                append_rows(base, model)
            elif model.name in self._incremental:
                delete_insert(base, model)
        count_after(base)
        update_maturity(base, self._config, self._high_water_at)
        base.execute("commit")
        if self._has_property_units and self._plan is not None:
            from journeyflow.kernel.run import refill_properties

            refill_properties(base, self._plan)


def _is_kernel(model: Model) -> bool:
    return model.layer == KERNEL and model.sql is None


MOST_AFFECTED = 0.3
"""Share of affected events above which a full refresh is cheaper."""
LEAST_BYTES = 64 << 20
MOST_GROWTH = 2.0
"""Replaced rows leave free blocks behind; a file that grew by more is rebuilt."""


class NotIncremental(Exception):
    """The reason for a full refresh."""


def prepare_incremental(
    config: Config, loaded: LoadResult, graph: Graph, row: RunRow, limits: dict[str, Any]
) -> IncrementalBuilder | str:
    """Return a builder that updates the last build, or the reason for a full refresh.

    The last build is not changed yet; the increment is built in memory.
    """
    place = config.state / BUILD
    if not place.exists():
        return "nothing was built before"
    if not any(model.metadata.unique_key for model in graph):
        return "no incremental models"
    try:
        base = writable_build(config, place, limits)
    except EngineError:
        return "the last build cannot be opened"
    try:
        state = _usable(base, config, loaded, row.config_hash)
        return _delta_database(base, config, loaded, graph, row.run_id, state)
    except NotIncremental as why:
        base.close()
        return str(why)
    except BaseException:
        base.close()
        raise


def _usable(base: DuckDBEngine, config: Config, loaded: LoadResult, config_hash: str) -> BuildState:
    state = read_build_state(base)
    if state is None or not state.is_complete:
        raise NotIncremental("the last run did not complete its build")
    if state.rules != rules_of(config, config_hash):
        raise NotIncremental("the rules changed")
    if loaded.high_water_at < state.high_water_at:
        raise NotIncremental("the high-water mark is earlier than that of the last build")
    size = (config.state / BUILD).stat().st_size
    if size > MOST_GROWTH * max(state.byte_count, LEAST_BYTES, 0 if state.byte_count else size):
        raise NotIncremental("free space in the last build")
    return state if state.byte_count else replace(state, byte_count=size)


def _delta_database(
    base: DuckDBEngine, config: Config, loaded: LoadResult, graph: Graph, run_id: str, state: BuildState
) -> IncrementalBuilder:
    """Build the increment in `delta`, up to the types of its events."""
    base.execute("attach ':memory:' as delta")
    if not find_superseded(base, config, state):
        raise NotIncremental("events of the last build changed")
    find_affected(base, config, state, loaded.high_water_at)
    affected = base.count("delta.affected.event_ix")
    if affected > MOST_AFFECTED * loaded.event_count and affected > 100_000:
        raise NotIncremental("most persons are affected")
    delta = base.beside("delta")
    is_same = not affected and not base.count("delta.affected.superseded_events")
    if is_same and (state.high_water_at, state.inputs) == (loaded.high_water_at, inputs_of(base, config, loaded)):
        return IncrementalBuilder(base, delta, graph, config, state, loaded.high_water_at, is_idle=True)
    delta.execute("create schema raw")
    delta.execute(
        "create table raw.events as select * from warehouse.raw.events "
        "where event_ix in (select event_ix from affected.event_ix)"
    )
    _require_few_names(base)
    register_configuration(delta, config, loaded, run_id)
    from journeyflow.kernel.plan import event_type_room  # Imports the compiler, which an idle run does not need.

    builder = Builder(delta, graph, config)
    for name in ("sources.events", "staging.events", "journeys.event_types"):
        builder.build_model(graph[name])
    assign_surrogate_keys(base, delta, graph["journeys.event_types"])
    rooms = {event_type_room(_event_type_count(engine)) for engine in (base, delta)}
    if len(rooms) > 1:
        raise NotIncremental("many new event types")
    return IncrementalBuilder(base, delta, graph, config, state, loaded.high_water_at)


def _event_type_count(engine: DuckDBEngine) -> int:
    return int(engine.rows("select coalesce(max(event_type_ix), 0) + 1 as n from journeys.event_types")["n"][0].as_py())


def _require_few_names(base: DuckDBEngine) -> None:
    """Refuse where some names are grouped as `other`: all events decide which."""
    for column, missing, most in (("event_name", "", MOST_NAMES), ("channel", UNKNOWN_CHANNEL, MOST_CHANNELS)):
        query = f"""
            select count(*) as n from (
                select {column} from staging.events
                union
                select coalesce({column}, '{missing}') from delta.raw.events
            ) as names
        """
        if base.rows(query)["n"][0].as_py() > most:
            raise NotIncremental("too many names of events or channels")


def choose_builder(
    config: Config,
    loaded: LoadResult,
    graph: Graph,
    row: RunRow,
    place: Path,
    limits: dict[str, Any],
    *,
    full_refresh: bool,
) -> tuple[Builder, str]:
    """Return the builder of a run, and how it builds: incrementally, or a full refresh and its reason."""
    if config.engine == "spark":
        prepared: IncrementalBuilder | str = "on Spark"
    else:
        prepared = "requested" if full_refresh else prepare_incremental(config, loaded, graph, row, limits)
    if isinstance(prepared, IncrementalBuilder):
        prepared.begin()
        return prepared, prepared.summary
    if config.engine == "spark":
        spark = spark_engine(config, row.run_id)  # First: where no server answers, no database is opened.
        builder: Builder = SparkBuilder(writable_build(config, place, limits), spark, graph, config)
    else:
        builder = Builder(writable_build(config, place, limits), graph, config)
    builder.attach_sources()
    return builder, f"full refresh: {prepared}"


def complete_build_state(builder: Builder, config: Config, row: RunRow, loaded: LoadResult) -> None:
    """Record what a checked build was built from, so that the next run can be incremental; not on Spark."""
    if isinstance(builder, SparkBuilder):
        return
    position, size = builder.next_position, builder.byte_count
    write_build_state(builder.engine, build_state_of(builder.engine, config, row.config_hash, loaded, position, size))


def _is_of_run(name: str) -> bool:
    """Whether a relation may change though no event, trait or rule does."""
    return name.startswith("ledger.") or name == "config.columns"
