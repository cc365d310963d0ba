"""Selected builds: some models built against the last build, without loading; published only when asked."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine, default_memory_limit
from journeyflow.engines.base import relation, text
from journeyflow.erasure.journal import pending_erasure
from journeyflow.errors import InputError, ModelError
from journeyflow.models import Graph, Phase, checks
from journeyflow.pipeline.builder import Builder
from journeyflow.state import run_log
from journeyflow.state.inventory import clear_work
from journeyflow.state.lock import project_lock
from journeyflow.state.paths import (
    BUILD,
    BUILD_STATE,
    RULE_HASHES,
    SELECTED,
    WAREHOUSE,
    dictionary,
    graph_of,
    is_complete,
    read_rule_hashes,
    rule_hashes,
    rules_hash,
    save_graph,
)
from journeyflow.utils.progress import Progress, silent, tell

if TYPE_CHECKING:
    from journeyflow.config import Config


LAST = "last"
"""The name under which the last build is attached, for reading."""
_RUN = "`journeyflow run`"


@dataclass(frozen=True)
class SelectedBuild:
    """What a selection built."""

    models: tuple[str, ...]
    """In the order in which they were built."""
    published: Path | None
    """The folder of the new generation; None where nothing was to be published."""
    seconds: float
    check_count: int
    preview: dict[str, int]
    """Rows of each selected table; the tables are in `state/selected.duckdb`."""


def build(
    config: Config,
    select: Sequence[str],
    *,
    publish: bool = False,
    memory_limit: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> SelectedBuild:
    """Build and check the models that `select` names against the last build.

    No file is loaded, and the last build and the warehouse are only read: later runs find them as they were. The
    selected tables replace `state/selected.duckdb`.

    Parameters
    ----------
    select
        See `journeyflow.models.Graph.select`.
    publish
        Publish a new generation: the selected tables, and all others as the last run built them. Refused when the
        result would not be what a run publishes from the same events.

    Raises
    ------
    InputError
        When there is no complete last build, or it was built by another configuration or version.
    ModelError
        When a selector names nothing, or a changed model that the selection depends on is not selected.
    CheckFailedError
        When a selected table fails a check; nothing is published then.
    """
    started = time.perf_counter()
    report = progress or silent
    with project_lock(config.state):
        graph = graph_of(config)
        save_graph(config)
        models = graph.select(select)
        limits = {"memory_limit": memory_limit or default_memory_limit(), "threads": threads}
        with _scratch(config, limits) as (engine, place):
            selection = _Selection(config, graph, engine, models, is_published=publish)
            check_count = selection.build(report)
            generation = selection.publish() if publish else None
            preview = {name: engine.count(name) for name in models}
            selection.keep_selected()
            engine.close()
            place.replace(config.state / SELECTED)
    if generation is not None:
        tell(report, "published", table_count=len(graph.published()), event_count=selection.event_count)
    return SelectedBuild(models, generation, round(time.perf_counter() - started, 3), check_count, preview)


@contextmanager
def _scratch(config: Config, limits: dict[str, Any]) -> Iterator[tuple[DuckDBEngine, Path]]:
    """Open an empty database with the last build and the warehouse attached for reading; it goes with the context."""
    if not (config.state / BUILD).exists():
        raise InputError(f"There is no {config.state / BUILD}: run {_RUN} first.")
    if pending_erasure(config.state) is not None:
        raise InputError(f"An erasure is pending, and the last build still holds what it erases: run {_RUN} first.")
    work = config.state / "work"
    clear_work(config.state)  # Of runs that were killed: we hold the lock.
    folder = work / "selected"
    folder.mkdir(parents=True)
    place = folder / SELECTED
    try:
        with DuckDBEngine(
            place,
            temp_folder=folder / "spill",
            folders=[config.publish / "generations"],
            attached={"warehouse": config.state / WAREHOUSE, LAST: config.state / BUILD},
            **limits,
        ) as engine:
            yield engine, place
    finally:
        clear_work(config.state)


class _Selection:
    """Selected models of a graph in a scratch database, whose other relations are views of the last build."""

    def __init__(
        self, config: Config, graph: Graph, engine: DuckDBEngine, models: tuple[str, ...], *, is_published: bool
    ) -> None:
        self._config = config
        self._graph = graph
        self._engine = engine
        self._models = frozenset(models)
        self._is_published = is_published
        self._views: set[str] = set()
        self._changed = self._changed_models()
        self._require_inputs()
        settings = engine.rows(f"select run_id, high_water_at from {LAST}.config.settings").to_pylist()[0]
        self._run_id, self._high_water_at = settings["run_id"], settings["high_water_at"]
        query = f"select event_count from {LAST}.ledger.runs where run_id = ?"
        self.event_count: int = engine.rows(query, [self._run_id])["event_count"][0].as_py()
        if is_published:
            self._require_publishable()

    def build(self, progress: Progress) -> int:
        """Build the selected models, check them, and return the number of checks."""
        models = [model for model in self._graph if model.name in self._models or model.name in self._described]
        built = {model.name for model in models}
        wanted = self._graph.ancestors(built)
        if is_described := any(_COLUMNS in model.inputs for model in models):
            self._engine.register(_COLUMNS, dictionary(self._graph))
        tests = " ".join(check.no_rows or "" for model in models for check in model.metadata.checks)
        wanted |= {model.name for model in self._graph if model.name in tests}
        if self._is_published:
            wanted |= {model.name for model in self._graph.published()}
        self._create_views(wanted - built - ({_COLUMNS} if is_described else set()))
        builder = Builder(self._engine, self._graph, self._config_of_last_run())
        for done, model in enumerate(models):
            progress("select", model.name, done, len(models))
            with self._current_rules(model.name):
                builder.build_model(model)
        progress("select", "models", len(models), len(models))
        return checks.require_checks(self._engine, models)

    def publish(self) -> Path:
        """Publish a generation of the selected tables and those of the last build."""
        from journeyflow.pipeline.run_report import write_targets
        from journeyflow.publish.generation import publish
        from journeyflow.publish.manifest import RunFacts
        from journeyflow.report.html import draw_page

        generations = self._config.publish / "generations"
        started = run_log.now()
        known = self._engine.rows("select run_id from warehouse.ledger.runs")["run_id"].to_pylist()
        facts = RunFacts(
            run_id=run_log.next_run_id([*known, *(path.name for path in generations.glob("*"))], started),
            project=self._config.project,
            version=version("journeyflow"),
            config_hash=self._rules_hash,
            started_at=started,
            published_at=max(run_log.now(), started),
            high_water_at=self._high_water_at,
            event_count=self.event_count,
        )
        models, kept = self._graph.published(), self._config.retention.generations
        generation = publish(self._engine, models, self._config.publish, facts, draw_page, kept)
        write_targets(self._engine, models, self._config, generation)
        return generation

    def keep_selected(self) -> None:
        """Leave only the selected tables in the database: its views cannot be read without the last build."""
        for name in {*self._views, *self._described, _COLUMNS} - self._models:
            self._engine.drop(name)

    @cached_property
    def _described(self) -> frozenset[str]:
        """What describes the published columns: a generation describes those that it holds."""
        readers = (model.name for model in self._graph if _COLUMNS in model.inputs)
        return frozenset(readers) if self._is_published else frozenset()

    @cached_property
    def _rules_hash(self) -> str:
        return rules_hash(self._config, self._graph)

    def _changed_models(self) -> frozenset[str]:
        """Return the models that are new or changed since the last build."""
        state = f"{LAST}.{BUILD_STATE}"
        if not is_complete(self._engine, state):
            raise InputError(f"The last run failed while it changed the last build: run {_RUN} first.")
        before, now = read_rule_hashes(self._engine, f"{LAST}.{RULE_HASHES}"), rule_hashes(self._config, self._graph)
        if not before:
            raise InputError(f"The last build does not record the rules it was built by: run {_RUN} first.")
        for what in ("configuration", "version"):
            if before.get(what) != now[what]:
                raise InputError(
                    f"A selection reads what the last run computed, and the {what} has changed since: run {_RUN} first."
                )
        return frozenset(model.name for model in self._graph if before.get(model.name) != now[model.name])

    def _require_inputs(self) -> None:
        """Refuse a selection that would mix relations of different rules."""
        for name in sorted(self._graph.ancestors(self._models) & self._changed - self._models):
            advice = "select it too" if self._graph.phase(name) == Phase.BUILD else f"run {_RUN} first"
            raise ModelError(f"{name} is read by the selection and has changed since the last run: {advice}.")
        numbered = sorted(name for name in self._models if self._graph[name].metadata.surrogate_key)
        readers = {model.name for model in self._graph if self._graph.ancestors([model.name]) & set(numbered)}
        if numbered and readers - self._models:
            raise ModelError(
                f"{numbered[0]} assigns numbers that relations outside the selection hold: select {numbered[0]}+."
            )

    def _require_publishable(self) -> None:
        """Refuse to publish what a run would not publish from the events of the last build."""
        later = self._engine.rows("select run_id from warehouse.ledger.runs where run_id > ?", [self._run_id])
        if later.num_rows:
            raise InputError(f"A run has failed since the last build, and may have loaded events: run {_RUN} first.")
        for name in (model.name for model in self._graph if model.name not in self._models):
            if changed := sorted(self._graph.ancestors([name]) & self._changed):
                raise ModelError(
                    f"Nothing is published: {name} depends on {changed[0]}, which has changed since the last run. "
                    f"Select {changed[0]}+."
                )

    def _create_views(self, names: Collection[str]) -> None:
        """Create a view of the last build for each of `names` that it holds."""
        held = self._engine.rows(_RELATIONS, [LAST])["name"].to_pylist()
        self._views = set(names) & set(held)
        layers = {name.split(".")[0] for name in self._views}
        statements = [f"create schema if not exists {relation(layer)}" for layer in sorted(layers)]
        statements += [_view(name) for name in sorted(self._views)]
        self._engine.execute(";\n".join(statements))

    def _config_of_last_run(self) -> Config:
        """Return the configuration without the default funnels that the last run left out."""
        names = set(self._engine.rows(f"select funnel from {LAST}.config.funnels")["funnel"].to_pylist())
        funnels = {name: funnel for name, funnel in self._config.funnels.items() if name in names}
        return self._config.model_copy(update={"funnels": funnels})

    @contextmanager
    def _current_rules(self, model: str) -> Iterator[None]:
        """Let restatements see that the figures are those of the rules of today, and not of the last run's."""
        if model != _RESTATEMENTS or not self._is_published:
            yield
            return
        hashed = f"case when run_id = {text(self._run_id)} then {text(self._rules_hash)} else config_hash end"
        self._engine.execute(
            f"create or replace view {_RUNS} as select * replace ({hashed} as config_hash) from {LAST}.{_RUNS}"
        )
        yield
        self._engine.execute(_view(_RUNS))


_COLUMNS, _RUNS, _RESTATEMENTS = "config.columns", "ledger.runs", "insights._moved_figures"
_RELATIONS = """
    select schema_name || '.' || table_name as name from duckdb_tables() where database_name = $1
    union all
    select schema_name || '.' || view_name from duckdb_views() where database_name = $1
"""


def _view(name: str) -> str:
    return f"create or replace view {relation(name)} as select * from {relation(f'{LAST}.{name}')}"
