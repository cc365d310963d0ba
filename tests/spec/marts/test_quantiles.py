"""Quantiles of equal times are that time, to the last digit: checks demand their order."""

import random

import pytest

from journeyflow.engines import DuckDBEngine
from support.few_models import all_models
from support.text_tables import create

GRAPH = all_models()
TIMES = [394.857355, *(random.Random(number).randrange(1, 10**12) / 1_000_000 for number in range(40))]


def built(name, givens):
    model = GRAPH[name]
    with DuckDBEngine(threads=1) as engine:
        for upstream in model.inputs:
            types = {column: described.type for column, described in GRAPH[upstream].columns.items()}
            create(engine, upstream, types, givens.get(upstream, ""))
        engine.run("actual.rows", model.sql)
        return engine.rows("select * from actual.rows").to_pylist()


@pytest.mark.parametrize("count", [2, 3, 7])
def test_three_quantiles_of_one_time_are_one(count):
    head = "funnel_index | persona | period | step_index | is_visited | is_matured | seconds_to_next"
    lines = [f"{n} | a | 2026-03 | 1 | true | true | {time}" for n, time in enumerate(TIMES) for _ in range(count)]
    rows = built("funnels.funnel_step_times", {"funnels.funnel_reaches": "\n".join([head, *lines])})
    found = {row["funnel_index"]: row for row in rows if row["persona"] == "a" and row["period"] == "all"}
    for number, time in enumerate(TIMES):
        assert [found[number][f"p{part}_seconds_to_next"] for part in (10, 50, 90)] == [time] * 3
