"""The relations of pain points: parts of personas and months add up, nobody is above everybody, intervals hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.pains import search
from support.streams import FIRST_DAY, levels_of, simulated


def chance(stage, who):
    if stage == 2 and who.device == "mobile" and 20 <= who.day <= 27:
        return 0.25
    return (0.7, 0.75, 0.35 if who.met_error and who.persona == "new" else 0.8)[stage - 1]


@pytest.fixture(scope="module")
def stream():
    return simulated(1, 5000, chance)


@pytest.fixture(scope="module")
def found(stream):
    return search.search(stream, 1, levels_of(), 20)


def tables(monkeypatch, stream, promises=()):
    monkeypatch.setattr(search, "read_stream", lambda engine: stream)
    monkeypatch.setattr(search, "read_levels", lambda engine, stream: {1: levels_of()})
    monkeypatch.setattr(search, "broken_promises", lambda engine, stream, min_count: iter(promises))
    with DuckDBEngine(threads=1) as engine:
        engine.register("config.settings", pa.table({"min_count": [20]}))
        stages = {"model_index": [1, 1, 2, 2], "stage_index": [1, 2, 1, 2], "stage": ["a", "service", "service", "b"]}
        engine.register("config.stages", pa.table(stages))
        search.find_pains(engine)
        names = ("pains", "pain_parts", "pain_persons")
        return [pl.DataFrame(engine.rows(f"select * from statistics.{name}")) for name in names]


def test_every_finding_is_a_row_with_its_parts_and_persons(monkeypatch, stream, found):
    pains, parts, persons = tables(monkeypatch, stream)
    assert pains.select("kind", "subject", "slice", "grade").rows() == [
        ("incident", "entry", "device=mobile", "incident"),
        ("exposure", "error", None, "matched"),
    ]
    days = pains.filter(kind="incident").select(pl.col("first_day", "last_day").to_physical(), "is_ongoing")
    assert days.rows() == [(FIRST_DAY + 20, FIRST_DAY + 27, False)]
    assert pains["is_ongoing"].to_list() == [False, None]
    for number, one in enumerate(found, start=1):
        whole = parts.filter(pain_ix=number, persona="all", period="all").row(0, named=True)
        assert whole["person_count"] == len(one.rows)
        assert whole["lost"] == pytest.approx(one.lost)
        assert whole["lost_low"] == pytest.approx(max(one.lost_low, 0))
        assert (whole["rate"], whole["expected_rate"]) == pytest.approx(one.rates)
        # Stage 2 is followed by stage 3 and its goal; whoever goes on from stage 3 has reached it.
        assert whole["goals_lost"] == pytest.approx(one.goal_rate * one.lost)
        assert whole["goals_lost_low"] <= whole["goals_lost"] <= whole["goals_lost_high"]
        of = persons.filter(pain_ix=number)
        assert of["person_key"].n_unique() == len(of) == len(one.rows)
        assert (~of["is_lost"]).sum() == one.went_on.sum()


def test_parts_add_up_and_none_is_above_the_whole(monkeypatch, stream):
    _, parts, _ = tables(monkeypatch, stream)
    assert (parts["lost_low"] <= parts["lost"]).all()
    assert (parts["lost"] <= parts["lost_high"]).all()
    assert (parts["lost_low"] >= 0).all()
    for number in (1, 2):
        of = parts.filter(pain_ix=number)
        whole = of.filter(persona="all", period="all").row(0, named=True)
        for chosen in (
            of.filter(pl.col("persona") != "all", pl.col("period") == "all"),
            of.filter(pl.col("persona") == "all", pl.col("period") != "all"),
        ):
            assert len(chosen) >= 2 or number == 1
            assert chosen["lost"].sum() == pytest.approx(whole["lost"])
            assert chosen["person_count"].sum() == whole["person_count"]
        cells = of.filter(pl.col("persona") != "all", pl.col("period") != "all")
        assert cells["person_count"].sum() == whole["person_count"]
        for row in cells.rows(named=True):
            for persona, period in ((row["persona"], "all"), ("all", row["period"])):
                assert row["lost"] <= of.filter(persona=persona, period=period)["lost"].item() + 1e-9
    of = parts.filter(pain_ix=2, period="all")
    hit, other = (of.filter(persona=name)["lost"].item() for name in ("new", "known"))
    assert hit > 8 * other, "the error costs newcomers only"


def test_a_part_that_went_on_more_often_lost_nobody_and_the_whole_is_shared_by_the_others(stream, found):
    one = found[1]
    persona = stream.facts["persona"].to_numpy()[stream.journey[one.rows]]
    uneven = replace(one, expected=np.where(persona == "new", 0.9, 0.3), went_on=np.ones(len(one.rows), np.bool_))
    uneven = replace(uneven, went_on=np.where(persona == "new", False, True))
    parts = {(row["persona"], row["period"]): row for row in search._parts(stream, 1, uneven)}
    assert parts["known", "all"]["lost"] == 0
    assert parts["new", "all"]["lost"] == pytest.approx(uneven.lost)
    assert uneven.lost < 0.9 * (persona == "new").sum()


def test_a_finding_of_nobody_lost_has_parts_of_nobody_lost(stream, found):
    nobody = replace(found[1], expected=found[1].went_on.astype(float), standard_error=0.0)
    assert {(row["lost"], row["lost_low"], row["lost_high"]) for row in search._parts(stream, 1, nobody)} == {(0, 0, 0)}


def test_an_incident_of_the_last_days_goes_on(stream, found):
    last = int(stream.day.max())
    for ends, is_ongoing in ((last, True), (last - 2, True), (last - 3, False)):
        assert search._pain(stream, 1, replace(found[0], last_day=ends))["is_ongoing"] == is_ongoing


def test_a_promise_stands_at_the_stage_of_its_name_in_each_model_else_at_the_last(monkeypatch, stream, found):
    promise = replace(found[1], kind="promise", subject="delivery", stage_index=2, refund_count=10.0)
    pains, parts, _ = tables(monkeypatch, stream, [promise])
    rows = pains.filter(kind="promise").select("model_index", "stage_index").rows()
    assert rows == [(1, 2), (2, 1)]
    of = parts.filter(pain_ix=pains.filter(kind="promise")["pain_ix"][0], period="all")
    assert of.filter(persona="all")["refund_count"].item() == 10
    assert of.filter(pl.col("persona") != "all")["refund_count"].sum() == pytest.approx(10)


def test_nothing_to_find_gives_empty_relations(monkeypatch):
    assert [len(table) for table in tables(monkeypatch, simulated(1, 300))] == [0, 0, 0]


def test_each_person_of_a_sample_counts_for_those_it_stands_for(monkeypatch, stream):
    pains, whole, _ = tables(monkeypatch, stream)
    sampled, parts, persons = tables(monkeypatch, replace(stream, persons_each=10))
    for name in ("person_count", "compared_count", "lost", "lost_low", "lost_high", "goals_lost", "goals_lost_high"):
        assert parts[name].to_list() == pytest.approx([10 * value for value in whole[name]]), name
    for name in ("rate", "expected_rate"):
        assert parts[name].to_list() == whole[name].to_list()
    assert persons["persons_each"].unique().to_list() == [10]
    assert all("one person in 10" in text for text in sampled["compared_with"])
    assert not any("one person in" in text for text in pains["compared_with"])
