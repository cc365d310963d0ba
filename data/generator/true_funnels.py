"""True counts of funnels: every attempt is tried, one after the other; no line is shared with the product."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .event import Event
from .people import DAY, HOUR, SECOND

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


def payment_attempts(events: Sequence[Event], high_water: int) -> list[Attempt]:
    """Return every try to pay: within an hour to the payment, within a day to the order; an error ends it.

    Steps are strictly later than those before: at a later time, or after them in the sequence of the same source.
    """
    found: list[Attempt] = []
    ended = 0
    for entry in (e for e in events if e.name == "checkout_started"):
        if entry.at <= ended:
            continue
        payments = [e for e in _later(events, entry, HOUR) if e.name == "payment_info"]
        orders = [
            e.at
            for paid in payments[:1]
            for e in _later(events, paid)
            if e.name == "purchase" and e.at <= entry.at + DAY
        ]
        errors = [e.at for e in _later(events, entry, DAY) if e.name == "payment_error"]
        ended = min([*orders, entry.at + (DAY if payments else HOUR)])
        is_failed = bool(errors) and errors[0] < ended
        if is_failed:
            ended = errors[0]
            payments = [e for e in payments if e.at < ended]
        depth = 1 + bool(payments) + (bool(orders) and not is_failed)
        found.append(Attempt(entry, depth, depth < 3 and not is_failed and ended > high_water))
    return found


def _later(events: Sequence[Event], first: Event, within: int | None = None) -> list[Event]:
    """Return the events that do not tie with the first one and come after it, at most `within` later."""
    return [
        e
        for e in events
        if (e.at > first.at or (e.at == first.at and e.source == first.source and (e.seq or 0) > (first.seq or 0)))
        and (within is None or e.at <= first.at + within)
    ]


def settled_attempt(events: Sequence[Event], is_decision: Callable[[Event], bool], high_water: int) -> Attempt | None:
    """Return the deepest way from a decision to praise that no refund spoils; an hour's disorder is forgiven."""
    best: Attempt | None = None
    for entry in (e for e in events if is_decision(e)):
        end = entry.at + 30 * DAY
        others = [e for e in events if e is not entry]
        ordered = _forgiven(others, [entry.at], end, lambda e: e.name == "purchase")
        delivered = [
            at
            for at in _forgiven(events, ordered, end, lambda e: e.name == "delivered")
            if _follows(at, ordered, 10 * DAY)
        ]
        praised = _forgiven(events, delivered, end, _is_praise)
        spoilt = [e.at for e in events if e.name == "refund" and ordered and ordered[0] < e.at <= end]
        if any(not praised or at < praised[0] for at in spoilt):
            continue
        depth = 1 + bool(ordered) + bool(delivered) + bool(praised)
        if best is None or depth > best.depth:
            deadline = min(end, ordered[-1] + 10 * DAY) if depth == 2 else end
            best = Attempt(entry, depth, depth < 4 and deadline > high_water)
    return best


def _is_praise(event: Event) -> bool:
    return (event.name == "review" and int(event.props["stars"]) >= 4) or (
        event.name == "nps_answer" and int(event.props["score"]) >= 9
    )


def _forgiven(events: Sequence[Event], before: Sequence[int], end: int, matches: Callable[[Event], bool]) -> list[int]:
    """Return when a step may be reached: not more than an hour before the step before, whose time it then takes."""
    times = {max(e.at, at) for e in events if matches(e) for at in before if e.at >= at - HOUR}
    return sorted(at for at in times if at <= end)


def stage_attempt(journeys: Iterable[Sequence[Event]], stage_of: Mapping[str, int], high_water: int) -> Attempt | None:
    """Return the journey that gets furthest within thirty days of its first event, the earliest among equals."""
    best: Attempt | None = None
    for events in journeys:
        entry = events[0]
        depth = max(stage_of.get(e.name, 0) for e in events if e.at <= entry.at + 30 * DAY)
        if depth and (best is None or depth > best.depth):
            best = Attempt(entry, depth, depth < max(stage_of.values()) and entry.at + 30 * DAY > high_water)
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
