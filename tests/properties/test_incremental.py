"""A series of incremental runs publishes what full refreshes of the same files publish."""

import os
import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from external.projects import Project, scratch
from journeyflow.config import load_config
from journeyflow.pipeline import run
from properties.random_projects import CART_TO_PAID, CONFIG, START, add_file, log_of

few = settings(
    max_examples=int(os.environ.get("JOURNEYFLOW_EXAMPLES", "1")),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    derandomize="JOURNEYFLOW_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MORE = """
people: [{path: people.csv, user_id: customer, traits: [tier]}]
touchpoints: [{label: Shop, when: {channel: store}}, {label: Paid, when: {utm_medium: cpc}}]
promises:
  - {name: Paid soon, stage: decision, from: {event: add_to_cart}, to: {event: purchase}, within: 2d}
  - {name: Answered, stage: decision, from: {event: purchase}, to: {event: support_chat}, within: 4d, match: plan}
friction: [{name: Chat, when: {event: support_chat}}]
map: {personas: {visitor: {desired: {decision: {reach_rate: 0.5}}}}}
"""
RUN_DAYS = (10, 25, 45, 60, 75, 92) if "JOURNEYFLOW_EXAMPLES" in os.environ else (10, 45, 75, 92)
"""Days after the start of each run; the last but one has no new files."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("incremental")


def make_project(root, tier):
    folder = scratch(root)
    (folder / "input").mkdir()
    text = (CONFIG + MORE).replace("@cart_to_paid@", CART_TO_PAID)
    text = text.replace("personas:\n", "personas:\n  - {name: gold, when: {trait.tier: gold}}\n", 1)
    (folder / "journeyflow.yml").write_text(text, encoding="utf-8")
    write_people(folder, tier)
    return folder / "journeyflow.yml"


def write_people(folder, tier):
    (folder / "people.csv").write_text(f"customer,tier\nada,{tier}\nbob,gold\n", encoding="utf-8")


def run_as_of(path, days, **how):
    report = run.run(load_config(path), as_of=START + timedelta(days=days), **how)
    return Project(path.parent), report.built


def parts(rows, rng):
    """Deal rows out to runs: most of them in time, some late."""
    dealt = [[] for _ in RUN_DAYS]
    for row in rows:
        on_time = next(n for n, days in enumerate(RUN_DAYS) if row.at <= START + timedelta(days=days))
        dealt[rng.choice([on_time] * 8 + [min(on_time + 1, len(RUN_DAYS) - 1)] * 2)].append(row)
    dealt[-1] += dealt[-2]
    dealt[-2] = []
    return dealt


@few
@given(seed=st.integers(0, 2**32 - 1))
def test_incremental_runs_publish_what_full_refreshes_do(root, seed):
    rng = random.Random(seed)
    path, summaries = make_project(root, "none"), []
    for number, (rows, days) in enumerate(zip(parts(log_of(seed, 300), rng), RUN_DAYS, strict=True)):
        if rows:
            add_file(path, f"part{number}.csv", rows)
        if number == 3:
            write_people(path.parent, "gold")
        incremental, summary = run_as_of(path, days)
        summaries.append(summary.split()[0])
        if number == 0:
            continue  # A full refresh itself.
        figures = incremental.figures()
        whole, _ = run_as_of(path, days, full_refresh=True) if number == 2 else _full_refresh(root, path, days)
        for name, rows_of_table in whole.figures().items():
            assert figures[name] == rows_of_table, (name, number, summary)
    assert summaries == ["full", *["incremental:"] * (len(RUN_DAYS) - 1)]


def _full_refresh(root, path, days):
    """Run over the same files in a new project."""
    fresh = make_project(root, "none")
    for file in (*path.parent.glob("input/*"), path.parent / "people.csv"):
        (fresh.parent / file.relative_to(path.parent)).write_bytes(file.read_bytes())
    (fresh.parent / "state").mkdir()
    return run_as_of(fresh, days)
