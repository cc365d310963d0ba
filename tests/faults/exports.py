"""Exports to mutate: what collectors write, from the cases of the adapters and, where they are there, real ones."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.config.sources import MAPPED_FORMATS, known_formats
from journeyflow.ingest.adapters import RawColumn, load_adapter
from support.text_tables import parse

MARK = "canary4711"
"""Part of every id of made exports: no message may contain it."""
MAPPED = {
    "columns": {
        "event_id": "id",
        "occurred_at": "ts",
        "received_at": "arrived",
        "anonymous_id": "cookie",
        "user_id": "customer",
        "session_id": "visit",
        "sequence": "hit",
        "event_name": "event",
        "page_path": "url",
        "revenue_amount": "amount",
    },
    "properties": "*",
    "channel": {"column": "channel"},
}
NAMES = ("page_view", "product_view", "add_to_cart", "purchase", "alias")
Row = dict[str, Any]


@dataclass(frozen=True)
class Export:
    """Rows of a collector, and the source that reads them; `container` is how they are written."""

    name: str
    container: str
    rows: list[Row]
    source: dict[str, Any]
    written: bytes = field(repr=False, default=b"")
    """The file as it was found, for real exports."""

    def content(self, rows: list[Row], rng: random.Random) -> bytes:
        """Write rows as the collector does."""
        return WRITERS[self.container](rows, rng)


def made(*, is_every: bool = True) -> Iterator[Export]:
    """Yield the exports that need no other data: every format in every container that it is read from, or in one."""
    rows = [_mapped_row(number) for number in range(6)]
    for container, kind in (("csv", "csv"), ("jsonl", "jsonl"), ("list", "jsonl"), ("parquet", "parquet")):
        yield Export(f"{kind}_{container}", container, rows, {"format": kind} | MAPPED)
    yield Export("csv_other", "semicolons", rows, {"format": "csv", "delimiter": ";", "pad_short_rows": True} | OTHER)
    yield Export("jsonl_envelopes", "envelopes", rows, {"format": "jsonl", "records": "batch.events"} | MAPPED)
    yield Export("access_log_lines", "lines", _log_rows(), {"format": "access_log", "timezone": "Europe/Berlin"})
    containers = ("csv", "jsonl", "parquet")
    adapters = [name for name in known_formats() if name not in (*MAPPED_FORMATS, "access_log")]
    for number, name in enumerate(adapters):
        found = _adapter_rows(name)
        for container in containers if is_every else [containers[number % len(containers)]]:
            yield Export(f"{name}_{container}", container, found, {"format": name})


OTHER = MAPPED | {
    "columns": MAPPED["columns"]
    | {"occurred_at": {"column": "ms", "unit": "ms"}, "anonymous_id": {"hash": ["cookie"]}},
    "timezone": "America/New_York",
    "where": {"event": {"not": "add_to_cart"}},
    "properties": ["plan", "note.text"],
}


def _mapped_row(number: int) -> Row:
    return {
        "id": f"{number}-{MARK}",
        "ts": f"2026-03-0{number + 1} 10:00:0{number}",
        "arrived": f"2026-03-0{number + 1}T10:01:00Z",
        "ms": 1_772_359_200_000 + number * 60_000,
        "cookie": f"c{number % 2}-{MARK}",
        "customer": f"u{number % 3}-{MARK}" if number % 2 else None,
        "visit": f"v{number % 2}",
        "hit": number,
        "event": NAMES[number % len(NAMES)],
        "url": f"https://shop.example/p/{number}?utm_source=news&token=x",
        "amount": 12.5 if number == 3 else None,
        "channel": "web",
        "plan": "gold",
        "previous_id": f"c1-{MARK}" if number == 4 else None,
        "note.text": 'said "yes", and left',
    }


def _log_rows() -> list[Row]:
    line = load_adapter("access_log").metadata.cases
    found = [row[0] for case in line for row in parse(case.given)[1] if row[0]]
    return [{"line": text} for text in found]


def _adapter_rows(name: str) -> list[Row]:
    metadata = load_adapter(name).metadata
    rows: list[Row] = []
    for case in metadata.cases:
        header, body = parse(case.given)
        named = [_name_in_files(column, metadata.raw[column] or RawColumn()) for column in header]
        is_id = [(metadata.raw[column] or RawColumn()).identifier for column in header]
        rows += [
            {
                key: f"{value}-{MARK}" if marked and value else value
                for key, value, marked in zip(named, row, is_id, strict=True)
            }
            for row in body
        ]
    columns = dict.fromkeys(itertools.chain.from_iterable(rows))
    for column, declared in metadata.raw.items():  # A file lacks no column that must be there.
        if declared and declared.required:
            columns.setdefault(_name_in_files(column, declared))
    return [{column: row.get(column) for column in columns} for row in rows]


def _name_in_files(column: str, declared: RawColumn) -> str:
    return declared.any_of[-1].replace("*", "1_0_0") if declared.any_of else column


REAL = {
    "amplitude": ("collectors/amplitude/amplitude_event_data.csv", "csv", {"format": "amplitude"}),
    "mixpanel": ("collectors/mixpanel/event.csv", "csv", {"format": "mixpanel"}),
    "ga4_flat": ("collectors/ga4/event_data.csv", "csv", {"format": "ga4"}),
    "ga4_nested": ("collectors/ga4/events.ndjson", "jsonl", {"format": "ga4"}),
    "segment": ("faults/truncated-properties-json/seg.csv", "csv", {"format": "segment"}),
    "posthog": ("faults/identify-and-alias-ignored/ph.jsonl", "jsonl", {"format": "posthog"}),
    "mixpanel_raw": ("faults/identify-and-alias-ignored/mp.jsonl", "jsonl", {"format": "mixpanel"}),
    "snowplow": ("snowplow_web/snowplow_web_events.csv", "csv", {"format": "snowplow"}),
    "apache": ("apache_logs/apache_logs", "lines", {"format": "access_log"}),
}


def real() -> Iterator[Export]:
    """Yield the first records of the real exports; none where the folder of real inputs is not named."""
    folder = os.environ.get("JOURNEYFLOW_EXTERNAL_DATA")
    for name, (place, container, source) in REAL.items():
        if folder and (path := Path(folder) / place).is_file():
            rows = _first_rows(path, container)
            yield Export(f"real_{name}", container, rows, source)


def _first_rows(path: Path, container: str, count: int = 8) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        if container == "csv":
            reader = csv.reader(file)
            header = next(reader)
            names = [f"{name}.{at}" if name in header[:at] else name for at, name in enumerate(header)]
            return [dict(zip(names, row, strict=False)) for row in itertools.islice(reader, count)]
        lines = [line.rstrip("\n") for line in itertools.islice(file, count)]
    return [{"line": line} if container == "lines" else json.loads(line) for line in lines]


DELIMITED = ("csv", "semicolons")
"""Containers whose first line names the columns."""


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _delimited(rows: list[Row], rng: random.Random, delimiter: str = ",") -> bytes:
    held = io.StringIO()
    writer = csv.writer(held, delimiter=delimiter, lineterminator=rng.choice(["\n", "\n", "\r\n"]))
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    writer.writerow(names)
    writer.writerows([_text(row[name]) for name in names if name in row] for row in rows)
    return held.getvalue().encode("utf-8", "surrogatepass")


def _nested(row: Row) -> Row:
    """Nest names with points, as collectors write JSON."""
    found: Row = {}
    for name, value in row.items():
        if value is None:
            continue
        *above, last = name.split(".")
        place = found
        for part in above:
            place = place.setdefault(part, {}) if isinstance(place.get(part, {}), dict) else {}
        place[last] = value
    return found


def _objects(rows: list[Row], rng: random.Random) -> list[str]:
    is_nested = rng.random() < 0.8
    is_read = rng.random() < 0.5  # JSON columns as objects, not as text.
    return [
        _dumped({key: _opened(value) if is_read else value for key, value in row.items()}, is_nested) for row in rows
    ]


def _opened(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    except (ValueError, RecursionError):
        return value


def _dumped(row: Row, is_nested: bool) -> str:
    try:
        return json.dumps(_nested(row) if is_nested else row, ensure_ascii=False)
    except RecursionError:
        return "[" * 100_000


def _lines(texts: list[str]) -> bytes:
    return "".join(text + "\n" for text in texts).encode("utf-8", "surrogatepass")


def _parquet(rows: list[Row], rng: random.Random) -> bytes:
    names = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    columns = {name: _column([row.get(name) for row in rows], rng) for name in names}
    held = io.BytesIO()
    pq.write_table(pa.table(columns), held, compression=rng.choice(["snappy", "zstd", "none", "gzip"]))
    return held.getvalue()


def _column(values: list[Any], rng: random.Random) -> pa.Array:
    """Return values in the first type that holds them all, mostly that which they have."""
    tries = [None, pa.string()]
    if rng.random() < 0.1:
        tries = [rng.choice(_TYPES), *tries]
    for kind in tries:
        try:
            given = [_text(v) for v in values] if kind in (pa.string(), pa.binary(), pa.large_string()) else values
            found = pa.array(given, kind)
            if pa.types.is_nested(found.type):  # Parquet has no group without fields.
                pq.write_table(pa.table([found], ["nested"]), io.BytesIO())
            return found
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
    return pa.array([_text(v).encode("utf-8", "surrogatepass") for v in values], pa.binary())


_TYPES = (
    pa.binary(),
    pa.large_string(),
    pa.float64(),
    pa.int8(),
    pa.uint64(),
    pa.bool_(),
    pa.null(),
    pa.date32(),
    pa.decimal128(38, 10),
    pa.timestamp("ns"),
    pa.timestamp("ns", "UTC"),
    pa.timestamp("s"),
    pa.time64("us"),
    pa.duration("us"),
    pa.dictionary(pa.int32(), pa.string()),
    pa.list_(pa.string()),
    pa.binary(4),
    pa.float16(),
)

WRITERS = {
    "csv": _delimited,
    "semicolons": lambda rows, rng: _delimited(rows, rng, ";"),
    "jsonl": lambda rows, rng: _lines(_objects(rows, rng)),
    "list": lambda rows, rng: ("[" + ",\n".join(_objects(rows, rng)) + "]").encode("utf-8", "surrogatepass"),
    "envelopes": lambda rows, rng: _lines(
        [
            f'{{"app": "a", "batch": {{"events": [{",".join(_objects(rows[n : n + 2], rng))}]}}}}'
            for n in range(0, len(rows), 2)
        ]
    ),
    "lines": lambda rows, rng: _lines([_text(row.get("line")) for row in rows]),
    "parquet": _parquet,
}
