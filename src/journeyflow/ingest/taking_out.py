"""What an erasure takes out of the warehouse, and what the accounts of files say then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from journeyflow.ingest.rewriting import WHOLE_ROWS
from journeyflow.ingest.tombstones import find_naming

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine

_ERASED_EVENTS = """
create or replace temp table gone_events as
select event_ix, file_ix from landed.events
where is_erased_user(user_id) or is_erased_device(anonymous_id)
    or (event_name = 'alias' and is_erased_user(json_extract_string(properties, '/previous_id')))
"""
# Of a list, all elements that are no objects go, as they go of the kept copy: they share line and detail.
_ERASED_ROWS = """
create or replace temp table gone_rows as
select row_id from naming_texts
union
select others.rowid from landed.quarantine as others
inner join landed.quarantine as theirs
    on theirs.file_ix = others.file_ix and theirs.source_row = others.source_row and theirs.detail = others.detail
where theirs.rowid in (select row_id from naming_texts) and theirs.file_ix > 0
"""
_EVENTS_OF_LINES = """
create or replace temp table gone_events as
select events.event_ix, events.file_ix
from landed.events as events
inner join ledger.files as files on files.file_ix = events.file_ix
where files.source = ? and files.sha256 = ? and events.source_row in (select source_row from erased_records)
"""
# What goes of a file as a whole row goes of the quarantine too, whatever its text shows.
_ROWS_OF_FILE = f"""
create or replace temp table gone_rows as
select quarantine.rowid as row_id
from landed.quarantine as quarantine
inner join ledger.files as files on files.file_ix = quarantine.file_ix
where files.source = ? and files.sha256 = ? and quarantine.source_row in ({WHOLE_ROWS})
"""
_NOTHING = {
    "events": "create or replace temp table gone_events as select 0::bigint as event_ix, 0 as file_ix where false",
    "rows": "create or replace temp table gone_rows as select 0::bigint as row_id where false",
}
# An account says what became of each record: what was accepted or kept aside is erased now. Where a file's event took
# the place of one that another file brought, it was counted as a duplicate.
_GONE_COUNTS = """
create or replace temp table gone_counts as
with counted as (
    select file_ix, count(*) as event_count, 0 as row_count from gone_events group by file_ix
    union all
    select file_ix, 0, count(*) from landed.quarantine where rowid in (select row_id from gone_rows) group by file_ix
),
summed as (
    select file_ix, sum(event_count)::bigint as event_count, sum(row_count)::bigint as row_count
    from counted group by file_ix
),
latest as (
    select loads.source, loads.sha256, max(loads.run_id) as run_id
    from ledger.loads as loads where status = 'loaded' group by loads.source, loads.sha256
)
select
    files.source, files.sha256, latest.run_id,
    summed.event_count, summed.row_count
from summed
inner join ledger.files as files on files.file_ix = summed.file_ix
inner join latest on latest.source = files.source and latest.sha256 = files.sha256
"""
_MOVE_COUNTS = """
update ledger.loads as loads
set
    accepted_count = accepted_count - least(accepted_count, gone.event_count),
    duplicate_count = duplicate_count
        - least(duplicate_count, gone.event_count - least(accepted_count, gone.event_count)),
    conflicting_count = least(
        conflicting_count,
        duplicate_count - least(duplicate_count, gone.event_count - least(accepted_count, gone.event_count))
    ),
    quarantined_count = quarantined_count - least(quarantined_count, gone.row_count),
    erased_count = erased_count + least(accepted_count + duplicate_count, gone.event_count)
        + least(quarantined_count, gone.row_count)
from gone_counts as gone
where loads.source = gone.source and loads.sha256 = gone.sha256 and loads.run_id = gone.run_id
    and loads.status = 'loaded'
"""
# Shares of what landed are told of people who are there. Of a file that is written anew it is known how many are not.
_LOWER_COUNTS = """
update ledger.files as files
set record_count = record_count - gone.event_count - gone.row_count
from gone_counts as gone
where files.source = gone.source and files.sha256 = gone.sha256 and files.kept_sha256 is null
"""
_COUNT_RECORDS = "update ledger.files set record_count = getvariable('surviving_count') where source = ? and sha256 = ?"
_DELETE = (
    "delete from landed.events where event_ix in (select event_ix from gone_events)",
    "delete from landed.quarantine where rowid in (select row_id from gone_rows)",
    "delete from landed.traits where is_erased_user(user_id)",
)


@dataclass(frozen=True)
class Gone:
    """What an erasure takes out of the warehouse."""

    event_count: int
    quarantined_count: int
    trait_count: int


def find_gone(warehouse: DuckDBEngine) -> Gone:
    """Find what `erased_ids` tells of: leaves `gone_events` and `gone_rows`."""
    warehouse.execute(_ERASED_EVENTS)
    find_naming(warehouse, "select rowid as row_id, raw as text from landed.quarantine")
    warehouse.execute(_ERASED_ROWS)
    return Gone(
        warehouse.count("gone_events"),
        warehouse.count("gone_rows"),
        warehouse.count("landed.traits", "is_erased_user(user_id)"),
    )


def take_out(warehouse: DuckDBEngine) -> None:
    """Delete what `find_gone` found, and let the accounts say so."""
    for statement in (_GONE_COUNTS, _MOVE_COUNTS, _LOWER_COUNTS, *_DELETE):
        warehouse.execute(statement)


def take_out_of_file(warehouse: DuckDBEngine, source: str, sha256: str, *, is_log: bool, is_numbered: bool) -> None:
    """Delete what the kept copy of a file loses, whatever its text shows, and let the accounts say so.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Holds `erased_records`, `erased_places` and the variable of `count_survivors`.
    source, sha256 : str
        Name the file.
    is_log : bool
        Whether no column of its events holds the login, so that only the line says whose they are.
    is_numbered : bool
        Whether its records still have the numbers under which they landed.
    """
    place = [source, sha256]
    for table, found, is_asked in (("events", _EVENTS_OF_LINES, is_log), ("rows", _ROWS_OF_FILE, is_numbered)):
        warehouse.execute(found if is_asked else _NOTHING[table], place if is_asked else None)
    for statement in (_GONE_COUNTS, _MOVE_COUNTS, *_DELETE):
        warehouse.execute(statement)
    count_survivors(warehouse, source, sha256)


def count_survivors(warehouse: DuckDBEngine, source: str, sha256: str) -> None:
    """Write down how many records of a file are of nobody erased, as `rewriting.judged` counted them."""
    warehouse.execute(_COUNT_RECORDS, [source, sha256])
