"""A change that the hash of the configuration does not show: nothing stale is published."""

from __future__ import annotations

import shutil

import pytest

import journeyflow
from journeyflow.operations.rebuild import ARRIVALS

BUILT = ("marts.funnel_steps", "marts.person_stages", "marts.promises", "marts.stage_sentiment")

CONFIG = """
project: edits
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, event_name: event}
    properties: [order, score]
  app:
    format: csv
    path: app/*.csv
    channel: app
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, event_name: event}
    properties: [order, score]
personas: [{name: web, when: {first.channel: web}}, {name: app, when: {first.channel: app}}]
promises:
  - {name: Kept, stage: decision, from: {event: purchase}, to: {event: delivered}, within: 3d, match: order}
min_count: 1
"""
FUNNELS = {
    "seen": "{window: 3d, steps: [{name: seen, when: {event: page_view}}, {name: cart, when: {event: add_to_cart}}]}",
    "paid": "{window: 3d, steps: [{name: cart, when: {event: add_to_cart}}, {name: paid, when: {event: purchase}}]}",
}
SURVEYS = {
    "csat": "{event: answer, score: properties.score, scale: [1, 5]}",
    "nps": "{event: answer, score: properties.order, scale: [0, 10]}",
}
HEAD = "id,at,cookie,event,order,score\n"
MART = """description: How many people there are.
grain: [person_count]
{kind}columns:
  person_count: {{type: BIGINT, unit: persons, meaning: "How many people there are in all."}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "shop").mkdir()
    configure(tmp_path / "shop", {})
    for source in ("web", "app"):
        put(tmp_path / "shop", source, 0, "0,2026-03-01 09:00:00,unknown,page_view,,")
    return tmp_path / "shop"


def configure(project, sections):
    named = (
        f"{name}:\n" + "".join(f"  {key}: {value}\n" for key, value in items.items())
        for name, items in sections.items()
    )
    (project / "journeyflow.yml").write_text(CONFIG + "".join(named), encoding="utf-8")


def put(project, source, number, *rows):
    (project / source).mkdir(exist_ok=True)
    (project / source / f"{number}.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows), encoding="utf-8")


def run_with(project, source, number, *rows):
    put(project, source, number, *rows)
    return journeyflow.run(project)


def visits(number):
    names = ("page_view", "page_view", "add_to_cart", *(("purchase", "answer") if number % 2 else ()))
    at = f"2026-03-{number + 1:02}"
    return [f"{number}{n},{at} 10:0{n}:00,c{number},{name},{number},{n}" for n, name in enumerate(names)]


def figures(project):
    with journeyflow.open(project / "published") as published:
        return {name: published.table(name).rows() for name in published.tables if name not in ARRIVALS}


def rebuilt(project):
    """Run over the same files in a new project."""
    other = project.with_name("rebuilt")
    shutil.copytree(project, other, ignore=shutil.ignore_patterns("state", "published"))
    (other / "state").mkdir()
    shutil.copy(project / "state" / "pseudonym.key", other / "state")
    journeyflow.run(other)
    return figures(other)


@pytest.mark.parametrize("section", [{"funnels": FUNNELS}, {"surveys": SURVEYS}], ids=["funnels", "surveys"])
def test_sections_in_another_order_are_other_rules(project, section):
    """Funnels and surveys are numbered in their order, which the hash of the configuration does not show."""
    configure(project, section)
    run_with(project, "web", 1, *(row for number in range(6) for row in visits(number)))
    configure(project, {name: dict(reversed(items.items())) for name, items in section.items()})
    report = run_with(project, "web", 2, *visits(20))
    mine, theirs = figures(project), rebuilt(project)
    assert {name for name in mine if name != "blind_spots" and mine[name] != theirs[name]} == set()
    assert report.built == "full refresh: the rules changed"


def test_a_user_defined_table_that_became_a_view_is_rebuilt(project):
    (project / "sql" / "marts").mkdir(parents=True)
    (project / "sql" / "marts" / "people.sql").write_text("select count(*) as person_count from kernel.persons")
    side = project / "sql" / "marts" / "people.yml"
    for number, kind in enumerate(("", "kind: view\n", ""), 1):
        side.write_text(MART.format(kind=kind))
        run_with(project, "web", number, *visits(number))
        with journeyflow.open(project / "published") as published:
            assert published.table("people")["person_count"].to_list() == [number + 1]


def test_what_two_sources_say_at_once_under_one_id_does_not_depend_on_which_came_first(project):
    due = "1,2026-03-02 10:00:00,{},purchase,o1,"
    journeyflow.run(project)
    run_with(project, "app", 1, due.format("a"))
    run_with(project, "web", 1, due.format("w"), "2,2026-03-12 10:00:00,w,page_view,,")
    mine, theirs = figures(project), rebuilt(project)
    assert mine["promises"] == theirs["promises"]
    assert {row[1] for row in mine["promises"] if row[0] == "Kept"} >= {"web"}


def test_more_conditions_than_bits_are_built_incrementally(project):
    """The condition bits of events are a text then, and no number."""
    friction = ", ".join(f"{{name: f{n}, when: {{properties.order: {n}}}}}" for n in range(70))
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    (project / "journeyflow.yml").write_text(f"{text}friction: [{friction}]\n", encoding="utf-8")
    run_with(project, "web", 1, *(row for number in range(3) for row in visits(number)))
    report = run_with(project, "web", 2, *visits(5), *visits(20))
    mine, theirs = figures(project), rebuilt(project)
    assert {name for name in mine if name != "blind_spots" and mine[name] != theirs[name]} == set()
    assert report.built.startswith("incremental")
