"""Who is meant by some ids: the rules of identity, asked about what is landed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.building import Builder
from journeyflow.engines import DuckDBEngine
from journeyflow.forgetting.ids import DEVICE, USER, Id
from journeyflow.ingest import tombstones
from journeyflow.ingest.hashing import set_hash_keys
from journeyflow.ingest.warehouse import packaged_sql
from journeyflow.loading import Loaded, register_configuration
from journeyflow.models import Phase
from journeyflow.project import WAREHOUSE, dictionary, graph_of
from journeyflow.secret import person_secret

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.progress import Progress

_EPOCH = datetime(1970, 1, 1)
_PERSONS = """
with named as (
    select coalesce(aliases.person_key, given.id_key) as person_key
    from forget.given as given
    left join journeys.user_aliases as aliases on aliases.user_key = given.id_key
    where given.kind = 'user'
)

select person_key from named
union
-- A device that is one person's alone names that person.
select identities.person_key
from forget.given as given
inner join journeys.identities as identities on identities.device_key = given.id_key
where given.kind = 'device' and identities.decision = 'joined'
"""
_USERS = """
select user_key as id_key from journeys.user_aliases where person_key in (select person_key from forget.persons)
union
select person_key from forget.persons
union
select id_key from forget.given where kind = 'user'
"""
# Not the devices that others use too, unless all who use them are meant.
_DEVICES = """
with users as (
    select
        device_users.device_key,
        bool_and(
            coalesce(aliases.person_key, device_users.user_key) in (select person_key from forget.persons)
        ) as is_all_meant
    from journeys._device_users as device_users
    left join journeys.user_aliases as aliases on aliases.user_key = device_users.user_key
    group by device_users.device_key
)

select device_key as id_key from users where is_all_meant
union
select id_key from forget.given where kind = 'device'
"""
_CLEAR_USERS = """
with alias_events as (
    select json_extract_string(properties, '/previous_id') as previous_id
    from warehouse.landed.events
    where event_name = 'alias'
)

select user_id as id from warehouse.landed.events where user_key in (select id_key from forget.users)
union
select user_id from warehouse.landed.traits where user_key in (select id_key from forget.users)
union
select previous_id from alias_events
where md5_number_lower('u:' || previous_id) in (select id_key from forget.users)
"""
_CLEAR_DEVICES = """
select distinct anonymous_id as id from warehouse.landed.events
where device_key in (select id_key from forget.devices)
"""


@dataclass(frozen=True)
class People:
    """The ids of the people who are meant, those given among them.

    Attributes
    ----------
    users, devices : tuple of str
        In clear; they stay in memory.
    unknown_count : int
        Ids given that nothing landed names.
    hashes : tuple of str
        Tombstones of all of them.
    """

    users: tuple[str, ...]
    devices: tuple[str, ...]
    unknown_count: int
    hashes: tuple[str, ...]


def find_people(
    config: Config, ids: Sequence[Id], work: Path, progress: Progress, memory_limit: str | None = None
) -> People:
    """Find all ids of the people that some ids name.

    Parameters
    ----------
    config : Config
        The project; nobody else may hold its warehouse.
    ids : sequence of Id
        As the sources write them.
    work : Path
        A private folder.
    progress : Progress
        Told of the models that are built.
    memory_limit : str or None
        What the database may use before it spills.
    """
    attached = {"warehouse": config.state / WAREHOUSE}
    limits: dict[str, Any] = {"memory_limit": memory_limit, "temp_folder": work / "spill"}
    with DuckDBEngine(work / "people.duckdb", attached=attached, **limits) as engine:
        _stitch(engine, config, progress)
        set_hash_keys(engine, person_secret(config))
        engine.execute(packaged_sql("privacy"))
        given = pa.table({"kind": [each.kind for each in ids], "id": [each.value for each in ids]})
        engine.register("forget.typed", given)
        engine.run("forget.given", _GIVEN)
        for name, select in (("persons", _PERSONS), ("users", _USERS), ("devices", _DEVICES)):
            engine.run(f"forget.{name}", select)
        users, devices = (_texts(engine, select) for select in (_CLEAR_USERS, _CLEAR_DEVICES))
        known = {*((USER, each) for each in users), *((DEVICE, each) for each in devices)}
        stored = {(row["kind"], row["id"]) for row in engine.rows("select kind, id from forget.given").to_pylist()}
        every = known | stored | {(each.kind, each.value) for each in ids}
        return People(
            tuple(sorted(value for kind, value in every if kind == USER)),
            tuple(sorted(value for kind, value in every if kind == DEVICE)),
            len(stored - known),
            _hashes(engine, config, every),
        )


# Devices are stored as hashes where they are addresses of machines.
_GIVEN = """
select
    kind,
    case when kind = 'device' then without_address(id) else id end as id,
    md5_number_lower(case when kind = 'device' then 'd:' || without_address(id) else 'u:' || id end) as id_key
from forget.typed
"""


# Who used a device in a source that was taken out of the configuration used it all the same.
_OTHER_SOURCES = """
insert into config.sources (source)
select distinct source from warehouse.landed.events where source not in (select source from config.sources)
"""


def _stitch(engine: DuckDBEngine, config: Config, progress: Progress) -> None:
    graph = graph_of(config)
    builder = Builder(engine, graph, config)
    builder.mirror_warehouse()
    register_configuration(engine, config, _loaded(engine, config), "forget")
    engine.register("config.columns", dictionary(graph))
    engine.execute(_OTHER_SOURCES)
    builder.build(Phase.STITCH, progress)


def _loaded(engine: DuckDBEngine, config: Config) -> Loaded:
    """Say what is landed, to its last event: whoever is erased is so from all of it."""
    select = "select min(occurred_at) as first, max(occurred_at) as last, count(*) as n from warehouse.landed.events"
    found: dict[str, Any] = engine.rows(select).to_pylist()[0]
    last = found["last"] or _EPOCH
    return Loaded(config, last, found["first"] or last, found["n"], {}, ())


def _texts(engine: DuckDBEngine, select: str) -> list[str]:
    return [text for text in engine.rows(select).column(0).to_pylist() if text]


def _hashes(engine: DuckDBEngine, config: Config, ids: set[tuple[str, str]]) -> tuple[str, ...]:
    engine.register("forget.every", pa.table({"id": [f"{kind[0]}:{value}" for kind, value in sorted(ids)]}))
    engine.execute("create or replace temp table erased_ids as select ''::varchar as id_hash where false")
    tombstones.set_keys(engine, config)
    return tuple(_texts(engine, "select tombstone_of(id) as id_hash from forget.every order by id_hash"))
