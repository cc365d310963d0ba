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


def find_superseded(base: DuckDBEngine, config: Config, state: BuildState) -> bool:
    """Fill `delta.affected.superseded_events`; return whether all other events are those of the last build.

    An event with a known number but another key is another event: then an incremental build is not possible. The
    warehouse and an empty database ``delta`` are attached to `base`, the last build.
    """
    params = [list(config.sources), state.last_event_ix, state.high_water_at]
    before = (state.event_count, state.fingerprint)
    is_same = fingerprint_of(base, EVENTS_READ, params) == before
    base.execute("create schema delta.affected")
    # Only when there are any: finding them reads all events of two databases.
    base.execute(_SUPERSEDED + ("limit 0" if is_same else ""))
    superseded = "select event_ix, event_key from delta.affected.superseded_events"
    return is_same or fingerprint_of(base, f"{EVENTS_READ} union all {superseded}", params) == before


KEYS = ("person_key", "device_key", "user_key", "attempt_ix", "event_ix")
"""Columns that a `unique_key` may name; `delta.affected.<key>` holds the affected values."""

_STEPS: dict[str, str] = {
    "changed_events": """
        select device_key, user_key, alias_key from delta.affected.new_events
        union all
        select device_key, user_key, alias_key from delta.affected.superseded_events
    """,
    # With namesakes: where clear ids are published, a device and a user of one text are in one component.
    "named_devices": """
        select device_key from delta.affected.changed_events where device_key is not null
        union
        select namesake_device_key from delta.affected.new_events where namesake_device_key is not null
    """,
    "named_users": """
        select user_key from delta.affected.changed_events where user_key is not null
        union
        select alias_key from delta.affected.changed_events where alias_key is not null
        union
        select namesake_user_key from delta.affected.new_events where namesake_user_key is not null
    """,
    # A user_id that only alias events name belongs to the person of those events.
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
"""Relation of `delta.affected` → its SELECT, in the order of creation."""


def find_affected(base: DuckDBEngine, config: Config, state: BuildState, high_water_at: datetime) -> None:
    """Fill `delta.affected.*` from new and superseded events and the identities of the last build.

    Components are closed: persons and devices that share events are in one. Whatever events join, split or add when
    they come or are superseded stays within the components that they name, and new devices and users; no other person
    changes.
    """
    condition = "true" if config.privacy.person_id == "clear" else "false"
    namesakes = ", ".join(
        f"case when {condition} then md5_number_lower('{mark}' || {name}) end as namesake_{kind}_key"
        for kind, mark, name in (("device", "d:", "user_id"), ("user", "u:", "anonymous_id"))
    )
    base.execute(
        f"""
        create table delta.affected.new_events as
        select event_ix, device_key, user_key, {alias_of()} as alias_key, {namesakes}
        from warehouse.raw.events
        where source in (select unnest(?)) and occurred_at <= ? and (event_ix > ? or occurred_at > ?)
        """,
        [list(config.sources), high_water_at, state.last_event_ix, state.high_water_at],
    )
    for name, select in _STEPS.items():
        base.execute(f"create table delta.affected.{name} as {select}")
