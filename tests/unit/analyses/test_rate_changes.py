"""The split of a change of a rate into who came and what they did."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from journeyflow.analyses.rate_changes import rate_changes, slice_effects, symmetric_effects
from journeyflow.engines import DuckDBEngine
from support.orders import mean_over_orders
from support.text_tables import create


@pytest.mark.parametrize("count", range(1, 8))
def test_the_effects_are_the_mean_over_all_orders(count):
    old, new = np.random.default_rng(count).uniform(0, 1, (2, count))
    assert symmetric_effects(old, new) == pytest.approx(mean_over_orders(np.prod, old, new), abs=1e-15)


def test_the_effects_of_fifty_factors_sum_to_the_change():
    old, new = np.random.default_rng(1).uniform(0.8, 1, (2, 50))
    assert symmetric_effects(old, new).sum() == pytest.approx(new.prod() - old.prod(), abs=1e-12)


def test_the_names_of_the_factors_do_not_matter():
    old, new = np.array([0.2, 0.5, 0.9]), np.array([0.3, 0.1, 0.4])
    expected = dict(enumerate(symmetric_effects(old, new)))
    for order in permutations(range(3)):
        found = symmetric_effects(old[list(order)], new[list(order)])
        assert dict(zip(order, found, strict=True)) == pytest.approx(expected, abs=1e-15)


def test_one_step_is_kitagawas_decomposition():
    old, new = np.array([[60, 40], [180, 20]]), np.array([[90, 110], [90, 10]])
    shares = np.array([[1 / 3, 2 / 3], [2 / 3, 1 / 3]])
    rates = np.array([[0.4, 0.1], [0.55, 0.1]])
    overall = (shares * rates).sum(axis=1).mean()
    mix = (shares[1] - shares[0]) * (rates.mean(axis=0) - overall)
    step = shares.mean(axis=0) * (rates[1] - rates[0])
    assert slice_effects(old, new) == pytest.approx(np.stack((mix, step), axis=1), abs=1e-15)


def test_a_slice_of_one_month_changes_the_mix_alone():
    old, new = np.array([[50, 30, 20], [0, 0, 0]]), np.array([[50, 30, 20], [10, 40, 50]])
    effects = slice_effects(old, new)
    assert effects[:, 1:] == pytest.approx(np.zeros((2, 2)), abs=1e-15)
    assert effects.sum() == pytest.approx(70 / 200 - 20 / 100, abs=1e-15)
    assert effects[1, 0] > 0, "a new slice that converts better than the funnel raises it"


def test_a_step_that_nobody_could_take_did_not_change():
    old, new = np.array([[10, 0, 0]]), np.array([[5, 3, 2]])
    mix, first, second = slice_effects(old, new)[0]
    assert (mix, first, second) == pytest.approx((0, 0.2, 0), abs=1e-15)


DAY = 86_400_000_000
WINDOW = 7 * DAY


def changes(cells, least=10):
    """Return the rows of tiny months of one funnel of two steps, by slice and step."""
    with DuckDBEngine(threads=1) as engine:
        create(engine, "config.settings", {"min_count": "BIGINT"}, f"min_count\n{least}")
        types = {"funnel_index": "INTEGER", "funnel": "VARCHAR", "step_count": "INTEGER"}
        create(engine, "config.funnels", types, "funnel_index | funnel | step_count\n1 | order | 2")
        columns = ("period", "slice", "depth", "unit_count", "age_us")
        rows = [dict(zip(columns, (*cell, WINDOW)[: len(columns)], strict=True)) for cell in cells]
        types = [pa.string(), pa.string(), pa.int32(), pa.int64(), pa.int64()]
        table = pa.Table.from_pylist(rows, pa.schema(list(zip(columns, types, strict=True))))
        table = table.append_column("funnel_index", pa.array([1] * len(rows), pa.int32()))
        table = table.append_column("span_us", pa.array([32 * DAY] * len(rows), pa.int64()))
        engine.register(
            "analyses.month_cells", table.append_column("dimension", pa.array(["persona"] * len(rows), pa.string()))
        )
        found = rate_changes(engine).to_pylist()
    return {(row["period"], row["slice"], row["step_index"]): row for row in found}


FALLEN = [
    ("2026-01", "a", 1, 50), ("2026-01", "a", 2, 150), ("2026-01", "b", 1, 90), ("2026-01", "b", 2, 10),
    ("2026-02", "a", 0, 7), ("2026-02", "a", 1, 120), ("2026-02", "a", 2, 80), ("2026-02", "b", 1, 90),
    ("2026-02", "b", 2, 10), ("2026-02", "c", 1, 3),
]  # fmt: skip


def test_a_fall_is_of_the_slice_and_step_where_it_is():
    found = changes(FALLEN)
    total, step = found["2026-02", "all", 1], found["2026-02", "all", 2]
    assert total["effect"] + step["effect"] == pytest.approx(90 / 303 - 160 / 300, abs=1e-15)
    assert total["share_of_change"] + step["share_of_change"] == pytest.approx(1)
    assert (step["old_count"], step["new_count"], step["pending_count"], step["old_period"]) == (300, 303, 7, "2026-01")
    assert step["effect_high"] < 0
    assert step["q_value"] < 0.001
    assert found["2026-02", "a", 2]["effect_high"] < 0
    assert (found["2026-02", "a", 2]["old_factor"], found["2026-02", "a", 2]["new_factor"]) == (0.75, 0.4)
    assert found["2026-02", "b", 2]["effect_low"] < 0 < found["2026-02", "b", 2]["effect_high"]


def test_too_few_have_an_effect_and_no_interval():
    row = changes(FALLEN)["2026-02", "c", 1]
    assert row["is_small"]
    assert row["effect"] < 0
    assert (row["effect_low"], row["effect_high"], row["q_value"], row["old_rate"]) == (None, None, None, None)


def test_the_figures_of_a_pair_of_months_do_not_move_with_later_months():
    later = [("2026-03", "a", 1, 10), ("2026-03", "d", 2, 20)]
    before, after = changes(FALLEN), changes([*FALLEN, *later])
    assert {key: after[key] for key in before} == before
    assert len(after) > len(before)


def test_a_month_of_which_no_window_is_over_is_not_compared():
    assert changes([*FALLEN, ("2026-03", "a", 0, 10)]).keys() == changes(FALLEN).keys()


def test_a_young_month_is_compared_with_the_month_before_it_at_the_same_age():
    """In the end 60 % of January went on, after a day 30 %: as many as of February, which is a day old."""
    young = [("2026-01", "a", 1, 70, DAY), ("2026-01", "a", 2, 30, DAY)]
    young += [("2026-02", "a", 0, 500, DAY), ("2026-02", "a", 1, 70, DAY), ("2026-02", "a", 2, 30, DAY)]
    found = changes(
        [("2025-12", "a", 1, 40), ("2025-12", "a", 2, 60), ("2026-01", "a", 1, 40), ("2026-01", "a", 2, 60), *young]
    )
    row = found["2026-02", "all", 2]
    assert (row["old_rate"], row["new_rate"], row["effect"], row["pending_count"]) == (0.3, 0.3, 0, 500)
    assert {key: row["age_us"] for key, row in found.items() if key[1:] == ("all", 1)} == {
        ("2026-01", "all", 1): WINDOW, ("2026-02", "all", 1): DAY
    }  # fmt: skip


def test_a_month_that_has_just_begun_does_not_change_how_the_months_before_it_are_read():
    """Of March nobody has reached any age: February is read at the window for it, and at a day for January."""
    february = [("2026-02", "a", 1, 70, DAY), ("2026-02", "a", 2, 30, DAY), ("2026-02", "a", 0, 500)]
    found = changes([("2026-01", "a", 1, 80, DAY), ("2026-01", "a", 2, 20, DAY), *february, ("2026-03", "a", 0, 9)])
    assert {period for period, *_ in found} == {"2026-02"}
    assert found["2026-02", "all", 2]["effect"] == pytest.approx(0.1)


def test_nobody_entered():
    assert changes([]) == {}


def test_months_that_differ_by_chance_are_seldom_beyond_noise():
    random = np.random.default_rng(3)
    beyond = []
    for _ in range(40):
        drawn = random.multinomial(400, [0.2, 0.2, 0.3, 0.3], size=2)
        cells = [
            (f"2026-0{month + 1}", "ab"[at // 2], at % 2 + 1, int(count))
            for month, counts in enumerate(drawn)
            for at, count in enumerate(counts)
        ]
        row = changes(cells)["2026-02", "all", 2]
        beyond.append(row["effect_low"] > 0 or row["effect_high"] < 0)
    assert sum(beyond) <= 6


def test_a_slice_in_which_all_went_on_has_an_interval():
    """All 30 of a month is no proof that nobody ever leaves: 28 of 30 in the next are no change beyond noise."""
    cells = [("2026-01", "a", 2, 30), ("2026-02", "a", 1, 2), ("2026-02", "a", 2, 28)]
    row = changes([*cells, *((month, "b", depth, 200) for month in ("2026-01", "2026-02") for depth in (1, 2))])
    assert row["2026-02", "a", 2]["effect"] < 0 < row["2026-02", "a", 2]["effect_high"]
    certain = changes([("2026-01", "a", 2, 30), ("2026-02", "a", 2, 30)])["2026-02", "a", 2]
    assert certain["effect_low"] < 0 == certain["effect"] < certain["effect_high"]
