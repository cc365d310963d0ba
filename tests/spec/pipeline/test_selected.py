"""A selection builds models against the last build: no file is loaded, and nothing that a run relies on changes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.apply import PendingErasure, begin_erasure
from journeyflow.errors import CheckFailedError, InputError, JourneyflowError, ModelError, NotFoundError
from journeyflow.pipeline.partial import build
from journeyflow.pipeline.run import Run
from journeyflow.state.folder import OURS
from journeyflow.state.paths import BUILD, SELECTED, WAREHOUSE
from support.in_process_parser import parsing_in_process
from support.order_project import write_project
from support.templates import built_once, copy_of

VISITS = "select event_name, cast(event_count as bigint) as visit_count from marts.event_kinds"
COLUMNS = "{event_name: , visit_count: {type: BIGINT, meaning: Events of the name.}}"


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """A project that has run once; tests copy it."""

    def run_once(folder: Path) -> None:
        write_project(folder)
        own_mart(folder, VISITS)
        with parsing_in_process():
            journeyflow.run(folder)

    return built_once(tmp_path_factory, "selected", run_once)


@pytest.fixture
def project(template, tmp_path) -> Path:
    return copy_of(template, tmp_path / "shop")


def own_mart(folder, select, extra="", name="visits"):
    place = folder / "sql" / "marts" / f"{name}.sql"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(select)
    place.with_suffix(".yml").write_text(f"description: Events by their name.\ncolumns: {COLUMNS}\n{extra}")


def tables(project):
    with journeyflow.open(project / "published") as published:
        return {name: published.table(name) for name in published.tables}


def selected_rows(project, name):
    with DuckDBEngine(project / "state" / SELECTED, read_only=True) as engine:
        return pl.from_arrow(engine.rows(f"select * from {name}"))


def state_bytes(project):
    return {name: (project / "state" / name).read_bytes() for name in (BUILD, WAREHOUSE)}


def test_one_mart_is_built_and_nothing_else_changes(project):
    before, generation = state_bytes(project), (project / "published" / "current").readlink()
    built = build(load_config(project), ["marts.funnel_steps"])
    published = tables(project)["funnel_steps"]
    assert built.models == ("marts.funnel_steps",)
    assert built.published is None
    assert built.check_count > 3
    assert built.preview == {"marts.funnel_steps": len(published)}
    assert selected_rows(project, "marts.funnel_steps").sort(pl.all()).equals(published.sort(pl.all()))
    assert state_bytes(project) == before
    assert (project / "published" / "current").readlink() == generation
    assert {path.name for path in (project / "state").iterdir()} <= OURS | {"pseudonym.key"}
    assert not (project / "state" / "work").exists()


@pytest.mark.parametrize("select", ["+tag:marts +tag:insights", "tag:statistics tag:map"])
def test_a_selection_builds_what_the_run_built(project, select):
    assert_same_as_last_build(project, build(load_config(project), [select]))


def assert_same_as_last_build(project, built):
    with DuckDBEngine(
        project / "state" / SELECTED,
        read_only=True,
        attached={"warehouse": project / "state" / WAREHOUSE, "last": project / "state" / BUILD},
    ) as engine:
        assert {*engine.tables()} <= {*built.models}
        # A selection is compared with the generation that is published, a run with the one before it.
        for name in {*engine.tables()} - {"insights._previous_findings", "insights.briefing"}:
            query = "select count(*) as n from (select * from {} except all select * from {})"
            assert engine.rows(query.format(name, f"last.{name}"))["n"].to_pylist() == [0], name
            assert engine.rows(query.format(f"last.{name}", name))["n"].to_pylist() == [0], name


def test_an_edited_mart_is_built_and_published_only_when_asked(project):
    before = tables(project)
    own_mart(project, VISITS.replace("event_count", "2 * event_count"))
    config = load_config(project)
    built = build(config, ["visits"])
    assert selected_rows(project, "marts.visits")["visit_count"].sum() == 2 * before["visits"]["visit_count"].sum()
    assert tables(project)["visits"].equals(before["visits"])

    published = build(config, ["visits"], publish=True).published
    after = tables(project)
    assert published == (project / "published" / "current").resolve()
    assert built.models == ("marts.visits",)
    assert after["visits"]["visit_count"].sum() == 2 * before["visits"]["visit_count"].sum()
    assert {name for name in before if not before[name].equals(after[name])} == {"visits"}
    assert (published / "map.html").exists()

    journeyflow.run(config)
    final = tables(project)
    moved = {name for name in after if not after[name].equals(final[name])}
    assert moved <= {"runs", "load_audit", "blind_spots", "briefing"}, "a run publishes what the selection published"


def test_a_new_mart_is_published_with_its_columns_in_the_dictionary(project):
    own_mart(project, VISITS, name="views")
    build(load_config(project), ["views"], publish=True)
    assert tables(project)["dictionary"].filter(table_name="views").height == 2


def test_a_run_after_a_selection_is_still_incremental(project):
    config = load_config(project)
    built = build(config, ["kernel.*", "+tag:insights"], publish=True)
    assert any(name.startswith("kernel.") for name in built.models)
    assert_same_as_last_build(project, built)
    assert journeyflow.run(config).built.startswith("incremental")
    assert not (project / "state" / SELECTED).exists()


def test_a_failed_check_publishes_nothing(project):
    own_mart(project, VISITS, "checks: [range: {visit_count: [null, 0]}]")
    generation = (project / "published" / "current").readlink()
    with pytest.raises(CheckFailedError, match=r"marts\.visits: visit_count is in"):
        build(load_config(project), ["visits"], publish=True)
    assert (project / "published" / "current").readlink() == generation
    assert not (project / "state" / SELECTED).exists()
    assert not (project / "state" / "work").exists()


def test_without_a_build_there_is_nothing_to_select_from(tmp_path):
    config = load_config(write_project(tmp_path / "shop"))
    with pytest.raises(NotFoundError, match=r"Run `journeyflow run` first"):
        build(config, ["marts.funnel_steps"])


def test_a_changed_configuration_needs_a_run(project):
    path = project / "journeyflow.yml"
    path.write_text(path.read_text().replace("window: 2d", "window: 3d"))
    with pytest.raises(InputError, match="the configuration has changed since: run `journeyflow run` first"):
        build(load_config(project), ["marts.funnel_steps"])


def test_a_changed_model_that_the_selection_reads_must_be_selected(project):
    folder = project / "sql" / "insights"
    folder.mkdir()
    (folder / "twice.sql").write_text("select event_name, 2 * visit_count as twice_count from marts.visits")
    (folder / "twice.yml").write_text(
        "description: Twice the visits.\n"
        "columns: {event_name: , twice_count: {type: BIGINT, meaning: Twice the events.}}\n"
    )
    own_mart(project, VISITS.replace("event_count", "event_count + 1"))
    config = load_config(project)
    with pytest.raises(ModelError, match=r"marts\.visits is read by the selection and has changed .*: select it too"):
        build(config, ["twice"])
    with pytest.raises(ModelError, match=r"insights\.twice depends on insights\.twice, .* Select insights\.twice\+"):
        build(config, ["visits"], publish=True)
    build(config, ["visits+"], publish=True)
    assert tables(project)["twice"]["twice_count"].sum() == 2 * tables(project)["visits"]["visit_count"].sum()


def test_numbers_that_other_relations_hold_are_not_assigned_again(project):
    with pytest.raises(ModelError, match=r"select journeys\.event_types\+"):
        build(load_config(project), ["journeys.event_types"])


def test_an_erasure_comes_first(project):
    config = load_config(project)
    begin_erasure(config.state, PendingErasure(suppressions=("0" * 64,)))
    with pytest.raises(InputError, match="An erasure is pending"):
        build(config, ["marts.funnel_steps"])


def test_nothing_is_published_over_a_failed_run(project):
    config = load_config(project)
    with pytest.raises(JourneyflowError, match="stop"), Run(config):
        raise JourneyflowError("stop")
    build(config, ["marts.visits"])
    with pytest.raises(InputError, match="A run has failed since the last build"):
        build(config, ["marts.visits"], publish=True)
