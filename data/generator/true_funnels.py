"""True counts of funnels: every attempt is tried, one after the other; no line is shared with the product."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .event import Event
from .people import SECOND

BERLIN = ZoneInfo("Europe/Berlin")
Row = dict[str, int]


class Step(NamedTuple):
    """A step of an ordered funnel."""

    name: str
    matches: Callable[[Event], bool]
    within: int | None = None


def in_order(event: Event) -> tuple[int, bool, int, str]:
    """Return the total order of events: time, the source's sequence (missing ones last), id."""
    return (event.at, event.seq is None, event.seq or 0, event.event_id)


def local_day(at: int) -> str:
    """Return the day on Berlin's clocks."""
    return datetime.fromtimestamp(at // SECOND, UTC).astimezone(BERLIN).strftime("%Y-%m-%d")


class Attempt(NamedTuple):
    """The counted attempt of a person."""

    entry: Event
    depth: int
    is_pending: bool


def best_attempt(events: Sequence[Event], steps: Sequence[Step], window: int, high_water: int,
                 days: tuple[str, str] | None = None) -> Attempt | None:  # fmt: skip
    """Return the deepest attempt, the earliest among equals, or nothing; `days` gate step 1, both included."""
    best: Attempt | None = None
    times = [[e.at for e in events if step.matches(e)] for step in steps]
    for entry in (e for e in events if steps[0].matches(e)):
        if days and not days[0] <= local_day(entry.at) <= days[1]:
            continue
        reached = [[entry.at]]
        for k in range(1, len(steps)):
            within = steps[k].within
            ok = [t for t in times[k] if t <= entry.at + window and _follows(t, reached[-1], within)]
            if not ok:
                break
            reached.append(ok)
        depth = len(reached)
        if best is None or depth > best.depth:
            deadline = entry.at + window
            if depth < len(steps) and (limit := steps[depth].within) is not None:
                deadline = min(deadline, max(reached[-1]) + limit)
            best = Attempt(entry, depth, depth < len(steps) and deadline > high_water)
    return best


def _follows(time: int, before: list[int], within: int | None) -> bool:
    position = bisect_right(before, time)
    return position > 0 and (within is None or time - before[position - 1] <= within)


def any_order_attempt(events: Sequence[Event], steps: Sequence[Step], window: int, high_water: int) -> Attempt | None:
    """Return the attempt with most steps in whatever order, the earliest among equals; no event matches two steps."""
    best: Attempt | None = None
    for entry in (e for e in events if any(step.matches(e) for step in steps)):
        inside = [e for e in events if in_order(e) >= in_order(entry) and e.at <= entry.at + window]
        depth = sum(any(step.matches(e) for e in inside) for step in steps)
        if best is None or depth > best.depth:
            best = Attempt(entry, depth, depth < len(steps) and entry.at + window > high_water)
    return best


def strict_attempt(events: Sequence[Event], steps: Sequence[Step], window: int, high_water: int) -> Attempt | None:
    """Return the attempt that gets furthest when each step must be the very next event, the earliest among equals."""
    best: Attempt | None = None
    for start, entry in enumerate(events):
        depth = 0
        for step, event in zip(steps, events[start:], strict=False):
            if not step.matches(event) or event.at > entry.at + window:
                break
            depth += 1
        if depth and (best is None or depth > best.depth):
            # A later event of the unit has come, or may still come in time.
            is_open = start + depth == len(events) and entry.at + window > high_water
            best = Attempt(entry, depth, depth < len(steps) and is_open)
    return best


def tabulate(
    attempts: Iterable[Attempt | None], persona_of: Mapping[int, str], step_count: int
) -> dict[str, dict[str, list[Row]]]:
    """Return persona → period → one row a step, with person, converted, drop-off and pending counts."""
    counts: dict[tuple[str, str], list[Row]] = {}
    for attempt in attempts:
        if attempt is None:
            continue
        for persona in ("all", persona_of[id(attempt.entry)]):
            for period in ("all", local_day(attempt.entry.at)[:7]):
                _count(counts.setdefault((persona, period), [_zero() for _ in range(step_count)]), attempt)
    found: dict[str, dict[str, list[Row]]] = {}
    for (persona, period), rows in sorted(counts.items()):
        found.setdefault(persona, {})[period] = rows
    return found


def _zero() -> Row:
    return dict.fromkeys(("person_count", "converted_count", "drop_off_count", "pending_count"), 0)


def _count(rows: list[Row], attempt: Attempt) -> None:
    for k, row in enumerate(rows, 1):
        row["person_count"] += attempt.depth >= k
        if k < len(rows):
            row["converted_count"] += attempt.depth > k
            row["pending_count"] += attempt.depth == k and attempt.is_pending
            row["drop_off_count"] += attempt.depth == k and not attempt.is_pending
        else:
            row["converted_count"] += attempt.depth == k
