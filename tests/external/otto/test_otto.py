"""Nested JSON lines: 20 visitors, in order 20, 7, 2."""

import pytest

from external import oracle
from external.projects import run_project, write_config
from external.reconcile import assert_reconciles

STEPS = ["clicks", "carts", "orders"]


@pytest.fixture(scope="module")
def visitors(external_data):
    events = oracle.otto(external_data / "otto" / "train.jsonl")
    return oracle.by(events, lambda event: event.device)


def test_everything_adds_up(project):
    assert_reconciles(project)


def test_every_nested_event_is_a_record(project, visitors):
    assert 862 == sum(map(len, visitors.values())) == project.audit("accepted_count") == project.audit("record_count")


def test_in_order(project, visitors):
    again = oracle.reached(visitors.values(), STEPS, window=31 * oracle.DAY)
    assert [20, 7, 2] == again == project.steps("shopping")


@pytest.mark.parametrize(("ties", "window"), [("strictly_later", 2), ("same_instant", 2)])
def test_other_settings_agree_with_the_second_opinion(visitors, external_data, request, tmp_path, ties, window):
    swap = [(f"    window: {days}d", f"    window: {window}m\n    ties: {ties}") for days in (31, 14)]
    path = write_config(request.path.parent / "journeyflow.yml", tmp_path, external_data, swap=swap)
    project = run_project(path)
    for funnel, steps in (("shopping", STEPS), ("several_things", ["orders", "orders"])):
        rules = {"window": window * oracle.MINUTE, "strictly_later": ties == "strictly_later"}
        assert project.steps(funnel) == oracle.reached(visitors.values(), steps, **rules)


def test_several_things_in_one_order_tie(project, visitors):
    counts = [oracle.reached(visitors.values(), ["orders"] * 2, strictly_later=later) for later in (False, True)]
    assert counts[0] == project.steps("several_things")
    assert project.steps("several_things", "tie_decided_count")[0] == counts[0][1] - counts[1][1] > 0
