"""ClickHouse's `windowFunnel`, in process, as a second reference for the modes that it has.

It answers with a level only, and knows neither `within`, `grace`, exclusions nor sequences.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from journeyflow.kernel.plan import KernelPlan, compile_funnel
from journeyflow.kernel.run import process_chunk
from support.examples import SHARE
from support.kernel_logs import U, arrays_of, plan_with

query = pytest.importorskip("chdb").query
EVENT_TYPES = 6
SEEDS = range(2 if SHARE > 3 else 8)


def _log(persons: int, instants: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    rows = []
    for person in range(1, persons + 1):
        for _ in range(draw.randrange(1, 9)):
            rows.append(
                {
                    "event_ix": len(rows), "component_key": person, "device_key": person, "person_key": person,
                    "is_undecided": False, "user_key": None, "session_key": None, "source_ix": 0, "sequence": None,
                    "occurred_us": U * draw.randrange(instants), "event_type_ix": draw.randrange(EVENT_TYPES),
                    "is_offline": False,
                }
            )  # fmt: skip
    return rows


def _plan(steps: list[int], window: int, **settings: Any) -> KernelPlan:
    masks = [np.array([[event_type == step for event_type in range(EVENT_TYPES)]]) for step in steps]
    funnel = compile_funnel(1, masks, window_us=window * U, **settings)
    return plan_with(
        funnels=(funnel,), event_type_count=EVENT_TYPES, purchase=np.zeros(EVENT_TYPES, np.bool_), counted={}
    )


def _ours(log: list[dict[str, Any]], steps: list[int], window: int, **settings: Any) -> dict[int, int]:
    (units,) = process_chunk(arrays_of(log), _plan(steps, window, **settings))["kernel.funnel_units"]
    return dict(zip(units.column("person_key").to_pylist(), units.column("depth").to_pylist(), strict=True))


def _theirs(log: list[dict[str, Any]], steps: list[int], window: int, mode: str = "") -> dict[int, int]:
    values = ", ".join(f"({row['person_key']}, {row['occurred_us'] // U}, {row['event_type_ix']})" for row in log)
    conditions = ", ".join(f"kind = {step}" for step in steps)
    given = f"{window}, '{mode}'" if mode else str(window)
    answer = query(
        f"select person, windowFunnel({given})(toUInt32(at), {conditions}) as level "
        f"from values('person UInt64, at UInt32, kind UInt8', {values}) group by person having level > 0",
        "CSV",
    )
    lines = str(answer).split()
    return {int(person): int(level) for person, level in (line.split(",") for line in lines)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", [1, 3, 6])
def test_strictly_later_where_no_person_repeats_a_step(seed, window):
    # The first of each person's events of a type.
    log = list({(row["person_key"], row["event_type_ix"]): row for row in reversed(_log(150, 10, seed))}.values())
    steps = [0, 1, 2, 3]
    assert _ours(log, steps, window, is_strictly_later=True) == _theirs(log, steps, window, "strict_increase")


@pytest.mark.parametrize("seed", SEEDS)
def test_strictly_later_is_never_less_than_clickhouse_finds(seed):
    log = _log(150, 10, seed)
    ours = _ours(log, [0, 1, 2, 3], 4, is_strictly_later=True)
    theirs = _theirs(log, [0, 1, 2, 3], 4, "strict_increase")
    assert ours.keys() == theirs.keys()
    assert all(ours[person] >= level for person, level in theirs.items())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("window", [5, 40, 200])
def test_ordered_with_distinct_steps_where_nothing_ties(seed, window):
    log = _log(150, 10, seed)
    for place, row in enumerate(log):
        row["occurred_us"] = U * (row["occurred_us"] // U * 40 + place % 37)
    steps = [0, 1, 2, 3]
    assert _ours(log, steps, window) == _theirs(log, steps, window)


@pytest.mark.parametrize("seed", SEEDS)
def test_ties_convert_in_step_order(seed):
    # Among equal times ClickHouse sorts by step, as `same_instant` reads them when each event matches one step.
    log = _log(150, 6, seed)
    assert _ours(log, [0, 1, 2], 3) == _theirs(log, [0, 1, 2], 3)


@pytest.mark.parametrize(
    ("steps", "event_types", "times", "depth"),
    [
        ([0, 0, 1], [0, 0, 0, 1], [0, 1, 1, 2], 3),
        ([0, 1], [0, 0, 1], [0, 1, 1], 2),
    ],
)
def test_where_clickhouse_is_known_to_be_wrong(steps, event_types, times, depth):
    """With one state a step, an event that repeats a step overwrites the earlier one, and the chain is lost."""
    log = [
        row | {"person_key": 1, "component_key": 1, "device_key": 1, "event_type_ix": event_type, "occurred_us": U * at}
        for row, event_type, at in zip(_log(4, 1, seed=0), event_types, times, strict=False)
    ]
    assert _ours(log, steps, 10, is_strictly_later=True) == {1: depth}
    assert _theirs(log, steps, 10, "strict_increase")[1] < depth
