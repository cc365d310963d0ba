"""Incremental builds: only affected persons are rebuilt and merged. Decides between them and a full refresh."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.compile.config_tables import funnel_indexes
from journeyflow.compile.staging_events import MOST_CHANNELS, MOST_NAMES, UNKNOWN_CHANNEL
from journeyflow.config.base import microseconds
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import CheckFailedError, EngineError
from journeyflow.models import Graph, Model, Phase, checks
from journeyflow.pipeline.build_state import (
    BuildState,
    build_state_of,
    find_affected,
    find_superseded,
    inputs_of,
    read_build_state,
    rules_of,
    write_build_state,
)
from journeyflow.pipeline.builder import Builder, SparkBuilder, spark_engine
from journeyflow.pipeline.load_phase import register_configuration
from journeyflow.state.paths import BUILD, writable_build

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.kernel.plan import KernelPlan
    from journeyflow.pipeline.load_phase import LoadResult
    from journeyflow.state.warehouse import RunRow
    from journeyflow.utils.formatting import Progress


def delete_insert(base: DuckDBEngine, model: Model) -> None:
    """Replace the rows of affected keys: delete them, insert those of `delta`; the `unique_key` says whose a row is."""
    base.execute(f"delete from {model.name} where {' or '.join(map(_affected, model.metadata.unique_key))}")
    columns = ", ".join(base.columns(model.name))
    base.execute(f"insert into {model.name} by name select {columns} from delta.{model.name}", model=model.name)


def _affected(key: str) -> str:
    if key == "attempt_ix":  # Attempts are numbered within a funnel.
        return f"(funnel_index, attempt_ix) in (select (funnel_index, attempt_ix) from delta.affected.{key})"
    return f"{key} in (select {key} from delta.affected.{key})"


def append_rows(base: DuckDBEngine, model: Model) -> None:
    """Insert the rows of new events and delete those of superseded ones, where a row is an event and never changes."""
    base.execute(f"delete from {model.name} where event_ix in (select event_ix from delta.affected.superseded_events)")
    base.execute(
        f"insert into {model.name} by name select * from delta.{model.name} "
        "where event_ix in (select event_ix from delta.affected.new_events)",
        model=model.name,
    )


def replace_table(base: DuckDBEngine, model: Model) -> None:
    """Replace all rows of a small relation by those of `delta`."""
    replace_rows(base, model.name, f"delta.{model.name}")


def replace_rows(base: DuckDBEngine, name: str, source: str) -> None:
    """Replace all rows of a table; unlike a new table, a rollback undoes it."""
    base.execute(f"delete from {name}")
    base.execute(f"insert into {name} by name select * from {source}", model=name)


def assign_surrogate_keys(base: DuckDBEngine, delta: DuckDBEngine, model: Model) -> None:
    """Number the rows of a `delta` relation as the last build does; new rows get the numbers after its last."""
    ((number, names),) = model.metadata.surrogate_key.items()
    columns = [name for name in model.columns if name != number]
    is_known = " and ".join(f"old.{name} is not distinct from new.{name}" for name in names)
    last = f"(select coalesce(max({number}), 0) from {model.name})"
    numbered = f"cast({last} + row_number() over (order by {', '.join(f'new.{name}' for name in names)}) as integer)"
    listed = {number: numbered, **{name: f"new.{name}" for name in columns}}
    base.execute(
        f"""
        create table delta.affected.numbered as
        select {", ".join(model.columns)} from {model.name}
        union all
        select {", ".join(f"{listed[name]} as {name}" for name in model.columns)}
        from delta.{model.name} as new
        where not exists (select 1 from {model.name} as old where {is_known})
        """
    )
    delta.execute(f"create or replace table {model.name} as select * from affected.numbered")
    delta.execute("drop table affected.numbered")


_CLASSIFICATIONS_BEFORE = """
    select
        events.classification_key,
        count(*) as event_count,
        min(times.occurred_at) as first_seen_at,
        max(times.occurred_at) as last_seen_at
    from kernel.events as events
    inner join (
        select event_ix, occurred_at from delta.raw.events
        union all
        select event_ix, occurred_at from delta.affected.superseded_events
    ) as times on times.event_ix = events.event_ix
    where events.person_key in (select person_key from delta.affected.person_key)
    group by events.classification_key
"""
_PERSONS_BEFORE = """
    select
        classes.model_index, classes.event_type_ix, classes.rule_index,
        count(distinct events.person_key) as person_count
    from kernel.events as events
    inner join kernel.classifications as classes on classes.classification_key = events.classification_key
    where events.person_key in (select person_key from delta.affected.person_key)
    group by classes.model_index, classes.event_type_ix, classes.rule_index
"""
# Classifications that may have lost their first or last event: only the events show which is first now.
_UNCERTAIN = """
    select distinct old.classification_key
    from kernel.classifications as old
    inner join classifications_before as before on before.classification_key = old.classification_key
    left join delta.kernel.classifications as after
        on after.classification_key = old.classification_key and after.model_index = old.model_index
    where
        (before.first_seen_at = old.first_seen_at and coalesce(after.first_seen_at > before.first_seen_at, true))
        or (before.last_seen_at = old.last_seen_at and coalesce(after.last_seen_at < before.last_seen_at, true))
"""
_SEEN = """
    select events.classification_key, min(staged.occurred_at) as first_seen_at, max(staged.occurred_at) as last_seen_at
    from kernel.events as events
    inner join staging.events as staged on staged.event_ix = events.event_ix
    where events.classification_key in (select classification_key from classifications_uncertain)
    group by events.classification_key
"""
_CLASSIFICATIONS = """
    select
        coalesce(old.classification_key, after.classification_key) as classification_key,
        coalesce(old.model_index, after.model_index) as model_index,
        coalesce(old.event_type_ix, after.event_type_ix) as event_type_ix,
        coalesce(old.stage_index, after.stage_index) as stage_index,
        coalesce(old.rule_index, after.rule_index) as rule_index,
        coalesce(old.event_count, 0) - coalesce(before.event_count, 0) + coalesce(after.event_count, 0) as event_count,
        coalesce(
            seen.first_seen_at,
            case when old.first_seen_at < after.first_seen_at then old.first_seen_at end,
            after.first_seen_at,
            old.first_seen_at
        ) as first_seen_at,
        coalesce(
            seen.last_seen_at,
            case when old.last_seen_at > after.last_seen_at then old.last_seen_at end,
            after.last_seen_at,
            old.last_seen_at
        ) as last_seen_at
    from kernel.classifications as old
    full join delta.kernel.classifications as after
        on after.classification_key = old.classification_key and after.model_index = old.model_index
    left join classifications_before as before on before.classification_key = old.classification_key
    left join classifications_seen as seen on seen.classification_key = old.classification_key
    where coalesce(old.event_count, 0) - coalesce(before.event_count, 0) + coalesce(after.event_count, 0) > 0
"""
_PERSONS = """
    select
        coalesce(old.model_index, after.model_index) as model_index,
        coalesce(old.event_type_ix, after.event_type_ix) as event_type_ix,
        coalesce(old.rule_index, after.rule_index) as rule_index,
        coalesce(old.person_count, 0) - coalesce(before.person_count, 0) + coalesce(after.person_count, 0)
            as person_count
    from kernel.event_type_persons as old
    full join delta.kernel.event_type_persons as after
        on after.model_index = old.model_index and after.event_type_ix = old.event_type_ix
        and after.rule_index = old.rule_index
    left join persons_before as before
        on before.model_index = old.model_index and before.event_type_ix = old.event_type_ix
        and before.rule_index = old.rule_index
    where coalesce(old.person_count, 0) - coalesce(before.person_count, 0) + coalesce(after.person_count, 0) > 0
"""


def count_before(base: DuckDBEngine) -> None:
    """Keep in temporary tables what affected persons count for, before their rows are replaced."""
    base.execute(f"create or replace temp table classifications_before as {_CLASSIFICATIONS_BEFORE}")
    base.execute(f"create or replace temp table persons_before as {_PERSONS_BEFORE}")
    base.execute(f"create or replace temp table classifications_uncertain as {_UNCERTAIN}")


def count_after(base: DuckDBEngine) -> None:
    """Update the counts of `kernel.classifications` and `kernel.event_type_persons` after rows were replaced."""
    is_certain = base.rows("select count(*) as n from classifications_uncertain")["n"][0].as_py() == 0
    # Where all are certain the events need not be read.
    base.execute(f"create or replace temp table classifications_seen as {_SEEN}{' limit 0' if is_certain else ''}")
    for name, select in (("kernel.classifications", _CLASSIFICATIONS), ("kernel.event_type_persons", _PERSONS)):
        base.execute(f"create or replace temp table counted as {select}")
        replace_rows(base, name, "counted")


def update_maturity(base: DuckDBEngine, config: Config, high_water_at: datetime) -> None:
    """Update the flags pending and matured of `kernel.*` for a later high-water mark.

    See `docs/reference/semantics.md`, section 7.
    """
    for statement, params in _statements(config, high_water_at):
        base.execute(statement, params)


def _statements(config: Config, high_water_at: datetime) -> Iterator[tuple[str, list[object]]]:
    for table in ("funnel_units", "funnel_days"):
        yield f"update kernel.{table} set is_pending = false where is_pending and closes_at <= ?", [high_water_at]
        for funnel_index, window_us in _windows(config).items():
            yield (
                f"update kernel.{table} set is_matured = true "
                f"where not is_matured and funnel_index = ? and {_is_over('entered_at')}",
                [funnel_index, high_water_at, window_us],
            )
    window_us = microseconds(config.journeys.window)
    yield (
        "update kernel.map_journeys set is_matured = true, is_pending = false "
        f"where not is_matured and {_is_over('entered_at')}",
        [high_water_at, window_us],
    )


def _is_over(start: str) -> str:
    return f"date_diff('microsecond', {start}, cast(? as timestamp)) >= ?"


def _windows(config: Config) -> dict[int, int]:
    """Return the window of every funnel in microseconds, by its index."""
    indexes = funnel_indexes(config)
    windows = {indexes[model.model]: microseconds(config.journeys.window) for model in config.journey_models}
    return windows | {indexes[name]: microseconds(funnel.window) for name, funnel in config.funnels.items()}


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
