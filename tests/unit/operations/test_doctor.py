"""Every fault is diagnosed, and nothing is changed."""

from __future__ import annotations

import shutil
from datetime import timedelta
from types import SimpleNamespace

import pytest

from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.operations.doctor import examine
from journeyflow.operations.status import status_of
from journeyflow.pipeline.run import BUILD, WAREHOUSE, run
from journeyflow.state.folder import project_lock
from journeyflow.state.warehouse import newest_version
from support.order_project import write_project
from support.templates import copy_of, finished_shop


@pytest.fixture
def ran(tmp_path_factory, tmp_path):
    return load_config(copy_of(finished_shop(tmp_path_factory), tmp_path / "shop"))


def ill(config):
    found = [finding for finding in examine(config) if finding.severity != "ok"]
    return [(finding.subject, finding.severity, finding.detail) for finding in found]


def only(config, subject, severity):
    ((found, said, detail),) = [each for each in ill(config) if each[0] != "free space"]
    assert (found, said) == (subject, severity), detail
    return detail


def test_a_project_that_ran_is_well(ran):
    before = sorted(ran.folder.rglob("*"))
    assert [each for each in ill(ran) if each[0] != "free space"] == []
    assert sorted(ran.folder.rglob("*")) == before
    subjects = ["installation", "models", "permissions", "warehouse", "last build", "published", *["free space"] * 2]
    assert [finding.subject for finding in examine(ran)] == subjects


def test_a_project_that_never_ran_is_well(tmp_path):
    write_project(tmp_path / "new")
    config = load_config(tmp_path / "new")
    assert [each for each in ill(config) if each[0] != "free space"] == []


def test_a_run_that_is_going_on_is_left_alone(ran):
    with project_lock(ran.state):
        assert any("while a run is active" in finding.detail for finding in examine(ran))


@pytest.mark.parametrize("name", ["marts.duckdb", "paths.parquet"])
def test_a_published_file_that_is_gone_is_found(ran, name):
    (ran.publish / "current" / name).unlink()
    assert name in only(ran, "published", "error")


def test_a_published_table_that_was_changed_is_found(ran):
    with (ran.publish / "current" / "paths.parquet").open("ab") as file:
        file.write(b"x")
    assert "paths.parquet was changed" in only(ran, "published", "error")


def test_a_published_database_of_other_rows_is_found(ran):
    with DuckDBEngine(ran.publish / "current" / "marts.duckdb") as marts:
        marts.execute("delete from paths")
    assert "marts.duckdb has 0 rows of paths, the manifest" in only(ran, "published", "error")


def test_a_link_that_leads_elsewhere_is_found(ran):
    current = ran.publish / "current"
    current.unlink()
    current.symlink_to(ran.state)
    assert "does not link to a generation" in only(ran, "published", "error")
    current.unlink()
    current.mkdir()
    assert "is not a link" in only(ran, "published", "error")


def test_what_a_killed_run_left_is_reported(ran):
    (ran.publish / "generations" / ".unfinished-1").mkdir()
    assert "1 unfinished" in only(ran, "generations", "warning")


def test_a_damaged_warehouse_is_found(ran):
    (ran.state / WAREHOUSE).write_bytes(b"no database" * 999)
    assert "Cannot open the database" in only(ran, "warehouse", "error")


def test_a_damaged_build_is_found(ran):
    (ran.state / BUILD).write_bytes(b"no database" * 999)
    assert "Cannot open the database" in only(ran, "last build", "error")


def test_records_that_do_not_add_up_are_found(ran):
    with DuckDBEngine(ran.state / WAREHOUSE) as warehouse:
        warehouse.execute("insert into ledger.loads values ('r', 's', 'f', 3, 1, 1, 0, 0, 0, 0, null, 'loaded', null)")
    assert "1 files whose records do not add up" in only(ran, "warehouse", "error")


def test_a_state_that_others_may_read_is_reported(ran):
    ran.state.chmod(0o755)
    assert "other users may read" in only(ran, "permissions", "warning")


@pytest.mark.parametrize("which", ["warehouse", "key", "folder"])
def test_a_warehouse_or_key_that_everybody_may_write_is_found(ran, which):
    path = {"warehouse": ran.state / WAREHOUSE, "key": ran.privacy.key_file, "folder": ran.state}[which]
    path.chmod(0o777 if path.is_dir() else 0o666)
    assert f"all users may write to {path}" in only(ran, "permissions", "error")


def test_too_little_room_is_reported(ran, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    assert [each[:2] for each in ill(ran)] == [("free space", "warning")] * 2


def test_a_model_of_ones_own_that_is_wrong_is_reported(ran):
    folder = ran.folder / "sql" / "marts"
    folder.mkdir(parents=True)
    (folder / "mine.sql").write_text("select 1 as a")
    assert "mine" in only(ran, "models", "error")


def test_what_nobody_of_ours_put_into_the_state_folder_is_reported(ran):
    (ran.state / "notes.txt").write_text("mine")
    (ran.state / "raw" / "more.csv").write_text("a,b")
    (ran.state / "raw" / ("0" * 64 + ".gz")).symlink_to("/etc/hostname")
    detail = only(ran, "unknown files", "warning")
    assert detail.startswith("3 unknown files in")
    assert "notes.txt" in detail
    assert "raw/more.csv" in detail


def test_a_key_under_another_name_is_known(ran):
    moved = ran.state / "other.key"
    ran.privacy.key_file.rename(moved)
    privacy = ran.privacy.model_copy(update={"key_file": moved})
    assert [each for each in ill(ran.model_copy(update={"privacy": privacy})) if each[0] != "free space"] == []


def test_the_work_of_a_killed_run_is_reported_and_that_of_a_living_one_is_not(ran):
    (ran.state / "work").mkdir()
    assert "the next run removes it" in only(ran, "work", "warning")
    with project_lock(ran.state):
        assert "work" not in {finding.subject for finding in examine(ran)}


@pytest.mark.parametrize("name", ["raw", "warehouse.duckdb", "run.lock"])
def test_anything_private_that_everybody_may_write_is_found(ran, name):
    path = ran.state / name
    path.chmod(0o777 if path.is_dir() else 0o666)
    assert f"all users may write to {path}" in only(ran, "permissions", "error")


def test_a_loaded_file_that_is_not_archived_is_reported_unless_none_is(ran):
    for path in (ran.state / "raw").glob("*.records.parquet"):
        path.unlink()
    assert "1 of 1 files are not archived, the first events.csv" in only(ran, "archived files", "warning")
    none = ran.retention.model_copy(update={"raw": timedelta(0)})
    assert [each for each in ill(ran.model_copy(update={"retention": none})) if each[0] != "free space"] == []


def test_the_schema_is_reported_and_a_newer_one_is_an_error(ran):
    assert any(f"schema {newest_version()}" in finding.detail for finding in examine(ran))
    with DuckDBEngine(ran.state / WAREHOUSE) as warehouse:
        warehouse.execute("update ledger.schema_version set version = 1")
    assert any("schema 1, which the next run migrates to" in finding.detail for finding in examine(ran))
    with DuckDBEngine(ran.state / WAREHOUSE) as warehouse:
        warehouse.execute("update ledger.schema_version set version = 99")
    assert "newer journeyflow (schema 99)" in only(ran, "warehouse", "error")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("Source web: no file matches in/*.csv."), "Source web: no file matches in/*.csv."),
        (RecursionError("a value of the data"), "An unexpected RecursionError."),
        (OSError(28, "No space left on device"), "An unexpected OSError (No space left on device)."),
    ],
)
def test_status_and_doctor_say_why_the_last_run_failed(ran, monkeypatch, error, expected):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr("journeyflow.pipeline.run.load_sources", failing)
    with pytest.raises(type(error)):
        run(ran)
    status = status_of(ran)
    assert status["failure"]["detail"] == expected
    assert status["failure"]["run_id"] == status["runs"][0]["run_id"]
    assert only(ran, "last run", "warning").endswith(f"failed: {expected}")
    if isinstance(error, InputError):
        monkeypatch.undo()
        run(ran)
        assert status_of(ran)["failure"] is None
