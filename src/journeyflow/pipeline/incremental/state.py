"""Build state: which events, rules and high-water mark a build holds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.validate import CLEANING, FLOOR
from journeyflow.pipeline.load_phase import configuration_tables
from journeyflow.state.paths import BUILD_STATE
from journeyflow.state.secret_key import person_secret

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
