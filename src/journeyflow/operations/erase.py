"""Plan an erasure for given ids, and apply it with a run."""

from __future__ import annotations

import hashlib
import json
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from journeyflow.engines import DuckDBEngine, default_memory_limit
from journeyflow.erasure.apply import (
    PendingErasure,
    begin_erasure,
    find_erased_rows,
    pending_erasure,
    withdraw_empty_publication,
)
from journeyflow.erasure.search import FoundRecords, RecordSearch
from journeyflow.errors import InputError, NotFoundError
from journeyflow.ingest import suppression
from journeyflow.ingest.file_registry import FileRegistry
from journeyflow.ingest.files import RawStore
from journeyflow.ingest.load import archive_loaded, is_available
from journeyflow.ingest.parser.client import InputParser, open_input_parser
from journeyflow.ingest.people_and_spend import find_erased_traits
from journeyflow.models import Phase
from journeyflow.pipeline.builder import Builder
from journeyflow.pipeline.load_phase import LoadResult, register_configuration, us
from journeyflow.pipeline.run import Run, RunReport
from journeyflow.state.folder import person_secret, project_lock, set_hash_keys
from journeyflow.state.paths import WAREHOUSE, dictionary, graph_of
from journeyflow.state.warehouse import clock_time, open_warehouse, packaged_sql
from journeyflow.utils.formatting import Progress, silent

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.utils.formatting import Progress


USER, DEVICE = "user", "device"
_KINDS = {"user": USER, "user_id": USER, "device": DEVICE, "anonymous_id": DEVICE}


@dataclass(frozen=True)
class RequestedId:
    """One id of a person: `kind` is ``user`` for a user_id, ``device`` for an anonymous_id."""

    kind: str
    value: str


def read_ids(lines: Iterable[str]) -> list[RequestedId]:
    """Read ids, one a line: ``user:…`` or ``device:…``; blank lines and ``#`` comments are skipped.

    InputError names the lines that cannot be read, never their text.

    Examples
    --------
    >>> read_ids(["# by request", "user: ann@shop.example", "device:c-17"])
    [RequestedId(kind='user', value='ann@shop.example'), RequestedId(kind='device', value='c-17')]
    """
    found, wrong = [], []
    for number, line in enumerate(lines, start=1):
        text = line.strip("\ufeff \t\r\n")
        if not text or text.startswith("#"):
            continue
        kind, _, value = text.partition(":")
        if kind.strip() in _KINDS and value.strip():
            found.append(RequestedId(_KINDS[kind.strip()], value.strip()))
        else:
            wrong.append(str(number))
    if wrong:
        raise InputError(
            f"Lines {', '.join(wrong[:10])} of the ids ({len(wrong):,} in all) cannot be read; each must be `user:` "
            "and a user_id, or `device:` and an anonymous_id. Nothing was erased."
        )
    return found


_EPOCH = datetime(1970, 1, 1)
_PERSONS = """
with named as (
    select coalesce(aliases.person_key, given.id_key) as person_key
    from erasure.given as given
    left join identity.user_aliases as aliases on aliases.user_key = given.id_key
    where given.kind = 'user'
)

select person_key from named
union
-- A device of a single person identifies that person.
select identities.person_key
from erasure.given as given
inner join identity.identities as identities on identities.device_key = given.id_key
where given.kind = 'device' and identities.decision = 'joined'
"""
_USERS = """
select user_key as id_key from identity.user_aliases where person_key in (select person_key from erasure.persons)
union
select person_key from erasure.persons
union
select id_key from erasure.given where kind = 'user'
"""
# Shared devices only when all their users are requested.
_DEVICES = """
with users as (
    select
        device_users.device_key,
        bool_and(
            coalesce(aliases.person_key, device_users.user_key) in (select person_key from erasure.persons)
        ) as is_all_requested
    from identity._device_users as device_users
    left join identity.user_aliases as aliases on aliases.user_key = device_users.user_key
    group by device_users.device_key
)

select device_key as id_key from users where is_all_requested
union
select id_key from erasure.given where kind = 'device'
"""
_CLEAR_USERS = """
with alias_events as (
    select json_extract_string(properties, '/previous_id') as previous_id
    from warehouse.raw.events
    where event_name = 'alias'
)

select user_id as id from warehouse.raw.events where user_key in (select id_key from erasure.users)
union
select user_id from warehouse.raw.traits where user_key in (select id_key from erasure.users)
union
select previous_id from alias_events
where md5_number_lower('u:' || previous_id) in (select id_key from erasure.users)
"""
_CLEAR_DEVICES = """
select distinct anonymous_id as id from warehouse.raw.events
where device_key in (select id_key from erasure.devices)
"""


@dataclass(frozen=True)
class IdentifiedPersons:
    """All ids of the requested persons, in clear; `unknown_count` is the number of given ids without any record.

    `similar_count` is the number of other ids that differ from given ones only in case or Unicode form. `spellings` are
    all texts that are searched for and suppressed, and `hashes` their keyed hashes.
    """

    users: tuple[str, ...]
    devices: tuple[str, ...]
    unknown_count: int
    similar_count: int
    spellings: tuple[str, ...]
    hashes: tuple[str, ...]


def identify_persons(
    config: Config,
    ids: Sequence[RequestedId],
    work: Path,
    progress: Progress,
    memory_limit: str | None = None,
    *,
    also_similar: bool = False,
) -> IdentifiedPersons:
    """Find all ids of the persons that the given ids belong to; `work` is a private folder.

    `also_similar`: ids that differ from the given ones only in case or Unicode form are given too.
    """
    attached = {"warehouse": config.state / WAREHOUSE}
    limits: dict[str, Any] = {"memory_limit": memory_limit, "temp_folder": work / "spill"}
    with DuckDBEngine(work / "people.duckdb", attached=attached, **limits) as engine:
        _stitch(engine, config, progress)
        set_hash_keys(engine, person_secret(config))
        engine.execute(packaged_sql("privacy"))
        _register_typed(engine, ids)
        similar = [RequestedId(row["kind"], row["id"]) for row in engine.rows(_SIMILAR).to_pylist()]
        if also_similar:
            ids = [*ids, *similar]
            _register_typed(engine, ids)
        engine.run("erasure.given", _GIVEN)
        for name, select in (("persons", _PERSONS), ("users", _USERS), ("devices", _DEVICES)):
            engine.run(f"erasure.{name}", select)
        users, devices = (_texts(engine, select) for select in (_CLEAR_USERS, _CLEAR_DEVICES))
        known = {*((USER, each) for each in users), *((DEVICE, each) for each in devices)}
        stored = {(row["kind"], row["id"]) for row in engine.rows("select kind, id from erasure.given").to_pylist()}
        every = known | stored | {(each.kind, each.value) for each in ids}
        spelled = every | {(kind, form) for kind, value in every if also_similar for form in _forms(value)}
        return IdentifiedPersons(
            tuple(sorted(value for kind, value in every if kind == USER)),
            tuple(sorted(value for kind, value in every if kind == DEVICE)),
            len(stored - known),
            0 if also_similar else len(similar),
            tuple(sorted({value for _, value in spelled})),
            _hashes(engine, config, spelled),
        )


def _register_typed(engine: DuckDBEngine, ids: Sequence[RequestedId]) -> None:
    given = pa.table({"kind": [each.kind for each in ids], "id": [each.value for each in ids]})
    engine.register("erasure.typed", given)


def _forms(text: str) -> set[str]:
    """Return an id in the cases and Unicode forms in which files write it."""
    cases = (text, text.lower(), text.upper(), text.title(), text.capitalize())
    return {unicodedata.normalize(form, each) for each in cases for form in ("NFC", "NFD", "NFKC")}


_SIMILAR = """
with known as (
    select 'user' as kind, user_id as id from warehouse.raw.events where user_id is not null
    union
    select 'user', user_id from warehouse.raw.traits
    union
    select 'device', anonymous_id from warehouse.raw.events where anonymous_id is not null
)
select kind, id
from known
where (kind, lower(nfc_normalize(id))) in (select (kind, lower(nfc_normalize(trim(id)))) from erasure.typed)
    and (kind, id) not in (select (kind, id) from erasure.typed)
order by kind, id
"""


# Devices are stored as hashes where they are addresses of machines.
_GIVEN = """
select
    kind,
    case when kind = 'device' then without_address(id) else id end as id,
    md5_number_lower(case when kind = 'device' then 'd:' || without_address(id) else 'u:' || id end) as id_key
from erasure.typed
"""


# Sources that are no longer configured count for identities too.
_OTHER_SOURCES = """
insert into config.sources (source)
select distinct source from warehouse.raw.events where source not in (select source from config.sources)
"""


def _stitch(engine: DuckDBEngine, config: Config, progress: Progress) -> None:
    graph = graph_of(config)
    builder = Builder(engine, graph, config)
    builder.attach_sources()
    register_configuration(engine, config, _loaded(engine, config), "erasure")
    engine.register("config.columns", dictionary(graph))
    engine.execute(_OTHER_SOURCES)
    builder.build(Phase.STITCH, progress)


def _loaded(engine: DuckDBEngine, config: Config) -> LoadResult:
    """Describe all loaded events, to the last one: an erasure covers all of them."""
    select = "select min(occurred_at) as first, max(occurred_at) as last, count(*) as n from warehouse.raw.events"
    found: dict[str, Any] = engine.rows(select).to_pylist()[0]
    last = found["last"] or _EPOCH
    return LoadResult(config, last, found["first"] or last, found["n"], {}, ())


def _texts(engine: DuckDBEngine, select: str) -> list[str]:
    return [text for text in engine.rows(select).column(0).to_pylist() if text]


def _hashes(engine: DuckDBEngine, config: Config, ids: set[tuple[str, str]]) -> tuple[str, ...]:
    engine.register("erasure.every", pa.table({"id": [f"{kind[0]}:{value}" for kind, value in sorted(ids)]}))
    engine.execute("create or replace temp table erased_ids as select ''::varchar as id_hash where false")
    suppression.set_suppression_keys(engine, config)
    return tuple(_texts(engine, "select suppression_hash(id) as id_hash from erasure.every order by id_hash"))


@dataclass(frozen=True)
class ErasurePlan:
    """The counts of what an erasure would delete, and the pending erasure with which a run applies it.

    `copies` are files with archived records of the persons; `dropped` are originals, and archived records that are
    damaged, which are deleted whole. `inputs` are the user's input files, which stay as they are. `other_count` are
    events of other persons on the given devices, which are deleted too. `similar_count` are other known ids that differ
    from given ones only in case or Unicode form: they are not erased. `files_hash` is that of the searched files.
    """

    erasure: PendingErasure
    user_count: int
    device_count: int
    unknown_count: int
    similar_count: int
    event_count: int
    quarantined_count: int
    trait_count: int
    copies: tuple[FoundRecords, ...]
    dropped: tuple[FoundRecords, ...]
    inputs: tuple[FoundRecords, ...]
    other_count: int
    is_done_before: bool
    is_begun: bool
    files_hash: str

    @property
    def is_anything(self) -> bool:
        """Whether anything would be deleted."""
        rows = self.event_count + self.quarantined_count + self.trait_count
        return bool(rows or self.copies or self.dropped or self.is_begun)

    @property
    def is_doubtful(self) -> bool:
        """Whether a given id is not known and archived records only hold ids somewhere: it may be a word of others."""
        is_new = not (self.is_done_before or self.is_begun)
        return is_new and self.unknown_count > 0 and any(each.named_count for each in self.copies)

    @property
    def is_done(self) -> bool:
        """Whether all ids were erased before and nothing is left to do."""
        return self.is_done_before and not self.is_anything

    def counts(self) -> dict[str, Any]:
        """Return the plan without its pending erasure, for programs."""
        counts = asdict(self)
        del counts["erasure"], counts["files_hash"]
        return counts


@dataclass(frozen=True)
class ErasureResult:
    """The plan and the run that published after it; None where no person is left to publish."""

    plan: ErasurePlan
    report: RunReport | None


def plan_erasure(
    config: Config,
    ids: Iterable[RequestedId],
    progress: Progress | None = None,
    *,
    memory_limit: str | None = None,
    also_similar: bool = False,
) -> ErasurePlan:
    """Find all records of the persons of some ids; nothing is erased yet.

    `also_similar`: of ids that differ from the given ones only in case or Unicode form, too.

    InputError when nothing was loaded or no id is given, NotFoundError when no record has any of the ids, LockedError
    during a run. See `docs/adr/0025-erasure.md` and section 2 of `docs/reference/semantics.md`.
    """
    wanted = sorted({each for each in ids if each.value}, key=lambda each: (each.kind, each.value))
    if not wanted:
        raise InputError("No id is given: use --user-id, --anonymous-id or --ids-from.")
    path = config.state / WAREHOUSE
    with project_lock(config.state):
        if not path.exists():
            raise NotFoundError(f"Nothing was loaded yet: there is no {path}. Run `journeyflow run` first.")
        work = config.state / "work" / "erasure"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700, parents=True)
        try:
            with open_warehouse(path):  # Migrates an older schema.
                pass
            people = identify_persons(config, wanted, work, progress or silent, memory_limit, also_similar=also_similar)
            limit = memory_limit or default_memory_limit()
            with (
                open_warehouse(path, temp_folder=work / "spill", memory_limit=limit) as warehouse,
                open_input_parser(config, work.name) as input_parser,
            ):
                return _plan(config, warehouse, input_parser, people, progress or silent)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _plan(
    config: Config, warehouse: DuckDBEngine, input_parser: InputParser, people: IdentifiedPersons, progress: Progress
) -> ErasurePlan:
    raw_store = RawStore(config.state)
    set_hash_keys(warehouse, person_secret(config))
    before = set(warehouse.rows("select id_hash from ledger.suppressions").column(0).to_pylist())
    suppression.register_suppression(warehouse, config, raw_store)
    archive_loaded(config, warehouse, input_parser, us(clock_time()))
    suppression.register_suppression(warehouse, config, raw_store, people.hashes)
    erased = find_erased_rows(warehouse)
    searched = RecordSearch(warehouse, config, people.spellings, progress, input_parser).run()
    traits = [FoundRecords(*each) for each in find_erased_traits(config, warehouse, input_parser)]
    erasure = PendingErasure(
        people.hashes,
        tuple(searched.archives),
        tuple(searched.dropped_contents),
        _readable_again(config, warehouse, searched.again),
        _days(warehouse, config.timezone),
    )
    plan = ErasurePlan(
        erasure=erasure,
        user_count=len(people.users),
        device_count=len(people.devices),
        unknown_count=people.unknown_count,
        similar_count=people.similar_count,
        event_count=erased.event_count,
        quarantined_count=erased.quarantined_count,
        trait_count=erased.trait_count,
        copies=tuple(searched.copies),
        dropped=tuple(searched.dropped),
        inputs=(*searched.inputs, *traits),
        other_count=warehouse.count("raw.events", _OF_OTHERS),
        is_done_before=before.issuperset(people.hashes),
        is_begun=pending_erasure(config.state) is not None,
        files_hash=_files_hash(warehouse),
    )
    if not plan.is_anything and not plan.inputs and not plan.is_done_before:
        raise NotFoundError("Nothing is known under any of these ids. Nothing was erased.")
    return plan


def _files_hash(warehouse: DuckDBEngine) -> str:
    found = warehouse.rows("select source, sha256, archive_sha256, is_loaded from ledger.files order by all")
    return hashlib.sha256(json.dumps(found.to_pylist()).encode()).hexdigest()


_OF_OTHERS = """
    event_ix in (select event_ix from erased_events) and user_id is not null and not is_erased_user(user_id)
"""


def _readable_again(config: Config, warehouse: DuckDBEngine, sources: Iterable[str]) -> tuple[str, ...]:
    """Leave out sources with a missing file: reading them again would stop the run."""
    files = [file for file in FileRegistry(warehouse, "", 0).files() if file.is_loaded and not file.is_empty]
    lost = {file.source for file in files if not is_available(config, file)}
    return tuple(sorted(set(sources) - lost))


def _days(warehouse: DuckDBEngine, timezone: str) -> tuple[str, ...]:
    """Return the local days of the erased events."""
    zone, utc = ZoneInfo(timezone), ZoneInfo("UTC")
    select = """
        select distinct date_trunc('minute', occurred_at) as minute from raw.events
        where event_ix in (select event_ix from erased_events)
    """
    minutes = warehouse.rows(select).column(0).to_pylist()
    return tuple(sorted({str(each.replace(tzinfo=utc).astimezone(zone).date()) for each in minutes}))


def erase(config: Config, plan: ErasurePlan, **limits: Any) -> ErasureResult:  # noqa: ANN401 — handed on
    """Apply a plan and publish; after a failure the next run, or the same command, continues."""
    with project_lock(config.state):
        with DuckDBEngine(config.state / WAREHOUSE, read_only=True) as warehouse:
            if _files_hash(warehouse) != plan.files_hash:
                raise InputError(
                    "A run loaded files since this erasure was planned. Plan it again; nothing was erased."
                )
        begin_erasure(config.state, plan.erasure)
    try:
        with Run(config, **limits) as run:
            return ErasureResult(plan, run.execute())
    except InputError:
        with project_lock(config.state):
            if pending_erasure(config.state) and not withdraw_empty_publication(config):
                raise
    return ErasureResult(plan, None)
