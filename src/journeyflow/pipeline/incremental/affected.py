"""Affected keys: persons, devices and attempts that new or superseded events concern."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeyflow.compile.staging_events import alias_of
from journeyflow.engines import DuckDBEngine
from journeyflow.pipeline.incremental.state import EVENTS_READ, fingerprint_of

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.pipeline.incremental.state import BuildState


_SUPERSEDED = """
    create table delta.affected.superseded_events as
    select
        events.event_ix,
        md5_number(sources.source || '/' || events.event_id) as event_key,
        events.occurred_at,
        events.device_key,
        events.user_key,
        events.alias_key
    from staging.events as events
    inner join config.sources as sources on sources.source_ix = events.source_ix
    where events.event_ix not in (select event_ix from warehouse.raw.events)
"""


def find_superseded(base: DuckDBEngine, config: Config, mark: BuildState) -> bool:
    """Fill `delta.affected.superseded_events`; tell whether all other events are those that the last night read.

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
    base.execute("create schema delta.affected")
    # Finding them reads all events of two databases.
    base.execute(_SUPERSEDED + ("limit 0" if is_same else ""))
    gone = "select event_ix, event_key from delta.affected.superseded_events"
    return is_same or fingerprint_of(base, f"{EVENTS_READ} union all {gone}", params) == was


KEYS = ("person_key", "device_key", "user_key", "attempt_ix", "event_ix")
"""What rows may be renewed by; `touched.<key>` in the database `delta` holds the keys touched."""

_STEPS: dict[str, str] = {
    "changed_events": """
        select device_key, user_key, alias_key from delta.affected.new_events
        union all
        select device_key, user_key, alias_key from delta.affected.superseded_events
    """,
    "named_devices": "select distinct device_key from delta.affected.changed_events where device_key is not null",
    "named_users": """
        select user_key from delta.affected.changed_events where user_key is not null
        union
        select alias_key from delta.affected.changed_events where alias_key is not null
    """,
    # A user_id that only alias events name belongs to the person whom they gave it.
    "components": """
        select component_key from identity.identities
        where device_key in (select device_key from delta.affected.named_devices)
        union
        select component_key from identity.users where user_key in (select user_key from delta.affected.named_users)
        union
        select users.component_key
        from identity.users as users
        inner join identity.user_aliases as aliases on aliases.person_key = users.person_key
        where aliases.user_key in (select user_key from delta.affected.named_users)
    """,
    "person_key": """
        select person_key from identity.persons
        where component_key in (select component_key from delta.affected.components)
        union
        select person_key from identity.person_components
        where component_key in (select component_key from delta.affected.components)
    """,
    "device_key": """
        select device_key from identity.identities
        where component_key in (select component_key from delta.affected.components)
        union
        select device_key from delta.affected.named_devices
    """,
    "user_key": """
        select user_key from identity.users
        where component_key in (select component_key from delta.affected.components)
        union
        select user_key from identity.user_aliases
        where person_key in (select person_key from delta.affected.person_key)
        union
        select user_key from delta.affected.named_users
    """,
    "attempt_ix": """
        select funnel_index, attempt_ix from kernel.funnel_units
        where person_key in (select person_key from delta.affected.person_key)
    """,
    "event_ix": """
        select event_ix from staging.events
        where device_key in (select device_key from delta.affected.device_key)
            or user_key in (select user_key from delta.affected.user_key)
        union all
        select event_ix from delta.affected.new_events
    """,
}
"""Relation of `delta.affected` → its SELECT, in the order in which they are made."""


def find_affected(base: DuckDBEngine, config: Config, mark: BuildState, high_water_at: datetime) -> None:
    """Fill `delta.affected.*` from events that are new or gone and from what the last night knew of identities.

    Components are closed: people and devices that share events are in one. So whatever events join, split or add when
    they come, or when they go, it stays among the components that they name, the devices and users that are new, and
    nobody else changes.

    Parameters
    ----------
    base : DuckDBEngine
        The build of the last night; the warehouse is attached, and the database ``delta`` with `affected.superseded_events`.
    config : Config
    mark : Mark
        Of the build.
    high_water_at : datetime
        Of this night, naive UTC.
    """
    base.execute(
        f"""
        create table delta.affected.new_events as
        select event_ix, device_key, user_key, {alias_of()} as alias_key
        from warehouse.raw.events
        where source in (select unnest(?)) and occurred_at <= ? and (event_ix > ? or occurred_at > ?)
        """,
        [list(config.sources), high_water_at, mark.last_event_ix, mark.high_water_at],
    )
    for name, select in _STEPS.items():
        base.execute(f"create table delta.affected.{name} as {select}")
