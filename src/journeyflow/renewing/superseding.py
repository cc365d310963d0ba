"""Events that the last night read and that are gone: other versions of themselves took their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine
from journeyflow.renewing.marks import EVENTS_READ, fingerprint_of

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.renewing.marks import Mark

_GONE = """
    create table delta.touched.gone_events as
    select
        events.event_ix,
        md5_number(sources.source || '/' || events.event_id) as event_key,
        events.occurred_at,
        events.device_key,
        events.user_key,
        events.alias_key
    from staging.events as events
    inner join config.sources as sources on sources.source_ix = events.source_ix
    where events.event_ix not in (select event_ix from warehouse.landed.events)
"""


def find_gone(base: DuckDBEngine, config: Config, mark: Mark) -> bool:
    """Fill `delta.touched.gone_events`; tell whether all other events are those that the last night read.

    Whoever has the number of an event but not its key is another event: then nothing may be renewed.

    Parameters
    ----------
    base : DuckDBEngine
        The build of the last night; the warehouse and an empty database ``delta`` are attached.
    config : Config
    mark : Mark
        Of the build.
    """
    params = [list(config.sources), mark.last_event_ix, mark.high_water_at]
    was = (mark.event_count, mark.fingerprint)
    is_same = fingerprint_of(base, EVENTS_READ, params) == was
    base.execute("create schema delta.touched")
    # Finding them reads all events of two databases.
    base.execute(_GONE + ("limit 0" if is_same else ""))
    gone = "select event_ix, event_key from delta.touched.gone_events"
    return is_same or fingerprint_of(base, f"{EVENTS_READ} union all {gone}", params) == was
