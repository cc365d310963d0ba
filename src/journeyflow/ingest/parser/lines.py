"""Line readers: JSON lines (nested lists too) and access logs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from journeyflow.engines.base import text as literal
from journeyflow.errors import EngineError
from journeyflow.ingest.files import RefusedFileError, opened
from journeyflow.ingest.parser.records import (
    BLOCK_CHARACTERS,
    KEYS,
    Parsed,
    Rejects,
    decoded,
    flaw_of,
    in_batches,
    json_path,
    text_lines,
)

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine

TABLES = ("raw_records", "raw_rejects", "raw_lines", "raw_elements")
"""Temporary tables of `read_json_lines`; the first two are its result."""
READ_ROWS = 10_240
"""Rows per batch read from the database."""
_LINE_WEIGHT = 100
_LINE_SCHEMA = pa.schema([*KEYS, ("line", pa.string())])


def read_lines(stream: IO[bytes], encoding: str = "utf-8") -> Parsed:
    """Read the lines of a file as records of one column, `line`; blank lines are no records."""
    rejects = Rejects()
    lines = _good_lines(enumerate(text_lines(stream, encoding), start=1), rejects)
    return Parsed("lines", _LINE_SCHEMA, _batches(lines), rejects.batches)


def read_json_lines(engine: DuckDBEngine, path: Path, encoding: str = "utf-8", records: str | None = None) -> Parsed:
    """Read JSON lines as records of two columns, `record` and `parent`, a row per (nested) object.

    A file that is one JSON list is read as if each element were a line; `source_row` is the element's number. `records`
    is the path of the list that holds the events inside each object; `parent` is that object without the list.
    """
    _read_texts(engine, path, encoding)
    where = literal(json_path(records)) if records else None
    engine.execute(_PARSED.format(list_type=f"json_type(line, {where})" if where else "'ARRAY'"))
    engine.execute(_UNNESTED.format(path=where, emptied=literal(_emptied(records))) if records else _OBJECTS)
    engine.execute(_BROKEN)
    if records:
        engine.execute(_BROKEN_ELEMENTS)
    engine.execute("drop table raw_lines")
    found = engine.reader("select record_ix, source_row, record, parent from raw_records", READ_ROWS)
    rejects = "select source_row, reason, detail, raw from raw_rejects"
    return Parsed("json", found.schema, iter(found), lambda: engine.reader(rejects, READ_ROWS))


_PARSED = """
create or replace temp table raw_lines as
select record_ix, source_row, line,
    case when json_valid(line) then json_type(line) = 'OBJECT' and coalesce({list_type} = 'ARRAY', false) else false end
        as is_good
from raw_records
"""
_OBJECTS = """
create or replace temp table raw_records as
select record_ix, source_row, line::json as record, null::json as parent from raw_lines where is_good
"""
# The list is removed from the outer object before that is repeated beside each element: a long list stays linear.
_UNNESTED = """
create or replace temp table raw_elements as
select record_ix as line_ix, source_row, json_merge_patch(line::json, {emptied}::json) as parent,
    generate_subscripts(elements, 1) as element_ix, unnest(elements) as record
from (select *, json_extract(json_extract(line::json, {path}), '$[*]') as elements from raw_lines where is_good);
create or replace temp table raw_records as
select row_number() over (order by line_ix, element_ix) - 1 as record_ix, source_row, record, parent
from raw_elements where json_type(record) = 'OBJECT';
"""
_BROKEN = """
insert into raw_rejects
select source_row, 'bad_json', 'not a JSON object that can be read', line from raw_lines where not is_good
"""
_BROKEN_ELEMENTS = """
insert into raw_rejects
select source_row, 'bad_json', 'an element of the list is no object', record::varchar from raw_elements
where json_type(record) <> 'OBJECT';
drop table raw_elements;
"""


def _emptied(path: str | None) -> str:
    """Return the JSON merge patch that removes the list at a path of plain keys."""
    patch: object = None
    for key in reversed((path or "").split(".")):
        patch = {key: patch}
    return json.dumps(patch)


def _read_texts(engine: DuckDBEngine, path: Path, encoding: str) -> None:
    with opened(path) as stream:
        # A list begins within the first block, blanks before it included.
        is_one_list = is_list(next(decoded(io.BytesIO(stream.read(BLOCK_CHARACTERS)), encoding), ""))
    rejects = Rejects()
    with opened(path) as stream:
        texts = list_elements(stream, encoding) if is_one_list else enumerate(text_lines(stream, encoding), start=1)
        _fill(engine, _batches(_good_lines(texts, rejects)))
    engine.scratch("raw_rejects", rejects.table().to_reader())


def _fill(engine: DuckDBEngine, batches: Iterator[pa.RecordBatch]) -> None:
    guarded = _ErrorKeeping(batches)
    try:
        engine.scratch("raw_records", pa.RecordBatchReader.from_batches(_LINE_SCHEMA, guarded))
    except EngineError:
        if guarded.error:
            raise guarded.error from None
        raise


class _ErrorKeeping(Iterator[pa.RecordBatch]):
    """Keeps the error of a stream, which the database would replace by its own."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.error: Exception | None = None

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise


def _good_lines(texts: Iterable[tuple[int, str]], rejects: Rejects) -> Iterator[tuple[int, str]]:
    for number, line in texts:
        flaw, text = flaw_of(line), line.rstrip("\r\n")
        if flaw:
            rejects.add(number, flaw, "", text)
        elif text and not text.isspace():
            yield number, text


def _batches(lines: Iterator[tuple[int, str]]) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in in_batches((len(text) + _LINE_WEIGHT, (number, text)) for number, text in lines):
        numbers, texts = zip(*batch, strict=True)
        record_ix = pa.array(range(done, done + len(batch)), pa.int64())
        yield pa.record_batch([record_ix, pa.array(numbers, pa.int64()), pa.array(texts, pa.string())], _LINE_SCHEMA)
        done += len(batch)


MAX_RECORD_CHARACTERS = 1 << 24
_BLANKS = " \t\r\n"
# Not strict: a control character in a text must cost one record, which the database rejects, and not the file.
_DECODER = json.JSONDecoder(strict=False)


def is_list(head: str) -> bool:
    """Return whether the text that begins with `head` is one JSON list."""
    return head.lstrip(_BLANKS).startswith("[")


def list_elements(stream: IO[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    """Yield number, from 1, and text of each element of a JSON list; an incomplete list refuses the file."""
    window = _Window(decoded(stream, encoding))
    window.take("[")
    if window.next() == "]":
        window.take("]")
    else:
        yield 1, window.element()
        while window.next() == ",":
            window.take(",")
            number = window.found + 1
            yield number, window.element()
        window.take("]")
    if window.next():
        raise _broken("there is more text behind the list of records; write one object a line, or one list")


class _Window:
    """The part of the text that is in memory, and the position in it."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.found = 0
        self._blocks = blocks
        self._held = ""
        self._at = 0

    def next(self) -> str:
        """Return the next character that is no blank, without taking it; empty at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def take(self, character: str) -> None:
        """Skip the expected `character`."""
        if self.next() != character:
            raise self._stopped()
        self._at += 1

    def element(self) -> str:
        """Take one element and return its text."""
        self.next()
        while True:
            end = self._end()
            if end is not None:
                text, self._at = self._held[self._at : end], end
                self.found += 1
                return text
            if len(self._held) - self._at > MAX_RECORD_CHARACTERS or not self._more():
                raise self._stopped()

    def _end(self) -> int | None:
        """Return the end of the element; None when more must be read, as for a number at the very end."""
        try:
            end = _DECODER.raw_decode(self._held, self._at)[1]
        except RecursionError as error:
            raise self._stopped() from error
        except ValueError:
            return None
        return end if end < len(self._held) else None

    def _more(self) -> bool:
        """Double the text in memory, so that a long element is tried a few times only."""
        held = [self._held[self._at :]]
        wanted = max(len(held[0]), 1)
        while wanted > 0 and (block := next(self._blocks, "")):
            held.append(block)
            wanted -= len(block)
        self._held, self._at = "".join(held), 0
        return len(held) > 1

    def _stopped(self) -> RefusedFileError:
        return _broken(
            f"the list of records cannot be read beyond record {self.found}: it is cut short, is no JSON there, or the "
            "next record is too long"
        )


def _broken(detail: str) -> RefusedFileError:
    return RefusedFileError("bad_json", detail)
