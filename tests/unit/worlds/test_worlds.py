"""The simulated worlds that judge the product: same seed, same world; the truth adds up; verdicts are right."""

from __future__ import annotations

import datetime
import re

import numpy as np
import polars as pl
import pytest
from benchmarks.worlds.draw import DECOYS, PAINS, Decoy, draw_world
from benchmarks.worlds.figures import figures_of, table
from benchmarks.worlds.files import configuration, events, write_world
from benchmarks.worlds.score import COLUMNS, judge, slice_of
from benchmarks.worlds.simulate import live
from benchmarks.worlds.truth import find_truth

from journeyflow import load_config

SMALL = (1_500, 2_500)
KINDS = ("incident_error", "incident_silent", "incident_pair", "gap_browser", "notice", "chat", "wait", "repeat")


def world_of(seed=5, **settings):
    return draw_world(seed, **({"size": SMALL} | settings))


def row(**values):
    return dict.fromkeys(COLUMNS) | values


def verdict(world, **values):
    return judge(world, [row(**values)])[0].is_what


@pytest.mark.parametrize("seed", range(12))
def test_a_seed_gives_the_same_world_and_the_same_events(seed):
    one, two = world_of(seed), world_of(seed)
    assert one == two
    assert events(one, live(one)).equals(events(two, live(two)))


def test_another_seed_gives_another_world():
    assert world_of(1) != world_of(2)


def test_worlds_have_none_to_five_pains_and_four_to_eight_decoys():
    worlds = [draw_world(seed) for seed in range(200)]
    assert {len(world.pains) for world in worlds} == {0, 1, 2, 3, 4, 5}
    assert {len(world.decoys) for world in worlds} == {4, 5, 6, 7, 8}
    assert {pain.kind for world in worlds for pain in world.pains} == set(PAINS)
    assert {decoy.kind for world in worlds for decoy in world.decoys} == set(DECOYS)
    assert world_of(pains=0).pains == ()


@pytest.mark.parametrize("business", ["shop", "trial", "content", "appointment"])
def test_removing_a_pain_changes_only_persons_who_met_it_and_nothing_before(business):
    world = world_of(11, business=business, kinds=PAINS)
    life = live(world)
    for pain in world.pains:
        first = _first_differences(life, live(world.without(pain)))
        # A late delivery is noted when its time is over, and shows when nothing has come.
        slack = 3 * 86_400 if pain.promise and pain.event is None else 1
        met_at = life.met_at[pain.number][first["person"].to_numpy()]
        assert np.isfinite(met_at).all(), pain.kind
        assert (first["at"].to_numpy() >= met_at - slack).all(), pain.kind


def _first_differences(life, other):
    """Return the time of the first event of each person that only one of the lives has."""
    both = pl.concat([_rows(one).with_columns(side=pl.lit(side)) for side, one in enumerate((life, other))])
    odd = both.group_by("person", "at", "name").agg(sides=pl.col("side").n_unique()).filter(pl.col("sides") == 1)
    return odd.group_by("person").agg(pl.col("at").min())


def _rows(life):
    log = life.log
    names = np.repeat(np.array(log.name), [len(chunk) for chunk in log.person])
    return pl.DataFrame({"person": np.concatenate(log.person), "at": np.concatenate(log.at), "name": names})


def test_the_loss_adds_up_over_personas_and_months_and_is_never_above_who_met_it():
    for seed in range(20):
        for loss in find_truth(world_of(seed)).losses:
            assert loss.by_group["lost_count"].sum() == loss.lost_count
            assert loss.by_group["met_count"].sum() == loss.met_count
            assert abs(loss.lost_count) <= loss.settled_count <= loss.met_count


def test_a_stronger_pain_costs_more_persons():
    from dataclasses import replace

    world = world_of(3, kinds=("gap_browser",), size=(8_000, 8_000))
    pain = world.pains[0]
    lost = [
        find_truth(replace(world, pains=(replace(pain, strength=strength),))).losses[0].lost_count
        for strength in (0.0, 0.3, 0.8)
    ]
    assert lost[0] == 0
    assert lost[0] < lost[1] < lost[2]


def test_decoys_cost_nothing():
    world = world_of(4, pains=0)
    assert find_truth(world).losses == ()


@pytest.mark.parametrize("business", ["shop", "trial", "content", "appointment"])
def test_the_configuration_is_valid_and_names_no_truth(business, tmp_path):
    world = world_of(7, business=business, kinds=("incident_pair", "chat"))
    path = write_world(world, live(world), tmp_path, with_slices=False)
    load_config(path)
    assert "slices" not in configuration(world, ["web"], with_slices=False)
    assert configuration(world, ["web"], with_slices=True)["slices"] == list(world.business.known_from)
    assert str(world.pains[1].event) not in path.read_text(encoding="utf-8")


def test_a_tracking_gap_loses_all_events_of_a_source():
    from dataclasses import replace

    plain = world_of(9, pains=0, decoys=0)
    world = replace(plain, decoys=(Decoy("tracking_gap", first_day=20, last_day=22, source="web"),))
    days = events(world, live(world)).filter(pl.col("source") == "web")["at"].dt.date().unique()
    assert not set(days) & {world.day(index) for index in (20, 21, 22)}
    assert {world.day(19), world.day(23)} <= set(days)


def test_exposures_are_named_by_their_event():
    world = world_of(kinds=("chat",), decoys=0)
    event = world.pains[0].event
    assert verdict(world, kind="exposure", subject=f"chat: {event}") == "true"
    assert verdict(world, kind="exposure", subject=f"web: other and chat: {event}") == "true"
    assert verdict(world, kind="exposure", subject=f"chat: {event}_closed") == "false"
    assert verdict(world, kind="exposure", subject="chat") == "false"


def test_incidents_are_named_by_slice_and_days():
    world = world_of(kinds=("incident_silent",), decoys=0)
    pain = world.pains[0]
    (column, value), (first, last) = pain.slice[0], world.dates(pain)
    far = datetime.timedelta(days=200)
    right = {"kind": "incident", "subject": "decision", "slice": f"{column}={value}"}
    assert verdict(world, **right, first_day=first, last_day=last) == "true"
    assert verdict(world, **right, first_day=first + far, last_day=last + far) == "neutral"
    assert verdict(world, **right) == "neutral"
    assert verdict(world, **(right | {"slice": f"{column}=x"}), first_day=first, last_day=last) == "false"
    narrower = right | {"slice": f"{column}={value}, persona=student"}
    assert verdict(world, **narrower, first_day=first, last_day=last) == "neutral"


def test_one_value_of_a_pair_is_near_and_the_pair_is_right():
    world = world_of(kinds=("incident_pair",), decoys=0)
    (one, two), (first, last) = world.pains[0].slice, world.dates(world.pains[0])
    days = {"kind": "incident", "subject": "x", "first_day": first, "last_day": last}
    assert verdict(world, slice=f"{two[0]}={two[1]}, {one[0]}={one[1]}", **days) == "true"
    assert verdict(world, slice=f"{one[0]}={one[1]}", **days) == "neutral"


def test_gaps_and_promises():
    world = world_of(business="shop", kinds=("gap_browser", "promise"), decoys=0)
    gap, promise = world.pains
    column, value = gap.slice[0]
    assert verdict(world, kind="gap", subject="purchase", slice=f"{column}={value}") == "true"
    assert verdict(world, kind="promise", subject=promise.promise) == "true"
    assert verdict(world, kind="exposure", subject="web: refund") == "neutral"


def test_decoys_are_decoys_and_what_names_nothing_is_false():
    world = world_of(pains=0, decoys=0)
    from dataclasses import replace

    world = replace(world, decoys=(Decoy("mail", "email_opened"), Decoy("tracking_gap", None, 0, 0, 20, 22, "web")))
    assert verdict(world, kind="exposure", subject="email: email_opened") == "decoy"
    assert verdict(world, kind="drop_off", subject=f"web: {world.business.goal}") == "decoy"
    lost = {"first_day": world.day(21), "last_day": world.day(23)}
    assert verdict(world, kind="incident", subject="decision", slice="device=mobile", **lost) == "decoy"
    assert verdict(world, kind="exposure", subject="web: page_view") == "false"


def test_slices_are_read_from_text():
    assert slice_of(row(slice="device=mobile, browser=Safari")) == {"device": "mobile", "browser": "Safari"}
    assert slice_of(row(subject="properties.plan = plus")) == {"plan": "plus"}
    assert slice_of(row(subject="web: page_view")) == {}


def test_the_table_counts_what_was_found():
    world = world_of(kinds=("gap_device", "chat"), size=(6_000, 6_000))
    truth = find_truth(world)
    column, value = world.pains[0].slice[0]
    lost = truth.losses[0].lost_count
    stage = truth.losses[0].lost_stage_count
    found = row(
        kind="gap", grade="matched", slice=f"{column}={value}",
        lost_count=stage, lost_low=stage + 1, lost_high=stage + 5,
        goal_lost_count=2 * lost, goal_lost_low=lost - 5, goal_lost_high=lost + 5,
    )  # fmt: skip
    rows = [row(kind="exposure", grade="matched", subject="web: page_view"), found]
    made = figures_of(world, truth, judge(world, rows), rows, [])
    assert made.rows == ["false", "true"]
    assert [pain.position for pain in made.pains] == [2, None]
    assert made.is_alerted
    text = table([made])
    assert "1/2" in text
    assert re.search(r"loss to the next stage inside its interval, true rows +0% +0/1", text)
    assert re.search(r"loss to the goal inside its interval, true rows +100% +1/1", text)
    assert f"seeds: {world.seed}" in text
