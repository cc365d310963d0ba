"""A night that renews the last build publishes what a whole build of the same files does, night after night."""

import os
import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from external.nights import Night, scratch
from journeyflow.config import load_config
from journeyflow.pipeline import run
from properties.pipeline import CART_TO_PAID, CONFIG, START, land, log_of

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
NIGHTS = (10, 25, 45, 60, 75, 92)
"""Days after the start as of which a night runs; nothing new comes for the last but one."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("renewals")


def project(root, tier):
    folder = scratch(root)
    (folder / "landing").mkdir()
    text = (CONFIG + MORE).replace("@cart_to_paid@", CART_TO_PAID)
    text = text.replace("personas:\n", "personas:\n  - {name: gold, when: {trait.tier: gold}}\n", 1)
    (folder / "journeyflow.yml").write_text(text, encoding="utf-8")
    write_people(folder, tier)
    return folder / "journeyflow.yml"


def write_people(folder, tier):
    (folder / "people.csv").write_text(f"customer,tier\nada,{tier}\nbob,gold\n", encoding="utf-8")


def night(path, days, **how):
    report = run.run(load_config(path), as_of=START + timedelta(days=days), **how)
    return Night(path.parent), report.built


def parts(rows, rng):
    """Deal rows out to nights: the most of them in time, some late."""
    dealt = [[] for _ in NIGHTS]
    for row in rows:
        on_time = next(n for n, days in enumerate(NIGHTS) if row.at <= START + timedelta(days=days))
        dealt[rng.choice([on_time] * 8 + [min(on_time + 1, len(NIGHTS) - 1)] * 2)].append(row)
    dealt[-1] += dealt[-2]
    dealt[-2] = []
    return dealt


@few
@given(seed=st.integers(0, 2**32 - 1))
def test_renewed_nights_publish_what_whole_builds_do(root, seed):
    rng = random.Random(seed)
    path, stories = project(root, "none"), []
    for number, (rows, days) in enumerate(zip(parts(log_of(seed, 300), rng), NIGHTS, strict=True)):
        if rows:
            land(path, f"part{number}.csv", rows)
        if number == 3:
            write_people(path.parent, "gold")
        renewed, summary = night(path, days)
        figures = renewed.figures()
        whole, _ = night(path, days, is_whole=True) if number == 2 else _afresh(root, path, days)
        for name, rows_of_table in whole.figures().items():
            assert figures[name] == rows_of_table, (name, number, summary)
        stories.append(summary.split()[0])
    assert stories == ["everything", *["renewed"] * (len(NIGHTS) - 1)]


def _afresh(root, path, days):
    """Build what the same files give in a project that knows nothing."""
    afresh = project(root, "none")
    for file in (*path.parent.glob("landing/*"), path.parent / "people.csv"):
        (afresh.parent / file.relative_to(path.parent)).write_bytes(file.read_bytes())
    (afresh.parent / "state").mkdir()
    return night(afresh, days)
