"""Build state: which events, rules and high-water mark a build holds; the keys that later events affect."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.compile.staging_events import alias_of
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.insert import CLEANING, FLOOR
from journeyflow.pipeline.load_phase import configuration_tables
from journeyflow.state.folder import person_secret
from journeyflow.state.paths import BUILD_STATE

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.pipeline.load_phase import LoadResult


EVENTS_READ = """
    select event_ix, event_key from warehouse.raw.events
    where source in (select unnest(?)) and event_ix <= ? and occurred_at <= ?
"""
"""Events that a run read; parameters: its sources, the last number and the high-water mark."""
FORMAT = 1
"""Raised when incremental relations come to hold something else under the same rules."""
_SCHEMA = pa.schema({
    "rules": pa.string(),
    "high_water_at": pa.timestamp("us"),
    "last_event_ix": pa.int64(),
    "event_count": pa.int64(),
    "fingerprint": pa.string(),
    "next_position": pa.int64(),
    "byte_count": pa.int64(),
    "is_complete": pa.bool_(),
    "inputs": pa.string(),
})  # fmt: skip


@dataclass(frozen=True)
class BuildState:
    """What a build database was built from."""

    rules: str
    """Hash of everything that decides figures beside events: see `rules_of`."""
    high_water_at: datetime
    """Naive UTC."""
    last_event_ix: int
    """The last event of the warehouse, read or not."""
    event_count: int
    """Events read."""
    fingerprint: str
    """Of the events read: it changes when any is lost or replaced."""
    next_position: int
    """The first number that no session or attempt has."""
    byte_count: int
    """Size of the file after the last full refresh."""
    is_complete: bool = True
    """False while rows are being replaced."""
    inputs: str = ""
    """Of what a run reads beside events and the run log: see `inputs_of`; empty is unknown."""


def rules_of(config: Config, config_hash: str) -> str:
    """Return the hash of everything that decides figures, other than events and the high-water mark.

    `config` is as it is run, without a default funnel that does not apply; `config_hash` is of the configuration as it
    is written, the models and the version.
    """
    # Funnels and surveys are numbered in their order, which changes no figure and so not the hash.
    orders = {name: list(section) for name, section in config if isinstance(section, dict)}
    # New cleaning rules leave the numbers and keys of events as they are, so the fingerprint would not change.
    rules = [FORMAT, CLEANING, str(FLOOR), config_hash, orders, person_secret(config)]
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()


def inputs_of(engine: DuckDBEngine, config: Config, loaded: LoadResult) -> str:
    """Return the hash of the relations `config.*`, but for the run's id, and of traits and spend of the warehouse.

    With the same rules, events and inputs a run builds what the last one built, but for what reads the run log.
    """
    tables = configuration_tables(config, loaded, run_id="")
    contents = {name: table.to_pydict() for name, table in sorted(tables.items())}
    traits = engine.values("select count(*), sum(hash(traits)) from warehouse.raw.traits as traits")
    spend = engine.values("select count(*), sum(hash(spend)) from warehouse.raw.spend as spend")
    return hashlib.sha256(repr([contents, traits, spend]).encode()).hexdigest()


def fingerprint_of(engine: DuckDBEngine, events: str, params: list[object]) -> tuple[int, str]:
    """Return the number of events and a fingerprint that does not depend on their order.

    `events` is a SELECT of `event_ix` and `event_key`, such as `EVENTS_READ`. The warehouse is attached to `engine`.
    """
    # Number and key of an event are hashed together: a source that is read again may number other events alike.
    # Summed, because `hash` combines two values by an exclusive or, which `bit_xor` would undo.
    query = f"""
        select count(*) as n, sum(event_ix) as added, sum(hash(event_ix, event_key)) as mixed from ({events}) as events
    """
    row = engine.connection.execute(query, params).fetchall()[0]
    return int(row[0]), f"{row[1]}/{row[2]}"


def read_build_state(engine: DuckDBEngine) -> BuildState | None:
    """Return the build state; None where a build records none."""
    if not engine.columns(BUILD_STATE):
        return None
    rows = engine.rows(f"select * from {BUILD_STATE}").to_pylist()
    return BuildState(**rows[0]) if len(rows) == 1 else None


def write_build_state(engine: DuckDBEngine, state: BuildState) -> None:
    """Record the build state, in one step."""
    engine.register(BUILD_STATE, pa.Table.from_pylist([asdict(state)], schema=_SCHEMA))


def build_state_of(
    engine: DuckDBEngine, config: Config, config_hash: str, loaded: LoadResult, next_position: int, byte_count: int = 0
) -> BuildState:
    """Return the state of a build that holds all events of `loaded`; a `byte_count` of 0 is unknown."""
    last = int(engine.values("select coalesce(max(event_ix), -1) from warehouse.raw.events")[0][0])
    count, found = fingerprint_of(engine, EVENTS_READ, [list(config.sources), last, loaded.high_water_at])
    return BuildState(
        rules_of(config, config_hash),
        loaded.high_water_at,
        last,
        count,
        found,
        next_position,
        byte_count,
        inputs=inputs_of(engine, config, loaded),
    )


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
