"""Whether a night may renew what the last one built, and the small database in which it does so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from journeyflow.building import Builder
from journeyflow.compile.names import MOST_CHANNELS, MOST_NAMES, UNKNOWN_CHANNEL
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.kernel.plan import kind_room
from journeyflow.loading import register_configuration
from journeyflow.models import Graph
from journeyflow.project import BUILD, writable_build
from journeyflow.renewing.marks import Mark, read_mark, rules_of
from journeyflow.renewing.numbering import keep_numbers
from journeyflow.renewing.renewer import Renewer
from journeyflow.renewing.superseding import find_gone
from journeyflow.renewing.touching import find_touched

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.loading import Loaded
    from journeyflow.runs import RunRow

MOST_TOUCHED = 0.3
"""Share of events from which building everything anew is cheaper."""
LEAST_BYTES = 64 << 20
MOST_GROWTH = 2.0
"""Rows exchanged leave holes behind; a file that grew by more is built anew."""


class NotRenewable(Exception):
    """Why everything is built anew."""


def prepare(config: Config, loaded: Loaded, graph: Graph, row: RunRow, limits: dict[str, Any]) -> Renewer | str:
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
    if not any(model.paperwork.renewed_by for model in graph):
        return "no model is of single people"
    try:
        base = writable_build(config, place, limits)
    except EngineError:
        return "the last build cannot be opened"
    try:
        mark = _usable(base, config, loaded, row.config_hash)
        return _beside(base, config, loaded, graph, row.run_id, mark)
    except NotRenewable as why:
        base.close()
        return str(why)
    except BaseException:
        base.close()
        raise


def _usable(base: DuckDBEngine, config: Config, loaded: Loaded, config_hash: str) -> Mark:
    mark = read_mark(base)
    if mark is None or not mark.is_whole:
        raise NotRenewable("the last night did not end")
    if mark.rules != rules_of(config, config_hash):
        raise NotRenewable("the rules changed")
    if loaded.high_water_at < mark.high_water_at:
        raise NotRenewable("the night is as of an earlier time")
    size = (config.state / BUILD).stat().st_size
    if size > MOST_GROWTH * max(mark.byte_count, LEAST_BYTES, 0 if mark.byte_count else size):
        raise NotRenewable("the last build has grown holes")
    return mark if mark.byte_count else replace(mark, byte_count=size)


def _beside(base: DuckDBEngine, config: Config, loaded: Loaded, graph: Graph, run_id: str, mark: Mark) -> Renewer:
    """Build what is new beside the last build, up to the kinds of events."""
    base.execute("attach ':memory:' as delta")
    if not find_gone(base, config, mark):
        raise NotRenewable("events that were read are others now")
    find_touched(base, config, mark, loaded.high_water_at)
    touched = base.count("delta.touched.event_ix")
    if touched > MOST_TOUCHED * loaded.event_count and touched > 100_000:
        raise NotRenewable("most people are touched")
    delta = base.beside("delta")
    delta.execute("create schema landed")
    delta.execute(
        "create table landed.events as select * from warehouse.landed.events "
        "where event_ix in (select event_ix from touched.event_ix)"
    )
    _require_few_names(base)
    register_configuration(delta, config, loaded, run_id)
    builder = Builder(delta, graph, config)
    for name in ("sources.events", "staging.events", "journeys.event_kinds"):
        builder.build_model(graph[name])
    keep_numbers(base, delta, graph["journeys.event_kinds"])
    rooms = {kind_room(_kinds(engine)) for engine in (base, delta)}
    if len(rooms) > 1:
        raise NotRenewable("there are many new kinds of events")
    return Renewer(base, delta, graph, config, mark, loaded.high_water_at)


def _kinds(engine: DuckDBEngine) -> int:
    return int(engine.rows("select coalesce(max(kind_ix), 0) + 1 as n from journeys.event_kinds")["n"][0].as_py())


def _require_few_names(base: DuckDBEngine) -> None:
    """Refuse where names of events or channels are so many that some are called other: which, all events decide."""
    for column, missing, most in (("event_name", "", MOST_NAMES), ("channel", UNKNOWN_CHANNEL, MOST_CHANNELS)):
        query = f"""
            select count(*) as n from (
                select {column} from staging.events
                union
                select coalesce({column}, '{missing}') from delta.landed.events
            ) as names
        """
        if base.rows(query)["n"][0].as_py() > most:
            raise NotRenewable("there are more names of events or channels than are told apart")
