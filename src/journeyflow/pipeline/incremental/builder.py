"""Incremental builder: only affected persons are built; decides between it and a full refresh."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.compile.staging_events import MOST_CHANNELS, MOST_NAMES, UNKNOWN_CHANNEL
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import CheckFailedError, EngineError
from journeyflow.kernel.plan import event_type_room, plan_of
from journeyflow.kernel.run import fill_affected, refill_properties
from journeyflow.models import Graph, Model, Phase, checks
from journeyflow.pipeline.builder import Builder
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
    "every event that counts is a person's": (
        "select abs(count(*) - (select count(*) from kernel.events)) from staging.events "
        "where not is_bot and not is_internal"
    ),
    "labels add up to the events": (
        "select abs(coalesce(sum(event_count), 0) - (select count(*) from kernel.events)) "
        "from kernel.classifications where model_index = 1"
    ),
}  # fmt: skip
"""What must come out at 0 after rows were exchanged, however they were found."""


class IncrementalBuilder(Builder):
    """Renews the last build, in the phases of a `Builder`.

    Parameters
    ----------
    base : DuckDBEngine
        The last build, which changes from `begin` on.
    delta : DuckDBEngine
        Beside it, what is built anew; holds `touched.*`, the events of people touched, and the kinds of all events.
    graph, config
        See `Builder`.
    mark : Mark
        Of the last build.
    high_water_at : datetime
        Of this night, naive UTC.

    References
    ----------
    `docs/adr/0028-incremental-builds.md`.
    """

    def __init__(
        self,
        base: DuckDBEngine,
        delta: DuckDBEngine,
        graph: Graph,
        config: Config,
        mark: BuildState,
        high_water_at: datetime,
    ) -> None:
        super().__init__(base, graph, config)
        self._delta = Builder(delta, graph, config)
        self._mark = mark
        self._high_water_at = high_water_at
        self._plan: KernelPlan | None = None

    @property
    def summary(self) -> str:
        """What was renewed, in a few words."""
        counts = {name: self._delta.engine.count(f"affected.{name}") for name in ("new_events", "superseded_events")}
        people = self._delta.engine.count("affected.person_key")
        new = f"{counts['new_events']:,} new events"
        gone = f" and {counts['superseded_events']:,} that gave way," if counts["superseded_events"] else ""
        return f"renewed what belongs to {new}{gone} and {people:,} people known before"

    def begin(self) -> None:
        """Say that the last build is being changed: should this night die, the next one builds everything anew."""
        write_build_state(self.engine, replace(self._mark, is_complete=False))

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build what is renewed of one phase beside the last build; in the last one exchange it and build the rest."""
        models = [model for model in self._graph.of_phase(phase) if model.name in self._beside]
        for done, model in enumerate(models):
            progress(phase, model.name, done, len(models))
            self._build_beside(model)
        if phase == Phase.BUILD:
            self._exchange()
            rest = [model for model in self._graph if self._is_of_all(model)]
            for done, model in enumerate(rest):
                progress(phase, model.name, done, len(rest))
                self.build_model(model)
            progress(phase, "models", len(rest), len(rest))

    def check(self) -> int:
        """Check what was built, rows that were renewed among themselves, and that all of it adds up.

        Returns
        -------
        int
            Checks made.

        Raises
        ------
        CheckFailedError
            Lists failing checks with their counts.
        """
        for demand, query in _SUMS.items():
            if self.engine.rows(query).column(0)[0].as_py():
                raise CheckFailedError(
                    f"Rows were renewed, and now it does not hold that {demand}; nothing was published. The next run "
                    "builds everything anew; please report this."
                )
        models = [model for model in self._graph if model.layer not in ("raw", "ledger")]
        renewed = [model for model in models if model.name in self._renewed]
        rest = [model for model in models if model.name not in self._renewed]
        return (
            len(_SUMS) + checks.require_checks(self._delta.engine, renewed) + checks.require_checks(self.engine, rest)
        )

    @property
    def next_position(self) -> int:
        """Sessions and attempts have numbers below it."""
        return self._mark.next_position + self._delta.engine.count("kernel.events")

    @property
    def byte_count(self) -> int:
        """Size of the file after the last whole build."""
        return self._mark.byte_count

    @cached_property
    def _renewed(self) -> frozenset[str]:
        """Models of which only rows of people touched are made anew.

        Units of a property may be of many people: what follows their attempts is made anew for all.
        """
        found = {model.name for model in self._graph if model.metadata.unique_key}
        if self._has_property_units:
            followers = (name for name in found if self._graph[name].metadata.unique_key == ("attempt_ix",))
            found -= {name for name in followers if self._graph[name].layer != KERNEL}
        return frozenset(found)

    @cached_property
    def _beside(self) -> frozenset[str]:
        """What is built beside the last build: what is renewed, and the few things that it reads."""
        wanted = self._graph.ancestors(self._renewed)
        built = {"sources.events", EVENTS, "journeys.event_types"}
        return frozenset(name for name in wanted if self._graph.phase(name) != Phase.LOAD) - built

    @property
    def _has_property_units(self) -> bool:
        return any(funnel.unit.property is not None for funnel in self._config.funnels.values())

    def _is_of_all(self, model: Model) -> bool:
        """Tell whether a model is built anew from the whole last build.

        Views too: what is a view tonight may have been a table, and side files are not among the rules.
        """
        return (
            model.name not in self._renewed
            and not model.metadata.surrogate_key
            and model.metadata.python_model != KERNEL
            and self._graph.phase(model.name) != Phase.LOAD
        )

    def _build_beside(self, model: Model) -> None:
        delta = self._delta.engine
        if model.metadata.python_model != KERNEL:
            self._delta.build_model(model)
            if model.metadata.surrogate_key:
                assign_surrogate_keys(self.engine, delta, model)
        elif self._plan is None:
            self._plan = plan_of(delta, self._config)
            fill_affected(delta, self._plan, first_position=self._mark.next_position)

    def _exchange(self) -> None:
        base = self.engine
        base.execute("begin transaction")
        count_before(base)
        for model in self._graph:
            if model.metadata.surrogate_key:
                replace_table(base, model)
            elif model.name == EVENTS:
                append_rows(base, model)
            elif model.name in self._renewed:
                delete_insert(base, model)
        count_after(base)
        update_maturity(base, self._config, self._high_water_at)
        base.execute("commit")
        if self._has_property_units and self._plan is not None:
            refill_properties(base, self._plan)


MOST_AFFECTED = 0.3
"""Share of events from which building everything anew is cheaper."""
LEAST_BYTES = 64 << 20
MOST_GROWTH = 2.0
"""Rows exchanged leave holes behind; a file that grew by more is built anew."""


class NotIncremental(Exception):
    """Why everything is built anew."""


def prepare_incremental(
    config: Config, loaded: LoadResult, graph: Graph, row: RunRow, limits: dict[str, Any]
) -> IncrementalBuilder | str:
    """Return what renews the last build, or why everything has to be built anew.

    Changes nothing in the last build; what is new is built beside it, in memory.

    Parameters
    ----------
    config : Config
        As it is run.
    loaded : Loaded
        What this night found.
    graph : Graph
    row : RunRow
        The night; its hash is of the configuration, the models and the version.
    limits : dict
        Memory, threads and the spill folder of the database.
    """
    place = config.state / BUILD
    if not place.exists():
        return "nothing was built before"
    if not any(model.metadata.unique_key for model in graph):
        return "no model is of single people"
    try:
        base = writable_build(config, place, limits)
    except EngineError:
        return "the last build cannot be opened"
    try:
        mark = _usable(base, config, loaded, row.config_hash)
        return _delta_database(base, config, loaded, graph, row.run_id, mark)
    except NotIncremental as why:
        base.close()
        return str(why)
    except BaseException:
        base.close()
        raise


def _usable(base: DuckDBEngine, config: Config, loaded: LoadResult, config_hash: str) -> BuildState:
    mark = read_build_state(base)
    if mark is None or not mark.is_complete:
        raise NotIncremental("the last night did not end")
    if mark.rules != rules_of(config, config_hash):
        raise NotIncremental("the rules changed")
    if loaded.high_water_at < mark.high_water_at:
        raise NotIncremental("the night is as of an earlier time")
    size = (config.state / BUILD).stat().st_size
    if size > MOST_GROWTH * max(mark.byte_count, LEAST_BYTES, 0 if mark.byte_count else size):
        raise NotIncremental("the last build has grown holes")
    return mark if mark.byte_count else replace(mark, byte_count=size)


def _delta_database(
    base: DuckDBEngine, config: Config, loaded: LoadResult, graph: Graph, run_id: str, mark: BuildState
) -> IncrementalBuilder:
    """Build what is new beside the last build, up to the kinds of events."""
    base.execute("attach ':memory:' as delta")
    if not find_superseded(base, config, mark):
        raise NotIncremental("events that were read are others now")
    find_affected(base, config, mark, loaded.high_water_at)
    affected = base.count("delta.affected.event_ix")
    if affected > MOST_AFFECTED * loaded.event_count and affected > 100_000:
        raise NotIncremental("most people are touched")
    delta = base.beside("delta")
    delta.execute("create schema raw")
    delta.execute(
        "create table raw.events as select * from warehouse.raw.events "
        "where event_ix in (select event_ix from affected.event_ix)"
    )
    _require_few_names(base)
    register_configuration(delta, config, loaded, run_id)
    builder = Builder(delta, graph, config)
    for name in ("sources.events", "staging.events", "journeys.event_types"):
        builder.build_model(graph[name])
    assign_surrogate_keys(base, delta, graph["journeys.event_types"])
    rooms = {event_type_room(_build_event_types(engine)) for engine in (base, delta)}
    if len(rooms) > 1:
        raise NotIncremental("there are many new kinds of events")
    return IncrementalBuilder(base, delta, graph, config, mark, loaded.high_water_at)


def _build_event_types(engine: DuckDBEngine) -> int:
    return int(engine.rows("select coalesce(max(event_type_ix), 0) + 1 as n from journeys.event_types")["n"][0].as_py())


def _require_few_names(base: DuckDBEngine) -> None:
    """Refuse where names of events or channels are so many that some are called other: which, all events decide."""
    for column, missing, most in (("event_name", "", MOST_NAMES), ("channel", UNKNOWN_CHANNEL, MOST_CHANNELS)):
        query = f"""
            select count(*) as n from (
                select {column} from staging.events
                union
                select coalesce({column}, '{missing}') from delta.raw.events
            ) as names
        """
        if base.rows(query)["n"][0].as_py() > most:
            raise NotIncremental("there are more names of events or channels than are told apart")


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
    """Return what builds the tables of a night, and in a few words what it builds and why.

    Parameters
    ----------
    config : Config
        As it is run.
    loaded : Loaded
        What the night found.
    graph : Graph
    row : RunRow
        The night; its hash tells the rules.
    place : Path
        Where a database is made when everything is built anew.
    limits : dict
        Memory, threads and the spill folder of databases.
    full_refresh : bool
        Build everything anew, though the last build could be renewed.
    """
    incremental_builder = (
        "it was asked for" if full_refresh else prepare_incremental(config, loaded, graph, row, limits)
    )
    if not isinstance(incremental_builder, str):
        incremental_builder.begin()
        return incremental_builder, incremental_builder.summary
    builder = Builder(writable_build(config, place, limits), graph, config)
    builder.attach_sources()
    return builder, f"everything built anew: {incremental_builder}"


def complete_build_state(builder: Builder, config: Config, row: RunRow, high_water_at: datetime) -> None:
    """Say in a build that was checked what it is of, so that the next night may renew it."""
    position, size = builder.next_position, builder.byte_count
    write_build_state(
        builder.engine, build_state_of(builder.engine, config, row.config_hash, high_water_at, position, size)
    )
