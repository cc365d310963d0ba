"""Files written anew without some of their records; what stays keeps its line, so that nothing else of it changes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import opened
from journeyflow.ingest.parsing import Job
from journeyflow.ingest.parsing.work import container_of, dialect_of
from journeyflow.ingest.quoting import literal
from journeyflow.ingest.readers.csv import record_ranges
from journeyflow.ingest.readers.lists import is_list, list_elements
from journeyflow.ingest.readers.parquet import unpacked
from journeyflow.ingest.readers.text import BLOCK_CHARACTERS, MAX_LINE_CHARACTERS, codec_of, decoded, text_lines
from journeyflow.ingest.spans import without_elements


@dataclass(frozen=True)
class Cut:
    """What goes: whole records by their `source_row`, and single objects of nested lists.

    Parameters
    ----------
    rows : frozenset of int
        Rows that go whole.
    elements : mapping of int to frozenset of int
        By row, which of the objects in its list go, from 1.
    others : frozenset of int
        Rows in whose list everything that is no object goes.
    """

    rows: frozenset[int]
    elements: Mapping[int, frozenset[int]] = field(default_factory=dict)
    others: frozenset[int] = frozenset()


def cut_file(folder: Path, job: Job, cut: Cut, target: Path) -> bool:
    """Write what a staged file holds to `target`, unpacked, without some of its records.

    Lines that go become blank lines, which are no records; lists and tables become shorter.

    Parameters
    ----------
    folder : Path
        Where it is staged.
    job : Job
        Names it, of any format and packing, and says how it is read.
    cut : Cut
        What goes.
    target : Path
        Made in a private folder.

    Returns
    -------
    bool
        Whether anything is left: a file that is blank may be one that its reader refuses.

    Raises
    ------
    RefusedFileError
        When the file cannot be read.
    """
    path = folder / job.file
    kind = container_of(path, job.format)
    if kind == "parquet":
        _cut_parquet(path, cut, target)
        return True
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        text = io.TextIOWrapper(out, *codec_of(job.encoding, is_written=True), newline="")
        pieces = _cut_csv(path, job, cut) if kind == "csv" else _cut_lines(path, job, cut, kind)
        is_left = False
        for piece in pieces:
            text.write(piece)
            is_left = is_left or not piece.isspace()
        text.flush()
        return is_left


def keeps_numbers(folder: Path, job: Job) -> bool:
    """Tell whether records of a staged file keep their numbers when others are cut: lines do, elements and rows do not.

    Parameters
    ----------
    folder, job
        See `cut_file`.
    """
    path = folder / job.file
    kind = container_of(path, job.format)
    return kind != "parquet" and not (kind == "jsonl" and is_list(_head(path, job)))


def _head(path: Path, job: Job) -> str:
    with opened(path) as stream:
        return next(decoded(io.BytesIO(stream.read(BLOCK_CHARACTERS)), job.encoding), "")


def _cut_csv(path: Path, job: Job, cut: Cut) -> Iterator[str]:
    with opened(path) as stream:
        ranges = iter([*record_ranges(stream, dialect_of(path, job), cut.rows)])
    first, behind = next(ranges, (None, None))
    with opened(path) as stream:
        for number, line in enumerate(text_lines(stream, job.encoding), start=1):
            if behind is not None and number >= behind:
                first, behind = next(ranges, (None, None))
            goes = first is not None and number >= first
            yield _blank(line) if goes else _whole(line)


def _cut_lines(path: Path, job: Job, cut: Cut, kind: str) -> Iterator[str]:
    is_whole_list = kind == "jsonl" and is_list(_head(path, job))
    with opened(path) as stream:
        if is_whole_list:
            elements = list_elements(stream, job.encoding)
            yield from _as_list(_shortened(*each, job, cut) for each in elements if each[0] not in cut.rows)
            return
        for number, line in enumerate(text_lines(stream, job.encoding), start=1):
            yield _blank(line) if number in cut.rows else _shortened(number, _whole(line), job, cut)


def _as_list(elements: Iterable[str]) -> Iterator[str]:
    yield "["
    for place, text in enumerate(elements):
        yield f",\n{text}" if place else text
    yield "]\n"


def _shortened(number: int, text: str, job: Job, cut: Cut) -> str:
    if job.records is None or (number not in cut.elements and number not in cut.others):
        return text
    gone = cut.elements.get(number, frozenset())
    return without_elements(text, job.records, gone, with_others=number in cut.others)


def _blank(line: str) -> str:
    return "\n" if _whole(line)[-1] in "\r\n" else ""


def _whole(line: str) -> str:
    """Give a line that is too long, of which only the beginning is read, the end that was not."""
    return f"{line}\n" if len(line) > MAX_LINE_CHARACTERS and line[-1] not in "\r\n" else line


def _cut_parquet(packed: Path, cut: Cut, target: Path) -> None:
    """Let the database that reads the file write it, so that every type stays what it is to its reader."""
    path = unpacked(packed)
    with DuckDBEngine(folders=[packed.parent, target.parent], temp_folder=packed.parent / "spill") as warehouse:
        warehouse.scratch("cut_rows", pa.table({"row_number": pa.array(sorted(cut.rows), pa.int64())}).to_reader())
        found = f"read_parquet({literal(str(path))}, file_row_number => true)"
        warehouse.execute(
            f"copy (select * exclude (file_row_number) from {found} "
            "where file_row_number + 1 not in (select row_number from cut_rows) order by file_row_number) "
            f"to {literal(str(target))} (format parquet, compression zstd)"
        )
