"""A run that brings nothing builds and checks only what follows from the run log."""

from __future__ import annotations

import csv
from datetime import timedelta

import pytest

import journeyflow
from journeyflow.engines import DuckDBEngine
from journeyflow.pipeline.builder import Builder
from support.order_project import write_project
from support.templates import built_once, copy_of

PEOPLE = "\npeople:\n  - {path: people.csv, user_id: id, traits: [plan]}\n"
OF_THE_RUN_LOG = {
    "insights._audiences_before", "insights._blind_spots_records", "insights._blind_spots_run",
    "insights._moved_figures", "insights._previous_findings", "insights._run_shares", "insights.audiences",
    "insights.blind_spots", "insights.briefing",
    "insights.restatements", "marts.dictionary", "marts.load_audit", "marts.runs",
}  # fmt: skip


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    """A copy of a project after its first run."""

    def build(folder):
        config = write_project(folder)
        config.write_text(config.read_text() + PEOPLE)
        (folder / "people.csv").write_text("id,plan\nu1,free\nu2,free\n")
        journeyflow.run(config)

    return copy_of(built_once(tmp_path_factory, "idle", build), tmp_path / "shop") / "journeyflow.yml"


@pytest.fixture
def built(monkeypatch):
    names = []
    build_model = Builder.build_model

    def noted(self, model):
        names.append(model.name)
        build_model(self, model)

    monkeypatch.setattr(Builder, "build_model", noted)
    return names


def test_only_what_reads_the_run_log_is_built_and_checked(project, built):
    before = figures(project)
    report = journeyflow.run(project)
    assert report.built == "incremental: 0 new events, 0 affected persons"
    assert set(built) == OF_THE_RUN_LOG
    assert 0 < report.check_count < 150
    assert figures(project) == before


def test_it_takes_few_statements(project, monkeypatch):
    count = [0]
    for name in ("execute", "values", "rows", "run"):
        monkeypatch.setattr(DuckDBEngine, name, counted(getattr(DuckDBEngine, name), count))
    journeyflow.run(project)
    assert count[0] < 400


def counted(function, count):
    def call(*args, **options):
        # Every published column has a comment, and each is a statement.
        count[0] += not any("comment on" in str(each) for each in args)
        return function(*args, **options)

    return call


def test_new_events_are_built_after_such_a_run(project, built):
    journeyflow.run(project)
    built.clear()
    with (project.parent / "events.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["2026-03-30T10:00:00", "c1", "", "page_view", "/p/1"])
    report = journeyflow.run(project)
    assert "marts.funnel_steps" in built
    assert report.check_count > 1000


def test_a_changed_trait_is_built(project, built):
    (project.parent / "people.csv").write_text("id,plan\nu1,paid\nu2,free\n")
    journeyflow.run(project)
    assert "marts.funnel_steps" in built


def test_changed_settings_that_change_no_figure_are_built(project, built):
    project.write_text(project.read_text().replace("project: small-shop", "project: renamed"))
    report = journeyflow.run(project)
    assert report.built.startswith("incremental")
    assert "marts.funnel_steps" in built


def test_a_later_mark_is_built(project, built):
    journeyflow.run(project, as_of=journeyflow.run(project).high_water_at + timedelta(days=1))
    assert "marts.funnel_steps" in built


def test_a_changed_meaning_of_an_own_column_is_published(project):
    def meaning():
        with journeyflow.open(project.parent / "published") as published:
            return published.table("dictionary").filter(table_name="own", column_name="n")["meaning"].to_list()

    folder = project.parent / "sql" / "marts"
    folder.mkdir(parents=True)
    (folder / "own.sql").write_text("select persona, person_count as n from marts.personas\n")
    described = (
        "description: An own table.\ngrain: [persona]\ncolumns: {{persona: , n: {{type: BIGINT, meaning: {}.}}}}\n"
    )
    for each in ("Old", "New"):
        (folder / "own.yml").write_text(described.format(each))
        journeyflow.run(project)
        assert meaning() == [f"{each}."]


def test_own_models_are_built_in_every_run(project, built):
    folder = project.parent / "sql" / "marts"
    folder.mkdir(parents=True)
    (folder / "own.sql").write_text("-- Own.\n-- Grain: one row.\nselect count(*) as n from marts.personas\n")
    (folder / "own.yml").write_text(
        'description: An own mart.\ngrain: [n]\ncolumns:\n  n: {type: BIGINT, unit: rows, meaning: "Rows."}\n'
    )
    journeyflow.run(project)
    built.clear()
    journeyflow.run(project)
    assert set(built) == OF_THE_RUN_LOG | {"marts.own"}


def figures(project):
    with journeyflow.open(project.parent / "published") as marts:
        of_the_run = {name.split(".")[1] for name in OF_THE_RUN_LOG}
        return {name: marts.table(name).rows() for name in marts.tables if name not in of_the_run}
