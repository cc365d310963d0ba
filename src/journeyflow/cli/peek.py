"""A short look at a file of events: its kind, its columns and some of its values."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from journeyflow.errors import InputError

HEAD_BYTES = 262_144
HEAD_ROWS = 2_000
_COMPRESSED = {".gz", ".zst", ".bz2"}
_ACCESS_LOG = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "')
# Below the first, seconds since 1970 stay before the year 5138; each next unit is a thousand times finer.
_EPOCH_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (1e20, "ns"))


@dataclass(frozen=True)
class Peek:
    """What the first rows of a file show.

    Parameters
    ----------
    form : str
        ``csv``, ``jsonl``, ``parquet`` or ``access_log``.
    columns : list of str
        Names in the file's order; nested JSON as dotted paths.
    rows : list of dict
        Up to `HEAD_ROWS` rows, values as read.
    delimiter : str or None
        Of CSV only.
    encoding : str or None
        A guess where the text is no UTF-8.
    """

    form: str
    columns: list[str]
    rows: list[dict[str, Any]]
    delimiter: str | None = None
    encoding: str | None = None

    def values(self, column: str) -> list[str]:
        """Return the distinct values of `column`, sorted."""
        return sorted({str(row[column]) for row in self.rows if row.get(column) not in (None, "")})

    def epoch_unit(self, column: str) -> str | None:
        """Return the unit when `column` counts since 1970, else None."""
        value = next((str(row[column]) for row in self.rows if row.get(column) not in (None, "")), "")
        if not re.fullmatch(r"\d{9,19}(\.\d+)?", value):
            return None
        return next(unit for bound, unit in _EPOCH_UNITS if float(value) < bound)


def peek(path: Path) -> Peek:
    """Look at the first rows of `path`.

    Raises
    ------
    InputError
        When the file is missing, empty, or none of CSV, JSON lines, Parquet and access log.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}. Name one file of events, or none for an example.")
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix == ".parquet":
        return _peek_parquet(path)
    text, encoding = _head(path)
    if suffix in {".json", ".jsonl", ".ndjson"}:
        return replace(_peek_json(path, text), encoding=encoding)
    if _ACCESS_LOG.match(text):
        return Peek("access_log", [], [])
    return replace(_peek_csv(path, text), encoding=encoding)


def _head(path: Path) -> tuple[str, str | None]:
    import pyarrow as pa

    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            head = bytes(stream.read(HEAD_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read. Is it whole, and is its ending right?") from error
    encoding = _encoding(head)
    text = head.decode(encoding or "utf-8-sig", errors="replace")
    if not text.strip():
        raise InputError(f"{path} is empty. Name a file with a few events.")
    return text, encoding


def _encoding(head: bytes) -> str | None:
    """Return the encoding of a text that is no UTF-8, else None; the head may end inside a character."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return None


def _peek_parquet(path: Path) -> Peek:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        batch = next(file.iter_batches(batch_size=HEAD_ROWS), None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a whole Parquet file.") from error
    return Peek("parquet", list(file.schema_arrow.names), batch.to_pylist() if batch else [])


def _peek_csv(path: Path, text: str) -> Peek:
    header = text.splitlines()[0]
    delimiter = max(",;\t|", key=header.count)
    if delimiter not in header:
        raise InputError(f"{path} is not CSV, JSON lines, Parquet or an access log: its first line has no separator.")
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    rows = [row for row, _ in zip(reader, range(HEAD_ROWS), strict=False)]
    return Peek("csv", list(reader.fieldnames or []), rows, delimiter)


def _peek_json(path: Path, text: str) -> Peek:
    rows = []
    for line in text.splitlines()[:HEAD_ROWS]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            rows.append(dict(_flat(value, "")))
    if not rows:
        raise InputError(f"{path} holds no JSON objects, one a line. Write one event a line.")
    return Peek("jsonl", list(dict.fromkeys(name for row in rows for name in row)), rows)


def _flat(value: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, item in value.items():
        pairs += _flat(item, f"{prefix}{name}.") if isinstance(item, dict) else [(f"{prefix}{name}", item)]
    return pairs
