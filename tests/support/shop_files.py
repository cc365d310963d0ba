"""The small shop's events as the files of its sources, each in a format of its own."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from support.shop import Event
from support.shop_rules import ZONE

ENDINGS = {
    "web": "csv",
    "app": "jsonl",
    "calls": "csv",
    "deliveries": "jsonl",
    "surveys": "csv",
    "store": "parquet",
}
"""Every source, and how its files are called."""
WEB = ("id", "at", "received", "cookie", "customer", "event", "page", "medium", "target", "agent", "amount", "plan")
WEB_COLUMNS = (*WEB, "order_id", "previous_id")


def parted(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Return events by their source."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.source].append(event)
    return dict(found)


def content(source: str, events: Iterable[Event], *, is_packed: bool = False) -> bytes:
    """Return the file of a source that holds these events, gzipped where told."""
    made = {"web": _web, "app": _app, "calls": _calls, "deliveries": _deliveries, "surveys": _surveys, "store": _store}[
        source
    ](list(events))
    return gzip.compress(made, mtime=0) if is_packed else made


def table(header: Iterable[str], rows: Iterable[Mapping[str, str]], delimiter: str = ",") -> bytes:
    """Return rows as delimited text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(header), delimiter=delimiter, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def web_row(event: Event) -> dict[str, str]:
    """Return a line of the web's file by column."""
    named = {"id": event.id, "at": str(event.at), "received": str(event.received), "cookie": event.cookie}
    named |= {"customer": event.user, "event": event.name, "page": event.page, "medium": event.medium}
    named |= {"target": event.target, "agent": event.agent, "amount": event.amount}
    return named | {name: event.facts.get(name, "") for name in ("plan", "order_id", "previous_id")}


def call_row(event: Event) -> dict[str, str]:
    """Return a line of the call centre's file by column, its time on the clock of the wall."""
    beginning = f"{local(event.at):%d.%m.%Y %H:%M:%S}"
    return {"beginn": beginning, "customer": event.user, "event": event.name, "topic": event.facts.get("topic", "")}


def local(at: datetime) -> datetime:
    """Return an instant on the clock of the wall, naive."""
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(ZONE)).replace(tzinfo=None)


def _web(events: list[Event]) -> bytes:
    return table(WEB_COLUMNS, map(web_row, events))


def _calls(events: list[Event]) -> bytes:
    return table(("beginn", "customer", "event", "topic"), map(call_row, events), ";")


def _desk(event: Event, *facts: str) -> dict[str, str]:
    named = {"id": event.id, "at": str(event.at), "received": str(event.received)}
    named |= {"customer": event.user, "event": event.name}
    return named | {name: event.facts.get(name, "") for name in facts}


def _surveys(events: list[Event]) -> bytes:
    rows = [_desk(event, "score", "comment") for event in events]
    return table(("id", "at", "received", "customer", "event", "score", "comment"), rows)


def _deliveries(events: list[Event]) -> bytes:
    return "".join(json.dumps(_desk(event, "order_id")) + "\n" for event in events).encode()


def _app(events: list[Event]) -> bytes:
    """Return a line for each batch of a device, its events nested."""
    batches: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        batches[event.cookie, event.user].append(event)
    lines = [
        {"device": {"id": cookie}, "user": {"id": user or None}, "events": [_app_event(event) for event in batch]}
        for (cookie, user), batch in batches.items()
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _app_event(event: Event) -> dict[str, object]:
    stamps = {name: int(at.replace(tzinfo=UTC).timestamp() * 1000) for name, at in _stamps(event).items()}
    named = {"id": event.id, "visit": f"{event.cookie}-{event.at:%j}", "name": event.name, "screen": event.page}
    more = {"utm": {"medium": event.medium or None}, "price": event.amount or None}
    return stamps | named | more | event.facts


def _stamps(event: Event) -> dict[str, datetime]:
    return {"ts": event.at, "got": event.received}


def _store(events: list[Event]) -> bytes:
    columns = {
        "id": pa.array([event.id for event in events], pa.string()),
        "at": pa.array([local(event.at) for event in events], pa.timestamp("us")),
        "customer": pa.array([event.user for event in events], pa.string()),
        "event": pa.array([event.name for event in events], pa.string()),
        "amount": pa.array([event.amount or None for event in events], pa.string()),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()
