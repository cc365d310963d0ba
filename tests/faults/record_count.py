"""How many records a file holds, counted without any code of the product: the definition, slow and short."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

MOST_LINES = 1_000
"""A quoted record of more lines is an unclosed quote."""


def record_count(content: bytes, source: dict) -> int:
    """Return the records of a file that a source reads, blank ones apart; ValueError when it is not readable."""
    content = unpacked(content)
    kind = source["format"]
    if kind not in ("csv", "jsonl", "parquet", "access_log"):
        kind = _container(content)
    if kind == "parquet":
        # Arrow's description of its types may be damaged, and nobody needs it to count.
        return pq.read_metadata(io.BytesIO(content.replace(b"ARROW:schema", b"ARROW_schema"))).num_rows
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if kind == "access_log":
        return sum(not _is_blank(line) for line in lines(text))
    if kind == "jsonl":
        return _json_count(text, source.get("records"))
    return _delimited_count(text, source)


def unpacked(content: bytes) -> bytes:
    """Return what a packed file holds."""
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        return pa.CompressedInputStream(io.BytesIO(content), "zstd").read()
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(archive.namelist()[0])
    return content


def _container(content: bytes) -> str:
    if content.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def lines(text: str) -> list[str]:
    """Return the lines of a text with their ends: a line feed, a carriage return, or both."""
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)


def _is_blank(line: str) -> bool:
    return not line.strip("\r\n") or line.strip("\r\n").isspace()


def _json_count(text: str, records: str | None) -> int:
    if text.lstrip(" \t\r\n").startswith("["):
        texts = [json.dumps(element) for element in json.loads(text, strict=False)]
    else:
        texts = [line for line in lines(text) if not _is_blank(line)]
    return sum(_elements(each, records.split(".")) for each in texts) if records else len(texts)


def _elements(text: str, path: list[str]) -> int:
    """Return the elements of the list at a path of an object; anything else is one bad record."""
    if _has_flaw([text]):
        return 1
    try:
        found = json.loads(text)
        for key in path:
            found = found[key]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 1
    return len(found) if isinstance(found, list) else 1


def _delimited_count(text: str, source: dict) -> int:
    rest, delimiter = lines(text), source.get("delimiter", ",")
    first = rest[0] if rest else ""
    if source["format"] != "csv" and "\t" in first:
        delimiter = "\t"
    if stated := re.fullmatch(r'"?sep=(.)"?', first.strip("\r\n"), re.IGNORECASE):
        delimiter, rest = stated[1], rest[1:]
    head = rest[0] if rest else ""
    count = head.count(delimiter)
    skips = count > 0 and head.count(f"{delimiter} ") == count
    records = _records(rest, delimiter, skips)
    width = next((fields for _, fields in records if fields), 0)
    return (
        sum(fields > 0 for _, fields in _records(rest, delimiter, skips, width, source.get("pad_short_rows", False)))
        - 1
    )


def _records(rest: list[str], delimiter: str, skips: bool, width: int | None = None, pads: bool = False):
    """Yield lines taken and fields of each record; the first line alone counts of one that breaks the dialect."""
    at, is_header = 0, True
    while at < len(rest):
        taken, fields = _record(rest, at, delimiter, skips)
        is_whole = width is None or is_header or fields == width or _has_flaw(rest[at : at + taken])
        is_good = fields is not None and (is_whole or (pads and fields < width))
        if fields == 0:
            yield taken, 0
        elif is_good:
            yield taken, fields
            is_header = False
        else:
            taken = 1
            yield 1, 1
        at += taken


def _has_flaw(taken: list[str]) -> bool:
    return any("\x00" in line or re.search(r"[\ud800-\udfff]", line) for line in taken)


def _record(rest: list[str], at: int, delimiter: str, skips: bool) -> tuple[int, int | None]:
    """Return the lines and fields of the record that begins at a line; None fields when it is broken."""
    if not rest[at].strip("\r\n"):
        return 1, 0
    fields, state = 1, "start"
    for taken, line in enumerate(rest[at : at + MOST_LINES], start=1):
        for character in line:
            if state == "quoted":
                state = "closing" if character == '"' else "quoted"
            elif state == "closing" and character == '"':
                state = "quoted"
            elif character == delimiter:
                fields, state = fields + 1, "start"
            elif character in "\r\n":
                state = "end"
            elif state == "closing":
                return 1, None
            elif state == "start" and character == '"':
                state = "quoted"
            elif not (state == "start" and skips and character == " "):
                state = "plain"
        if state != "quoted":
            return taken, fields
    return 1, None
