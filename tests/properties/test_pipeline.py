"""What must hold of the whole job on any log: a few small ones in CI, more with JOURNEYFLOW_EXAMPLES."""

import os
import random
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from external.reconcile import assert_reconciles
from properties.pipeline import log_of, published, shifted, with_rivals

few = settings(
    max_examples=int(os.environ.get("JOURNEYFLOW_EXAMPLES", "1")),
    deadline=None,
    # A night takes seconds, and the seed of a failure says enough.
    phases=[Phase.explicit, Phase.generate],
    derandomize="JOURNEYFLOW_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
seeds = st.integers(0, 2**32 - 1)
COUNTS = ["person_count", "converted_count", "drop_off_count", "pending_count"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("nights")


def parted(rows, rng, parts=3):
    """Deal rows out to several files, each in a shuffled order."""
    rows = rng.sample(rows, len(rows))
    return [rows[part::parts] for part in range(parts)]


def assert_same_figures(night, other):
    mine, theirs = night.figures(), other.figures()
    assert mine.keys() == theirs.keys()
    for name, rows in mine.items():
        assert rows == theirs[name], name


def untimed(night):
    """Return what a funnel says when calendar days are left out."""
    steps = night.table("funnel_steps").filter(pl.col("period") == "all")
    return sorted(steps.rows(), key=repr)


def counts_of(night, funnel):
    return night.table("funnel_steps").filter(
        pl.col("funnel") == funnel, pl.col("persona") == "all", pl.col("period") == "all"
    )


@few
@given(seed=seeds)
def test_everything_adds_up(root, seed):
    assert_reconciles(published(root, log_of(seed)))


@few
@given(seed=seeds)
def test_the_order_of_rows_and_files_changes_no_figure(root, seed):
    rng = random.Random(seed)
    rows = with_rivals(log_of(seed), rng)
    assert_same_figures(published(root, rows), published(root, *parted(rows, rng)))


@few
@given(seed=seeds)
def test_several_nights_publish_what_one_does(root, seed):
    rng = random.Random(seed)
    rows = with_rivals(log_of(seed), rng)
    assert_same_figures(published(root, rows), published(root, *parted(rows, rng, parts=2), each_night=True))


@few
@given(seed=seeds)
def test_a_repeated_event_changes_nothing(root, seed):
    rows, rng = log_of(seed), random.Random(seed)
    again = rng.sample(rows, 20)
    known = [row for row in rows if row.received]
    late = [replace(row, received=row.received + timedelta(days=1), event="refund") for row in rng.sample(known, 20)]
    night = published(root, rows, again, late)
    assert_same_figures(published(root, rows), night)
    assert [night.audit("duplicate_count"), night.audit("conflicting_count")] == [40, 20]


@few
@given(seed=seeds, days=st.integers(1, 900))
def test_a_shift_by_whole_days_changes_no_rate(root, seed, days):
    rows = log_of(seed)
    # The high-water mark has to move along, so it is that of the latest event.
    assert untimed(latest(root, rows)) == untimed(latest(root, [shifted(row, timedelta(days=-days)) for row in rows]))


def latest(root, rows):
    from external.nights import run_night
    from properties.pipeline import land, project

    path = project(root)
    land(path, "rows.csv", rows)
    return run_night(path)


@few
@given(seed=seeds)
def test_a_run_as_of_a_day_knows_nothing_later(root, seed):
    rows = with_rivals(log_of(seed), random.Random(seed))
    day = sorted(row.at for row in rows)[len(rows) // 2]
    until = [row for row in rows if row.at <= day]
    assert_same_figures(published(root, rows, as_of=day), published(root, until, as_of=day))


@few
@given(seed=seeds)
def test_an_event_of_no_step_matters_only_to_strict_funnels(root, seed):
    rows, rng = log_of(seed), random.Random(seed)
    strangers = [
        replace(
            row,
            id=f"stranger{row.id}",
            at=row.at + timedelta(seconds=1),
            customer="",
            medium="",
            event="scroll",
            amount="",
        )
        for row in rng.sample([row for row in rows if row.cookie and row.channel in ("web", "app")], 30)
    ]
    before, after = published(root, rows), published(root, rows, strangers)
    for funnel in ("ordered", "any_order", "excluded", "attempts"):
        assert counts_of(before, funnel).select(COUNTS).equals(counts_of(after, funnel).select(COUNTS)), funnel
    strict = [counts_of(night, "strict")["person_count"].to_list() for night in (before, after)]
    assert strict[0][0] == strict[1][0]
    assert strict[0][1] >= strict[1][1]
