"""Samples of input files: their first rows, how they are written, and a copy of their beginning for a trial."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from journeyflow.errors import InputError
from journeyflow.ingest.files import RefusedFileError, opened
from journeyflow.ingest.parser.csv import MAX_COLUMNS, SEPARATOR_LINE
from journeyflow.ingest.parser.excel import copy_rows, is_workbook, read_excel
from journeyflow.ingest.parser.lines import is_list, list_elements
from journeyflow.ingest.parser.records import codec_of

HEAD_BYTES = 4 << 20
HEAD_ROWS = 5_000
DELIMITERS = ",;\t|"
_ACCESS_LOG = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "')
_DATA_CELL = re.compile(r"[-+]?\d[\d.,:/ TZ+-]*|.{8}-.{4}-.{4}-.{4}-.{12}|https?://.*|[{\[].*|[^@\s]+@[^@\s]+\.\w+")
_MOST_DATA_CELLS = 0.3
_SNIFFED_RECORDS = 30


@dataclass(frozen=True)
class Sample:
    """The first rows of a file.

    `form` is ``csv``, ``jsonl``, ``parquet``, ``xlsx`` or ``access_log``. Nested JSON has dotted names. `header` is
    False where the first row is data, or the names that were found elsewhere; `records` is the path of a nested list of
    events. `encoding` is a guess where the text is not UTF-8. `flaws` are sentences about what is odd.
    """

    path: Path
    form: str
    columns: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    delimiter: str = ","
    encoding: str | None = None
    header: bool | tuple[str, ...] = True
    records: str | None = None
    flaws: tuple[str, ...] = field(default=())

    def texts(self, column: str) -> list[str]:
        """Return the values of a column as text, blanks left out."""
        found = (row.get(column) for row in self.rows)
        return [text for value in found if value is not None and (text := _text(value).strip())]

    def named(self, names: Sequence[str]) -> Sample:
        """Return a sample without a header line under names that were found elsewhere."""
        used = tuple(names[: len(self.columns)])
        rows = tuple({new: row[old] for old, new in zip(self.columns, used, strict=True)} for row in self.rows)
        return replace(self, columns=used, rows=rows, header=used)


def _text(value: Any) -> str:  # noqa: ANN401 - a value of JSON or Parquet
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, default=str) if isinstance(value, dict | list) else str(value)


def read_sample(path: Path) -> Sample:
    """Read the first rows of a file; InputError when it is neither CSV, JSON, Parquet nor an access log."""
    if not path.is_file():
        raise InputError(f"There is no file {path}. Name files of events or a folder, or none for an example.")
    if is_workbook(path):
        return _xlsx(path)
    try:
        with opened(path) as stream:
            head = stream.read(HEAD_BYTES)
    except (OSError, RefusedFileError) as error:
        raise InputError(f"{path} cannot be read. Check that it is complete.") from error
    if head.startswith(b"PAR1"):
        return _parquet(path)
    is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\x00" in head and not is_wide:
        raise InputError(f"{path} holds bytes that are no text; it is neither CSV, JSON, Parquet nor an access log.")
    encoding = _encoding(path, head)
    text = head.decode(encoding or "utf-8-sig", errors="replace")
    if len(head) == HEAD_BYTES:
        text = text[: text.rfind("\n") + 1] or text
    if not text.strip():
        raise InputError(f"{path} is empty. Name a file with a few events.")
    if text.lstrip()[0] in "{[":
        return replace(_json(path, text), encoding=encoding)
    if _ACCESS_LOG.match(text):
        return Sample(path, "access_log")
    sample = _csv(path, text)
    if not sample.rows and len(head) < HEAD_BYTES:
        raise InputError(f"{path} has no row of the width of its header line. Name a file with a few events.")
    return replace(sample, encoding=encoding)


class UnknownEncodingError(InputError):
    """A text is not UTF-8, and no guess at its encoding is good enough."""


_FOREIGN = re.compile(r"[^\x00-\x7f]{3,}|[\u201a\u0192]")
"""What a text of another encoding becomes in cp1252: long runs of letters with accents, or the bytes of kana."""


def _encoding(path: Path, head: bytes) -> str | None:
    """Return the encoding of a text that is not UTF-8, else None; the head may end inside a character."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        read = _decoded(head, "utf-8")
    else:
        return None
    foreign = sum(not character.isascii() for character in read)
    # Some broken lines, which the load puts into the quarantine, do not make another encoding.
    if sum("\udc80" <= character <= "\udcff" for character in read) <= foreign / 2:
        return None
    try:
        western = head.decode("cp1252")
    except UnicodeDecodeError:
        western = ""
    marks = sum(not character.isascii() for character in western)
    if sum(map(len, _FOREIGN.findall(western))) <= marks / 2 and marks:
        return "cp1252"
    raise UnknownEncodingError(
        f"{path} is not UTF-8, and its encoding is unknown. Convert it to UTF-8, or write the configuration yourself "
        "and set `encoding` of the source, such as `encoding: shift_jis`."
    )


def _decoded(head: bytes, encoding: str) -> str:
    """Return the beginning of a text as the load decodes it; its last character may be cut."""
    codec, errors = codec_of(encoding)
    return codecs.getincrementaldecoder(codec)(errors).decode(head)


def _parquet(path: Path) -> Sample:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        batch = next(file.iter_batches(batch_size=HEAD_ROWS), None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a complete Parquet file.") from error
    rows = tuple(dict(_flat(row, "")) for row in batch.to_pylist()) if batch else ()
    structs = {field.name for field in file.schema_arrow if pa.types.is_struct(field.type)}
    names = [name for name in file.schema_arrow.names if name not in structs]
    found = {name for row in rows for name in row} | structs
    inside = {name for name in found - set(names) if not any(other.startswith(f"{name}.") for other in found)}
    return Sample(path, "parquet", (*names, *sorted(inside)), rows)


def _xlsx(path: Path) -> Sample:
    try:
        header: bool = True
        found = read_excel(path, None, header, MAX_COLUMNS)
        if not _names(list(found.names), 2)[1]:
            header = False
            found = read_excel(path, None, header, MAX_COLUMNS)
        batch = next(found.batches, None)
    except (RefusedFileError, MemoryError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'detail', 'it takes too much memory')}.") from error
    cells = batch.slice(0, HEAD_ROWS).to_pydict() if batch else {}
    columns = [cells.get(f"c{index}", []) for index in range(len(found.names))]
    rows = tuple(dict(zip(found.names, row, strict=True)) for row in zip(*columns, strict=True))
    flaws = () if header else ("its first row is data and no header",)
    return Sample(path, "xlsx", found.names, rows, header=header, flaws=flaws)


def _csv(path: Path, text: str) -> Sample:
    first, _, rest = text.partition("\n")
    stated = SEPARATOR_LINE.fullmatch(first.strip())
    body = rest if stated else text
    delimiter = stated[1] if stated else _delimiter(path, body)
    records = [record for record in islice(_records(body, delimiter), HEAD_ROWS + 1) if record]
    if not records:
        raise InputError(f"{path} has no row. Name a file with a few events.")
    names, header = _names(records[0], len(records))
    rows = [record for record in records[bool(header) :] if len(record) == len(names)]
    flaws = []
    if header and (repeated := sum(record == records[0] for record in records[1:])):
        flaws.append(f"its header line occurs {repeated} more times: these rows go to the quarantine")
        rows = [record for record in rows if record != records[0]]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        flaws.append(f"its header names {', '.join(doubled)} more than once: these columns are not read")
    if header is False:
        flaws.append("its first line is data and no header")
    return Sample(
        path,
        "csv",
        tuple(name for name in names if names.count(name) == 1),
        tuple(dict(zip(names, record, strict=True)) for record in rows),
        delimiter,
        header=header,
        flaws=tuple(flaws),
    )


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(HEAD_BYTES)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        return


def _delimiter(path: Path, text: str) -> str:
    """Return the separator by which most records have one width, the widest of those."""

    def fitness(delimiter: str) -> tuple[float, int]:
        widths = [len(record) for record in islice(_records(text, delimiter), _SNIFFED_RECORDS) if record]
        common = max(set(widths), key=widths.count) if widths else 0
        return (widths.count(common) / len(widths) if common > 1 else 0.0, common)

    best = max(DELIMITERS, key=fitness)
    if fitness(best)[1] < 2:
        raise InputError(f"{path} is not CSV, JSON, Parquet or an access log: its first lines have no separator.")
    return best


def _names(first: list[str], record_count: int) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first record states them."""
    cells = [cell.strip() for cell in first]
    data_like = sum(not cell or _DATA_CELL.fullmatch(cell) is not None for cell in cells)
    if data_like > _MOST_DATA_CELLS * len(cells) and record_count > 1:
        return [f"column{index}" for index in range(1, len(cells) + 1)], False
    return cells, True


def _json(path: Path, text: str) -> Sample:
    objects = list(islice(_objects(_values(text)), HEAD_ROWS))
    if not objects:
        raise InputError(f"{path} holds no JSON objects, one a line or in a list. Write one event a line.")
    records = _nested_list(objects)
    if records:
        objects = [
            {**{key: value for key, value in parent.items() if key != records}, **child}
            for parent in objects
            for child in parent.get(records) or ()
        ][:HEAD_ROWS]
    rows = tuple(dict(_flat(each, "")) for each in objects)
    return Sample(path, "jsonl", tuple(dict.fromkeys(name for row in rows for name in row)), rows, records=records)


def _values(text: str) -> Iterator[str]:
    """Yield the texts of JSON values: the elements of a list, which may be cut short, or lines."""
    if not is_list(text):
        yield from io.StringIO(text, newline="")
        return
    with suppress(RefusedFileError):
        elements = list_elements(io.BytesIO(text.encode("utf-8", "surrogateescape")), "utf-8")
        yield from (element for _, element in elements)


def _objects(values: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in values:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _nested_list(objects: Sequence[dict[str, Any]]) -> str | None:
    """Return the field that holds events in a list; lists of key and value are parameters of one event."""
    for name, value in objects[0].items():
        is_list = isinstance(value, list) and value and all(isinstance(item, dict) for item in value)
        if is_list and len(value[0]) > 1 and not {"key", "value"} <= set(value[0]):
            return name
    return None


def _flat(value: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, item in value.items():
        pairs += _flat(item, f"{prefix}{name}.") if isinstance(item, dict) and item else [(f"{prefix}{name}", item)]
    return pairs


def copy_head(path: Path, target: Path, rows: int, encoding: str = "utf-8") -> bool:
    """Copy the first records of a file, unpacked and byte by byte; return whether it holds no more.

    A text record is taken whole, whatever line breaks its quotes hold.
    """
    if is_workbook(path):
        return _copy_workbook(path, target, rows)
    try:
        with opened(path) as stream:
            head = stream.read(4)
            if head.startswith(b"PAR1"):
                return _copy_parquet(path, target, rows)
            head += stream.read(rows * 2_000)
            is_whole = not stream.read(1)
    except (OSError, RefusedFileError) as error:
        raise InputError(f"{path} cannot be read. Check that it is complete.") from error
    if is_whole and head.count(b"\n") <= rows:
        target.write_bytes(head)
        return True
    try:
        text = _decoded(head, encoding)
    except UnicodeError as error:
        raise InputError(f"{path} is not {encoding} text. Correct `encoding` of the source.") from error
    if is_list(text):
        records = list(islice(_values(text), rows))
        copied = "[" + ",\n".join(records) + "]"
    else:
        complete = text if is_whole else text[: text.rfind("\n") + 1]
        records = list(_whole_records(complete, rows, is_quoted=not text.lstrip().startswith("{")))
        copied = "".join(records)
    target.write_bytes(copied.encode(*codec_of(encoding, is_written=True)))
    return is_whole and len(records) < rows


def _copy_workbook(path: Path, target: Path, rows: int) -> bool:
    try:
        return copy_rows(path, target, rows)
    except Exception as error:  # See `read_excel`.
        raise InputError(f"{path} is no workbook that can be read ({type(error).__name__}).") from error


def _whole_records(text: str, rows: int, *, is_quoted: bool) -> Iterator[str]:
    """Yield lines up to the end of a record: where the quotes are even."""
    record = ""
    for line in io.StringIO(text, newline=""):
        record += line
        if is_quoted and record.count('"') % 2 and record.count("\n") < _SNIFFED_RECORDS:
            continue
        yield record
        record = ""
        rows -= 1
        if rows < 0:  # One more for a header line.
            return


def _copy_parquet(path: Path, target: Path, rows: int) -> bool:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        batch = next(file.iter_batches(batch_size=rows), None)
        table = pa.Table.from_batches([batch] if batch else [], schema=file.schema_arrow)
        parquet.write_table(table, target)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a complete Parquet file.") from error
    return bool(file.metadata.num_rows <= rows)
