"""A second opinion on sessions, persons and funnels: plain Python over the raw files, sharing nothing with the product.

It reads with the standard library only and tries every first event of a funnel in turn, so that what it says can be
checked by eye. It knows the rules that the real inputs need, and not aliases, exclusions or step windows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND


@dataclass(frozen=True, eq=False)
class Seen:
    """One event as the raw file has it; two that look alike are still two."""

    name: str
    at: int
    device: str | None = None
    user: str | None = None
    session: str | None = None
    sequence: int | None = None
    event_id: str = ""
    amount: Decimal | None = None
    currency: str | None = None
    detail: dict[str, str | None] | None = None

    @property
    def order(self) -> tuple[int, bool, int, str]:
        """Order inside a unit: time, the source's own number (rows without one last), id."""
        return (self.at, self.sequence is None, self.sequence or 0, self.event_id)


# Readers


def microseconds(text: str) -> int:
    """Read a time stamp; without a zone it is UTC."""
    stamp = datetime.fromisoformat(text.replace("Z", "+00:00"))
    stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
    since = stamp - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def rows_of(path: Path, **dialect: Any) -> list[dict[str, str]]:
    """Read a delimited file, packed or not, as dictionaries."""
    encoding = dialect.pop("encoding", "utf-8")
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            data = archive.read(archive.namelist()[0])
    return list(csv.DictReader(io.StringIO(data.decode(encoding), newline=""), **dialect))


def first_of(text: str | None) -> dict[str, Any]:
    """Take the first entry of a Snowplow context."""
    entries = json.loads(text) if text else []
    return entries[0] if entries else {}


ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1_0_0"
TRANSACTION = "contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1_0_0"
CLIENT_SESSION = "contexts_com_snowplowanalytics_snowplow_client_session_1_0_1"


def snowplow_event(row: dict[str, str]) -> Seen:
    """Read one enriched Snowplow row; the text `NULL` is no value."""
    row = {key: "" if value == "NULL" else value for key, value in row.items()}
    action = json.loads(row.get(ACTION) or "{}").get("type")
    client = first_of(row.get(CLIENT_SESSION))
    paid = first_of(row.get(TRANSACTION)) if action == "transaction" else {}
    amount = paid.get("revenue") or row.get("tr_total") or None
    return Seen(
        name=action or row["event_name"],
        at=microseconds(row["derived_tstamp"]),
        device=row.get("domain_userid") or client.get("userId"),
        user=row.get("user_id") or None,
        session=row.get("domain_sessionid") or client.get("sessionId"),
        sequence=client.get("eventIndex"),
        event_id=row["event_id"],
        amount=None if amount is None else Decimal(str(amount)),
        currency=paid.get("currency"),
        detail=row,
    )


def snowplow(*paths: Path) -> list[Seen]:
    """Read Snowplow rows; of a recurring event id the row received first stays (rows received at once look alike)."""
    kept: dict[str, Seen] = {}
    for row in (row for path in paths for row in rows_of(path)):
        event = snowplow_event(row)
        rival = kept.get(event.event_id)
        if rival is None or row["collector_tstamp"] < (rival.detail or {})["collector_tstamp"]:  # type: ignore[operator]
            kept[event.event_id] = event
    return list(kept.values())


LOG_LINE = re.compile(r'(\S+) \S+ \S+ \[([^\]]+)\] "([^"]*)" (\d{3}) (\S+) "([^"]*)" "([^"]*)"')


def access_log(path: Path) -> tuple[list[Seen], list[int]]:
    """Read combined log lines: the events, and the numbers of the lines that are none."""
    events, unread = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = LOG_LINE.fullmatch(line)
        if match is None:
            unread.append(number)
            continue
        address, stamp, request, _, _, _, agent = match.groups()
        at = int(datetime.strptime(stamp, "%d/%b/%Y:%H:%M:%S %z").timestamp()) * SECOND
        events.append(
            Seen(request, at, device=f"{address} {agent}", sequence=number, detail={"agent": agent, "line": line})
        )
    return events, unread


def otto(path: Path) -> list[Seen]:
    """Read one session a line with its list of events."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Seen(event["type"], event["ts"] * 1000, device=str(line["session"]))
        for line in lines
        for event in line["events"]
    ]


def eshop(path: Path) -> list[Seen]:
    """Read clicks dated by three columns and numbered inside their session."""
    return [
        Seen(
            "click",
            microseconds(f"{int(row['year']):04}-{int(row['month']):02}-{int(row['day']):02}"),
            device=row["session ID"],
            session=row["session ID"],
            sequence=int(row["order"]),
        )
        for row in rows_of(path, delimiter=";")
    ]


def shop(path: Path) -> list[Seen]:
    """Read the synthetic shop with its platform and lifecycle."""
    return [
        Seen(
            row["event"],
            microseconds(row["timestamp"]),
            user=row["user_id"],
            session=row["session_id"],
            detail=dict(row),
        )
        for row in rows_of(path)
    ]


# Rules


def persons(events: Iterable[Seen]) -> list[tuple[str, Seen]]:
    """Give every event its person: a device seen with one user is that user; with none, or several, itself.

    On a shared device an event without a user belongs to the last user earlier in the same mapped session.
    """
    events = sorted(events, key=lambda event: event.order)
    users = defaultdict(set)
    for event in events:
        if event.device and event.user:
            users[event.device].add(event.user)
    last: dict[tuple[str, str | None], str] = {}
    result = []
    for event in events:
        device, known = event.device, users.get(event.device or "", set())
        user = event.user
        if user is None and len(known) == 1:
            user = next(iter(known))
        elif device and user is None:
            user = last.get((device, event.session))
        elif device and user:
            last[device, event.session] = user
        result.append((f"user {user}" if user else f"device {device}", event))
    return result


def gap_sessions(events: Iterable[Seen], timeout: int = 30 * MINUTE, longest: int = DAY) -> list[list[Seen]]:
    """Cut each device's events where the gap exceeds the timeout, or the session would exceed its longest duration."""
    devices = defaultdict(list)
    for event in events:
        devices[event.device].append(event)
    sessions: list[list[Seen]] = []
    for of_device in devices.values():
        of_device.sort(key=lambda event: event.order)
        for position, event in enumerate(of_device):
            current = sessions[-1] if position else []
            is_cut = not current or event.at - current[-1].at > timeout or event.at - current[0].at > longest
            if is_cut:
                sessions.append([])
            sessions[-1].append(event)
    return sessions


def by(events: Iterable[Seen], key: Callable[[Seen], Hashable]) -> dict[Hashable, list[Seen]]:
    """Group events by a unit."""
    groups = defaultdict(list)
    for event in events:
        groups[key(event)].append(event)
    return groups


def depth(events: Sequence[Seen], steps: Sequence[str], window: int, strictly_later: bool = False) -> int:
    """Find the deepest ordered attempt: from every first event, the earliest other event of each next step in time."""
    events = sorted(events, key=lambda event: event.order)
    best = 0
    for opener in (event for event in events if event.name == steps[0]):
        chain = [opener]
        for step in steps[1:]:
            later = (e for e in events if e.name == step and e not in chain and opener.at <= e.at <= opener.at + window)
            found = next(
                (e for e in later if e.at > chain[-1].at or (e.at == chain[-1].at and not strictly_later)), None
            )
            if found is None:
                break
            chain.append(found)
        best = max(best, len(chain))
    return best


def reached(groups: Iterable[Sequence[Seen]], steps: Sequence[str], window: int = 14 * DAY, **rules: bool) -> list[int]:
    """Count the units that reached each step."""
    depths = Counter(depth(group, steps, window, **rules) for group in groups)
    return [sum(count for level, count in depths.items() if level >= step) for step in range(1, len(steps) + 1)]


def renamed(events: Iterable[Seen], names: dict[str, str]) -> list[Seen]:
    """Rename events as a source's `rename` does."""
    return [replace(event, name=names.get(event.name, event.name)) for event in events]
