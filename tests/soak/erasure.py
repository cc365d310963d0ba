"""Erasing people in a simulated year, and what is left of files without them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from soak.expected_events import IDS, ExpectedEvents

if TYPE_CHECKING:
    from soak.year import Year
    from support.shop import Event
    from support.shop_project import ShopProject


def erase(year: Year) -> Any:
    """Erase an account that is known, with all that is one person's with it."""
    users = sorted({event.user for event in year.known if event.user} - year.expected.erased)
    report = erase_user(year.project, year.known, year.expected, year.rng.choice(users))
    year.tally.note("erasures")
    return report


def erase_user(project: ShopProject, known: list[Event], expected: ExpectedEvents, user: str) -> Any:
    """Let the program erase an account, and note in `expected` all ids that are one person's with it."""
    from journeyflow.operations.erase import RequestedId, erase, plan_erasure

    expected.erased |= ids_of(known, user)
    project.segments = {who: what for who, what in project.segments.items() if who not in expected.erased}
    project.plans = [row for row in project.plans if row["customer"] not in expected.erased]
    report = erase(project.config, plan_erasure(project.config, [RequestedId("user", user)])).report
    project.write_traits()
    return report


def ids_of(known: list[Event], user: str) -> set[str]:
    """Return the accounts that are one person with `user`, and the devices that no one else uses."""
    aliases = [(event.user, event.facts["previous_id"]) for event in known if event.name == "alias"]
    users = {user}
    for _ in aliases:
        users |= {one for pair in aliases for one in pair if set(pair) & users}
    owners: dict[str, set[str]] = {}
    for event in known:
        if event.cookie and event.user:
            owners.setdefault(event.cookie, set()).add(event.user)
    return users | {cookie for cookie, accounts in owners.items() if accounts <= users}


def without(name: str, content: bytes, expected: ExpectedEvents) -> bytes:
    """Return a file, named as `ShopProject.read` names it, without the records of those who were erased."""
    if not expected.erased:
        return content
    source, ending = name.partition("-")[0], name.partition(".")[2]
    if source == "store":
        table = pq.read_table(pa.BufferReader(content))
        sink = io.BytesIO()
        is_left = pc.invert(pc.is_in(table["customer"], pa.array(sorted(expected.erased))))
        pq.write_table(table.filter(is_left), sink)
        return sink.getvalue()
    text = (gzip.decompress(content) if ending.endswith("gz") else content).decode("latin-1")
    made = _without_lines(text, expected) if "jsonl" in ending else _without_rows(text, expected)
    return gzip.compress(made.encode("latin-1"), mtime=0) if ending.endswith("gz") else made.encode("latin-1")


def _without_lines(text: str, expected: ExpectedEvents) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not _is_erased(json.loads(line), expected))


def _is_erased(record: dict[str, Any], expected: ExpectedEvents) -> bool:
    owners = {"cookie": record.get("device", {}).get("id"), "customer": record.get("user", {}).get("id")}
    return expected.is_erased(owners if "device" in record else record)


def _without_rows(text: str, expected: ExpectedEvents) -> str:
    lines = text.splitlines(keepends=True)
    delimiter = ";" if lines[0].count(";") > lines[0].count(",") else ","
    names = next(csv.reader([lines[0]], delimiter=delimiter))
    kept = [line for line in lines[1:] if not expected.is_erased(_row(line, names, delimiter))]
    return "".join([lines[0], *kept])


def _row(line: str, names: list[str], delimiter: str) -> dict[str, str]:
    cells = next(csv.reader([line], delimiter=delimiter))
    return {name: cell for name, cell in zip(names, cells, strict=False) if name in IDS}
