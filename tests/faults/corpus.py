"""Files as broken and as hostile as strangers can make them, each with what must become of it, to the row."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.parquet import encryption

HEADER = "id,ts,cookie,event"
LONG_TIER = bool(os.environ.get("JOURNEYFLOW_FAULTS"))
LONG = 1 << 24
"""Longest line and field that are read."""


@dataclass(frozen=True)
class Expected:
    """What must become of a file: counted by the script that wrote it, not by the program that reads it."""

    accepted: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    duplicate: int = 0
    filtered: int = 0
    refused: str | None = None

    @property
    def quarantined(self) -> int:
        """Rows that must be kept aside."""
        return sum(self.reasons.values())

    @property
    def records(self) -> int:
        """Rows that were written."""
        return self.accepted + self.quarantined + self.duplicate + self.filtered


@dataclass(frozen=True)
class Case:
    """One file; `make` gives its bytes when they are wanted, because some are large."""

    name: str
    make: Callable[[], bytes]
    expected: Expected


def good(key: str, numbers: Iterable[int] = range(2)) -> list[str]:
    """Return good CSV rows whose ids nobody else has."""
    return [f"{key}-{n},2026-01-01 00:{n:02}:00,c,view" for n in numbers]


def text(*lines: str, end: str = "\n") -> bytes:
    """Return lines as a file."""
    return "".join(line + end for line in lines).encode("utf-8", "surrogatepass")


def _cases(made: dict[str, tuple[bytes | Callable[[], bytes], Expected]]) -> list[Case]:
    return [
        Case(name, content if callable(content) else (lambda content=content: content), expected)
        for name, (content, expected) in made.items()
    ]


def refused(why: str) -> Expected:
    """Return the expected of a file that is not read, and a piece of the reason that is given."""
    return Expected(refused=why)


def bad(accepted: int, **reasons: int) -> Expected:
    """Return the expected of a file of which some rows are kept aside."""
    return Expected(accepted, reasons)


def csv_cases() -> list[Case]:
    """Return delimited files."""
    at = "2026-01-01 00:00:00"
    return _cases(
        {
            "good": (text(HEADER, *good("good")), Expected(2)),
            "unclosed_quote": (text(HEADER, 'q1,"2026-01-01,c,view', *good("uq")), bad(2, bad_record=1)),
            "unclosed_quote_last": (text(HEADER, *good("ul"), 'q2,"2026-01-01,c,view'), bad(2, bad_record=1)),
            "ragged": (text(HEADER, "r1,x", *good("rg"), f"r2,{at},c,view,more"), bad(2, bad_record=2)),
            "wrong_header": (text("a,b,c,d", *good("wh")), refused("column")),
            "missing_column": (text("id,cookie,event", "m1,c,view"), refused("ts")),
            "twice_header": (text("id,ts,cookie,event,ts", f"t1,{at},c,view,{at}"), refused("ts")),
            "unused_twice": (text(HEADER + ",x,x", f"u1,{at},c,view,1,2"), Expected(1)),
            "reordered": (text("event,cookie,id,ts", f"view,c,o1,{at}"), Expected(1)),
            "no_header": (text(*good("nh")), refused("column")),
            "bom": (b"\xef\xbb\xbf" + text(HEADER, *good("bom")), Expected(2)),
            "utf16": (text(HEADER, *good("u16")).decode().encode("utf-16"), refused("header")),
            "nul_byte": (text(HEADER, *good("nul"), f"n\x00,{at},c,view"), bad(2, nul_byte=1)),
            "mixed_encodings": (
                text(HEADER, *good("mix")) + f"m1,{at},ü,view\n".encode("latin-1") + f"m2,{at},ü,view\n".encode(),
                bad(3, bad_encoding=1),
            ),
            "mixed_line_ends": (
                text(HEADER) + f"l1,{at},c,view\r\nl2,{at},c,view\rl3,{at},c,view\n".encode(),
                Expected(3),
            ),
            "odd_separators": (text(HEADER, f"os1,{at},a\u2028b\u0085\x0b\x0c\x1e,view"), Expected(1)),
            "lone_return": (text(HEADER, f"lr1,{at},a\rb,view", *good("lr")), bad(2, bad_record=2)),
            "no_last_line_end": (text(HEADER, *good("nl"))[:-1], Expected(2)),
            "quote_in_the_middle": (text(HEADER, f'qm1,{at},a"b,view', f'qm2,{at},"a"b,view'), bad(1, bad_record=1)),
            "quoted_header_torn": (text('id,"ts,cookie,event', *good("qh")), refused("header")),
            "endless_record": (
                text(HEADER, *good("er"), 'er9,"') + text(*(["x"] * 1500)) + text('",c,view'),
                bad(2, bad_record=1502),
            ),
            "empty": (b"", refused("header")),
            "blank": (b" \n\n \n", refused("column")),
            "header_only": (text(HEADER), Expected()),
            "header_unended": (HEADER.encode(), Expected()),
            "blank_lines": (text(HEADER, "", "", *good("bl"), ""), Expected(2)),
            "empty_cells": (text(HEADER, ",,,"), bad(0, no_time=1)),
            "no_time": (text(HEADER, "nt1,,c,view", "nt2,soon,c,view"), bad(0, no_time=1, bad_time=1)),
            "no_name": (text(HEADER, f"nn1,{at},c,", f"nn2,{at},c,  "), bad(0, no_name=2)),
            "no_person": (text(HEADER, f"np1,{at},,view"), bad(0, no_identifier=1)),
            "other_centuries": (
                text(HEADER, "oc1,1066-10-14 00:00:00,c,view", "oc2,9999-01-01 00:00:00,c,view", *good("oc")),
                bad(2, before_floor=1, future=1),
            ),
            "impossible_times": (
                text(HEADER, "it1,2026-02-30 00:00:00,c,view", "it2,294300-01-01,c,view", "it3,infinity,c,view"),
                bad(0, bad_time=3),
            ),
            "duplicates": (text(HEADER, *good("dd"), *good("dd", [1]), "dd-0," + at + ",c,other"), Expected(2, {}, 2)),
            "filtered": (text(HEADER, *good("ff"), f"ff9,{at},c,skip_me"), Expected(2, filtered=1)),
            "other_delimiter": (text(HEADER, *good("od")).replace(b",", b";"), refused("column")),
            "wide": (
                text(HEADER + "".join(f",x{n}" for n in range(3000)), f"w1,{at},c,view" + ",1" * 3000),
                Expected(1),
            ),
            "too_wide": (text(HEADER + "," * 10_000, *good("tw")), refused("header")),
            "header_no_text": (text(HEADER)[:-1] + b",\xfc\n" + text(*good("ht")), refused("header")),
            "header_of_nul": (text(HEADER + ",\x00", *good("hn")), refused("header")),
            "header_of_sql": (
                text(HEADER + ',"x""); drop table raw.events; --"', f"hs1,{at},c,view,1"),
                Expected(1),
            ),
            "binary": (bytes(range(256)) * 16, refused("header")),
            "binary_rows": (text(HEADER, *good("br")) + b"\x89PNG\x1a\xff\xfe\n\x00\x01\n", bad(2, **_BINARY)),
            "long_cell": (text(HEADER + ",note", f"lc1,{at},c,view,{'x' * 1_000_000}"), Expected(1)),
            "too_long_cell": (
                lambda: text(HEADER + ",note", f"tc1,{at},c,view,{'x' * (LONG + 1)}", f"tc2,{at},c,view,x"),
                bad(1, too_long=1),
            ),
            "too_long_line": (
                lambda: text(HEADER + ",a,b", f"tl1,{at},c,view,{'x' * LONG},{'y' * LONG}", f"tl2,{at},c,view,x,y"),
                bad(1, too_long=1),
            ),
        }
    )


_BINARY = {"bad_encoding": 1, "nul_byte": 1}


def record(key: str, **more: object) -> str:
    """Return a good JSON record whose id nobody else has."""
    return json.dumps({"id": key, "ts": "2026-01-01 00:00:00", "cookie": "c", "event": "view"} | more)


def _with(key: str, raw: str) -> str:
    return record(key)[:-1] + f', "x": {raw}}}'


def json_cases() -> list[Case]:
    """Return JSON lines and lists."""
    deep = 20_000
    return _cases(
        {
            "good": (text(record("g1"), record("g2")), Expected(2)),
            "torn_line": (text(record("t1"), record("t2"))[:-20], bad(1, bad_json=1)),
            "deep_lists": (text(_with("d1", "[" * deep + "]" * deep), record("d2")), Expected(2)),
            "deep_objects": (text(_with("d3", '{"a":' * deep + "1" + "}" * deep), record("d4")), Expected(2)),
            "deep_unclosed": (text("[" * 100_000, record("d5")), refused("cannot be read beyond")),
            "deep_brackets_late": (text(record("d6"), "[" * 1_000_000), bad(1, bad_json=1)),
            "deep_but_sane": (text(_with("d7", "[" * 50 + "]" * 50)), Expected(1)),
            "twice_a_key": (text(record("k1")[:-1] + ', "event": "other"}'), Expected(1)),
            "not_a_number": (text(_with("n1", "NaN"), _with("n2", "Infinity"), record("n3")), Expected(3)),
            "huge_numbers": (text(_with("h1", "9" * 400), _with("h2", "1e999999"), record("h3")), Expected(3)),
            "huge_id": (text(record("x").replace('"x"', "98765432109876543210987654321")), Expected(1)),
            "lone_surrogates": (text(_with("s1", '"\\ud800"'), record("s2")), bad(1, bad_json=1)),
            "escaped_nul": (text(_with("z1", '"a\\u0000b"'), record("z2")), Expected(2)),
            "nul_in_the_event": (text(record("z3", event="a\x00b"), record("z4")), Expected(2)),
            "raw_nul": (text(record("z5"), record("z6").replace("view", "vi\x00ew")), bad(1, nul_byte=1)),
            "no_text": (text(record("e1")) + b'{"id": "\xff\xfe"}\n', bad(1, bad_encoding=1)),
            "no_objects": (text("1", '"a"', "null", "true", "[1]", record("o1")), bad(1, bad_json=5)),
            "bom": (b"\xef\xbb\xbf" + text(record("b1")), Expected(1)),
            "list": (text("[" + record("l1") + "," + record("l2") + ", 7]"), bad(2, bad_json=1)),
            "list_torn": (text("[" + record("l3") + "," + record("l4"))[:-9], refused("cut short")),
            "list_unclosed": (text("[" + record("l5") + ","), refused("cut short")),
            "list_and_more": (text("[" + record("l6") + "]", record("l7")), refused("more text behind")),
            "two_on_a_line": (text(record("w1") + record("w2"), record("w3")), bad(1, bad_json=1)),
            "pretty": (text("{", '"id": "p1"', "}", record("p2")), bad(1, bad_json=3)),
            "comments": (text("// hello", record("c1"), "{'id': 1}", record("c2")[:-1] + ",}"), bad(2, bad_json=2)),
            "blank": (b"\n \n\t\n", Expected()),
            "empty": (b"", Expected()),
            "nothing_in_it": (text("{}", record("i1")), bad(1, no_time=1)),
            "objects_for_texts": (text(record("v1", event={"a": 1}), record("v2", cookie=["c"])), Expected(2)),
            "sql": (text(record("q1'); drop table raw.events; --", event="'; --")), Expected(1)),
            "filtered": (text(record("f1"), record("f2", event="skip_me")), Expected(1, filtered=1)),
            "duplicates": (text(record("u1"), record("u1"), record("u1", event="z")), Expected(1, {}, 2)),
            "too_long": (lambda: text(record("y1", note="x" * LONG), record("y2")), bad(1, too_long=1)),
        }
    )


def _zipped(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def _gzip_of(line: bytes, times: int) -> bytes:
    held = io.BytesIO()
    with gzip.open(held, "wb", compresslevel=9) as packed:
        block = line * ((1 << 20) // len(line))
        for _ in range(times):
            packed.write(block)
    return held.getvalue()


def _bomb(head: bytes, line: bytes, megabytes: int) -> bytes:
    """Return a gzip file of several members, each a block packed once: quick to make whatever it unpacks to."""
    return gzip.compress(head) + _gzip_of(line, 8) * (megabytes // 8)


def archive_cases() -> list[Case]:
    """Return packed delimited files."""
    head = text(HEADER)
    packed = {name: gzip.compress(text(HEADER, *good(name), *good(name, range(2, 50)))) for name in "abcdef"}
    return _cases(
        {
            "good": (packed["a"], Expected(50)),
            "truncated": (packed["b"][:-30], refused("damaged")),
            "truncated_head": (packed["b"][:7], refused("damaged")),
            "wrong_sum": (packed["b"][:-8] + struct.pack("<I", 7) + packed["b"][-4:], refused("damaged")),
            "wrong_length": (packed["b"][:-4] + struct.pack("<I", 7), refused("damaged")),
            "trailing_garbage": (packed["b"] + b"garbage", refused("damaged")),
            "trailing_zeros": (packed["b"] + bytes(512), Expected(50)),
            "members": (gzip.compress(text(HEADER, *good("m"))) + gzip.compress(text(*good("n"))), Expected(4)),
            "not_packed.gz": (text(HEADER, *good("np")), Expected(2)),
            "packed_twice": (gzip.compress(packed["c"]), refused("header")),
            "nothing_packed": (gzip.compress(b""), refused("header")),
            "zstd_torn": (pa.compress(text(HEADER, *good("zt")), "zstd", asbytes=True)[:-5], refused("damaged")),
            "zip_of_two": (_zipped(a=head, b=head), refused("2 files")),
            "zip_that_climbs": (_zipped(**{"../../../climbs.csv": text(HEADER, *good("zc"))}), Expected(2)),
            "zip_torn": (_zipped(a=text(HEADER, *good("zz")))[:-10], refused("damaged")),
        }
    )


def bomb_cases() -> list[Case]:
    """Return files that unpack to gigabytes, and a good one; most of them in the long tier only."""
    head = text(HEADER)
    cases = _cases(
        {
            "good": (text(HEADER, *good("bg")), Expected(2)),
            "bomb_of_one_line": (lambda: _bomb(head, b"x", 2048), refused("unpacks")),
            "bomb_of_nul": (lambda: _bomb(head, b"\x00", 2048), refused("unpacks")),
            "bomb_of_bad_lines": (lambda: _bomb(head, b"\n,", 1024), refused("too many of its records")),
            "bomb_of_header": (lambda: _bomb(b"", b"x,", 2048), refused("unpacks")),
            "zip_bomb": (lambda: _zipped(a=head + bytes(320 << 20)), refused("unpacks")),
            "zstd_bomb": (lambda: _zstd(head) + _zstd(b"x" * (8 << 20)) * 256, refused("unpacks")),
            "long_line": (lambda: head + b"x" * (200 << 20) + b"\n" + text(*good("ll")), bad(2, too_long=1)),
            "endless_line": (lambda: head + text(*good("el")) + b"x" * (200 << 20), bad(2, too_long=1)),
            "field_of_100_mb": (
                lambda: text(HEADER + ",note", *(f"{row},x" for row in good("fm"))) + _huge(b'fm9,t,c,v,"', b'"\n'),
                bad(2, too_long=1),
            ),
            "million_columns": (
                lambda: text(HEADER + "".join(f",x{n}" for n in range(10**6)), *good("mc")),
                refused("more than 10,000 columns"),
            ),
        }
    )
    return cases if LONG_TIER else [case for case in cases if case.name not in _LONG_BOMBS]


_LONG_BOMBS = {"bomb_of_nul", "bomb_of_bad_lines", "bomb_of_header", "long_line"}


def _zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def _huge(head: bytes, tail: bytes) -> bytes:
    return head + b"x" * (100 << 20) + tail


def json_bomb_cases() -> list[Case]:
    """Return JSON that is too much: texts without end, and few bytes that become many."""
    one = record("bj", note="")[:-2].encode()
    return _cases(
        {
            "good": (text(record("jg")), Expected(1)),
            "field_of_100_mb": (lambda: text(record("jf")) + _huge(one, b'"}\n'), bad(1, too_long=1)),
            "endless_list": (lambda: b"[" + text(record("je"))[:-1] + b",1" * (20 << 20), refused("cut short")),
            "endless_record": (lambda: b"[" + _huge(one, b'"}]'), refused("too long")),
            "endless_nesting": (lambda: b'[{"a":' * (5 << 20), refused("cannot be read beyond")),
            "list_of_lists": (lambda: b"[" + b"[[],[],[]]," * (1 << 19) + b"1]", bad(0, bad_json=(1 << 19) + 1)),
            "endless_blanks": (lambda: b" " * (200 << 20) + b"[", bad(0, too_long=1)),
            "zip_bomb": (lambda: _zipped(a=bytes(320 << 20)), refused("unpacks")),
        }
    )


def parquet_bomb_cases() -> list[Case]:
    """Return Parquet that is too much."""
    notes = {"note": pa.array(["x", "x" * (100 << 20), "y"])}
    wide = {f"x{n}": pa.array([1, 2, 3]) for n in range(12_000)}
    return _cases(
        {
            "good": (parquet(table("bp")), Expected(3)),
            "constant_for_ever": (lambda: _constant(60), refused("unpacks")),
            "claims_more_rows": (_claiming, refused("rows")),
            "field_of_100_mb": (lambda: parquet(table("bf", **notes)), bad(2, too_long=1)),
            "too_wide": (lambda: parquet(table("bw", **wide)), refused("more than 10,000 columns")),
            "gzip_bomb": (lambda: _bomb(b"PAR1", b"\x00", 1024), refused("unpacks")),
        }
    )


def _constant(millions: int) -> bytes:
    """Return millions of rows that are all the same, and so a small file."""
    held = io.BytesIO()
    rows = table("cc", 1)
    same = pa.concat_tables([rows] * 1000).combine_chunks()
    million = pa.concat_tables([same] * 1000).combine_chunks()
    with pq.ParquetWriter(held, rows.schema, compression="zstd") as writer:
        for _ in range(millions):
            writer.write_table(million, row_group_size=1 << 20)
    return held.getvalue()


def _claiming() -> bytes:
    """Return 100,000 rows and a footer that says there are a million more."""
    whole = parquet(table("cl", 100_000))
    footer = len(whole) - 8 - struct.unpack("<I", whole[-8:-4])[0]
    true, false = b"\xc0\x9a\x0c", b"\xfe\xff\x7f"  # How the footer writes 100,000 and 1,048,575.
    assert true in whole[footer:]
    return whole[:footer] + whole[footer:].replace(true, false)


def table(key: str, rows: int = 3, **more: pa.Array) -> pa.Table:
    """Return a good Parquet table."""
    columns = {
        "id": [f"{key}-{n}" for n in range(rows)],
        "ts": ["2026-01-01 00:00:00"] * rows,
        "cookie": ["c"] * rows,
        "event": ["view"] * rows,
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()} | more)


def parquet(content: pa.Table, **options: object) -> bytes:
    """Return a table as a file."""
    held = io.BytesIO()
    pq.write_table(content, held, **options)
    return held.getvalue()


class _Plain(encryption.KmsClient):
    def wrap_key(self, key_bytes: bytes, _: str) -> bytes:
        return key_bytes

    def unwrap_key(self, wrapped_key: bytes, _: str) -> bytes:
        return wrapped_key


def _encrypted() -> bytes:
    factory = encryption.CryptoFactory(lambda _: _Plain())
    settings = encryption.EncryptionConfiguration(footer_key="k", uniform_encryption=True)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), settings)
    return parquet(table("en"), encryption_properties=properties)


def _flipped(content: bytes, start: int, count: int) -> bytes:
    return content[:start] + bytes(byte ^ 0xFF for byte in content[start : start + count]) + content[start + count :]


def parquet_cases() -> list[Case]:
    """Return Parquet files."""
    whole = parquet(table("wh", 2000), write_page_checksum=True, compression="zstd")
    footer = struct.unpack("<I", whole[-8:-4])[0]
    stamps = pa.array([1767225600000000] * 3, pa.timestamp("us", "UTC"))
    others = table("ot").drop_columns(["ts", "cookie"]).append_column("ts", stamps)
    lists = table("ls").drop_columns(["cookie"]).append_column("cookie", pa.array([["c"]] * 3))
    no_time = table("nt").drop_columns(["ts"])
    return _cases(
        {
            "good": (parquet(table("go")), Expected(3)),
            "torn": (whole[:-100], refused("Parquet")),
            "torn_head": (whole[100:], refused("Parquet")),
            "marks_only": (b"PAR1PAR1", refused("Parquet")),
            "one_mark": (b"PAR1", refused("Parquet")),
            "flipped_rows": (_flipped(whole, 60, 40), refused("damaged")),
            "flipped_footer": (_flipped(whole, len(whole) - 8 - footer, footer), refused("Parquet")),
            "footer_too_long": (whole[:-8] + struct.pack("<I", 1 << 31) + b"PAR1", refused("Parquet")),
            "encrypted": (_encrypted, refused("Parquet")),
            "zero_rows": (parquet(table("zr", 0)), Expected()),
            "missing_column": (parquet(no_time), refused("ts")),
            "times_of_null": (parquet(no_time.append_column("ts", pa.nulls(3, pa.string()))), bad(0, no_time=3)),
            "other_types": (parquet(others.append_column("cookie", pa.array([1, 2, 3]))), Expected(3)),
            "lists_for_texts": (parquet(lists), Expected(3)),
            "numbers_for_times": (parquet(no_time.append_column("ts", pa.array([1, 2, 3]))), bad(0, bad_time=3)),
            "row_number_named": (
                parquet(table("rn").append_column("file_row_number", pa.array([1, 1, 1]))),
                refused("Parquet"),
            ),
            "sql_in_a_name": (parquet(table("sn").append_column('x"; drop table x', pa.array([1, 1, 1]))), Expected(3)),
            "text_for_parquet": (text(HEADER, *good("tp")), refused("Parquet")),
            "empty": (b"", refused("Parquet")),
        }
    )


def log_line(number: int, **parts: str) -> str:
    """Return a line of an access log."""
    filled = {
        "at": f"01/Jan/2026:00:00:{number:02} +0000",
        "request": "GET / HTTP/1.1",
        "agent": "Mozilla/5.0",
        "status": "200",
    } | parts
    return f'192.0.2.{number} - - [{filled["at"]}] "{filled["request"]}" {filled["status"]} 5 "-" "{filled["agent"]}"'


def log_cases() -> list[Case]:
    """Return access logs."""
    return _cases(
        {
            "good": (text(log_line(1), log_line(2)), Expected(2)),
            "binary": (
                text(log_line(3)) + b"\x16\x03\x01\x02\xff\n" + b"\x00\x00\n",
                bad(1, bad_encoding=1, nul_byte=1),
            ),
            "escapes": (
                text(log_line(4, request="GET /\\x16\\x03 HTTP/1.1"), log_line(5, request="\\x16\\x03")),
                Expected(2),
            ),
            "overlong": (lambda: text(log_line(6, request="GET /" + "a" * LONG), log_line(7)), bad(1, too_long=1)),
            "wrong_dates": (
                text(log_line(8, at="99/Jan/2026:00:00:00 +0000"), log_line(9, at="soon"), log_line(10)),
                bad(1, **_LOG_DATES),
            ),
            "no_log": (text("hello", "192.0.2.11", log_line(12)), bad(1, bad_record=2)),
            "quotes": (text(log_line(13, agent='a\\"b'), log_line(14, agent="'; drop table x; --")), Expected(2)),
            "torn": (text(log_line(15), log_line(16))[:-60], bad(1, bad_record=1)),
            "blank": (b"\n\n", Expected()),
        }
    )


_LOG_DATES = {"bad_time": 2}
