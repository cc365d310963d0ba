"""Retention, repeat purchases and lifecycle are what a plain reading of their rules says, on any small world."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import product
from math import ceil
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from journeyflow.engines import DuckDBEngine
from support import cohort_world
from support.examples import examples

ZONE = "Europe/Berlin"
START = datetime(2025, 12, 29)
AGES = 4
WIDTH = timedelta(days=10)
COHORTS = {
    "starts": {
        "any": {"bucket": "10d", "ages": AGES},
        "order": {
            "start": "order",
            "return": {"event": ["purchase", "view"]},
            "bucket": "month",
            "ages": AGES,
            "by": "week",
        },
    }
}
STATES = ("new", "returning", "resurrecting", "dormant", "pending")
BACK = {"any": {"view", "purchase", "call"}, "order": {"view", "purchase"}}
PERSONAS = {(1, 1): "a", (2, 1): "b", (2, 2): "a", (3, 2): "b"}
HOURS = st.one_of(st.integers(0, 24 * 60), st.sampled_from([0, 240, 241, 479, 480, 720, 743, 744, 960]))
EVENTS = st.lists(
    st.tuples(
        st.integers(1, 4), HOURS, st.sampled_from(["view", "purchase", "call"]), st.sampled_from(["web", "shop", "all"])
    ),
    max_size=14,
)
ORDERED = [(1, 300, "purchase", "web"), (2, 0, "purchase", "web"), (3, 0, "purchase", "web")]
"""The first one's next order comes on a day after it that is not over for them, and is for the others."""


@pytest.fixture(scope="module")
def engine():
    with DuckDBEngine(threads=1) as engine:
        yield engine


def month_of(at):
    return at.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(ZONE)).strftime("%Y-%m")


def month_number(at):
    year, month = month_of(at).split("-")
    return 12 * int(year) + int(month)


def week_of(at):
    day = at.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(ZONE)).date()
    return (day - timedelta(days=day.weekday())).isoformat()


def starts_of(events, name):
    """Return of each person the first event that starts, as (time, number, journey, channel)."""
    found = {}
    for number, (person, at, event, channel, journey) in enumerate(events):
        if (name == "any" or event == "purchase") and person not in found:
            found[person] = (at, number, journey, "all (channel)" if channel == "all" else channel)
    return found


def lives_of(events, mark, name):
    """Return of each person who started: persona, channel, cohort, ages of returns, number of ages over."""
    lives = []
    for person, (start, _, journey, channel) in starts_of(events, name).items():
        ages = set()
        for who, at, event, _, _ in events:
            if who == person and at > start and event in BACK[name]:
                ages.add((at - start) // WIDTH if name == "any" else month_number(at) - month_number(start))
        over = (mark - start) // WIDTH if name == "any" else month_number(mark) - month_number(start)
        cohort = month_of(start) if name == "any" else week_of(start)
        persona = PERSONAS.get((person, journey), "unassigned")
        lives.append((persona, channel, cohort, {age for age in ages if age < AGES}, min(over, AGES)))
    return lives


def on(lives, age, *, is_total):
    if is_total:
        lives = [life for life in lives if life[4] == AGES]
    back = sum(age in life[3] for life in lives)
    settled = [life for life in lives if life[4] > age]
    hits = sum(age in life[3] for life in settled)
    rate = Fraction(hits, len(settled)) if settled else None
    return len(lives), back, len(settled) - hits, rate


def on_or_after(lives, age):
    back = sum(any(each >= age for each in life[3]) for life in lives)
    gone = sum(life[4] == AGES and not any(each >= age for each in life[3]) for life in lives)
    away = Fraction(1)
    for later in range(age, AGES):
        waiting = [life for life in lives if life[4] > later and not life[3] & set(range(age, later))]
        if waiting:
            away *= 1 - Fraction(sum(later in life[3] for life in waiting), len(waiting))
    return len(lives), back, gone, 1 - away if any(life[4] > age for life in lives) else None


def wanted_retention(events, mark):
    """Return the rows of every start, persona, channel and cohort in which somebody started."""
    wanted = {}
    for name in BACK:
        groups = defaultdict(list)
        for life in lives_of(events, mark, name):
            for group, cohort in product([(life[0], "all"), ("all", life[1]), ("all", "all")], [life[2], "all"]):
                groups[*group, cohort].append(life)
        for group, lives in groups.items():
            least = None
            for age in reversed(range(AGES)):
                wanted[name, *group, age, "on"] = on(lives, age, is_total=group[2] == "all")
                *counts, rate = on_or_after(lives, age)
                # Whoever is back at a later age or after it is back after this one.
                least = rate if least is None else max(rate, least)
                wanted[name, *group, age, "on_or_after"] = (*counts, least)
    return wanted


def slot(wait):
    """Return the end of the slot in which a wait ends: an hour of the first week, a day after it."""
    unit = timedelta(hours=1) if wait <= timedelta(days=7) else timedelta(days=1)
    return ceil(wait / unit) * unit


def wanted_repeats(events, mark):
    groups = defaultdict(list)
    for person in {event[0] for event in events}:
        orders = sorted(
            {(at, journey) for who, at, event, _, journey in events if who == person and event == "purchase"}
        )
        for number, (at, journey) in enumerate(orders, 1):
            wait = orders[number][0] - at if number < len(orders) else None
            persona = PERSONAS.get((person, journey), "unassigned")
            for group in product([persona, "all"], [number], [month_of(at), "all"]):
                groups[group].append((wait, mark - at))
    wanted = {}
    for group, waits in groups.items():
        again = sum(wait is not None for wait, _ in waits)
        rates = []
        for horizon in (30, 60):
            ends = [timedelta(hours=hour) for hour in range(1, 169)] + [
                timedelta(days=n) for n in range(8, horizon + 1)
            ]
            still, at_risk = Fraction(1), []
            for end in ends:
                at_risk = [w for w, seen in waits if seen >= end and (w is None or slot(w) >= end)]
                if at_risk:
                    still *= 1 - Fraction(sum(w is not None and slot(w) == end for w in at_risk), len(at_risk))
            rates.append(1 - still if at_risk or still == 0 else None)
        wanted[group] = (len(waits), again, len(waits) - again, *rates)
    return wanted


def wanted_lifecycle(events, mark):
    active = defaultdict(set)
    persona = {}
    for person, at, _, _, journey in events:
        active[person].add(month_number(at))
        persona.setdefault(person, PERSONAS.get((person, journey), "unassigned"))
    first = min((event[1] for event in events), default=mark)
    wanted = {}
    for month in range(month_number(first), month_number(mark) + 1):
        label = f"{(month - 1) // 12}-{(month - 1) % 12 + 1:02}"
        for group in ("all", "a", "b", "unassigned"):
            counts = Counter()
            for person, months in active.items():
                if group not in ("all", persona[person]):
                    continue
                if month in months:
                    before = [each for each in months if each < month]
                    counts["new" if not before else "returning" if month - 1 in before else "resurrecting"] += 1
                elif month - 1 in months:
                    counts["pending" if month == month_number(mark) else "dormant"] += 1
            wanted[label, group] = tuple(
                counts[name] for name in ("new", "returning", "resurrecting", "dormant", "pending")
            )
    return wanted


def same(actual, expected):
    return (actual is None) == (expected is None) and (actual is None or abs(actual - float(expected)) < 1e-9)


@settings(max_examples=examples(36), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, HOURS)
@example([], 100)
@example([(1, 0, "view", "web")], 240)
@example([(1, 0, "purchase", "web"), (1, 240, "view", "shop"), (2, 0, "purchase", "web")], 480)
@example(
    [(1, 0, "purchase", "web"), (1, 720, "purchase", "web"), (2, 0, "purchase", "all"), (3, 1, "purchase", "web")], 720
)
@example([(1, 0, "view", "web"), (1, 960, "view", "web")], 1000)
@example([*ORDERED, (1, 950, "purchase", "web"), (3, 660, "purchase", "web")], 960)
def test_the_tables_are_what_the_rules_say(engine, events, mark_hour):
    mark = START + timedelta(hours=mark_hour)
    timed = sorted((person, START + timedelta(hours=hour), event, channel) for person, hour, event, channel in events)
    # A second journey from day 25 on; of one instant the earlier number comes first.
    known = sorted(
        [(*event, 1 if event[1] < START + timedelta(days=25) else 2) for event in timed if event[1] <= mark],
        key=lambda event: event[1],
    )
    names = {"person_key": pl.UInt64, "occurred_at": pl.Datetime("us"), "event_name": pl.String, "channel": pl.String}
    frame = pl.DataFrame(known, schema=names | {"journey_index": pl.Int32}, orient="row")
    # The first journey of a person is number 1.
    firsts = frame.group_by("person_key").agg(pl.col("journey_index").min().alias("least"))
    frame = (
        frame.join(firsts, on="person_key", maintain_order="left")
        .with_columns(pl.col("journey_index") - pl.col("least") + 1)
        .drop("least")
    )
    known = frame.select(*names, "journey_index").rows()
    personas = [{"name": name, "when": {"first.channel": name}} for name in ("a", "b")]
    built = cohort_world.build(
        engine, frame, mark, PERSONAS, cohorts=COHORTS, timezone=ZONE, personas=personas,
        goals={"order": {"when": {"event": "purchase"}}},
    )  # fmt: skip

    wanted = wanted_retention(known, mark)
    for row in built["retention"].to_dicts():
        key = tuple(row[name] for name in ("start", "persona", "channel", "cohort", "age_index", "rule"))
        persons, back, gone, rate = wanted.pop(key, (0, 0, 0, None))
        counts = tuple(row[f"{name}_count"] for name in ("person", "returned", "not_returned", "pending"))
        assert counts == (persons, back, gone, persons - back - gone), key
        assert same(row["retention_rate"], rate), key
    assert not wanted, "every group with a person has its rows"

    repeats = {}
    for row in built["repeat_purchases"].to_dicts():
        assert row["not_again_count"] == 0, "no world lasts 180 days"
        columns = ("person_count", "ordered_again_count", "pending_count", "within_30d_rate", "within_60d_rate")
        repeats[row["persona"], row["order_number"], row["period"]] = tuple(row[name] for name in columns)
    expected = wanted_repeats(known, mark)
    assert set(repeats) == set(expected)
    assert all(same(one, other) for key, row in repeats.items() for one, other in zip(row, expected[key], strict=True))

    lifecycle = {
        (row["period"], row["persona"]): tuple(row[f"{name}_count"] for name in STATES)
        for row in built["lifecycle"].to_dicts()
    }
    assert lifecycle == wanted_lifecycle(known, mark)
