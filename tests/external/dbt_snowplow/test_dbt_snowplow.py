"""Stitching over two runs: an initial load, then an update that reveals a visitor's name."""

import shutil

import pytest

from external import oracle
from external.projects import run_project, write_config
from external.reconcile import assert_reconciles

FOLDER = "dbt_snowplow"
FILES = ("sp_event.csv", "sp_event_update.csv")


@pytest.fixture
def project(tmp_path, external_data, request):
    """A project whose files arrive one by one."""
    landing = tmp_path / "landing"
    landing.mkdir()
    path = write_config(request.path.parent / "journeyflow.yml", tmp_path, external_data)

    def add_files(*names):
        for name in names:
            shutil.copy(external_data / FOLDER / "event" / name, landing / name)
        return run_project(path)

    return add_files


def persons_of(project):
    return set(project.table("person_stages")["person_id"])


def expected(external_data, name):
    return oracle.rows_of(external_data / FOLDER / "expected" / f"snowplow_{name}_expected.csv")


def test_two_runs(project, external_data):
    first = project(FILES[0])
    assert_reconciles(first)
    assert first.entered("sessions") == 3
    assert {"user_id_1", "user_id_2"} < persons_of(first)
    assert "user_id_3" not in persons_of(first)
    assert len(persons_of(first)) == 3

    second = project(FILES[1])
    assert_reconciles(second)
    assert_truths(second, external_data)


def test_one_run_gives_the_same(project, external_data, tmp_path):
    project = project(*FILES)
    assert_truths(project, external_data)


def assert_truths(project, external_data):
    events = oracle.snowplow(*(external_data / FOLDER / "event" / name for name in FILES))
    sessions, page_views = expected(external_data, "sessions"), expected(external_data, "page_views")
    assert 5 == len(sessions) == len({event.session for event in events}) == project.entered("sessions")
    viewed = [event for event in events if event.name == "page_view"]
    assert 7 == len(page_views) == len(viewed) == project.kinds("four_stage", named("page_view"))
    known = {row["inferred_user_id"] for row in sessions if row["inferred_user_id"].startswith("user_id")}
    again = {person.removeprefix("user ") for person, _ in oracle.persons(events) if person.startswith("user ")}
    assert known == again == {person for person in persons_of(project) if person.startswith("user_id")}
    assert len(persons_of(project)) == len({row["inferred_user_id"] for row in sessions}) == 4


def named(event_name):
    import polars as pl

    return pl.col("event_name") == event_name


def test_two_runs_publish_what_one_does(project, tmp_path, external_data, request):
    project(FILES[0])
    twice = project(FILES[1]).figures()
    other = tmp_path / "at_once"
    (other / "landing").mkdir(parents=True)
    for name in FILES:
        shutil.copy(external_data / FOLDER / "event" / name, other / "landing" / name)
    once = run_project(write_config(request.path.parent / "journeyflow.yml", other, external_data)).figures()
    assert twice == once
