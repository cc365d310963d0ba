"""From touches and goals to credits: the models give what the slow reference gives, and all sums are exact."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from journeyflow.analyses.attribution import METHODS
from reference import attribution as reference
from support.marts import built

DAY = 86_400_000_000
BEGINNING = datetime(2026, 3, 1)
HIGH_WATER = 61 * DAY
LOOKBACK, HALF_LIFE = 10 * DAY, 4 * DAY
CHANNELS = ("cpc", "direct", "email", "store")


def world(seed):
    """Touches and goals of a few persons; times repeat, visits hold goals, and some persons do nothing."""
    chance = random.Random(seed)
    persons = {}
    for person in range(1, 16):
        moments = [chance.randrange(0, HIGH_WATER // DAY * 4) * DAY // 4 for _ in range(chance.randrange(0, 9))]
        touches = [
            reference.Touch(at, chance.choice(CHANNELS), session=person * 100 + place)
            for place, at in enumerate(moments)
        ]
        goals = []
        for place in range(chance.choice((0, 0, 1, 1, 2, 4))):
            visit = chance.choice(touches) if touches and chance.random() < 0.6 else None
            at = visit.at + chance.randrange(0, 3) * 1_000_000 if visit else chance.randrange(0, 60) * DAY + place
            if all(goal.at != at for goal in goals):
                goals.append(reference.Goal(at, Fraction(chance.randrange(1, 9999), 100), visit and visit.session))
        persons[person] = (touches, goals)
    return persons


def stamp(us):
    return str(BEGINNING + timedelta(microseconds=us))


def table(header, rows):
    lines = [" | ".join("" if cell is None else str(cell) for cell in row) for row in rows]
    return "\n".join([" | ".join(header), *lines])


def relations(persons, *, first_only):
    touches, goals, facts = [], [], []
    for person, (own, reached) in persons.items():
        facts.append((person, 1, persona(person)))
        touches += [(person, stamp(each.at), each.channel, each.session, -each.session, 1) for each in own]
        for number, goal in enumerate(sorted(reached, key=lambda goal: goal.at), 1):
            key = (1, person * 100 + number, person, 1, goal.session, stamp(goal.at), number)
            goals.append((*key, float(goal.value), "false"))
    days = [
        (index + 1, *(stamp(at * DAY) for at in (index, index + 1)), f"{BEGINNING + timedelta(index):%Y-%m}")
        for index in range(62)
    ]
    months = [
        (name, min(day[1] for day in days if day[-1] == name), max(day[2] for day in days if day[-1] == name))
        for name in sorted({day[-1] for day in days})
    ]
    return {
        "analyses.touches": table(
            ("person_key", "occurred_at", "channel", "session_ix", "event_ix", "journey_index"), touches
        ),
        "analyses.goal_events": table(
            (
                *("goal_index", "event_ix", "person_key", "journey_index", "session_ix", "goal_at", "goal_number"),
                *("value_amount", "is_rate_missing"),
            ),
            goals,
        ),
        "journeys.journey_facts": table(("person_key", "journey_index", "persona"), facts),
        "config.months": table(("month", "start_at", "end_at"), months),
        "config.days": table(("day_index", "start_at", "end_at", "month"), days),
        "config.settings": table(("high_water_at", "min_count", "report_currency"), [(stamp(HIGH_WATER), 1, "EUR")]),
        "config.attribution": table(
            ("goal", "goal_index", "lookback_us", "half_life_us", "is_first_only", "has_value"),
            [("order", 1, LOOKBACK, HALF_LIFE, first_only, "true")],
        ),
    }


def persona(person):
    return "ab"[person % 2]


def month(at):
    return f"{BEGINNING + timedelta(microseconds=at):%Y-%m}"


@pytest.mark.parametrize("seed", range(6))
def test_credits_equal_the_reference(seed):
    persons, first_only = world(seed), seed % 3 == 2
    groups = defaultdict(list)
    for person, (touches, goals) in persons.items():
        for path in reference.paths_of_person(touches, goals, LOOKBACK, HIGH_WATER, first_only=first_only):
            for group in (("all", "all"), (persona(person), "all"), ("all", month(path.ended_at))):
                groups[group].append(path)
    with built(("marts.attribution", "marts.attribution_paths"), relations(persons, first_only=first_only)) as engine:
        rows = engine.rows("select * from marts.attribution").to_pylist()
        listed = engine.rows("select * from marts.attribution_paths where persona = 'all'").to_pylist()
    found = defaultdict(dict)
    for row in rows:
        found[row["persona"], row["period"], row["method"]][row["channel"]] = row
    assert {key[:2] for key in found} == set(groups)
    for group, paths in groups.items():
        expected = reference.credits(paths, HALF_LIFE)
        for method in METHODS:
            credited = {channel: row["conversion_count"] for channel, row in found[*group, method].items()}
            wanted = {channel: float(count) for channel, count in expected[method].items() if count}
            assert {channel: float(count) for channel, count in credited.items() if count} == pytest.approx(
                wanted, abs=1.01e-4
            ), (group, method)
            converted = [path for path in paths if path.outcome == "converted"]
            assert sum(credited.values()) == len(converted)
            values = sum(row["value_amount"] for row in found[*group, method].values())
            assert values == sum(Decimal(path.value.numerator) / path.value.denominator for path in converted)
    counts = defaultdict(lambda: defaultdict(int))
    for path in groups["all", "all"]:
        counts[" > ".join(path.channels) or "none"][path.outcome] += 1
    assert {
        row["path"]: (row["conversion_count"], row["not_converted_count"], row["pending_count"])
        for row in listed
        if row["path"] != "other"
    } == {name: (each["converted"], each["not_converted"], each["pending"]) for name, each in counts.items()}
