"""Mutations of exports: of their rows, of the bytes of the file, and of its packing."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable

import pyarrow as pa

from faults.exports import DELIMITED, Export, Row

DEEP = '{"a":' * 3_000 + "1" + "}" * 3_000
VALUES: tuple[object, ...] = (
    None,
    "",
    " ",
    "\u00a0",
    0,
    -1,
    1,
    True,
    False,
    1e308,
    -1e-320,
    float("nan"),
    float("inf"),
    10**18,
    10**30,
    -(2**63),
    2**64,
    "1e999",
    "NaN",
    "-Infinity",
    "0x10",
    "1,5",
    "٣",
    "null",
    "undefined",
    "[object Object]",
    "00000000-0000-0000-0000-000000000000",
    [],
    {},
    [[1, [2, {"a": None}]]],
    {"a": {"b": {"c": "d"}}},
    "{",
    '{"a":1,"a":2}',
    '{"":"",".":1,"a.b":{"*":2},"$":[0]}',
    '[{"key":"k","value":{}},{"key":null},{"value":1},7,null,"x"]',
    '[{"key":"ga_session_id","value":{"int_value":"x","string_value":"y","double_value":1e400}}]',
    '{"previous_id":{"a":[1]},"is_login":"true"}',
    '{"alias":"x","$device_id":[],"$anon_distinct_id":{},"$lib":7,"revenue":"1e500"}',
    DEEP,
    "[" * 3_000,
    "x" * 70_000,
    "é" * 5_000,
    "\ud800",
    "a\x00b",
    "\x1b[31m",
    "\u202eabc\u2066",
    "a\nb",
    "a\r\nb",
    '"',
    "'",
    "\\",
    "\\u0000",
    "%00%ff%zz",
    "=1+1",
    "'); drop table raw.events; --",
    "2026-02-30 10:00:00",
    "2026-03-01 24:00:00",
    "2026-03-29 02:30:00",
    "2026-03-01 10:00:00.1234567891",
    "2026-03-01 10:00:00+99:99",
    "2026-03-01 10:00:00 PST",
    "2026-03-01T10:00:00[Europe/Berlin]",
    "9999-12-31 23:59:59.999999",
    "10000-01-01",
    "294247-01-10 04:00:54.775807",
    "290309-12-22 (BC) 00:00:00",
    "infinity",
    "-infinity",
    "now",
    "epoch",
    "today",
    "1772359200",
    "99999999999999999999",
    253402300800000,
    -62135596800000,
    9223372036854775807,
    "http://[::1]:99999/%/?a=b&a=c#&;",
    "//\\?\\C:\\",
    "203.0.113.77",
    "::ffff:1.2.3.4",
    "a@b.example",
)

STRINGS = (
    b'"',
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"\\",
    b"\xef\xbb\xbf",
)
ALSO = (
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xa8",
    b"\x1a",
    b"sep=;\n",
    b"PAR1",
    b"\x1f\x8b",
    b"null",
    b"- ",
)
NUMBERS = (b"1e9999", b"-0", b"NaN", b"18446744073709551616", b"1" * 400, b"0x", b"1.", b".5")


ID_COLUMNS = {
    "id",
    "uuid",
    "messageId",
    "message_id",
    "event_id",
    "insert_id",
    "_insert_id",
    "$insert_id",
    "_fivetran_id",
}


def many_rows(export: Export, rng: random.Random, count: int) -> bytes:
    """Return a file of so many rows, each mutated once, its columns as they are."""
    rows = []
    for number in range(count):
        row = dict(rng.choice(export.rows))
        for name in ID_COLUMNS & set(row):
            row[name] = f"{row[name]}-{number}"
        rng.choice([_change_value, _change_value, _change_value, _swap])([row], rng)
        rows.append(row)
    return export.content([dict(export.rows[0]), *rows], rng)


def mutant(export: Export, rng: random.Random) -> bytes:
    """Return a file with one to three mutations of its rows and columns, its bytes or its packing.

    Most leave a header as it is: one that is not is soon refused.
    """
    rows = [dict(row) for row in export.rows]
    level = rng.random()
    if level < 0.25:
        for _ in range(rng.choice([1, 1, 2])):
            rng.choice(ROW_MUTATIONS)(rows, rng)
    content = export.content(rows, rng)
    if level > 0.2:
        head = content.find(b"\n") + 1 if rng.random() < 0.85 and export.container in DELIMITED else 0
        for _ in range(rng.choice([1, 1, 2])):
            content = content[:head] + rng.choice(BYTE_MUTATIONS)(content[head:], rng)
    return _packed(content, rng) if rng.random() < 0.08 else content


def _some(rows: list[Row], rng: random.Random) -> Row:
    return rng.choice(rows)


def _change_value(rows: list[Row], rng: random.Random) -> None:
    row = _some(rows, rng)
    if row:
        row[rng.choice(list(row))] = rng.choice(VALUES)


def _change_column(rows: list[Row], rng: random.Random) -> None:
    name, value = rng.choice(list(rows[0]) or [""]), rng.choice(VALUES)
    for row in rows:
        row[name] = value


def _drop_field(rows: list[Row], rng: random.Random) -> None:
    row = _some(rows, rng)
    if row:
        del row[rng.choice(list(row))]


def _drop_column(rows: list[Row], rng: random.Random) -> None:
    name = rng.choice(list(rows[0]) or [""])
    for row in rows:
        row.pop(name, None)


def _rename_column(rows: list[Row], rng: random.Random) -> None:
    old = rng.choice(list(rows[0]) or [""])
    new = rng.choice(
        ["", " ", old.upper(), f"{old} ", "a" * 5_000, ".".join("a" * 500), 'x"y', "*", old + "\u00e9", "0"]
    )
    for row in rows:
        items = [(new if key == old else key, value) for key, value in row.items()]
        row.clear()
        row.update(items)


def _reorder(rows: list[Row], rng: random.Random) -> None:
    row = _some(rows, rng)
    items = rng.sample(list(row.items()), len(row))
    row.clear()
    row.update(items)


def _swap(rows: list[Row], rng: random.Random) -> None:
    row = _some(rows, rng)
    if len(row) > 1:
        left, right = rng.sample(list(row), 2)
        row[left], row[right] = row[right], row[left]


def _duplicate(rows: list[Row], rng: random.Random) -> None:
    rows.append(dict(_some(rows, rng)))


def _many_columns(rows: list[Row], rng: random.Random) -> None:
    more = {f"x{number}.{rng.choice('abc')}": "1" for number in range(rng.choice([3, 300]))}
    for row in rows:
        row |= more


def _shuffle(rows: list[Row], rng: random.Random) -> None:
    rng.shuffle(rows)


ROW_MUTATIONS: tuple[Callable[[list[Row], random.Random], None], ...] = (
    *([_change_value] * 8),
    _change_column,
    _change_column,
    _drop_field,
    _drop_column,
    _rename_column,
    _reorder,
    _swap,
    _duplicate,
    _many_columns,
    _shuffle,
)


def _place(content: bytes, rng: random.Random) -> int:
    return rng.randrange(len(content) + 1)


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _insert(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.choice((*STRINGS, *ALSO, *NUMBERS)) + content[at:]


def _cut_out(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return content[:at] + content[at + rng.choice([1, 2, 10, 200]) :]


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: _place(content, rng)]


def _behead(content: bytes, rng: random.Random) -> bytes:
    return content[_place(content, rng) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    at, size = _place(content, rng), rng.choice([1, 20, 500])
    return content[:at] + content[at : at + size] * rng.choice([2, 3, 50]) + content[at + size :]


def _line_ends(content: bytes, rng: random.Random) -> bytes:
    parts = content.split(b"\n")
    return b"".join(part + rng.choice([b"\n", b"\r\n", b"\r", b"\n\n", b""]) for part in parts)


def _shuffle_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    rng.shuffle(lines)
    return b"\n".join(lines)


def _encode(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return rng.choice(
        [
            lambda: text.encode("utf-16"),
            lambda: text.encode("utf-16-le"),
            lambda: text.encode("latin-1", "replace"),
            lambda: text.encode("cp037", "replace"),
            lambda: b"\xef\xbb\xbf" + content,
            lambda: b"\xef\xbb\xbf\xef\xbb\xbf" + content,
            lambda: text.encode("utf-7"),
        ]
    )()


def _huge(content: bytes, rng: random.Random) -> bytes:
    at = _place(content, rng)
    return (
        content[:at] + rng.choice([b"x", b"[", b'{"a":', b'"', b"\n", b" ", b",", b"\\", b"9"]) * 50_000 + content[at:]
    )


BYTE_MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _flip,
    _insert,
    _insert,
    _cut_out,
    _truncate,
    _behead,
    _repeat,
    _line_ends,
    _shuffle_lines,
    _encode,
    _huge,
)


def _packed(content: bytes, rng: random.Random) -> bytes:
    kind = rng.choice(["gz", "zst", "zip"])
    if kind == "gz":
        packed = gzip.compress(content, 1)
    elif kind == "zst":
        packed = bytes(pa.compress(content, "zstd", asbytes=True))
    else:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", content)
        packed = held.getvalue()
    return rng.choice([_flip, _truncate, lambda whole, _: whole, lambda whole, _: whole])(packed, rng)
