"""The tests of runs are sharp: whatever an incremental build fails to update, a figure or a check shows it.

Some of it in CI, all of it with `JOURNEYFLOW_EXAMPLES` (`make soak`).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from journeyflow.errors import JourneyflowError
from journeyflow.pipeline import build_state, incremental
from properties.run_state_machine import RunHistory
from support import rebuild_compare
from support.few_models import all_models
from support.shop_project import ShopProject

MANY = "JOURNEYFLOW_EXAMPLES" in os.environ
GRAPH = all_models()
# With units of a property, which the shop has, what follows attempts is rebuilt for all.
FOLLOWERS = {model.name for model in GRAPH if model.metadata.unique_key == ("attempt_ix",) and model.layer != "kernel"}
INCREMENTAL = {model.name for model in GRAPH if model.metadata.unique_key} - FOLLOWERS
OWN_ROWS = {"identity.person_components"}
"""Read only to find its own rows again."""
READ = sorted(
    (
        {name for model in GRAPH if model.name not in INCREMENTAL for name in model.inputs if name in INCREMENTAL}
        | {name for name in INCREMENTAL if re.search(rf"\b{name}\b", " ".join(build_state._STEPS.values()))}
    )
    - OWN_ROWS
)
"""Relations that are read after they were updated; the rest is only used beside the last build."""
UNION = re.compile(r"\bunion(?: all)?\b")
WAYS = [
    (name, part)
    for name, select in build_state._STEPS.items()
    for part in range(len(UNION.split(select)))
    if len(UNION.split(select)) > 1
]
"""Every way in which a person or a row is found to be affected."""
DOUBLED = {("person_key", 1): "it finds the rows of person_components, which nothing else reads"}
"""Ways beside which others find the same, and why."""
MATURING = [
    "funnel_units set is_pending",
    "funnel_units set is_matured",
    "funnel_days set is_pending",
    "funnel_days set is_matured",
    "map_journeys",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A project before two runs with many changes, what comes between them, and the figures of both."""
    walk = RunHistory()
    walk.size = (60, 7)  # So many that most are affected by one change or by none.
    walk.open_the_shop(5)
    for _ in range(5):
        walk.days_pass(3)
    walk.a_late_file_comes(4)
    walk.traits_change(3)
    _lone(walk, "loner", "lone")
    _lone(walk, "leaver", "left")
    walk.project.run()
    place = tmp_path_factory.mktemp("sharp") / "shop"
    _first(walk)
    shutil.copytree(walk.project.folder, place, symlinks=True)
    first = _due(walk)
    known = set((walk.project.folder / "in").iterdir())
    _second(walk)
    between = {path.name: path.read_bytes() for path in (walk.project.folder / "in").iterdir() if path not in known}
    yield place, first, between, _due(walk)
    walk.teardown()


def _lone(walk, user, cookie):
    walk._add([replace(walk.shop.event("product_view", walk._now()), cookie=cookie, user=user)])


def _first(walk):
    # An alias of a person that no other change affects, before that account ever acts.
    walk._add([walk.shop.event("alias", walk._now(), user="loner", facts={"previous_id": "shade"})])
    for pick in (1, 4, 9):
        walk.two_accounts_become_one(pick)
    walk.an_event_falls_between_two(4)
    walk.a_device_turns_out_to_be_shared(9)
    walk.an_unknown_account_is_named(6)
    walk.that_account_acts(4)
    walk.days_pass(1)
    walk.a_late_file_comes(3)
    walk.something_new_happens(3)
    buyers = [event for event in walk.events if event.name == "purchase" and event.cookie]
    lookers = [event for event in walk.events if event.name == "page_view" and event.user == ""]
    for event in buyers[:3] + lookers[:3]:
        walk._add([replace(walk.shop.event("purchase", walk._now()), cookie=event.cookie, user=event.user, amount="9")])
        answer = walk.shop.event("csat_answer", walk._now(), "surveys", channel="survey", facts={"score": "2"})
        walk._add([replace(answer, user=event.user or "u1")])


def _second(walk):
    # The only event of a person is superseded by a version of another person.
    left = next(event for event in walk.events if event.cookie == "left")
    walk._add([replace(left, cookie="taken", user="", delay=left.delay - timedelta(milliseconds=300))])
    _lone(walk, "shade", "shades")
    for pick in (8, 40):
        walk.an_event_falls_between_two(pick)
    walk.two_accounts_become_one(17)
    walk.that_account_acts(3)
    walk.an_unknown_account_is_named(1)
    walk.a_quiet_time_passes(9)


def _due(walk):
    run = walk.project.run()
    assert run.built.startswith("incremental"), run.built
    due, _ = rebuild_compare.rebuild(walk.project.folder, walk.project.read, walk.root / "rebuilt")
    assert not rebuild_compare.compare(rebuild_compare.published(walk.project.folder), due).differences
    return due


def is_noticed(shop, folder):
    """Tell whether one of the runs of a copy fails, or publishes other figures than it must."""
    place, first, between, second = shop
    copy = ShopProject.__new__(ShopProject)
    copy.folder, copy.read = folder / "shop", {}
    shutil.copytree(place, copy.folder, symlinks=True)
    if _is_other(copy, first):
        return True
    for name, content in between.items():
        (copy.folder / "in" / name).write_bytes(content)
    return _is_other(copy, second)


def _is_other(copy, due):
    try:
        copy.run()
    except JourneyflowError:
        return True
    return bool(rebuild_compare.compare(rebuild_compare.published(copy.folder), due).differences)


def test_the_runs_are_sound(shop, tmp_path):
    assert not is_noticed(shop, tmp_path)


@pytest.mark.parametrize("name", READ if MANY else ["identity.identities"])
def test_a_relation_that_is_not_updated(shop, tmp_path, monkeypatch, name):
    delete_insert, append_rows = incremental.delete_insert, incremental.append_rows
    monkeypatch.setattr(
        incremental, "delete_insert", lambda base, model: model.name == name or delete_insert(base, model)
    )
    monkeypatch.setattr(incremental, "append_rows", lambda base, model: model.name == name or append_rows(base, model))
    assert is_noticed(shop, tmp_path)


@pytest.mark.parametrize("step", ["count_after", "refill_properties"] if MANY else ["count_after"])
def test_a_step_that_is_left_out(shop, tmp_path, monkeypatch, step):
    monkeypatch.setattr(incremental, step, lambda *_: None)
    assert is_noticed(shop, tmp_path)


@pytest.mark.parametrize(("name", "part"), WAYS if MANY else WAYS[1:2])
def test_an_affected_key_that_is_overlooked(shop, tmp_path, monkeypatch, name, part):
    parts = UNION.split(build_state._STEPS[name])
    monkeypatch.setitem(build_state._STEPS, name, " union ".join(parts[:part] + parts[part + 1 :]))
    assert is_noticed(shop, tmp_path) != ((name, part) in DOUBLED), DOUBLED.get((name, part))


@pytest.mark.parametrize("what", MATURING if MANY else MATURING[:1])
def test_outcomes_that_time_alone_decides(shop, tmp_path, monkeypatch, what):
    statements = incremental._statements
    monkeypatch.setattr(
        incremental, "_statements", lambda *given: (each for each in statements(*given) if not re.search(what, each[0]))
    )
    assert is_noticed(shop, tmp_path)
