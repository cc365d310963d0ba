"""A run over a handful of models, and every way it can fail."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

import journeyflow
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import CheckFailedError, EngineError, InputError, JourneyflowError, LockedError, ModelError
from journeyflow.models.dag import Graph
from journeyflow.pipeline.run import BUILD, WAREHOUSE, Run, open_build, plan, run
from journeyflow.state.folder import project_lock
from journeyflow.state.paths import rules_hash
from journeyflow.utils import files
from support.few_models import all_models
from support.small_project import DAY


def own_mart(project, name, select, columns, extra=""):
    folder = project / "sql" / "marts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sql").write_text(select)
    (folder / f"{name}.yml").write_text(
        f"description: A table of the analyst's own.\ngrain: [event_name]\ncolumns: {columns}\n{extra}"
    )


def ledger(config):
    with DuckDBEngine(config.state / WAREHOUSE, read_only=True) as warehouse:
        return warehouse.rows("select status, event_count from ledger.runs order by run_id").to_pylist()


def test_a_run_publishes_its_marts(config):
    report = run(config)
    with journeyflow.open(config.publish) as published:
        assert published.table("visits").rows() == [("page_view", 2), ("purchase", 1)]
        assert published.sql("select sum(visit_count) as n from visits").rows() == [(3,)]
        assert published.manifest.run_id == report.run_id
        assert published.tables == ("dictionary", "load_audit", "runs", "visits")
    assert report.status == "published"
    assert report.event_count == 3
    assert report.accepted_count == 3
    assert report.high_water_at == datetime(2026, 1, 3)
    assert list(report.phase_seconds) == ["load", "stitch", "classify", "build", "check", "publish"]
    assert ledger(config) == [{"status": "published", "event_count": 3}]


def test_the_runs_table_holds_the_run_that_published_it(config):
    run(config)
    run(config)
    with journeyflow.open(config.publish) as published:
        runs = published.table("runs")
    assert runs["status"].to_list() == ["published", "published"]
    assert runs["elapsed_seconds"].min() > 0
    assert runs["finished_at"].null_count() == 0


def test_as_of_leaves_later_events_unread(config):
    report = run(config, as_of=DAY)
    with journeyflow.open(config.publish) as published:
        assert published.table("visits").rows() == [("page_view", 1)]
    assert report.high_water_at == DAY
    assert report.event_count == 1


def test_a_source_taken_out_of_the_configuration_no_longer_counts(config, events):
    run(config)
    left = config.model_copy(update={"sources": {"other": config.sources["web"]}})
    with pytest.raises(InputError):
        run(left)


def test_an_own_model_is_built_checked_and_published(project, config):
    own_mart(
        project,
        "twice",
        "select event_name, 2 * visit_count as twice_count, from marts.visits",
        "{event_name: , twice_count: {type: BIGINT, meaning: Double.}}",
    )
    run(config)
    with journeyflow.open(config.publish) as published:
        assert published.table("twice").rows() == [("page_view", 4), ("purchase", 2)]
        words = published.table("dictionary").filter(table_name="twice", column_name="twice_count")
        assert words["meaning"].to_list() == ["Double."]


def test_the_hash_of_a_run_covers_user_defined_and_built_in_models(project, config):
    def hashed():
        run(config)
        with journeyflow.open(config.publish) as published:
            return published.manifest.config_hash

    plain = hashed()
    assert hashed() == plain
    columns = "{event_name: , twice_count: {type: BIGINT, meaning: Double.}}"
    own_mart(project, "twice", "select event_name, 2 * visit_count as twice_count, from marts.visits", columns)
    own = hashed()
    own_mart(project, "twice", "select event_name, 3 * visit_count as twice_count, from marts.visits", columns)
    built_in = files.sql_folder() / "marts" / "visits.sql"
    thrice = hashed()
    built_in.write_text(built_in.read_text() + "\n-- changed")
    assert len({plain, own, thrice, hashed()}) == 4


def test_the_hash_of_a_run_covers_models_in_python(config):
    graph = all_models()
    in_python = next(model.name for model in graph if model.sql is None)
    without = Graph({model.name: model for model in graph if model.name != in_python})
    assert rules_hash(config, graph) != rules_hash(config, without)


def test_nothing_is_published_when_checks_fail_and_all_failures_are_reported(project, config):
    first = run(config)
    select = "select event_name, visit_count, from marts.visits"
    own_mart(
        project,
        "odd",
        select,
        "{event_name: , visit_count: }",
        "checks: [range: {visit_count: [5, null]}, accepted: {event_name: [purchase]}]",
    )
    with pytest.raises(CheckFailedError, match=r"2 of \d+ checks") as failed:
        run(config)
    assert "marts.odd: visit_count is in [5, …] (2 against it)" in str(failed.value)
    assert "page_view" not in str(failed.value), "a message holds no row value"
    with journeyflow.open(config.publish) as published:
        assert published.manifest.run_id == first.run_id
    assert [row["status"] for row in ledger(config)] == ["published", "failed"]


def test_a_column_of_another_type_than_promised_fails_the_check(project, config):
    own_mart(project, "odd", "select event_name, visit_count, from marts.visits", "{event_name: , visit_count: }")
    (project / "sql/marts/odd.sql").write_text(
        "select event_name, cast(visit_count as double) as visit_count, from marts.visits"
    )
    with pytest.raises(CheckFailedError, match="visit_count is BIGINT and not DOUBLE"):
        run(config)


def test_a_failed_build_leaves_the_last_generation_and_no_rubbish(project, config):
    first = run(config)
    own_mart(
        project,
        "odd",
        "select event_name, cast(event_name as integer) as n, from marts.visits",
        "{event_name: , n: {type: INTEGER, meaning: Never.}}",
    )
    with pytest.raises(EngineError, match=r"marts\.odd") as failed:
        run(config)
    assert "page_view" not in str(failed.value), "a message holds no row value"
    assert str((config.publish / "current").readlink()) == f"generations/{first.run_id}"
    assert not (config.state / "work").exists()
    assert sorted(path.name for path in config.state.glob("*.duckdb*")) == [BUILD, WAREHOUSE]
    assert ledger(config)[-1] == {"status": "failed", "event_count": 3}


def test_no_event_is_an_input_error(config, events):
    events["names"] = []
    with pytest.raises(InputError, match="No event was accepted"):
        run(config)
    assert not config.publish.exists()


def test_a_second_run_is_refused_and_names_the_first(config):
    with Run(config), pytest.raises(LockedError, match=rf"process {os.getpid()}, since 20"):
        run(config)
    run(config)


def test_a_killed_run_frees_the_lock(config):
    pid = os.fork()
    if pid == 0:
        with project_lock(config.state):
            os._exit(9)
    os.waitpid(pid, 0)
    run(config)


def test_rows_that_a_killed_run_left_running_are_settled(config):
    pid = os.fork()
    if pid == 0:
        started = Run(config).__enter__()
        started.load()
        os._exit(9)
    os.waitpid(pid, 0)
    run(config)
    assert [row["status"] for row in ledger(config)] == ["failed", "published"]


def test_phases_out_of_order_are_refused(config):
    with Run(config) as run:
        with pytest.raises(JourneyflowError, match="not loaded yet"):
            run.build()
        run.load()
        run.build()
        with pytest.raises(JourneyflowError, match="not checked"):
            run.publish()


def test_what_was_built_can_be_opened_again(config):
    run(config)
    with open_build(config) as engine:
        assert engine.rows("select count(*) from sources.events").column(0)[0].as_py() == 3


def test_two_runs_publish_the_same_bytes(config):
    hashes = []
    for _ in range(2):
        run(config)
        manifest = json.loads((config.publish / "current" / "manifest.json").read_text())
        hashes.append(
            {name: entry["sha256"] for name, entry in manifest["tables"].items() if name in ("visits", "dictionary")}
        )
    assert hashes[0] == hashes[1]


def test_the_plan_has_order_and_reason(project, config):
    own_mart(project, "twice", "select event_name, from marts.visits", "{event_name: }")
    entries = {entry.model: entry for entry in plan(config)}
    names = list(entries)
    assert (
        names.index("raw.events")
        < names.index("sources.events")
        < names.index("marts.visits")
        < names.index("marts.twice")
    )
    assert entries["marts.twice"].why == "user-defined, published"
    assert entries["sources.events"].why == "read by marts.visits"
    assert entries["raw.events"].phase == "load"


def test_an_own_model_that_names_no_table_gets_the_nearest(project, config):
    own_mart(project, "odd", "select event_name, from marts.visit", "{event_name: }")
    with pytest.raises(
        ModelError, match=r"marts\.odd reads marts\.visit, which does not exist\. Did you mean marts\.visits"
    ):
        run(config)


def test_a_default_funnel_whose_events_do_not_occur_is_left_out(config, events):
    with Run(config) as run:
        run.load()
        assert dict(run.config.funnels) == {}
    events["names"] = ["add_to_cart", "checkout_started", "purchase"]
    with Run(config) as run:
        run.load()
        assert list(run.config.funnels) == ["cart_abandonment"]


BROKEN = """
from journeyflow.models.model import python_model

@python_model("journeys.b")
def fill(engine):
    for _ in engine.stream("select * from sources.events", 1):
        raise ValueError("in the middle")
"""


def test_a_python_model_that_fails_while_it_streams_frees_every_file(project, config, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    words = (
        "description: Filled by what fails.\npython_model: broken\ninputs: [sources.events]\ncolumns: {event_ix: }\n"
    )
    folder = files.sql_folder() / "journeys"
    folder.mkdir()
    (folder / "b.yml").write_text(words)
    with pytest.raises(ValueError, match="in the middle"):
        run(config)
    (folder / "b.yml").unlink()
    run(config)
    assert [row["status"] for row in ledger(config)] == ["failed", "published"]


def test_files_in_quarantine_raise_an_alert(config, monkeypatch):
    from journeyflow.ingest.load import load_events

    load = load_events

    def spoilt(config, warehouse, **arguments):
        load(config, warehouse, **arguments)
        warehouse.execute("update ledger.loads set quarantined_count = 1")
        warehouse.execute("insert into raw.quarantine values ('a.csv', 'bad_time', null), ('a.csv', 'bad_time', null)")
        refused = "'b.csv' as source_file, 'refused' as status, 'not CSV' as detail"
        warehouse.execute(f"insert into ledger.loads by name (select * replace ({refused}) from ledger.loads)")

    monkeypatch.setattr("journeyflow.ingest.load.load_events", spoilt)
    monkeypatch.setattr("journeyflow.models.checks.require_checks", lambda engine, models: 1)
    assert run(config).alerts == (
        "a.csv: 1 of 3 records are in quarantine (bad_time 2).",
        "b.csv was refused: not CSV.",
    )


def test_no_event_up_to_the_mark_says_that_all_are_later(config):
    with pytest.raises(InputError, match="all 3 are later"):
        run(config, as_of=datetime(2020, 1, 1))


def test_a_run_takes_the_path_of_a_configuration(config, monkeypatch):
    monkeypatch.setattr("journeyflow.config.load_config", lambda path: {"here.yml": config}[str(path)])
    assert run("here.yml").status == run(Path("here.yml")).status == "published"


@pytest.mark.parametrize("name", ["current", "generations"])
def test_a_publish_folder_that_is_in_the_way_is_reported(config, name):
    config.publish.mkdir(parents=True)
    if name == "current":
        (config.publish / name).mkdir()
    else:
        (config.publish / name).write_text("a file")
    with pytest.raises(JourneyflowError, match=r"move it away|Cannot publish"):
        run(config)
    assert not list(config.publish.glob("generations/*"))


def test_a_state_folder_that_cannot_be_written_is_reported(config):
    config.state.parent.mkdir(parents=True, exist_ok=True)
    config.state.write_text("a file")
    with pytest.raises(InputError, match="Cannot write in the state folder"):
        run(config)


def test_a_failure_between_loading_and_building_is_reported_as_what_it_is(config, monkeypatch):
    def broken(*_):
        raise InputError("The key is empty.")

    monkeypatch.setattr("journeyflow.pipeline.run.register_configuration", broken)
    with pytest.raises(InputError, match="The key is empty"):
        run(config)
    assert [row["status"] for row in ledger(config)] == ["failed"]


def test_a_mark_beyond_all_reason_is_refused(config):
    with pytest.raises(InputError, match="after the year 2200"):
        run(config, as_of=datetime(9999, 12, 31))
