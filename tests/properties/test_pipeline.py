"""What must hold of the whole job on any log: a few small ones in CI, more with JOURNEYFLOW_EXAMPLES."""

import os
import random
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from external.projects import run_project
from external.reconcile import assert_reconciles
from properties.random_projects import add_file, log_of, make_project, published_project, shifted, with_rivals

few = settings(
    max_examples=int(os.environ.get("JOURNEYFLOW_EXAMPLES", "1")),
    deadline=None,
    # A run takes seconds, and the seed of a failure says enough.
    phases=[Phase.explicit, Phase.generate],
    derandomize="JOURNEYFLOW_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
seeds = st.integers(0, 2**32 - 1)
COUNTS = ["person_count", "converted_count", "drop_off_count", "pending_count"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def parted(rows, rng, parts=3):
    """Deal rows out to several files, each in a shuffled order."""
    rows = rng.sample(rows, len(rows))
    return [rows[part::parts] for part in range(parts)]


def assert_same_figures(project, other):
    mine, theirs = project.figures(), other.figures()
    assert mine.keys() == theirs.keys()
    for name, rows in mine.items():
        assert rows == theirs[name], name


def untimed(project):
    """Return what a funnel says when calendar days are left out."""
    steps = project.table("funnel_steps").filter(pl.col("period") == "all")
    return sorted(steps.rows(), key=repr)


def counts_of(project, funnel):
    return project.table("funnel_steps").filter(
        pl.col("funnel") == funnel, pl.col("persona") == "all", pl.col("period") == "all"
    )


@few
@given(seed=seeds)
def test_everything_adds_up(root, seed):
    assert_reconciles(published_project(root, log_of(seed)))


@few
@given(seed=seeds)
def test_the_order_of_rows_and_files_changes_no_figure(root, seed):
    rng = random.Random(seed)
    rows = with_rivals(log_of(seed), rng)
    assert_same_figures(published_project(root, rows), published_project(root, *parted(rows, rng)))


@few
@given(seed=seeds)
def test_several_runs_publish_what_one_does(root, seed):
    rng = random.Random(seed)
    rows = with_rivals(log_of(seed), rng)
    assert_same_figures(
        published_project(root, rows), published_project(root, *parted(rows, rng, parts=2), in_several_runs=True)
    )


@few
@given(seed=seeds)
def test_a_repeated_event_changes_nothing(root, seed):
    rows, rng = log_of(seed), random.Random(seed)
    again = rng.sample(rows, 20)
    known = [row for row in rows if row.received]
    late = [replace(row, received=row.received + timedelta(days=1), event="refund") for row in rng.sample(known, 20)]
    project = published_project(root, rows, again, late)
    assert_same_figures(published_project(root, rows), project)
    assert [project.audit("duplicate_count"), project.audit("conflicting_count")] == [40, 20]


@few
@given(seed=seeds, days=st.integers(1, 900))
def test_a_shift_by_whole_days_changes_no_rate(root, seed, days):
    rows = log_of(seed)
    # The high-water mark has to move along, so it is that of the latest event.
    assert untimed(latest(root, rows)) == untimed(latest(root, [shifted(row, timedelta(days=-days)) for row in rows]))


def latest(root, rows):
    path = make_project(root)
    add_file(path, "rows.csv", rows)
    return run_project(path)


@few
@given(seed=seeds)
def test_a_run_as_of_a_day_knows_nothing_later(root, seed):
    rows = with_rivals(log_of(seed), random.Random(seed))
    day = sorted(row.at for row in rows)[len(rows) // 2]
    until = [row for row in rows if row.at <= day]
    assert_same_figures(published_project(root, rows, as_of=day), published_project(root, until, as_of=day))


@few
@given(seed=seeds)
def test_an_event_of_no_step_matters_only_to_strict_funnels(root, seed):
    rows, rng = log_of(seed), random.Random(seed)
    unrelated = [
        replace(
            row,
            id=f"unrelated{row.id}",
            at=row.at + timedelta(seconds=1),
            customer="",
            medium="",
            event="scroll",
            amount="",
        )
        for row in rng.sample([row for row in rows if row.cookie and row.channel in ("web", "app")], 30)
    ]
    before, after = published_project(root, rows), published_project(root, rows, unrelated)
    for funnel in ("ordered", "any_order", "excluded", "attempts"):
        assert counts_of(before, funnel).select(COUNTS).equals(counts_of(after, funnel).select(COUNTS)), funnel
    strict = [counts_of(project, "strict")["person_count"].to_list() for project in (before, after)]
    assert strict[0][0] == strict[1][0]
    assert strict[0][1] >= strict[1][1]
