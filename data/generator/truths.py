"""True figures, counted from the true events in the plainest way; no line is shared with the product.

The rules are those of `docs/reference/semantics.md`: identity, sessions, journeys, personas, lifecycle, promises.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from .event import Event
from .people import DAY, HOUR, MINUTE
from .true_funnels import Row, in_order

JOURNEY_GAP = 30 * DAY
SESSION_GAP, SESSION_MOST = 30 * MINUTE, 24 * HOUR
PERSONAS = ("student", "family", "professional", "bargain_hunter", "repeat_buyer", "unassigned")
Traits = Mapping[str, Sequence[tuple[int, Mapping[str, object]]]]


@dataclass
class Journey:
    """One journey of a person, with the persona it has."""

    person: str
    events: list[Event]
    persona: str = ""


# ---- persons -------------------------------------------------------------------------------------


def users_of_devices(events: Iterable[Event]) -> dict[str, set[str]]:
    """Return the accounts seen on each device."""
    users: dict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.device:
            users[event.device] |= {event.user} - {""}
    return users


def persons(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Return the events of every person whom the data can tell apart, in order; merged accounts are one person."""
    merged = {str(event.props["previous_id"]): event.user for event in events if event.name == "alias"}
    events = [replace(e, user=merged[e.user]) if e.user in merged else e for e in events]
    users = users_of_devices(events)
    found: dict[str, list[Event]] = defaultdict(list)
    shared: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.user:
            found[event.user].append(event)
        elif len(users[event.device]) == 1:
            found[next(iter(users[event.device]))].append(event)
        elif users[event.device]:
            shared[event.device].append(event)
        else:
            found[event.device].append(event)
    for device in shared:
        for person, event in _settle(device, [e for e in events if e.device == device]):
            found[person].append(event)
    return {person: sorted(mine, key=in_order) for person, mine in found.items()}


def _settle(device: str, events: list[Event]) -> Iterable[tuple[str, Event]]:
    """Yield the nameless events of a shared device: they belong to the last account of their session, if any."""
    for session in sessions(events):
        user = ""
        for event in session:
            user = event.user or user
            if not event.user:
                yield user or device, event


def sessions(events: Iterable[Event]) -> list[list[Event]]:
    """Return the sessions of one device: a gap above 30 minutes, 24 hours or another account start the next."""
    found: list[list[Event]] = []
    user = ""
    for event in sorted(events, key=in_order):
        is_new = not found or event.at - found[-1][-1].at > SESSION_GAP or event.at - found[-1][0].at > SESSION_MOST
        if is_new or (event.user and user and event.user != user):
            found.append([])
            user = ""
        found[-1].append(event)
        user = event.user or user
    return found


def sessions_of_devices(people: Mapping[str, list[Event]]) -> list[list[Event]]:
    """Return all sessions; offline events, which have no device, are in none."""
    devices: dict[str, list[Event]] = defaultdict(list)
    for events in people.values():
        for event in events:
            if event.device:
                devices[event.device].append(event)
    return [session for events in devices.values() for session in sessions(events)]


def sessions_of_persons(people: Mapping[str, list[Event]]) -> Counter[str]:
    """Return how many sessions each person took part in."""
    owner = {id(event): person for person, events in people.items() for event in events}
    told = sessions_of_devices(people)
    return Counter(person for session in told for person in {owner[id(event)] for event in session})


def lifecycle(people: Mapping[str, list[Event]], high_water: int) -> Counter[str]:
    """Return how many persons are where in their life as a customer, on the last day."""
    visits = sessions_of_persons(people)
    found: Counter[str] = Counter()
    for person, events in people.items():
        purchases = sum(e.name == "purchase" for e in events)
        if high_water - events[-1].at >= 90 * DAY:
            found["lapsed"] += 1
        elif purchases:
            found["repeat_buyer" if purchases >= 2 else "buyer"] += 1
        else:
            found["engaged" if visits[person] >= 2 else "first_time"] += 1
    return found


def journeys(people: Mapping[str, list[Event]], traits: Traits) -> list[Journey]:
    """Return all journeys with their personas; a gap above 30 days starts the next."""
    found: list[Journey] = []
    for person, events in people.items():
        mine: list[Journey] = []
        for event in events:
            if not mine or event.at - mine[-1].events[-1].at > JOURNEY_GAP:
                mine.append(Journey(person, []))
            mine[-1].events.append(event)
        purchases = sum(e.name == "purchase" for e in events)
        for journey in mine:
            journey.persona = _persona(journey.events[0], traits.get(person, ()), purchases)
        found += mine
    return found


def _persona(first: Event, rows: Sequence[tuple[int, Mapping[str, object]]], purchases: int) -> str:
    known: dict[str, object] = {}
    for valid_from, row in sorted(rows, key=lambda pair: pair[0]):
        if valid_from <= first.at:
            known |= {k: v for k, v in row.items() if v != ""}
    if int(str(known.get("birth_year", 0))) >= 2001:
        return "student"
    if known.get("household") == "family":
        return "family"
    if known.get("plan") == "business":
        return "professional"
    if first.utm[1] in ("cpc", "affiliate"):
        return "bargain_hunter"
    return "repeat_buyer" if purchases >= 2 else "unassigned"


# ---- promises and sums ---------------------------------------------------------------------------


def promise(told: Sequence[Journey], within: int, high_water: int) -> dict[str, Row]:
    """Return per persona the online orders: kept (delivered in time), broken, pending (not delivered, time not up)."""
    delivered: dict[object, int] = {}
    for journey in told:
        for event in journey.events:
            if event.name == "delivered":
                order = event.props["order_id"]
                delivered[order] = min(event.at, delivered.get(order, event.at))
    found: dict[str, Row] = {}
    for journey in told:
        for event in journey.events:
            if event.name != "purchase" or event.source not in ("web", "app"):
                continue
            at = delivered.get(event.props["order_id"])
            is_kept = at is not None and at - event.at <= within
            outcome = "kept" if is_kept else "pending" if event.at + within > high_water else "broken"
            for persona in ("all", journey.persona):
                row = found.setdefault(persona, dict.fromkeys(("order", "kept", "broken", "pending"), 0))
                row["order"] += 1
                row[outcome] += 1
    return dict(sorted(found.items()))


def revenue(events: Iterable[Event]) -> dict[str, str]:
    """Return the sum of purchases per currency, never added across currencies."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for event in events:
        if event.name == "purchase":
            sums[event.currency] += Decimal(event.amount)
    return {currency: str(amount) for currency, amount in sorted(sums.items())}


def first_touches(told: Sequence[Journey]) -> dict[str, dict[str, int | float]]:
    """Return per persona how many journeys begin with an event that carries `utm_medium` social."""
    total, social = Counter(j.persona for j in told), Counter(j.persona for j in told if j.events[0].utm[1] == "social")
    return {
        persona: {
            "journeys": total[persona],
            "social": social[persona],
            "share": round(social[persona] / total[persona], 6),
        }
        for persona in PERSONAS
        if total[persona]
    }
