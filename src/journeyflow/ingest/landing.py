"""Files into `landed.events`: judge records, insert the good, settle duplicates, account for all."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from journeyflow.config.inputs import CANONICAL_COLUMNS, UTM_COLUMNS
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import JourneyflowError
from journeyflow.ingest.files import InputFile
from journeyflow.ingest.readers.raw import RawRecords
from journeyflow.ingest.tombstones import set_apart
from journeyflow.ingest.typed import TIMES
from journeyflow.ingest.warehouse import packaged_sql

_REST = [name for name in CANONICAL_COLUMNS if name not in ("event_id", *TIMES)]
COLUMNS = ", ".join(("event_id", "source", *TIMES, "device_key", "user_key", *_REST, "properties"))
"""Columns of `landed.events` between the keys and the lineage."""

CONTENT = ", ".join(("occurred_at", *(name for name in _REST if name != "sequence"), "properties"))
"""What two rows of one event must share to say the same; when and where they arrived is not of it."""


@dataclass(frozen=True)
class Counts:
    """Where the records of a file went; `conflicting` are among the duplicates."""

    record: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicate: int = 0
    conflicting: int = 0
    filtered: int = 0
    erased: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Add up, outcome by outcome."""
        return Counts(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


def next_event_ix(warehouse: DuckDBEngine) -> int:
    """Return the number that the next landed event gets."""
    found = warehouse.rows("select coalesce(max(event_ix) + 1, 0) as ix from landed.events")
    return int(found["ix"][0].as_py())


def land(warehouse: DuckDBEngine, file: InputFile, file_ix: int, raw: RawRecords) -> Counts:
    """Move the records of `judged_records` and `raw_rejects` into the warehouse, duplicates and all.

    Records of people who were erased are counted and left in `erased_records`. The caller opens the transaction,
    settles the duplicates of the files that it holds, and writes the ledger.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Holds the temporary relations of the file.
    file : InputFile
        The file they come from.
    file_ix : int
        Its number in the ledger.
    raw : RawRecords
        What the reader said of it.

    Returns
    -------
    Counts
        They add up to the records of the file; duplicates are still among the accepted.

    Raises
    ------
    JourneyflowError
        When they do not: a defect of this program, not of the file.
    """
    first_ix = next_event_ix(warehouse)
    erased_count = set_apart(warehouse, raw)
    warehouse.execute(_insert(first_ix, file_ix, _WITH_ID))
    readable = raw.record_count - raw.reject_count - erased_count
    # Judging is what costs: where every record arrived there is nothing left to judge again and count.
    if _landed(warehouse, file_ix) == readable:
        judged = {"record_count": readable, "filtered_count": 0, "bad_count": 0}
    else:
        judged = warehouse.rows(_COUNT).to_pylist()[0]
        if judged["without_id_count"]:
            warehouse.execute(_REPEATED)
            warehouse.execute(_insert(first_ix, file_ix, f"({_IDENTIFIED})"))
    counts = Counts(
        record=judged["record_count"] + raw.reject_count + erased_count,
        accepted=_landed(warehouse, file_ix),
        quarantined=_quarantine(warehouse, file, file_ix, judged["bad_count"]),
        filtered=judged["filtered_count"],
        erased=warehouse.count("erased_records"),
    )
    _reconcile(counts, raw, file)
    return counts


def settle_duplicates(warehouse: DuckDBEngine, first_ix: int) -> dict[int, Counts]:
    """Keep the least version of every event that landed from `first_ix` on and has several.

    Returns
    -------
    dict of int to Counts
        By number of the file, what this changes in its counts: as if the files had been settled one after the other.
    """
    warehouse.execute(packaged_sql("duplicates").format(first_ix=first_ix, content=CONTENT))
    if not warehouse.count("duplicate_versions"):
        return {}
    warehouse.execute(
        "delete from landed.events where event_ix in (select event_ix from duplicate_versions where not is_winner)"
    )
    found = warehouse.rows("select file_ix, duplicate_count, conflicting_count from duplicate_counts").to_pylist()
    return {
        row["file_ix"]: Counts(
            accepted=-row["duplicate_count"],
            duplicate=row["duplicate_count"],
            conflicting=row["conflicting_count"],
        )
        for row in found
    }


def _landed(warehouse: DuckDBEngine, file_ix: int) -> int:
    return warehouse.count("landed.events", f"file_ix = {file_ix}")


_COUNT = """
select
    count(*) as record_count,
    count(*) filter (where not is_kept) as filtered_count,
    count(*) filter (where is_kept and reason is not null) as bad_count,
    count(*) filter (where is_kept and reason is null and event_id is null) as without_id_count
from surviving_records
"""
_WITH_ID = "surviving_records where is_kept and reason is null and event_id is not null"


def _insert(first_ix: int, file_ix: int, source: str) -> str:
    return f"""
        insert into landed.events
        select {first_ix} + record_ix, md5_number(source || '/' || event_id), {COLUMNS}, {file_ix}, source_row
        from {source}
    """


# An event without an id is its content and the how-many-eth of its like in the file: a repeated line is an event of its
# own, and the same line in two overlapping files is one. Only contents that do repeat are numbered: a window over all
# rows of a large file would write them to disk twice.
_CONTENT_HASH = f"md5(coalesce(content, cast(json_array({CONTENT}, received_at, sequence) as varchar)))"
_UNIDENTIFIED = f"""
select record_ix, {_CONTENT_HASH} as content_hash from surviving_records
where is_kept and reason is null and event_id is null
"""
_REPEATED = f"""
create or replace temp table content_ordinals as
with
unidentified as ({_UNIDENTIFIED}),
repeated as (select content_hash from unidentified group by content_hash having count(*) > 1)
select record_ix, row_number() over (partition by content_hash order by record_ix) as ordinal
from unidentified where content_hash in (select content_hash from repeated)
"""
_IDENTIFIED = f"""
select judged.* exclude (event_id), md5({_CONTENT_HASH} || '#' || coalesce(content_ordinals.ordinal, 1)) as event_id
from surviving_records as judged
left join content_ordinals on content_ordinals.record_ix = judged.record_ix
where judged.is_kept and judged.reason is null and judged.event_id is null
"""


def _quarantine(warehouse: DuckDBEngine, file: InputFile, file_ix: int, bad_count: int) -> int:
    warehouse.execute(
        "insert into landed.quarantine select ?, ?, source_row, reason, nullif(detail, ''), raw from raw_rejects",
        [file_ix, file.name],
    )
    if bad_count:
        warehouse.execute(
            """
            insert into landed.quarantine
            select ?, ?, judged.source_row, judged.reason, null, coalesce(judged.quarantine_raw, shown.raw)
            from surviving_records as judged
            left join shown_records as shown on shown.record_ix = judged.record_ix
            where judged.is_kept and judged.reason is not null
            """,
            [file_ix, file.name],
        )
    return warehouse.count("landed.quarantine", f"file_ix = {file_ix}")


def _reconcile(counts: Counts, raw: RawRecords, file: InputFile) -> None:
    total = counts.accepted + counts.quarantined + counts.duplicate + counts.filtered + counts.erased
    if total != counts.record or raw.record_count != counts.record:
        raise JourneyflowError(
            f"The records of {file.name} do not add up: {counts.record} read, {total} accounted for. "
            "Nothing of the file was kept; please report this."
        )


def judged_select(kept_parameters: tuple[str, ...], where: str | None) -> str:
    """Return the SELECT of `judged_records`: cleaned records, their campaign parameters, and whether they are kept.

    Parameters
    ----------
    kept_parameters : tuple of str
        Parameters of page addresses that may be kept; only campaign ones have a column.
    where : str or None
        Condition over canonical columns that tells the records to keep.
    """
    replaced = [f"{_from_query(name)} as {name}" for name in UTM_COLUMNS if name in kept_parameters]
    replace = f" replace ({', '.join(replaced)})" if replaced else ""
    kept = f"coalesce(({where}), false)" if where else "true"
    return f"select *, {kept} as is_kept from (select * exclude (query){replace} from cleaned_records)"


def _from_query(name: str) -> str:
    found = f"nullif(url_decode(replace(regexp_extract(query, '(?:^|&){name}=([^&]*)', 1), '+', ' ')), '')"
    found = f"without_emails({found})"
    return f"case when {name} is null and contains(query, '{name}=') then {found} else {name} end"
