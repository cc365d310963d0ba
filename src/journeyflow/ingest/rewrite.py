"""Rewrite archived files without erased records, line numbers preserved."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import InputFile, opened
from journeyflow.ingest.mapping import literal
from journeyflow.ingest.parser.copy import read_records
from journeyflow.ingest.parser.transfer import Job
from journeyflow.ingest.parser.worker import container_of, dialect_of
from journeyflow.ingest.raw_store import content_hash
from journeyflow.ingest.readers.csv import record_ranges
from journeyflow.ingest.readers.lines import is_list, list_elements
from journeyflow.ingest.readers.parquet import unpacked
from journeyflow.ingest.readers.records import BLOCK_CHARACTERS, MAX_LINE_CHARACTERS, codec_of, decoded, text_lines
from journeyflow.ingest.suppression import split_suppressed
from journeyflow.ingest.validate import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.ingest.parser.copy import InputParser
    from journeyflow.ingest.raw_store import RawStore
    from journeyflow.ingest.readers.records import RawRecords


_DECODER = json.JSONDecoder(strict=False)
_BLANKS = re.compile(r"[ \t\r\n]*")


def without_elements(text: str, path: str, removed: Collection[int], *, with_others: bool = False) -> str:
    """Return a JSON object without some elements of the list at `path`, plain keys with points between them.

    `removed` counts the list's objects from 1; `with_others` removes all elements that are no objects too.

    Examples
    --------
    >>> without_elements('{"a": {"b": [{"n": 1}, {"n": 2.50}]}}', "a.b", {1})
    '{"a": {"b": [{"n": 2.50}]}}'
    """
    start = _value_at(text, path.split("."))
    spans, end = _elements(text, start)
    kept, number = [], 0
    for first, last in spans:
        is_object = text[first] == "{"
        number += is_object
        if number not in removed if is_object else not with_others:
            kept.append(text[first:last])
    return f"{text[:start]}[{', '.join(kept)}]{text[end:]}"


def _value_at(text: str, keys: list[str]) -> int:
    """Return the position of the value at a path."""
    at = _skip(text, 0)
    for key in keys:
        at = next(value for name, value in _members(text, at) if name == key)
    return at


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the keys of the object at `at`, each with the position of its value."""
    at = _skip(text, at + 1)
    while text[at] == '"':
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # After the colon.
        yield key, at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _elements(text: str, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return begin and end of each element of the list at `at`, and the end of the list."""
    spans: list[tuple[int, int]] = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        end = _DECODER.raw_decode(text, at)[1]
        spans.append((at, end))
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    return spans, at + 1


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


@dataclass(frozen=True)
class RemovedRecords:
    """What is removed from a file.

    `rows` are removed whole, by `source_row`; `elements` are single objects of a row's list, counted from 1; from the
    lists of `others` every element that is no object is removed.
    """

    rows: frozenset[int]
    elements: Mapping[int, frozenset[int]] = field(default_factory=dict)
    others: frozenset[int] = frozenset()


def remove_records(folder: Path, job: Job, removed: RemovedRecords, target: Path) -> bool:
    """Write a job's file to `target`, unpacked, without some of its records; return whether any content is left.

    Removed lines become blank lines, which are no records; lists and tables become shorter.
    """
    path = folder / job.file
    kind = container_of(path, job.format)
    if kind == "parquet":
        _parquet_without(path, removed, target)
        return True
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        text = io.TextIOWrapper(out, *codec_of(job.encoding, is_written=True), newline="")
        pieces = _csv_without(path, job, removed) if kind == "csv" else _lines_without(path, job, removed, kind)
        is_left = False
        for piece in pieces:
            text.write(piece)
            is_left = is_left or not piece.isspace()
        text.flush()
        return is_left


def keeps_line_numbers(folder: Path, job: Job) -> bool:
    """Return whether records keep their numbers when others are removed: lines do, list elements and rows do not."""
    path = folder / job.file
    kind = container_of(path, job.format)
    return kind != "parquet" and not (kind == "jsonl" and is_list(_head(path, job)))


def _head(path: Path, job: Job) -> str:
    with opened(path) as stream:
        return next(decoded(io.BytesIO(stream.read(BLOCK_CHARACTERS)), job.encoding), "")


def _csv_without(path: Path, job: Job, removed: RemovedRecords) -> Iterator[str]:
    with opened(path) as stream:
        ranges = iter([*record_ranges(stream, dialect_of(path, job), removed.rows)])
    first, behind = next(ranges, (None, None))
    with opened(path) as stream:
        for number, line in enumerate(text_lines(stream, job.encoding), start=1):
            if behind is not None and number >= behind:
                first, behind = next(ranges, (None, None))
            is_removed = first is not None and number >= first
            yield _blank(line) if is_removed else _whole(line)


def _lines_without(path: Path, job: Job, removed: RemovedRecords, kind: str) -> Iterator[str]:
    is_whole_list = kind == "jsonl" and is_list(_head(path, job))
    with opened(path) as stream:
        if is_whole_list:
            elements = list_elements(stream, job.encoding)
            yield from _as_list(_shortened(*each, job, removed) for each in elements if each[0] not in removed.rows)
            return
        for number, line in enumerate(text_lines(stream, job.encoding), start=1):
            yield _blank(line) if number in removed.rows else _shortened(number, _whole(line), job, removed)


def _as_list(elements: Iterable[str]) -> Iterator[str]:
    yield "["
    for place, text in enumerate(elements):
        yield f",\n{text}" if place else text
    yield "]\n"


def _shortened(number: int, text: str, job: Job, removed: RemovedRecords) -> str:
    if job.records is None or (number not in removed.elements and number not in removed.others):
        return text
    objects = removed.elements.get(number, frozenset())
    return without_elements(text, job.records, objects, with_others=number in removed.others)


def _blank(line: str) -> str:
    return "\n" if _whole(line)[-1] in "\r\n" else ""


def _whole(line: str) -> str:
    """End a line that is too long, of which only the beginning was read."""
    return f"{line}\n" if len(line) > MAX_LINE_CHARACTERS and line[-1] not in "\r\n" else line


def _parquet_without(packed: Path, removed: RemovedRecords, target: Path) -> None:
    """Rewrite a Parquet file with the database that reads it, so that its types stay the same."""
    path = unpacked(packed)
    with DuckDBEngine(folders=[packed.parent, target.parent], temp_folder=packed.parent / "spill") as warehouse:
        warehouse.scratch(
            "removed_rows", pa.table({"row_number": pa.array(sorted(removed.rows), pa.int64())}).to_reader()
        )
        found = f"read_parquet({literal(str(path))}, file_row_number => true)"
        warehouse.execute(
            f"copy (select * exclude (file_row_number) from {found} "
            "where file_row_number + 1 not in (select row_number from removed_rows) order by file_row_number) "
            f"to {literal(str(target))} (format parquet, compression zstd)"
        )


NOTHING_LEFT = ""
"""In place of a hash: nothing of the file is left that its reader would accept."""
_ELEMENT = "an element of the list is no object"


def count_erased(
    warehouse: DuckDBEngine,
    input_parser: InputParser,
    config: Config,
    source: str,
    file: InputFile,
    first_loaded_at: datetime,
) -> int:
    """Validate a file, create `erased_records` and return how many there are."""
    with validated_records(warehouse, input_parser, config, source, file, first_loaded_at) as count:
        return count


@contextmanager
def validated_records(
    warehouse: DuckDBEngine,
    input_parser: InputParser,
    config: Config,
    source: str,
    file: InputFile,
    first_loaded_at: datetime,
) -> Iterator[int]:
    """Validate a file and yield its number of erased records; `retained_records` exists while the context lasts.

    The variable `retained_count` is the number of the other records, unreadable ones included.
    """
    with read_records(warehouse, input_parser, file, config.sources[source]) as raw:
        prepare(warehouse, config, source, raw, first_loaded_at)
        split_suppressed(warehouse, raw)
        locate_erased(warehouse, raw)
        count = warehouse.count("erased_records")
        warehouse.execute(f"set variable retained_count = {raw.record_count - count}")
        yield count


def locate_erased(warehouse: DuckDBEngine, raw: RawRecords) -> None:
    """Create `erased_places`: the positions of erased objects in nested lists, while `raw_records` exists."""
    if raw.shape != "json" or not warehouse.count("erased_records"):
        warehouse.execute(_NO_PLACES)
    else:
        warehouse.execute(_PLACES)


def rewrite(
    warehouse: DuckDBEngine,
    input_parser: InputParser,
    config: Config,
    source: str,
    file: InputFile,
    raw_store: RawStore,
) -> str:
    """Archive a file without `erased_records` and `erased_places`; return its hash, or `NOTHING_LEFT`."""
    raw_store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = raw_store.folder / f"{file.sha256}.rewritten.unfinished"
    try:
        if not remove_records(
            input_parser.copies.folder,
            input_parser.job(file, config.sources[source]),
            _without_records(warehouse),
            target,
        ):
            return NOTHING_LEFT
        sha256 = content_hash(target)
        raw_store.add(InputFile(file.name, target, sha256, target.stat().st_size), target)
        return sha256
    finally:
        target.unlink(missing_ok=True)


def _without_records(warehouse: DuckDBEngine) -> RemovedRecords:
    rows = warehouse.rows(WHOLE_ROWS).column(0).to_pylist()
    elements: dict[int, set[int]] = {}
    for row in warehouse.rows(_PARTS).to_pylist():
        elements.setdefault(row["source_row"], set()).add(row["place"])
    others = warehouse.rows(f"select distinct source_row from erased_records where detail = '{_ELEMENT}'").column(0)
    return RemovedRecords(
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
# A row is removed whole when all its objects are, or when it is a single record.
WHOLE_ROWS = f"""
select source_row from erased_places group by source_row having count(*) = max(object_count)
union
select source_row from erased_records
where detail <> '{_ELEMENT}' and source_row not in (select source_row from erased_places)
"""
"""Rows of a file that are removed whole."""
_PARTS = """
select source_row, place from erased_places
qualify count(*) over (partition by source_row) < object_count
"""
