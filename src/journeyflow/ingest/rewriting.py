"""Kept copies without the records of people who were erased."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.ingest.cutting import Cut, cut_file
from journeyflow.ingest.files import InputFile
from journeyflow.ingest.keeping import content_hash
from journeyflow.ingest.preparing import prepare
from journeyflow.ingest.reading import read_records
from journeyflow.ingest.tombstones import set_apart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.ingest.intake import Intake
    from journeyflow.ingest.keeping import Kept
    from journeyflow.ingest.readers.raw import RawRecords

NOTHING_LEFT = ""
"""In the place of a hash: of the file nothing is left that its reader would take."""
_ELEMENT = "an element of the list is no object"


def count_erased(
    warehouse: DuckDBEngine, intake: Intake, config: Config, source: str, file: InputFile, first_loaded_at: datetime
) -> int:
    """Judge the records of a file and leave those of erased people in `erased_records`; say how many they are.

    Raises
    ------
    RefusedFileError
        When the file cannot be read.
    """
    with judged(warehouse, intake, config, source, file, first_loaded_at) as count:
        return count


@contextmanager
def judged(
    warehouse: DuckDBEngine, intake: Intake, config: Config, source: str, file: InputFile, first_loaded_at: datetime
) -> Iterator[int]:
    """Do as `count_erased` does, and let `surviving_records` be asked while the context lasts.

    The variable `surviving_count` says how many records are of nobody erased, unreadable ones among them.
    """
    with read_records(warehouse, intake, file, config.sources[source]) as raw:
        prepare(warehouse, config, source, raw, first_loaded_at)
        set_apart(warehouse, raw)
        remember_places(warehouse, raw)
        count = warehouse.count("erased_records")
        warehouse.execute(f"set variable surviving_count = {raw.record_count - count}")
        yield count


def remember_places(warehouse: DuckDBEngine, raw: RawRecords) -> None:
    """Number the objects of nested lists, as `erased_places`, while the file is open; else it stays empty."""
    if raw.shape != "json" or not warehouse.count("erased_records"):
        warehouse.execute(_NO_PLACES)
    else:
        warehouse.execute(_PLACES)


def rewrite(warehouse: DuckDBEngine, intake: Intake, config: Config, source: str, file: InputFile, kept: Kept) -> str:
    """Keep a file without what `erased_records` and `erased_places` tell of.

    Returns
    -------
    str
        The hash of what is kept; `NOTHING_LEFT` where no copy was made, because nothing is left.

    Raises
    ------
    RefusedFileError
        When the file cannot be read.
    JourneyflowError
        When the copy cannot be written.
    """
    kept.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = kept.folder / f"{file.sha256}.cut.unfinished"
    try:
        if not cut_file(intake.staging.folder, intake.job(file, config.sources[source]), _cut(warehouse), target):
            return NOTHING_LEFT
        return _keep(target, file.name, kept)
    finally:
        target.unlink(missing_ok=True)


def _keep(written: Path, name: str, kept: Kept) -> str:
    sha256 = content_hash(written)
    kept.keep(InputFile(name, written, sha256, written.stat().st_size), written)
    return sha256


def _cut(warehouse: DuckDBEngine) -> Cut:
    rows = warehouse.rows(WHOLE_ROWS).column(0).to_pylist()
    elements: dict[int, set[int]] = {}
    for row in warehouse.rows(_PARTS).to_pylist():
        elements.setdefault(row["source_row"], set()).add(row["place"])
    others = warehouse.rows(f"select distinct source_row from erased_records where detail = '{_ELEMENT}'").column(0)
    return Cut(
        frozenset(rows),
        {row: frozenset(places) for row, places in elements.items()},
        frozenset(others.to_pylist()) - frozenset(rows),
    )


_NO_PLACES = """
create or replace temp table erased_places as
select 0::bigint as source_row, 0::bigint as place, 0::bigint as object_count where false
"""
_PLACES = """
create or replace temp table erased_places as
with numbered as (
    select
        record_ix, source_row,
        row_number() over (partition by source_row order by record_ix) as place,
        count(*) over (partition by source_row) as object_count
    from raw_records
)
select source_row, place, object_count from numbered
where record_ix in (select record_ix from erased_records where record_ix is not null)
"""
# A row of which every object goes, goes whole; so does one that is a single record.
WHOLE_ROWS = f"""
select source_row from erased_places group by source_row having count(*) = max(object_count)
union
select source_row from erased_records
where detail <> '{_ELEMENT}' and source_row not in (select source_row from erased_places)
"""
"""Rows of a file that go as a whole; `rewrite` cuts them out."""
_PARTS = """
select source_row, place from erased_places
qualify count(*) over (partition by source_row) < object_count
"""
