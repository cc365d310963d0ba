"""Less than a run: selected models against the last build, and a funnel over any table of events."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.engines import DuckDBEngine, default_memory_limit
from journeyflow.engines.base import relation, text
from journeyflow.erasure.apply import pending_erasure
from journeyflow.errors import InputError, ModelError, NotFoundError
from journeyflow.models import Graph, Phase, checks
from journeyflow.pipeline.builder import Builder
from journeyflow.state.folder import clear_work, project_lock
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
from journeyflow.state.warehouse import clock_time, next_run_id
from journeyflow.utils.formatting import Progress, silent, tell

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.report.notebook import FunnelFrame


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
    NotFoundError
        When nothing was built yet.
    InputError
        When the last build is not complete, or was built by another configuration or version.
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
        raise NotFoundError(f"Nothing was built yet: there is no {config.state / BUILD}. Run {_RUN} first.")
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
        from journeyflow.publish.reader import RunFacts
        from journeyflow.report.html import draw_page

        generations = self._config.publish / "generations"
        started = clock_time()
        known = self._engine.rows("select run_id from warehouse.ledger.runs")["run_id"].to_pylist()
        facts = RunFacts(
            run_id=next_run_id([*known, *(path.name for path in generations.glob("*"))], started),
            project=self._config.project,
            version=version("journeyflow"),
            config_hash=self._rules_hash,
            started_at=started,
            published_at=max(clock_time(), started),
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


NAME = "funnel"
RESULT = "marts.funnel_steps"
_FIELDS = {
    "event_id": "varchar", "anonymous_id": "varchar", "session_id": "varchar", "sequence": "bigint",
    "channel": "varchar",
    "utm_source": "varchar", "utm_medium": "varchar", "utm_campaign": "varchar", "utm_term": "varchar",
    "utm_content": "varchar", "referrer_host": "varchar", "page_path": "varchar", "target": "varchar",
    "user_agent": "varchar", "revenue_amount": "decimal(18, 4)", "currency": "varchar", "properties": "json",
}  # fmt: skip
"""Columns that are read under their canonical names where the table has them."""


def funnel(
    events: Any,  # noqa: ANN401 - whatever can give an Arrow table
    steps: Sequence[str | Mapping[str, Any]],
    *,
    window: str = "14d",
    order: str = "ordered",
    by: str | None = None,
    person: str = "person_id",
    time: str = "occurred_at",
    event: str = "event_name",
    as_of: datetime | None = None,
    wide: bool = False,
    allow_empty: bool = False,
    **settings: Any,  # noqa: ANN401 - the keys of a funnel in journeyflow.yml
) -> FunnelFrame:
    """Return the steps of a funnel over a table of events.

    Parameters
    ----------
    events : frame of polars, pandas, narwhals or Arrow, or DuckDB relation
        One row per event. Rows without a person, a time or a name are left out. Columns with the canonical names of
        `docs/reference/semantics.md` §1 (`channel`, `page_path`, `sequence`, `revenue_amount`, …) are read too.
    steps : sequence of str or mapping
        From 2 to 20: an event name, or what a step says in `journeyflow.yml`: ``{"name": …, "when": …, "within": …}``.
    window : str
        Longest time from the first step to the last, with a unit: ``"7d"``.
    order : {"ordered", "strict", "any_order"}
        Whether others may come between, must not, or the steps come in any order.
    by : str or None
        A column; `persona` then holds its value at the first event of the person's journey.
    person, time, event : str
        Columns that name the person, the time (naive ones are UTC) and the event.
    as_of : datetime or None
        High-water mark; None is the latest event.
    wide : bool
        All columns and months of the published `funnel_steps`; else the counts and rates of the whole time.
    allow_empty : bool
        Warn, instead of raising InputError, when no event matches a step.
    **settings
        Further keys of a funnel: ``ties``, ``grace``, ``count``, ``unit``, ``exclusions``, ``entered``.

    Returns
    -------
    FunnelFrame
        A polars frame that a notebook shows as a funnel, with a ``plot()``. Grain step_index, with `by` after persona;
        columns `STEP_COLUMNS`. If `wide`, grain funnel, persona, period, step_index, and the columns of `funnel_steps`.

    Raises
    ------
    ConfigError
        When a step or a setting is wrong.
    InputError
        When `events` is no table, lacks a column, or holds no event; when no event matches a step; when `by` holds
        ``all`` or ``unassigned``.

    References
    ----------
    `docs/reference/semantics.md` §7.

    Examples
    --------
    >>> import polars as pl
    >>> from datetime import datetime
    >>> log = pl.DataFrame({
    ...     "person_id": ["a", "a", "b"],
    ...     "event_name": ["view", "buy", "view"],
    ...     "occurred_at": [datetime(2026, 1, 1), datetime(2026, 1, 2), datetime(2026, 1, 1)],
    ... })
    >>> steps = funnel(log, ["view", "buy"], window="1d", as_of=datetime(2026, 2, 1))
    >>> steps["person_count"].to_list()
    [2, 1]
    """
    import polars as pl

    from journeyflow.engines import DuckDBEngine
    from journeyflow.report.notebook import narrow

    if isinstance(steps, str):
        raise InputError("Steps must be a list of event names or mappings, not one text.")
    if as_of is not None and not isinstance(as_of, datetime):
        raise InputError(f"as_of must be a datetime, not {type(as_of).__name__}.")
    config = _config(steps, {"window": window, "order": order, **settings})
    with DuckDBEngine() as engine:
        columns = {"person": person, "time": time, "event": event, **({"by": by} if by else {})}
        _register_events(engine, _arrow(events), columns)
        groups = _groups(engine) if by else []
        _build(engine, config, groups, as_of)
        _require_events(engine, config, allow_empty=allow_empty)
        rows = engine.rows(f"select * from {RESULT} where funnel = ? order by persona, period, step_index", [NAME])
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame)
    return narrow(found if by else found.filter(pl.col("persona") == "all"), wide=wide, with_persona=by is not None)


def _require_events(engine: DuckDBEngine, config: Config, *, allow_empty: bool) -> None:
    """Raise InputError, or warn, with the nearest names of events, when no event matches a step."""
    from journeyflow.config.conditions import render

    found = engine.rows("select distinct predicate from config.event_type_predicates where is_true")
    matched = set(found["predicate"].to_pylist())
    empty = [step for step in config.funnels[NAME].steps if f"funnel/{NAME}/{step.name}" not in matched]
    if not empty:
        return
    names = engine.rows("select distinct event_name from journeys.event_types order by event_name")
    known: list[str] = names["event_name"].to_pylist()
    words = {word for step in empty for word in (step.name, *re.findall(r"\w+", render(step.when)))}
    near = sorted({name for word in words for name in get_close_matches(word, known, n=3)})
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"The events are named {', '.join(known[:20])}."
    message = f"No event matches the step {', '.join(repr(step.name) for step in empty)}. {hint}"
    if not allow_empty:
        raise InputError(f"{message} With allow_empty=True this is a warning.")
    warnings.warn(message, UserWarning, stacklevel=3)


def _config(steps: Sequence[str | Mapping[str, Any]], settings: Mapping[str, Any]) -> Config:
    from journeyflow.config import InvalidConfigError, load_config

    source = {"format": "parquet", "path": "events.parquet", "channel": "table"}
    columns = {"occurred_at": "time", "user_id": "person", "event_name": "event"}
    given = [{"name": step, "when": {"event": step}} if isinstance(step, str) else dict(step) for step in steps]
    mapping = {
        "sources": {"table": {**source, "columns": columns}},
        "funnels": {NAME: {"steps": given, **settings}},
    }
    try:
        return load_config(mapping, folder=Path())
    except InvalidConfigError as error:
        # The caller wrote no file: the names of their arguments say where.
        raise InvalidConfigError(
            [replace(each, file=NAME, path=each.path.removeprefix(f"funnels.{NAME}.")) for each in error.problems]
        ) from None


def _arrow(events: Any) -> pa.Table:  # noqa: ANN401 - see funnel
    if hasattr(events, "collect") and not hasattr(events, "to_arrow"):
        events = events.collect()
    for method in ("to_arrow_table", "to_arrow", "arrow"):
        if hasattr(events, method):
            found = getattr(events, method)()
            return found if isinstance(found, pa.Table) else pa.table(found)
    if isinstance(events, pa.Table):
        return events
    if hasattr(events, "__arrow_c_stream__") and not hasattr(events, "iloc"):
        return pa.table(events)
    try:
        return pa.Table.from_pandas(events, preserve_index=False)
    except (AttributeError, TypeError) as error:
        raise InputError(
            "Events must be a frame of polars, pandas or narwhals, an Arrow table or a DuckDB relation, "
            f"not {type(events).__name__}."
        ) from error


def _register_events(engine: DuckDBEngine, events: pa.Table, columns: Mapping[str, str]) -> None:
    """Give the table the shape of `raw.events`; one extra column holds the value of `by`."""
    missing = sorted({name for name in columns.values() if name not in events.column_names})
    if missing:
        like = [near for name in missing for near in get_close_matches(name, events.column_names, n=1)]
        hint = f" Did you mean {', '.join(map(repr, like))}?" if like else ""
        raise InputError(
            f"The events have no column {', '.join(missing)}; name yours by person=, time=, event= and by=. "
            f"There are {', '.join(events.column_names)}.{hint}"
        )
    if doubled := sorted({name for name in events.column_names if events.column_names.count(name) > 1}):
        raise InputError(f"The events have the column {', '.join(doubled)} more than once; keep one.")
    roles = {f"_{role}": events.column(name) for role, name in columns.items()}
    fields = {name: events.column(name) for name in _FIELDS if name in events.column_names}
    engine.register("raw.table", pa.table({**roles, **fields}))
    engine.run("raw.events", _raw_events_select(set(fields), has_groups="by" in columns))
    engine.run("raw.traits", _NO_TRAITS)


def _raw_events_select(fields: set[str], *, has_groups: bool) -> str:
    read = {name: f"cast({name if name in fields else 'null'} as {kind})" for name, kind in _FIELDS.items()}
    read["event_id"] = f"coalesce({read['event_id']}, lpad(cast(row_number() over () as varchar), 20, '0'))"
    read["channel"] = f"coalesce({read['channel']}, 'table')"
    return f"""
        select
            row_number() over () - 1 as event_ix,
            'table' as source,
            cast(_time as timestamp) as occurred_at,
            cast(null as timestamp) as received_at,
            md5_number_lower('d:' || {read["anonymous_id"]}) as device_key,
            md5_number_lower('u:' || cast(_person as varchar)) as user_key,
            cast(_person as varchar) as user_id,
            cast(_event as varchar) as event_name,
            {", ".join(f"{value} as {name}" for name, value in read.items())},
            cast({"_by" if has_groups else "null"} as varchar) as by_value,
            0 as file_ix,
            row_number() over () as source_row,
            false as has_placeholder_id
        from raw.table
        where _person is not null and _time is not null and _event is not null
    """


_NO_TRAITS = """
    select
        cast(null as ubigint) as user_key, cast(null as varchar) as user_id, cast(null as varchar) as trait,
        cast(null as varchar) as trait_value, cast(null as timestamp) as valid_from
    where false
"""


def _groups(engine: DuckDBEngine) -> list[str]:
    from journeyflow.config.config import UNASSIGNED

    found = engine.rows("select distinct by_value from raw.events where by_value is not null order by by_value")
    groups = [str(value) for value in found["by_value"].to_pylist()]
    if taken := sorted({"all", UNASSIGNED} & set(groups)):
        raise InputError(
            f"The column of `by` holds {' and '.join(taken)}, which is the name of the total or of those without a "
            "value; write it otherwise."
        )
    return groups


def _build(engine: DuckDBEngine, config: Config, groups: list[str], as_of: datetime | None) -> None:
    """Build what `funnel_steps` needs, as a run does."""
    from journeyflow.models import Phase
    from journeyflow.pipeline.builder import Builder
    from journeyflow.state.paths import built_in_graph

    _configure(engine, config, groups, as_of)
    graph = built_in_graph()
    builder = Builder(engine, graph, config)
    wanted = graph.ancestors([RESULT])
    for model in graph:
        if model.name == "journeys.personas":
            engine.run(model.name, _PERSONAS)
        elif model.name in wanted and graph.phase(model.name) != Phase.LOAD:
            builder.build_model(model)


_PERSONAS = """
    select journeys.person_key, journeys.journey_index, coalesce(events.by_value, 'unassigned') as persona
    from kernel.journeys as journeys
    inner join raw.events as events on events.event_ix = journeys.first_event_ix
"""


def _configure(engine: DuckDBEngine, config: Config, groups: list[str], as_of: datetime | None) -> None:
    from journeyflow.compile.config_tables import config_tables
    from journeyflow.pipeline.load_phase import us

    times = engine.rows("select min(occurred_at) as first, max(occurred_at) as last from raw.events").to_pylist()[0]
    if times["first"] is None:
        raise InputError("There is no event with a person, a time and a name in the table.")
    mark = as_of or times["last"]
    naive = mark.astimezone(UTC).replace(tzinfo=None) if mark.tzinfo else mark
    tables = config_tables(
        config, run_id=NAME, high_water_us=us(naive), first_event_us=us(times["first"]), person_secret=NAME
    )
    for name, table in tables.items():
        engine.register(name, table)
    for index, group in enumerate(groups, start=1):
        row = {"persona": group, "persona_index": index, "is_outcome_based": False, "is_trait_undated": False}
        schema = tables["config.personas"].schema
        engine.append("config.personas", pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema))
