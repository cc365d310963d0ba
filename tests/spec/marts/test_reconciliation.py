"""Whatever the kernel says, the tables add up."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from spec.marts.test_funnel_tables import GIVEN, MARTS
from support.examples import examples
from support.marts import built

MARCH = datetime(2026, 3, 31)
WINDOW = timedelta(days=7)
STEPS = 3
TREND = "marts.funnel_trend"

units = st.lists(
    st.fixed_dictionaries(
        {
            "persona": st.sampled_from(["a", "b", "unassigned"]),
            # Half of the entries lie inside the last window, where units may be pending.
            "age": st.timedeltas(timedelta(hours=1), 2 * WINDOW).map(
                lambda age: timedelta(seconds=age // timedelta(seconds=1))
            ),
            "depth": st.integers(1, STEPS),
            "gaps": st.tuples(*[st.integers(0, 1000)] * STEPS),
            "is_excluded": st.booleans(),
            "kinds": st.tuples(*[st.integers(1, 4)] * STEPS),
            "next_kind": st.sampled_from([None, 1, 2, 4]),
            "is_tie_decided": st.booleans(),
        }
    ),
    max_size=25,
)


def table(rows):
    """Write rows as a text table."""
    header = list(rows[0])
    lines = [" | ".join(header)]
    lines += [" | ".join("" if row[name] is None else str(row[name]) for name in header) for row in rows]
    return "\n".join(lines)


def kernel_of(units):
    """Return the kernel's relations for random units, one attempt each."""
    journeys, personas, attempts, reaches, days = [], [], [], [], []
    for key, unit in enumerate(units, 1):
        entered, depth = MARCH - unit["age"], unit["depth"]
        matured = unit["age"] >= WINDOW
        person = {"person_key": key, "journey_index": 1}
        outcome = {
            "depth": depth,
            "is_pending": not matured and depth < STEPS and not unit["is_excluded"],
            "is_matured": matured,
        }
        journeys.append({**person, "entered_at": entered, "last_event_at": entered})
        personas.append({**person, "persona": unit["persona"]})
        ids = {"funnel_index": 1, "unit_key": key, **person, "entry_day": entered.date(), **outcome}
        attempts.append({"attempt_ix": key, **ids, "entered_at": entered, "is_tie_decided": unit["is_tie_decided"]})
        days.append(ids)
        reaches += steps_of(key, unit, entered)
    return {
        "kernel.journeys": table(journeys),
        "journeys.personas": table(personas),
        "kernel.funnel_units": table(attempts),
        "kernel.funnel_reaches": table(reaches),
        "kernel.funnel_days": table(days),
    }


def steps_of(key, unit, entered):
    times = [entered + timedelta(seconds=sum(unit["gaps"][1 : step + 1])) for step in range(unit["depth"])]
    for step, at in enumerate(times):
        following = times[step + 1] if step + 1 < len(times) else None
        yield {
            "funnel_index": 1,
            "attempt_ix": key,
            "step_index": step + 1,
            "reached_at": at,
            "event_ix": key * 10 + step,
            "is_visited": True,
            "visited_at": at,
            "next_at": following,
            "last_event_type_ix": unit["kinds"][step],
            "last_at": at,
            "next_event_type_ix": unit["next_kind"],
        }


def counted(units, persona, step):
    """Count in plain Python what a row of `funnel_steps` says."""
    mine = [unit for unit in units if persona in ("all", unit["persona"]) and unit["depth"] >= step]
    stayed = [unit for unit in mine if unit["depth"] == step]
    pending = [unit for unit in stayed if unit["age"] < WINDOW and not unit["is_excluded"]]
    left = [unit for unit in stayed if unit not in pending]
    matured = [unit for unit in mine if unit["age"] >= WINDOW]
    is_last = step == STEPS
    return {
        "person_count": len(mine),
        "converted_count": len(mine) if is_last else len(mine) - len(stayed),
        "pending_count": None if is_last else len(pending),
        "drop_off_count": None if is_last else len(left),
        "matured_count": len(matured),
    }


@settings(max_examples=examples(15), deadline=None)
@given(units)
def test_counts_are_those_of_a_plain_count_and_all_tables_reconcile(units):
    given_tables = (
        {**GIVEN, **kernel_of(units)} if units else {name: text for name, text in GIVEN.items() if "config" in name}
    )
    # `built` runs every check of every model: outcomes, personas, months and drop-offs add up, rates stay in bounds.
    with built((*MARTS, TREND), given_tables) as engine:
        steps = engine.rows("select * from marts.funnel_steps where period = 'all'").to_pylist()
        left = engine.rows("select * from marts.drop_offs where period = 'all' and persona = 'all'").to_pylist()
        trend = engine.rows(f"select * from {TREND} where persona = 'all' and step_index = 1").to_pylist()
    for row in steps:
        expected = counted(units, row["persona"], row["step_index"])
        assert {name: row[name] for name in expected} == expected
    by_step = Counter()
    for row in left:
        by_step[row["step_index"]] += row["drop_off_count"]
    for row in steps:
        if row["persona"] == "all":
            assert by_step[row["step_index"]] == (row["drop_off_count"] or 0)
    assert sum(row["person_count"] for row in trend) == len(units)
