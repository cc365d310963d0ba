"""Text of one record a line: JSON lines (nested lists of records too) and access logs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.files import InputFile, opened
from journeyflow.ingest.quoting import json_path, literal
from journeyflow.ingest.readers.lists import is_list, list_elements
from journeyflow.ingest.readers.raw import RawRecords, Rejects, materialise
from journeyflow.ingest.readers.text import BLOCK_CHARACTERS, decoded, flaw_of, text_lines

BATCH_LINES = 50_000
_LINE_SCHEMA = pa.schema([("record_ix", pa.int64()), ("source_row", pa.int64()), ("line", pa.string())])


def read_lines(warehouse: DuckDBEngine, file: InputFile, encoding: str = "utf-8") -> RawRecords:
    """Materialise the lines of a file as `raw_records(record_ix, source_row, line)`; blank lines are no records.

    Raises
    ------
    RefusedFileError
        When the file is damaged or no text of its encoding.
    """
    with opened(file.path) as stream:
        return _materialised(warehouse, enumerate(text_lines(stream, encoding), start=1))


def read_json_lines(
    warehouse: DuckDBEngine, file: InputFile, encoding: str = "utf-8", records: str | None = None
) -> RawRecords:
    """Materialise JSON lines as `raw_records(record_ix, source_row, record, parent)`, a row per (nested) object.

    A file that is one JSON list is read like the lines that its elements would be; `source_row` is then their number.

    Parameters
    ----------
    warehouse : DuckDBEngine
        Where `raw_records` and `raw_rejects` are made.
    file : InputFile
        Plain, gzip, Zstandard or zip.
    encoding : str
        Name of a Python codec.
    records : str or None
        Path of the list that holds the events inside each object; the object without it is the `parent`.

    Raises
    ------
    RefusedFileError
        When the file is damaged, no text of its encoding, or a list that is not whole.
    """
    _read_texts(warehouse, file, encoding)
    path = literal(json_path(records)) if records else None
    warehouse.execute(_PARSED.format(list_type=f"json_type(line, {path})" if path else "'ARRAY'"))
    warehouse.execute(_UNNESTED.format(path=path, emptied=literal(_emptied(records))) if records else _OBJECTS)
    warehouse.execute(_BROKEN)
    if records:
        warehouse.execute(_BROKEN_ELEMENTS)
    warehouse.execute("drop table raw_lines")
    good = warehouse.count("raw_records")
    bad = warehouse.count("raw_rejects")
    return RawRecords("json", record_count=good + bad, reject_count=bad)


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
# The list is taken out of the outer object before it is repeated beside each element: a long list stays linear.
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
    """Return the JSON merge patch that takes the list at a path of plain keys out of its object."""
    patch: object = None
    for key in reversed((path or "").split(".")):
        patch = {key: patch}
    return json.dumps(patch)


def _read_texts(warehouse: DuckDBEngine, file: InputFile, encoding: str) -> None:
    with opened(file.path) as stream:
        # The blanks before a list may be many, but not this many.
        is_one_list = is_list(next(decoded(io.BytesIO(stream.read(BLOCK_CHARACTERS)), encoding), ""))
    with opened(file.path) as stream:
        texts = list_elements(stream, encoding) if is_one_list else enumerate(text_lines(stream, encoding), start=1)
        _materialised(warehouse, texts)


def _materialised(warehouse: DuckDBEngine, texts: Iterable[tuple[int, str]]) -> RawRecords:
    rejects = Rejects()
    count = materialise(warehouse, _LINE_SCHEMA, _batches(_good_lines(texts, rejects)), rejects)
    return RawRecords("lines", record_count=count + len(rejects.rows), reject_count=len(rejects.rows))


def _good_lines(texts: Iterable[tuple[int, str]], rejects: Rejects) -> Iterator[tuple[int, str]]:
    for number, line in texts:
        flaw, text = flaw_of(line), line.rstrip("\r\n")
        if flaw:
            rejects.add(number, flaw, "", text)
        elif text and not text.isspace():
            yield number, text


def _batches(lines: Iterator[tuple[int, str]]) -> Iterator[pa.RecordBatch]:
    done = 0
    while batch := list(islice(lines, BATCH_LINES)):
        numbers, texts = zip(*batch, strict=True)
        record_ix = pa.array(range(done, done + len(batch)), pa.int64())
        yield pa.record_batch([record_ix, pa.array(numbers, pa.int64()), pa.array(texts, pa.string())], _LINE_SCHEMA)
        done += len(batch)
