"""Who the people of the sample shop are: types, habits, accounts, devices."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def utc(text: str) -> int:
    """Return microseconds since the epoch of an ISO time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


START = utc("2026-01-01T00:00:00")
END = utc("2026-06-29T21:59:00")  # one minute before midnight in Berlin


class Habit(NamedTuple):
    """How one type of person shops; the rates are chances per shopping trip."""

    people: int
    trips: float
    consider: float
    cart: float
    checkout: float
    pay: float
    app: float
    store: float
    known: float  # has an account from before the period
    joins: float  # opens one inside it
    arrivals: tuple[tuple[str, float], ...]


HABITS: dict[str, Habit] = {
    "student": Habit(
        1000, 1.9, 0.78, 0.44, 0.55, 0.70, 0.85, 0.04, 0.76, 0.10,
        (("social", 0.80), ("search", 0.09), ("direct", 0.07), ("friend", 0.04)),
    ),
    "family": Habit(
        1000, 2.1, 0.88, 0.60, 0.76, 0.88, 0.48, 0.22, 0.80, 0.08,
        (("email", 0.34), ("search", 0.28), ("direct", 0.28), ("social", 0.10)),
    ),
    "professional": Habit(
        800, 1.8, 0.82, 0.56, 0.82, 0.92, 0.60, 0.06, 0.80, 0.08,
        (("search", 0.52), ("direct", 0.36), ("email", 0.12)),
    ),
    "bargain": Habit(
        1000, 2.3, 0.72, 0.62, 0.46, 0.62, 0.60, 0.04, 0.55, 0.15,
        (("cpc", 0.62), ("affiliate", 0.26), ("email", 0.07), ("direct", 0.05)),
    ),
    "casual": Habit(
        800, 1.4, 0.56, 0.32, 0.58, 0.68, 0.35, 0.12, 0.30, 0.15,
        (("search", 0.46), ("direct", 0.30), ("cpc", 0.08), ("social", 0.08), ("friend", 0.08)),
    ),
    "returning": Habit(
        400, 3.2, 0.90, 0.72, 0.86, 0.93, 0.60, 0.15, 1.0, 0.0,
        (("direct", 0.62), ("search", 0.26), ("email", 0.12)),
    ),
}  # fmt: skip


OPT_IN = {"family": 0.7, "student": 0.08}
TABLET_COUNT = 70


@dataclass
class Human:
    """One real person; what a collector sees of her are her devices and her account."""

    number: int
    kind: str
    customer: str | None
    joined_at: int | None  # None without an account; before START for the known ones
    has_opted_in: bool
    country: str
    currency: str
    birth_year: int
    household: str
    plan: str
    has_crm_record: bool
    web_device: str
    app_device: str
    phone_device: str
    has_app: bool
    is_phone_first: bool
    old_customer: str = ""
    tablet: str | None = None
    signed_in: set[str] = field(default_factory=set)
    times: set[int] = field(default_factory=set)


def make_humans(seed: int) -> list[Human]:
    """Return everybody, in the order of their numbers; kinds are spread by chance."""
    kinds = [kind for kind, habit in HABITS.items() for _ in range(habit.people)]
    random.Random(f"{seed}-kinds").shuffle(kinds)
    humans = [_human(random.Random(f"{seed}-human-{n}"), n, kind) for n, kind in enumerate(kinds, 1)]
    _share_tablets([h for h in humans if h.kind == "family" and h.customer])
    for human in [h for h in humans if h.has_opted_in and h.kind != "family"][::60]:
        human.old_customer = f"c8{human.number:04d}"
    return humans


def _human(rng: random.Random, number: int, kind: str) -> Human:
    habit, draw = HABITS[kind], rng.random()
    joined_at = None
    if draw < habit.known:
        joined_at = START - rng.randrange(30, 700) * DAY + rng.randrange(8 * 3600, 20 * 3600) * SECOND
    elif draw < habit.known + habit.joins:
        joined_at = START + rng.randrange(10, 140) * DAY  # at her first checkout or visit from then on
    is_foreign = rng.random() < 0.07
    return Human(
        number=number,
        kind=kind,
        customer=f"c{number:05d}" if joined_at is not None else None,
        joined_at=joined_at,
        has_opted_in=joined_at is not None and joined_at < START and rng.random() < OPT_IN.get(kind, 0.3),
        country="US" if is_foreign else rng.choices(["DE", "AT", "FR"], [80, 12, 8])[0],
        currency="USD" if is_foreign else "EUR",
        birth_year=rng.randrange(2001, 2008) if kind == "student" else rng.randrange(1956, 1999),
        household="family" if kind == "family" else rng.choice(["single", "couple"]),
        plan="business" if kind == "professional" else rng.choices(["basic", "plus"], [75, 25])[0],
        has_crm_record=kind != "returning",
        web_device=f"d-{number:05d}",
        app_device=f"a-{number:05d}",
        phone_device=f"m-{number:05d}",
        has_app=rng.random() < habit.app,
        is_phone_first=rng.random() < 0.3,
    )


def _share_tablets(families: list[Human]) -> None:
    for n in range(TABLET_COUNT):
        for human in families[2 * n : 2 * n + 2]:
            human.tablet = f"t-{n + 1:03d}"
