"""What must be in the warehouse, counted by hand: nothing lost, nothing doubled, every record accounted for."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.engines import DuckDBEngine
from support.shop_rules import ZONE

BAD = "bad"
"""What a test writes for a time that is none."""
PARTS = ("accepted_count", "quarantined_count", "duplicate_count", "filtered_count", "erased_count")
IDS = ("customer", "cookie", "previous_id")
CLOCK_SKEW = timedelta(hours=1)
_LOADED = """
    select loads.source, loads.sha256, loads.record_count, {}
    from ledger.loads as loads
    where loads.run_id = ? and loads.status = 'loaded'
"""
_STORED = "select source, event_id from raw.events order by all"
_FIRST_LOADS = "select source, sha256, first_loaded_at from ledger.files"


@dataclass
class ExpectedEvents:
    """All that was written into files, read again by the simplest means.

    Attributes
    ----------
    erased : set of str
        Accounts and devices that were erased.
    dropped : set of str
        Event names that the web's settings leave out.
    first_loads : dict of (str, str) to datetime
        When each content of a source, by its hash, was first loaded, naive UTC by the clock of the machine.
    """

    erased: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    first_loads: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def ids(self, inputs: dict[str, bytes]) -> dict[str, int]:
        """Return how many events each source must hold, by their ids or, without ids, by their content."""
        found: dict[str, set[Any]] = {}
        for name, content in inputs.items():
            source = name.partition("-")[0]
            outcomes = self.outcomes(source, content)
            rows = [row for row, outcome in zip(records(source, content), outcomes, strict=True) if outcome == "event"]
            keys = Counter(self._key(source, row) for row in rows)
            # The n-th like row of a file is an event of its own; the same one in two files is one event.
            numbered = {(key, n) for key, times in keys.items() for n in range(1 if source != "calls" else times)}
            found.setdefault(source, set()).update(numbered)
        return {source: len(keys) for source, keys in found.items() if keys}

    def outcomes(self, source: str, content: bytes) -> list[str]:
        """Return what becomes of each record of a file: erased whatever it is, else filtered, quarantined or event."""
        first_load = self.first_loads.get((source, hashlib.sha256(content).hexdigest()), datetime.max - CLOCK_SKEW)
        return [self._outcome(source, row, first_load + CLOCK_SKEW) for row in records(source, content)]

    def _outcome(self, source: str, row: dict[str, str], last: datetime) -> str:
        if self.is_erased(row):
            return "erased"
        if source == "web" and row["event"] in self.dropped:
            return "filtered"
        return "quarantined" if row["at"] == BAD or _occurred_at(source, row["at"]) > last else "event"

    def is_erased(self, row: dict[str, str]) -> bool:
        """Tell whether a record belongs to an erased person."""
        return any(row.get(name) in self.erased for name in IDS if row.get(name))

    def _key(self, source: str, row: dict[str, str]) -> object:
        return tuple(row.values()) if source == "calls" else row["id"]


def _occurred_at(source: str, text: str) -> datetime:
    """Return the time that a file says, naive UTC."""
    if source == "app":
        return datetime.fromtimestamp(int(text) / 1000, UTC).replace(tzinfo=None)
    at = datetime.strptime(text, "%d.%m.%Y %H:%M:%S") if source == "calls" else datetime.fromisoformat(text)
    return (
        at.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC).replace(tzinfo=None) if source in ("calls", "store") else at
    )


@cache
def records(source: str, content: bytes) -> list[dict[str, str]]:
    """Return the records of a file, with the names that the web's file gives them."""
    if source == "store":
        return [{**row, "at": str(row["at"])} for row in pq.read_table(pa.BufferReader(content)).to_pylist()]
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("latin-1")
    if source == "app":
        return list(_batches(text.splitlines()))
    if source == "deliveries":
        return [json.loads(line) for line in text.splitlines()]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if source == "calls" else ",")
    # A file of another layout is refused: no record of it is read.
    return [{**row, "at": row.get("at", row.get("beginn", ""))} for row in rows if "event" in row]


def _batches(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    for line in lines:
        batch = json.loads(line)
        for event in batch["events"]:
            owner = {"cookie": batch["device"]["id"], "customer": batch["user"]["id"]}
            yield owner | {"id": event["id"], "at": str(event["ts"]), "event": event["name"]}


def miscounted(state: Path, run_id: str, inputs: dict[str, bytes], expected: ExpectedEvents) -> list[str]:
    """Say where the warehouse is not what was written: files of a run, and events of all runs.

    Parameters
    ----------
    state : Path
        The project's state folder.
    run_id : str
        The run whose files are looked at.
    inputs : dict of str to bytes
        Every content that was ever read, as `ShopProject.read` names it.
    expected : ExpectedEvents
        What has become of people and settings.
    """
    contents = {(name.partition("-")[0], hashlib.sha256(each).hexdigest()): each for name, each in inputs.items()}
    with DuckDBEngine(state / "warehouse.duckdb", read_only=True) as warehouse:
        loads = warehouse.rows(_LOADED.format(", ".join(f"loads.{part}" for part in PARTS)), [run_id]).to_pylist()
        stored = warehouse.rows(_STORED).to_pylist()
        files = warehouse.rows(_FIRST_LOADS).to_pylist()
    expected.first_loads = {(file["source"], file["sha256"]): file["first_loaded_at"] for file in files}
    wrong = [text for load in loads if load["source"] != "people" for text in _wrong_load(load, contents, expected)]
    ids = [(row["source"], row["event_id"]) for row in stored]
    if len(ids) != len(set(ids)):
        wrong.append(f"{len(ids) - len(set(ids))} events are stored twice")
    held, due = dict(sorted(Counter(source for source, _ in ids).items())), dict(sorted(expected.ids(inputs).items()))
    return [*wrong, *([f"stored are {held}, and should be {due}"] if held != due else [])]


def _wrong_load(load: dict[str, Any], contents: dict[tuple[str, str], bytes], expected: ExpectedEvents) -> list[str]:
    content = contents.get((load["source"], load["sha256"]))
    due: dict[str, int] = {}
    if content is not None:
        outcomes = expected.outcomes(load["source"], content)
        due = {"record_count": len(outcomes), "filtered_count": outcomes.count("filtered")}
        if not expected.erased:
            due["quarantined_count"] = outcomes.count("quarantined")
    wrong = {name: load[name] for name, count in due.items() if load[name] != count}
    if load["record_count"] != sum(load[part] for part in PARTS):
        wrong["record_count"] = load["record_count"]
    return [f"a file of {load['source']}: {wrong}, not {due}"] if wrong else []
