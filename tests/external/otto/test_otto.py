"""Nested JSON lines: 20 visitors, in order 20, 7, 2."""

import pytest

from external import oracle
from external.nights import run_night, write_config
from external.reconcile import assert_reconciles

STEPS = ["clicks", "carts", "orders"]


@pytest.fixture(scope="module")
def visitors(external_data):
    events = oracle.otto(external_data / "otto" / "train.jsonl")
    return oracle.by(events, lambda event: event.device)


def test_everything_adds_up(night):
    assert_reconciles(night)


def test_every_nested_event_is_a_record(night, visitors):
    assert 862 == sum(map(len, visitors.values())) == night.audit("accepted_count") == night.audit("record_count")


def test_in_order(night, visitors):
    again = oracle.reached(visitors.values(), STEPS, window=31 * oracle.DAY)
    assert [20, 7, 2] == again == night.steps("shopping")


@pytest.mark.parametrize(("ties", "window"), [("strictly_later", 31), ("strictly_later", 1), ("same_instant", 1)])
def test_other_settings_agree_with_the_second_opinion(visitors, external_data, request, tmp_path, ties, window):
    swap = [("    window: 31d", f"    window: {window}d\n    ties: {ties}")]
    path = write_config(request.path.parent / "journeyflow.yml", tmp_path, external_data, swap=swap)
    again = oracle.reached(
        visitors.values(), STEPS, window=window * oracle.DAY, strictly_later=ties == "strictly_later"
    )
    assert run_night(path).steps("shopping") == again


def test_a_day_shorter_window_reaches_less(visitors):
    assert oracle.reached(visitors.values(), STEPS, window=oracle.DAY) != [20, 7, 2]
