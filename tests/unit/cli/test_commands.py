"""Every command on one small project, as a person would use it."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from journeyflow.cli import main
from journeyflow.errors import ExitCode, JourneyflowError
from journeyflow.state.folder import project_lock
from support.few_models import building_only
from support.order_project import write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands") / "shop"
    write_project(folder)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--config", str(folder / "journeyflow.yml"), "--quiet"])
    assert ended.value.code == ExitCode.OK
    return folder


@pytest.fixture(autouse=True)
def _there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.fixture
def _few(project: Path) -> Iterator[None]:
    """For tests of a project of their own, and of what a run does with its input rather than of figures."""
    with building_only(("insights.blind_spots",)):
        yield


class Caller:
    def __init__(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._captured = capfdbinary

    def __call__(self, *arguments: str, code: int = ExitCode.OK) -> str:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = self._captured.readouterr()
        self.errors = captured.err.decode()
        assert (ended.value.code or 0) == code, self.errors
        return captured.out.decode()


@pytest.fixture
def call(capfdbinary: pytest.CaptureFixture[bytes]) -> Caller:
    return Caller(capfdbinary)


def test_funnels_are_listed_and_shown(call: Caller) -> None:
    assert "checkout" in call("funnel")
    shown = call("funnel", "checkout")
    assert shown.startswith("checkout, all persons: ")
    assert "3 paid" in shown
    steps = json.loads(call("funnel", "checkout", "--persona", "from_shop", "--json"))
    assert [step["step"] for step in steps] == ["product", "cart", "paid"]
    assert {step["persona"] for step in steps} == {"from_shop"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["funnel", "chekout"], "Did you mean 'checkout'?"),
        (["funnel", "checkout", "--persona", "form_shop"], "Did you mean 'from_shop'?"),
        (["funnel", "checkout", "--period", "2026-04"], "2026-03"),
        (["drop-offs", "checkout", "--step", "crat"], "Did you mean 'cart'?"),
        (["drop-offs", "checkout", "--step", "paid"], "there is: product, cart"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(call: Caller, arguments: list[str], hint: str) -> None:
    call(*arguments, code=ExitCode.NOT_FOUND)
    assert hint in call.errors


def test_drop_offs_add_up_to_the_step(call: Caller) -> None:
    shown = call("drop-offs", "checkout", "--step", "product")
    lost = json.loads(call("funnel", "checkout", "--json"))[0]["drop_off_count"]
    assert f"Left at product: {lost}" in shown
    assert "Left at cart" not in shown
    assert "what they did next" in shown


def test_a_query_in_every_format(call: Caller, tmp_path: Path) -> None:
    sql = "select persona, person_count from personas order by persona"
    rows = json.loads(call("query", sql, "--format", "json"))
    assert list(csv.DictReader(call("query", sql, "-f", "csv").splitlines())) == [
        {name: str(value) for name, value in row.items()} for row in rows
    ]
    call("query", sql, "-f", "parquet", "-o", str(tmp_path / "rows.parquet"))
    assert pl.read_parquet(tmp_path / "rows.parquet").to_dicts() == rows
    assert all(row["persona"] in call("query", sql) for row in rows)
    assert "1 of 3 rows" in call("query", sql, "--limit", "1")


def test_a_query_of_the_last_build_reads_models_that_are_not_published(call: Caller) -> None:
    (row,) = json.loads(call("query", "--build", "select count(*) as n from kernel.journeys", "-f", "json"))
    assert row["n"] > 0
    call("query", "from kernel.journeys", code=ExitCode.FAILED)
    call("query", "--build", "drop table kernel.journeys", code=ExitCode.FAILED)
    call("query", "--build", "from read_text('journeyflow.yml')", code=ExitCode.FAILED)
    call("query", "--build", "select 1 as a, 2 as a", code=ExitCode.FAILED)


@pytest.mark.parametrize(
    "sql",
    ["drop table personas", "create table x as select 1", "attach 'x.duckdb'", "from read_text('journeyflow.yml')"],
)
def test_a_query_can_change_and_reach_nothing(call: Caller, project: Path, sql: str) -> None:
    before = sorted(project.rglob("*"))
    call("query", sql, code=ExitCode.FAILED)
    assert sorted(project.rglob("*")) == before


def test_events_are_found_and_explained_by_their_ids(call: Caller) -> None:
    rows = json.loads(call("events", "--name", "purchase", "--limit", "3", "--json"))
    assert len(rows) == 3
    assert {row["event_name"] for row in rows} == {"purchase"}
    times = [row["occurred_at"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert call("explain", "event", rows[0]["event_id"]).startswith("purchase at ")
    shown = call("explain", "person", rows[0]["person_id"])
    assert "in checkout" in shown
    assert "Also in: four_stage, value_journey; choose one with --funnel." in shown
    staged = call(
        "events", "--stage", "decision", "--model", "four_stage", "--person", rows[0]["person_id"], "-f", "csv"
    )
    assert {row["stage"] for row in csv.DictReader(staged.splitlines())} == {"decision"}
    day = json.loads(call("events", "--since", "2026-03-05", "--until", "2026-03-06", "--limit", "500", "--json"))
    assert {row["occurred_at"][:10] for row in day} == {"2026-03-05"}


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--name", "purchse"], "Did you mean 'purchase'?"),
        (["--channel", "wbe"], "Did you mean 'web'?"),
        (["--stage", "decisoin"], "Did you mean 'decision'?"),
        (["--model", "four"], "four_stage"),
        (["--person", "nobody"], "There is no such person"),
    ],
)
def test_events_by_a_wrong_name_are_answered_with_the_right_ones(call: Caller, arguments: list[str], hint: str) -> None:
    call("events", *arguments, code=ExitCode.NOT_FOUND)
    assert hint in call.errors


def test_a_statement_that_changes_something_is_answered_with_read_only(call: Caller) -> None:
    call("query", "delete from personas", code=ExitCode.FAILED)
    assert "the tables are read only" in call.errors


def test_a_log_has_a_line_for_each_phase_on_request(call: Caller) -> None:
    call("run", "--quiet", "--progress", "plain")
    assert call.errors == ""
    report = json.loads(call("run", "--json", "--progress", "plain"))
    assert report["status"] == "published"
    lines = [line.split(" ", 1)[1] for line in call.errors.splitlines()]
    assert [line for line in lines if line.endswith("...")] == [
        f"{phase} ..." for phase in (*PHASES, "check", "publish")
    ]
    call("run")
    assert call.errors == ""


PHASES = ["load", "stitch", "classify", "build"]


def test_plan_fits_one_screen(call: Caller) -> None:
    lines = call("plan").splitlines()
    assert len(lines) <= 24
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [*PHASES, "check", "publish"]
    assert "User-defined models: none" in lines
    assert any("Incremental or full refresh is decided" in line for line in lines)
    assert "marts.funnel_steps" not in call("plan")


def test_plan_lists_every_model_by_phase_on_request(call: Caller) -> None:
    shown = call("plan", "--verbose")
    assert [line for line in shown.splitlines() if line and not line.startswith(" ")] == PHASES
    assert "marts.funnel_steps" in shown
    entries = json.loads(call("plan", "--json"))
    assert list(dict.fromkeys(entry["phase"] for entry in entries)) == PHASES
    assert all(entry["model"] in shown for entry in entries)
    steps = next(entry for entry in entries if entry["model"] == "marts.funnel_steps")
    assert steps["why"] == "published"
    assert steps["is_own"] is False
    assert all(f"  {name}  " in shown for name in steps["reads"])


def test_plan_lists_selected_models(call: Caller) -> None:
    entries = json.loads(call("plan", "--select", "+marts.paths", "--json"))
    models = [entry["model"] for entry in entries]
    assert models[-1] == "marts.paths"
    assert "journeys.paths" in models
    assert "marts.funnel_steps" not in models
    assert "marts.paths" in call("plan", "--select", "marts.paths")


def test_status_lists_runs_and_the_run_in_progress(call: Caller, project: Path) -> None:
    found = json.loads(call("status", "--json"))
    assert found["runs"][0]["run_id"] == found["current"]["run_id"]
    assert found["running"] is None
    with project_lock(project / "state"):
        assert "A run is in progress: process" in call("status")
        busy = json.loads(call("status", "--json"))
        assert (busy["running"]["pid"], busy["running"]["host"]) == (os.getpid(), platform.node())
        assert busy["runs"][0]["run_id"] == found["current"]["run_id"]  # Of what is published.
    assert "lock    free" in call("status")
    # A killed run leaves its note behind; its process number may long be another's.
    left = project / "state" / "run.holder.json"
    left.write_text(json.dumps({"pid": os.getpid(), "started_at": "2026-03-01 00:00:00 UTC"}))
    assert json.loads(call("status", "--json"))["running"] is None
    left.unlink()


@pytest.mark.usefixtures("_few")
def test_status_shows_sizes_and_the_alerts_of_the_last_published_run(call: Caller, tmp_path: Path) -> None:
    config = write_project(tmp_path / "alerting")
    with (config.parent / "events.csv").open("a") as file:
        file.writelines(f"not a time,c{n},,page_view,/\n" for n in range(50))
    call("run", "-c", str(config), "--quiet")
    found = json.loads(call("status", "-c", str(config), "--json"))
    (alert,) = found["alerts"]
    assert alert == {
        "kind": "input",
        "detail": "events.csv: 50 of 450 records are in quarantine (bad_time 50).",
    }
    assert found["runs"][0]["alarm_count"] == 1
    sizes = found["sizes"]
    assert (sizes["kept_count"], sizes["generation_count"]) == (1, 1)
    files = [path for path in (config.parent / "published" / "generations").rglob("*") if path.is_file()]
    assert sizes["generations_bytes"] == sum(path.stat().st_size for path in files)
    assert sizes["warehouse_bytes"] == (config.parent / "state" / "warehouse.duckdb").stat().st_size
    assert sizes["build_bytes"] > 0
    shown = call("status", "-c", str(config))
    assert "alert   events.csv: 50 of 450" in shown
    assert "1 archived files" in shown
    shown = call("quarantine", "list", "-c", str(config))
    assert "the time cannot be read" in " ".join(shown.split())
    assert "journeyflow quarantine replay" in shown
    (config.parent / "events.csv").unlink()
    call("run", "-c", str(config), "--quiet")  # Nothing new, and nothing to look at.
    assert json.loads(call("status", "-c", str(config), "--json"))["alerts"] == []


def test_doctor_reports_its_findings(call: Caller, project: Path) -> None:
    assert "all records accounted for" in call("doctor")
    key = project / "state" / "pseudonym.key"
    key.chmod(0o666)
    found = {each["subject"]: each["severity"] for each in json.loads(call("doctor", "--json", code=ExitCode.FAILED))}
    key.chmod(0o600)
    assert (found["permissions"], found["warehouse"]) == ("error", "ok")


def test_quarantine_is_listed_and_tried_again_on_request_only(call: Caller) -> None:
    assert json.loads(call("quarantine", "list", "--reason", "no_such", "--json")) == []
    assert "No such record" in call("quarantine", "list", "--reason", "no_such")
    call("quarantine", "list", "--source", "no_such", code=ExitCode.NOT_FOUND)
    call("quarantine", "replay", "--reason", "no_such", code=ExitCode.NOT_FOUND)
    assert "journeyflow quarantine list" in call.errors


def test_a_list_of_records_is_for_its_owner_only(call: Caller, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.touch(0o644)
    call("quarantine", "list", "--rows", "--format", "csv", "--output", str(rows))
    assert rows.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_meant_is_refused_in_words(call: Caller) -> None:
    call("query", "select 1; select 2", code=ExitCode.FAILED)
    assert "there are 2" in call.errors
    call("run", "--memory", "4XB", code=ExitCode.CONFIGURATION)
    assert "such as 4GB" in call.errors


def test_a_second_run_at_the_same_time_is_refused(call: Caller, project: Path) -> None:
    with project_lock(project / "state"):
        call("run", code=ExitCode.LOCKED)
    assert "Wait for it" in call.errors


@pytest.mark.parametrize("option", ["--full-refresh", "--whole"])
def test_a_full_refresh_is_built_on_request(call: Caller, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    asked: list[bool] = []

    def run(*_: object, full_refresh: bool, **__: object) -> None:
        asked.append(full_refresh)
        raise JourneyflowError("stopped")

    monkeypatch.setattr("journeyflow.pipeline.run.run", run)
    call("run", code=ExitCode.FAILED)
    call("run", option, code=ExitCode.FAILED)
    assert asked == [False, True]


def test_a_run_reports_in_json_and_reads_no_file_twice(call: Caller) -> None:
    report = json.loads(call("run", "--as-of", "2026-03-10T12:00:00+01:00", "--json"))
    assert report["high_water_at"] == "2026-03-10T11:00:00"
    assert report["record_count"] == 0
    assert call("run", "--quiet") == ""


def test_a_wrong_time_is_a_wrong_command_line(call: Caller) -> None:
    call("run", "--as-of", "yesterday", code=ExitCode.CONFIGURATION)
    assert "2026-03-31" in call.errors


@pytest.mark.usefixtures("_few")
def test_an_alert_has_an_exit_code_on_request(call: Caller, tmp_path: Path) -> None:
    config = write_project(tmp_path / "alerting")
    with (config.parent / "events.csv").open("a") as file:
        file.writelines(f"not a time,c{n},,page_view,/\n" for n in range(50))
    shown = call("run", "-c", str(config))
    assert "alert   events.csv: 50 of 450 records are in quarantine (bad_time 50)." in shown
    (config.parent / "more.csv").write_text((config.parent / "events.csv").read_text() + "no,c,,x,/\n")
    config.write_text(config.read_text().replace("events.csv", "'*.csv'"))
    call("run", "-c", str(config), "--fail-on-alert", code=ExitCode.ALERT)
    with (config.parent / "more.csv").open("a") as file:
        file.write("no,c,,x,/\n")
    call("run", "-c", str(config), "--fail-on-alarm", code=ExitCode.ALERT)  # The option's former name.


@pytest.mark.usefixtures("_few")
def test_a_refused_file_has_an_exit_code_of_its_own_on_request(call: Caller, tmp_path: Path) -> None:
    config = write_project(tmp_path / "refusing")
    config.write_text(config.read_text().replace("events.csv", "'*.csv'"))
    (config.parent / "wrong.csv").write_text("another,header\n1,2\n")
    call("run", "-c", str(config), "--fail-on-alert", "--fail-on-refusal", code=ExitCode.REFUSED)
    call("run", "-c", str(config))
    (config.parent / "wrong.csv").unlink()
    call("run", "-c", str(config), "--fail-on-refusal")


def test_a_missing_input_keeps_what_was_published(call: Caller, tmp_path: Path) -> None:
    config = write_project(tmp_path / "gone")
    (config.parent / "events.csv").unlink()
    call("run", "-c", str(config), code=ExitCode.INPUT)
    assert not (config.parent / "published" / "current").exists()


def test_the_demo_leaves_other_folders_alone(call: Caller, project: Path) -> None:
    call("demo", "--folder", str(project), code=ExitCode.INPUT)
    assert "is not empty" in call.errors


@pytest.mark.parametrize(
    ("sql", "cause"), [("select 1 as a, 2 as a", "a distinct name"), ("select interval 3 day as a", "Cast to varchar")]
)
def test_columns_that_make_no_table_are_refused(call: Caller, sql: str, cause: str) -> None:
    assert not call("query", sql, code=ExitCode.FAILED)
    assert cause in call.errors


def test_status_shows_what_is_published_beside_a_damaged_warehouse(call: Caller, project: Path) -> None:
    warehouse = project / "state" / "warehouse.duckdb"
    intact = warehouse.read_bytes()
    warehouse.write_bytes(b"damaged" * 1000)
    try:
        assert "Published" in call("status")
        call("run", code=ExitCode.FAILED)
        assert "move it away" in call.errors
    finally:
        warehouse.write_bytes(intact)


def test_a_rebuild_equals_what_is_published(call: Caller) -> None:
    found = json.loads(call("verify", "--json"))
    assert "funnel_steps" in found["tables"]
    assert json.loads(call("rebuild", "--json"))["status"] == "published"
    assert "identical to a rebuild" in call("verify")
