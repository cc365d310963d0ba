from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from journeyflow.engines import DuckDBEngine
from journeyflow.statistics.proportions import stage_intervals, step_intervals, wilson_interval

Z = 1.959963984540054


def test_the_interval_is_wilson_s():
    low, high = wilson_interval(np.array([7]), np.array([20]))
    middle = (7 / 20 + Z**2 / 40) / (1 + Z**2 / 20)
    half = Z / (1 + Z**2 / 20) * math.sqrt(0.35 * 0.65 / 20 + Z**2 / 1600)
    assert math.isclose(low[0], middle - half, rel_tol=1e-12)
    assert math.isclose(high[0], middle + half, rel_tol=1e-12)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1))
def test_the_rate_is_inside_and_nothing_leaves_the_unit_interval(pairs):
    counts = np.array([min(pair) for pair in pairs])
    totals = np.array([max(pair) for pair in pairs])
    low, high = wilson_interval(counts, totals)
    known = totals > 0
    rates = counts[known] / totals[known]
    assert ((low[known] >= 0) & (low[known] <= rates) & (rates <= high[known]) & (high[known] <= 1)).all()
    assert np.isnan(low[~known]).all()


def test_nobody_has_no_interval_and_it_is_null_not_nan():
    with DuckDBEngine(threads=1) as engine:
        counts = {
            "funnel_index": pa.array([1, 1], pa.int32()),
            "persona": ["all", "all"],
            "period": ["all", "all"],
            "step_index": pa.array([1, 2], pa.int32()),
            "matured_count": [10, 0],
            "matured_next_count": [0, 0],
        }
        engine.register("funnels.funnel_step_counts", pa.table(counts))
        rows = step_intervals(engine).sort_by("step_index").to_pylist()
    assert rows[0]["drop_off_rate_high"] == 1.0
    assert 0.6 < rows[0]["drop_off_rate_low"] < 0.8
    assert (rows[1]["drop_off_rate_low"], rows[1]["drop_off_rate_high"]) == (None, None)


def test_a_stage_of_the_map_has_the_interval_of_those_who_left_it():
    with DuckDBEngine(threads=1) as engine:
        bases = {
            "model_index": pa.array([1], pa.int32()),
            "persona": ["all"],
            "period": ["2026-03"],
            "stage_index": pa.array([1], pa.int32()),
            "matured_count": [20],
            "matured_next_count": [13],
        }
        engine.register("map.stage_bases", pa.table(bases))
        [row] = stage_intervals(engine).to_pylist()
    low, high = wilson_interval(np.array([7]), np.array([20]))
    assert row == {"model_index": 1, "persona": "all", "period": "2026-03", "stage_index": 1} | {
        "drop_off_rate_low": low[0],
        "drop_off_rate_high": high[0],
    }
