"""Differences beyond chance: planted ones are found first, and none where there is none."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from journeyflow.errors import InputError, NotFoundError
from journeyflow.publish.reader import open_published
from journeyflow.report.compare import compare_days, compare_maps
from support.map_tables import publish_tables

STAGES = ("aware", "decide", "buy")
TOUCHPOINTS = tuple(f"web: page {number}" for number in range(30))
FIRST = date(2026, 1, 1)


def stage_rows(persona, period, counts, *, is_small=False):
    rows = []
    for index, stage in enumerate(STAGES, start=1):
        reached, following = counts[index - 1], counts[index] if index < len(STAGES) else None
        rows.append(
            {"model": "shop", "persona": persona, "period": period, "stage": stage, "stage_index": index}
            | {"person_count": reached, "visited_count": reached, "matured_count": reached, "is_small": is_small}
            | {"matured_next_count": reached if following is None else following}
        )
    return rows


def touchpoint_rows(persona, period, visited, met):
    return [
        {"model": "shop", "persona": persona, "period": period, "stage": "aware", "touchpoint": name}
        | {"person_count": number, "visited_count": visited, "matured_count": number, "matured_next_count": number // 2}
        | {"matured_without_count": visited - number, "matured_without_next_count": 0, "is_small": False}
        for name, number in zip(TOUCHPOINTS, met, strict=True)
        if number
    ]


def persona_rows(names):
    return [{"persona": name, "person_count": 1, "share_rate": 1.0} for name in ("all", *names)]


def published(folder, tables):
    publish_tables(folder, tables)
    return open_published(folder)


def two_personas(folder, a, b, *, met=(None, None), **more):
    """Publish personas `a` and `b` with counts per stage, and all persons as their sum."""
    met = [each if each is not None else [50] * len(TOUCHPOINTS) for each in met]
    both = [x + y for x, y in zip(a, b, strict=True)]
    tables = {
        "personas": persona_rows(("a", "b")),
        "map_stages": [row for name, n in (("a", a), ("b", b), ("all", both)) for row in stage_rows(name, "all", n)],
        "touchpoints": [
            *touchpoint_rows("a", "all", a[0], met[0]),
            *touchpoint_rows("b", "all", b[0], met[1]),
            *touchpoint_rows("all", "all", both[0], [x + y for x, y in zip(*met, strict=True)]),
        ],
    }
    return published(folder, tables | more)


def test_the_planted_difference_comes_first_with_its_interval(tmp_path):
    with two_personas(tmp_path, (1000, 700, 300), (1000, 400, 170)) as marts:
        found = compare_maps(marts, ("a", "b"), model="shop")
    first = found.rows.row(0, named=True)
    assert (first["figure"], first["place"], first["is_beyond_chance"]) == ("leave the stage", "aware", True)
    assert (first["rate_a"], first["rate_b"], first["base_a"]) == (0.3, 0.6, 1000)
    assert first["difference"] == pytest.approx(0.3)
    assert first["difference_low"] < 0.3 < first["difference_high"]
    # Newcombe (1998), method 10, of 300 and 600 in 1,000.
    assert (first["difference_low"], first["difference_high"]) == pytest.approx((0.2577, 0.3405), abs=5e-4)
    assert found.rows["is_beyond_chance"].sum() == 1
    assert found.rows["p_value"].is_sorted()


def test_false_discoveries_are_controlled(tmp_path):
    chance, listed = np.random.default_rng(3), 0
    for trial in range(12):
        met = [chance.binomial(800, 0.2, len(TOUCHPOINTS)).tolist() for _ in range(2)]
        with two_personas(tmp_path / str(trial), (800, 400, 100), (800, 400, 100), met=met) as marts:
            listed += compare_maps(marts, ("a", "b"), model="shop").rows["is_beyond_chance"].any()
    # Where nothing differs, a false discovery is expected in at most one of twenty comparisons.
    assert listed <= 2


def test_everybody_is_all_other_persons(tmp_path):
    with two_personas(tmp_path, (1000, 700, 300), (1000, 400, 170)) as marts:
        others = compare_maps(marts, ("a", "everybody"), model="shop")
        direct = compare_maps(marts, ("a", "b"), model="shop")
        turned = compare_maps(marts, ("everybody", "a"), model="shop")
    assert others.second == "everybody else"
    assert others.rows.equals(direct.rows)
    key = ["figure", "place", "subject"]
    assert turned.rows.sort(key)["difference"].to_list() == pytest.approx(
        [-x for x in direct.rows.sort(key)["difference"]]
    )


def test_a_persona_defined_by_an_outcome_is_named(tmp_path):
    people = [row | {"is_outcome_based": row["persona"] == "b"} for row in persona_rows(("a", "b"))]
    with two_personas(tmp_path, (500, 300, 100), (500, 300, 100), personas=people) as marts:
        assert "true by definition: b." in compare_maps(marts, ("a", "b"), model="shop").note


def test_a_touchpoint_that_one_side_never_met_counts_as_none(tmp_path):
    met = ([0, *[50] * 29], [90, *[50] * 29])
    with two_personas(tmp_path, (500, 300, 100), (500, 300, 100), met=met) as marts:
        first = compare_maps(marts, ("a", "b"), model="shop").rows.row(0, named=True)
    assert (first["figure"], first["subject"]) == ("meet it", TOUCHPOINTS[0])
    assert (first["rate_a"], first["rate_b"], first["base_a"]) == (0.0, 0.18, 500)


def test_small_groups_are_left_out(tmp_path):
    tables = {
        "personas": persona_rows(("a", "b")),
        "map_stages": [
            *stage_rows("a", "all", (9, 1, 0), is_small=True), *stage_rows("b", "all", (900, 800, 700))
        ],
    }  # fmt: skip
    with published(tmp_path, tables) as marts:
        assert compare_maps(marts, ("a", "b"), model="shop").rows.is_empty()


def test_sentiment_is_compared_where_it_is_known_in_the_same_way(tmp_path):
    def felt(persona, stage, mean, half, method):
        return {"model": "shop", "persona": persona, "period": "all", "stage": stage, "sentiment": mean} | {
            "sentiment_low": mean - half, "sentiment_high": mean + half, "answer_count": 90, "method": method,
        }  # fmt: skip

    feelings = [
        felt("a", "buy", -0.4, 0.1, "text"), felt("b", "buy", 0.4, 0.1, "text"),
        felt("a", "decide", -0.4, 0.1, "text"), felt("b", "decide", 0.4, 0.1, "surveys"),
    ]  # fmt: skip
    with two_personas(tmp_path, (500, 300, 100), (500, 300, 100), stage_sentiment=feelings) as marts:
        rows = compare_maps(marts, ("a", "b"), model="shop").rows
    (only,) = rows.filter(pl.col("figure") == "sentiment").to_dicts()
    assert (only["place"], only["unit"], only["is_beyond_chance"]) == ("buy", "score", True)
    assert (only["difference_low"], only["difference_high"]) == pytest.approx((0.8 - 0.02**0.5, 0.8 + 0.02**0.5))


def test_months_are_compared_and_wrong_names_refused(tmp_path):
    months = {"2026-01": (1000, 700, 300), "2026-02": (1000, 500, 210)}
    rows = [row for period, counts in months.items() for row in stage_rows("all", period, counts)]
    with published(tmp_path, {"personas": persona_rows(("a",)), "map_stages": rows}) as marts:
        found = compare_maps(marts, ("2026-01", "2026-02"), model="shop")
        assert (found.first, found.second) == ("2026-01", "2026-02")
        assert found.rows["place"][0] == "aware"
        with pytest.raises(NotFoundError, match="no month '2026-03'"):
            compare_maps(marts, ("2026-01", "2026-03"), model="shop")
        for mixed in (("a", "2026-01"), ("2026-01", "everybody")):
            with pytest.raises(InputError, match="A persona and a month cannot be compared"):
                compare_maps(marts, mixed, model="shop")
        with pytest.raises(NotFoundError, match="no persona or month 'nobody'"):
            compare_maps(marts, ("a", "nobody"), model="shop")
        with pytest.raises(InputError, match="Both sides are a"):
            compare_maps(marts, ("a", "a"), model="shop")
        with pytest.raises(InputError, match="name a persona"):
            compare_maps(marts, ("all", "everybody"), model="shop")


def trend_rows(entered, left, *, matured=60):
    steps = [
        {"funnel": "checkout", "persona": "all", "period": "all", "step_index": index, "step": step, "kind": "steps"}
        for index, step in enumerate(("cart", "paid"), start=1)
    ]
    days = [
        {"funnel": "checkout", "persona": "all", "entry_date": FIRST + timedelta(days=at), "step_index": index}
        | {"person_count": n if index == 1 else n - out, "drop_off_count": out if index == 1 else None}
        | {"is_matured": at < matured}
        for at, (n, out) in enumerate(zip(entered, left, strict=True))
        for index in (1, 2)
    ]
    return {"funnel_steps": steps, "funnel_trend": days}


def test_a_break_at_a_day_is_found(tmp_path):
    chance = np.random.default_rng(5)
    entered = chance.poisson(50, 60)
    left = [chance.binomial(n, 0.3 if at < 30 else 0.5) for at, n in enumerate(entered)]
    with published(tmp_path, trend_rows(entered, left)) as marts:
        found = compare_days(marts, FIRST + timedelta(days=30), 28)
    first = found.rows.row(0, named=True)
    assert (first["figure"], first["place"], first["is_beyond_chance"]) == ("leave the step", "checkout: cart", True)
    assert first["base_a"] == sum(entered[2:30])
    assert first["difference_low"] < 0.2 < first["difference_high"]
    entry = found.rows.filter(pl.col("figure") == "enter a day").row(0, named=True)
    assert entry["unit"] == "per day"
    assert not entry["is_beyond_chance"]


def test_the_spread_between_days_is_no_difference(tmp_path):
    """Days that differ by themselves: tests that take persons as independent would find a difference in most trials."""
    chance, found = np.random.default_rng(8), 0
    for trial in range(12):
        entered = np.full(60, 400)
        left = [chance.binomial(400, chance.uniform(0.2, 0.6)) for _ in range(60)]
        with published(tmp_path / str(trial), trend_rows(entered, left)) as marts:
            rows = compare_days(marts, FIRST + timedelta(days=30), 28).rows
            found += rows.filter(pl.col("figure") == "leave the step")["p_value"][0] < 0.05
    assert found <= 2


def test_days_without_a_closed_window_are_left_out_and_too_few_refused(tmp_path):
    with published(tmp_path, trend_rows([50] * 60, [20] * 60, matured=40)) as marts:
        found = compare_days(marts, FIRST + timedelta(days=30), 28)
        assert "28 days before 2026-01-31 against 10 from it on" in found.title
        with pytest.raises(NotFoundError, match="such days are from 2026-01-01 to 2026-02-09"):
            compare_days(marts, FIRST + timedelta(days=38), 28)
