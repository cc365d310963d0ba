"""An event that another version supersedes affects the persons of both, and the build is still incremental."""

from __future__ import annotations

import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.operations.rebuild import verify
from support.templates import built_once, copy_of

BUILT = ("marts.funnel_steps", "marts.person_stages", "marts.event_kinds", "marts.identity_audit")

CONFIG = """
project: versions
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns:
      {event_id: id, occurred_at: at, received_at: got, anonymous_id: cookie, user_id: customer, event_name: event,
       utm_medium: medium, user_agent: agent}
    properties: [previous_id]
funnels:
  checkout: {window: 7d, steps: [{name: seen, when: {event: product_view}}, {name: paid, when: {event: purchase}}]}
personas: [{name: paid_for, when: {first.utm_medium: cpc}}]
exclude_traffic: {bots: builtin}
"""
HEAD = "id,at,got,cookie,customer,event,medium,agent,previous_id\n"
FIRST = """1,2026-03-01 10:00:00,2026-03-01 10:00:09,a,ann,product_view,cpc,,
2,2026-03-01 11:00:00,2026-03-01 11:00:09,a,ann,purchase,,,
3,2026-03-01 12:00:00,2026-03-01 12:00:09,b,,product_view,,,
4,2026-03-02 12:00:00,2026-03-02 12:00:09,b,ben,purchase,,,
5,2026-03-03 12:00:00,2026-03-03 12:00:09,c,cyd,rare_event,,,
6,2026-03-04 12:00:00,2026-03-04 12:00:09,,cyd,alias,,,dan
7,2026-03-04 13:00:00,2026-03-04 13:00:09,d,dan,product_view,,,
8,2026-03-05 10:00:00,2026-03-05 10:00:09,e,,product_view,,,
9,2026-03-05 11:00:00,2026-03-05 11:00:09,f,eve,product_view,,,
10,2026-03-06 11:00:00,2026-03-06 11:00:09,f,eve,purchase,,,
"""
OTHERS = {
    "another name": "1,2026-03-01 10:00:00,2026-03-01 10:00:01,a,ann,add_to_cart,cpc,,",
    "another time": "2,2026-02-20 11:00:00,2026-03-01 11:00:01,a,ann,purchase,,,",
    "nobody's now": "4,2026-03-02 12:00:00,2026-03-02 12:00:01,b,,purchase,,,",
    "another person's": "4,2026-03-02 12:00:00,2026-03-02 12:00:01,b,ann,purchase,,,",
    "the last of its kind": "5,2026-03-03 12:00:00,2026-03-03 12:00:01,c,cyd,product_view,,,",
    "two accounts fall apart": "6,2026-03-04 12:00:00,2026-03-04 12:00:01,,cyd,product_view,,,",
    "the only one of a person": "8,2026-03-05 10:00:00,2026-03-05 10:00:01,a,,product_view,,,",
    "a program's": "10,2026-03-06 11:00:00,2026-03-06 11:00:01,f,eve,purchase,,Googlebot/2.1,",
}


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    """A copy of a project after one run."""

    def build(folder):
        (folder / "web").mkdir(parents=True)
        (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
        run_with(folder, "first", FIRST)

    return copy_of(built_once(tmp_path_factory, "replaced_events", build), tmp_path / "shop")


def run_with(project, name, rows):
    (project / "web" / f"{name}.csv").write_text(HEAD + rows, encoding="utf-8")
    return journeyflow.run(project)


@pytest.mark.parametrize("which", OTHERS)
def test_an_incremental_run_updates_what_another_version_of_an_event_affects(project, which):
    report = run_with(project, "later", OTHERS[which] + "\n")
    assert report.built.startswith("incremental: 1 new events, 1 superseded, ")
    assert verify(load_config(project / "journeyflow.yml")).row_count > 100


def test_the_run_after_is_incremental_too(project):
    run_with(project, "later", "\n".join(OTHERS.values()) + "\n")
    report = run_with(project, "last", "11,2026-03-07 11:00:00,2026-03-07 11:00:09,f,eve,purchase,,,\n")
    assert report.built.startswith("incremental: 1 new events, ")
    assert verify(load_config(project / "journeyflow.yml")).row_count > 100
