"""Small streams of events for tests of the search for pain points: written event by event, or simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from journeyflow.pains.places import Place, places
from journeyflow.pains.stream import DAY_US, Labels, Stream, _known_so_far

HOUR_US = DAY_US // 24
MINUTE_US = HOUR_US // 60
FIRST_DAY = 20_500  # a Sunday in February 2026


@dataclass(frozen=True)
class Kind:
    """What the configuration says of an event name."""

    stage: int = 0
    is_goal: bool = False
    is_passive: bool = False
    frictions: str | None = None
    channel: str = "web"


SHOP: Mapping[str, Kind] = {
    "view": Kind(1), "cart": Kind(2), "payment_info": Kind(3), "purchase": Kind(3, is_goal=True), "ship": Kind(4),
    "error": Kind(), "chat": Kind(), "mail": Kind(is_passive=True, channel="email"),
}  # fmt: skip


class Event(NamedTuple):
    """An event of a person: `at` in minutes, `session` None where it is offline; slices known at it."""

    at: float
    name: str
    session: int | None = 0
    journey: int = 0
    slices: Mapping[str, str] = {}


@dataclass(frozen=True)
class Person:
    """Events in order; persona and medium of all of its journeys."""

    events: Sequence[Event]
    persona: str = "unassigned"
    medium: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


def stream_of(
    persons: Sequence[Person], kinds: Mapping[str, Kind] = SHOP, window_days: int = 30, last_day: int | None = None
) -> Stream:
    """Return the stream of persons; the high-water mark is the end of `last_day`, else a window after the end."""
    rows = [(number, one, event) for number, one in enumerate(persons) for event in one.events]
    names = sorted(kinds)
    slices = sorted({name for one in persons for name in one.slices} | {name for *_, e in rows for name in e.slices})
    person = np.array([number for number, *_ in rows], np.int64)
    at = np.array([FIRST_DAY * DAY_US + round(event.at * MINUTE_US) for *_, event in rows], np.int64)
    own_journey = np.array([event.journey for *_, event in rows])
    is_new = np.ones(len(rows), np.bool_)
    is_new[1:] = (person[1:] != person[:-1]) | (own_journey[1:] != own_journey[:-1])
    sessions: dict[tuple[int, int], int] = {}
    session = [
        -1 if event.session is None else sessions.setdefault((number, event.session), len(sessions))
        for number, _, event in rows
    ]
    days = int(at.max() // DAY_US) - FIRST_DAY + 400
    firsts = [one for (_, one, _), new in zip(rows, is_new, strict=True) if new]
    entries = at[is_new] // DAY_US
    return Stream(
        person=person,
        journey=np.cumsum(is_new) - 1,
        at=at,
        session=np.array(session, np.int64),
        kind=np.array([names.index(event.name) for *_, event in rows], np.int64),
        slices={
            name: _known_so_far(
                Labels.of(
                    pl.Series([event.slices.get(name, one.slices.get(name)) for _, one, event in rows], dtype=pl.String)
                ),
                person,
                at,
            )
            for name in slices
        },
        person_keys=np.arange(1, len(persons) + 1, dtype=np.uint64),
        journey_starts=np.append(np.flatnonzero(is_new), len(rows)),
        facts=pl.DataFrame(
            {
                "persona": [one.persona for one in firsts],
                "month": [f"2026-{2 + int(day - FIRST_DAY) // 30:02d}" for day in entries],
                "medium": pl.Series([one.medium for one in firsts], dtype=pl.String),
            }
        ),
        kinds=pl.DataFrame(
            {
                "classification_key": range(len(names)),
                "event_name": names,
                "channel": [kinds[name].channel for name in names],
                "touchpoint": [f"{kinds[name].channel}: {name}" for name in names],
                "is_goal": [kinds[name].is_goal for name in names],
                "frictions": pl.Series([kinds[name].frictions for name in names], dtype=pl.String),
                "is_passive": [kinds[name].is_passive for name in names],
            }
        ),
        high_water=(FIRST_DAY + last_day + 1) * DAY_US
        if last_day is not None
        else int(at.max()) + window_days * DAY_US,
        window=window_days * DAY_US,
        day_starts=(FIRST_DAY + np.arange(days)) * DAY_US,
        first_day=FIRST_DAY,
    )


def levels_of(kinds: Mapping[str, Kind] = SHOP) -> np.ndarray:
    """Return the level of each kind, in the order of the names."""
    found = [kinds[name] for name in sorted(kinds)]
    return np.array([2 * kind.stage + kind.is_goal if kind.stage else 0 for kind in found], np.int64)


def place_of(stream: Stream, stage: int, kinds: Mapping[str, Kind] = SHOP) -> Place:
    """Return the place of a stage."""
    return next(place for place in places(stream, 1, levels_of(kinds)) if place.stage_index == stage)


class Shopper(NamedTuple):
    """A simulated person as the chances may depend on it."""

    day: int
    device: str
    persona: str
    is_keen: bool
    met_error: bool = False


Chance = Callable[[int, Shopper], float]
"""Stage reached (1 to 3), shopper → chance to go on from it."""


def simulated(
    seed: int,
    count: int,
    chance: Chance = lambda stage, who: (0.7, 0.75, 0.8)[stage - 1],
    *,
    days: int = 60,
    window_days: int = 7,
    last_day: int | None = None,
) -> Stream:
    """Return the stream of simulated shoppers."""
    return stream_of(shoppers(seed, count, chance, days), window_days=window_days, last_day=last_day)


def shoppers(seed: int, count: int, chance: Chance, days: int = 60) -> list[Person]:
    """Return persons who view, put into the cart, and pay, each at their chance; one in five meets an error then."""
    rng = np.random.default_rng(seed)
    persons = []
    for _ in range(count):
        who = Shopper(
            int(rng.integers(days)), ("mobile", "desktop", "tablet")[rng.choice(3, p=(0.5, 0.35, 0.15))],
            ("new", "known")[rng.integers(2)], bool(rng.random() < 0.5),
        )  # fmt: skip
        at = who.day * 1440 + rng.integers(300, 1200)
        events = []
        for stage, name in enumerate(("view", "cart", "payment_info"), start=1):
            events += [Event(at := at + 1 + rng.integers(5), name) for _ in range(1 + (rng.random() < 0.3))]
            if stage == 3 and rng.random() < 0.2:
                who = who._replace(met_error=True)
                events.append(Event(at := at + 1, "error"))
            elif rng.random() < 0.1:
                events.append(Event(at := at + 1, "chat"))
            if rng.random() >= chance(stage, who):
                break
        else:
            events.append(Event(at + 10, "purchase"))
        persons.append(
            Person(events, who.persona, ("email", "cpc", None)[rng.integers(3)], {"device": who.device})
        )  # fmt: skip
    return persons
