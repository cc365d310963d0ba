"""The ledger: a content is loaded once, a file is all or nothing, and what cannot be read is said."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.config import load_config
from journeyflow.errors import EngineError, InputError, JourneyflowError
from journeyflow.ingest import insert, load
from journeyflow.ingest.insert import RecordCounts
from journeyflow.ingest.load import load_events
from journeyflow.state.folder import person_secret
from journeyflow.state.warehouse import clear_raw_events, open_warehouse

HEADER = "id,ts,cookie,event\n"
NOW_US = 1_800_000_000_000_000


def rows(*numbers: int) -> str:
    return HEADER + "".join(f"e{n},2026-03-01,c,x\n" for n in numbers)


def test_a_content_is_loaded_once_under_whatever_name(project):
    project.write("a.csv", rows(1, 2))
    project.load()
    project.write("b.csv", rows(1, 2))
    report = project.load()
    assert [file.status for file in report.files] == ["known", "known"]
    assert project.warehouse.count("ledger.loads") == 1
    assert len(project.events()) == 2


def test_a_changed_file_is_a_new_one_and_its_old_rows_stay(project):
    project.write("a.csv", rows(1, 2))
    project.load()
    project.write("a.csv", rows(2, 3))
    assert project.load().counts == RecordCounts(record=2, accepted=1, duplicate=1)
    assert project.events() == ["e1", "e2", "e3"]


def test_when_a_file_was_first_met_is_kept_for_rebuilds(project):
    project.source["columns"] = project.source["columns"] | {"occurred_at": "ts"}
    project.write("a.csv", HEADER + "e1,2027-01-15 08:30:00,c,x\n")
    project.load()
    clear_raw_events(project.warehouse)
    assert project.events() == []
    project.load(now_us=NOW_US + 10**12)
    files = project.warehouse.rows("select file_ix, first_loaded_at from ledger.files").to_pylist()
    assert files == [{"file_ix": 1, "first_loaded_at": datetime(2027, 1, 15, 8)}]
    assert project.events() == ["e1"]


def test_what_was_future_when_first_met_stays_so_in_a_rebuild(project):
    project.write("a.csv", HEADER + "e1,2027-01-15 10:00:00,c,x\n")
    project.load()
    assert project.quarantine() == [(2, "future")]
    clear_raw_events(project.warehouse)
    project.load(now_us=NOW_US + 10**12)
    assert project.quarantine() == [(2, "future")]


def test_changed_settings_read_the_source_again(project):
    project.write("a.csv", rows(1) + "e2,2026-03-01,,x\n")
    project.load()
    project.source["rename"] = {"x": "page_view"}
    report = project.load()
    assert [file.status for file in report.files] == ["loaded"]
    assert project.events("event_id, event_name") == [("e1", "page_view")]
    assert project.quarantine() == [(3, "no_identifier")]
    assert project.warehouse.count("ledger.files") == 1


def test_changed_settings_need_all_the_files(project):
    path = project.write("a.csv", rows(1))
    project.write("b.csv", rows(2))
    project.load(retention={"raw": "none"})
    path.unlink()
    project.source["rename"] = {"x": "page_view"}
    with pytest.raises(InputError, match=r"settings changed.*data/a\.csv is no longer there"):
        project.load(retention={"raw": "none"})
    assert len(project.events()) == 2


def test_a_moved_path_is_no_change_of_settings(project):
    project.write("a.csv", rows(1))
    project.load()
    (project.folder / "data").rename(project.folder / "moved")
    project.source["path"] = "moved/*"
    assert [file.status for file in project.load().files] == ["known"]


def test_a_pattern_without_files_is_an_error_that_names_source_and_pattern(project):
    with pytest.raises(InputError, match=r"Source web: no file matches data/\*; correct `sources\.web\.path`"):
        project.load()


def test_a_pattern_whose_files_are_gone_is_none(project):
    project.write("a.csv", rows(1)).unlink()
    project.write("a.csv", rows(1))
    project.load()
    (project.folder / "data" / "a.csv").unlink()
    assert project.load().files == ()


def test_a_folder_with_brackets_in_its_name_is_no_pattern(project):
    project.folder = project.folder / "a[1]"
    project.write("a.csv", rows(1))
    assert project.load().counts.accepted == 1


def test_a_refused_file_is_written_down_and_tried_again(project):
    project.write("a.csv", rows(1))
    project.write("b.csv", "id,when\n1,2\n")
    project.load()
    project.write("b.csv", "id,when\n1,2\n")
    report = project.load()
    assert [(file.source_file, file.status) for file in report.files] == [
        ("data/a.csv", "known"),
        ("data/b.csv", "refused"),
    ]
    found = project.warehouse.rows(
        "select run_id, status, record_count from ledger.loads where source_file = 'data/b.csv'"
    )
    assert [row["status"] for row in found.to_pylist()] == ["refused", "refused"]


def test_nothing_that_can_be_read_is_an_error_that_says_why(project):
    project.write("a.csv", "id,when\n1,2\n")
    with pytest.raises(
        InputError, match=r"Source web: none of its 1 files can be read\. The first, data/a\.csv: the header"
    ):
        project.load()


def test_a_failure_in_the_middle_leaves_nothing_of_the_file(project, monkeypatch):
    project.write("a.csv", rows(1))
    project.load()
    project.write("b.csv", rows(2) + "e3,,c,x\n")

    def broken(*_: object) -> None:
        raise JourneyflowError("broken")

    monkeypatch.setattr(insert, "_reconcile", broken)
    with pytest.raises(JourneyflowError, match="broken"):
        project.load()
    assert project.events() == ["e1"]
    assert project.quarantine() == []
    assert project.warehouse.count("ledger.files") == 1
    monkeypatch.undo()
    assert project.load().counts == RecordCounts(record=2, accepted=1, quarantined=1)


def test_what_a_killed_run_had_not_settled_is_read_again(project, monkeypatch):
    project.write("a.csv", rows(1, 2, 2))
    project.write("b.csv", rows(2, 3) + "e4,,c,x\n")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load, "deduplicate", killed)
    with pytest.raises(KeyboardInterrupt):
        project.load()
    monkeypatch.undo()
    assert project.load().counts == RecordCounts(record=6, accepted=3, quarantined=1, duplicate=2)
    assert project.events() == ["e1", "e2", "e3"]
    assert project.warehouse.count("raw.quarantine") == 1
    assert [file.status for file in project.load().files] == ["known", "known"]


def test_a_file_that_is_refused_takes_no_other_with_it(project):
    project.write("a.csv", rows(1))
    project.write("b.csv", "id,when\n1,2\n")
    project.write("c.csv", rows(1, 2))
    report = project.load()
    assert [file.status for file in report.files] == ["loaded", "refused", "loaded"]
    assert [file.counts.accepted for file in report.files] == [1, 0, 1]
    assert project.events() == ["e1", "e2"]


@pytest.mark.parametrize(
    "error",
    [
        EngineError("A statement failed: Conversion Error: Malformed JSON at byte 26 of input"),
        RecursionError("maximum recursion depth exceeded"),
        OverflowError("cannot convert float infinity to integer"),
    ],
)
def test_whatever_fails_over_one_file_costs_that_file_only(project, monkeypatch, error):
    """The database, Python or an adapter may fail over what a file holds; see `wide` for which one it is."""
    project.write("a.csv", rows(1))
    project.write("b.csv", "id,ts,cookie,event,wide\n2,2026-03-01,c,x,1\n")
    project.write("c.csv", rows(3))
    original = load.prepare

    def failing(warehouse, config, name, raw, first_loaded_at):
        if "wide" in raw.names:
            raise error
        original(warehouse, config, name, raw, first_loaded_at)

    monkeypatch.setattr(load, "prepare", failing)
    report = project.load()
    assert [file.status for file in report.files] == ["loaded", "refused", "loaded"]
    assert project.events() == ["e1", "e3"]
    detail = report.refused[0].detail
    assert ("Conversion Error" if isinstance(error, EngineError) else type(error).__name__) in detail
    assert "byte" not in detail


@pytest.mark.parametrize(
    "error", [EngineError("A statement failed: IO Error: No space left on device"), OSError(28, "full")]
)
def test_a_full_disk_is_no_fault_of_a_file(project, monkeypatch, error):
    project.write("a.csv", rows(1))

    def failing(*_):
        raise error

    monkeypatch.setattr(load, "prepare", failing)
    with pytest.raises(type(error)):
        project.load()
    assert project.warehouse.count("ledger.loads") == 0


def test_files_beyond_the_size_of_a_batch_are_loaded_apart(project, monkeypatch):
    for name in "abc":
        project.write(f"{name}.csv", rows(1, 2))
    monkeypatch.setattr(load, "BATCH_BYTES", 1)
    batches = []
    original = load.deduplicate
    monkeypatch.setattr(load, "deduplicate", lambda *a: batches.append(a) or original(*a))
    project.write("c.csv", rows(2, 3))
    report = project.load()
    assert len(batches) == 2  # The second file is the first one under another name.
    assert [file.status for file in report.files] == ["loaded", "known", "loaded"]
    assert [file.counts.duplicate for file in report.files] == [0, 0, 1]


def test_records_that_do_not_add_up_are_never_kept(project, monkeypatch):
    project.write("a.csv", rows(1, 2))
    monkeypatch.setattr(insert, "_insert", lambda *_, **__: "select 1")
    with pytest.raises(JourneyflowError, match=r"data/a\.csv do not add up: 2 read, 0 accounted for"):
        project.load()
    assert project.warehouse.count("ledger.loads") == 0


def test_a_file_that_changes_after_it_was_copied_counts_as_it_was(project, monkeypatch):
    project.write("a.csv", rows(1))
    path = project.write("b.csv", rows(2))
    original = load.insert_records

    def slow(*arguments: object) -> object:
        if path in [file.path for file, _ in arguments[1]]:
            path.write_text(rows(2, 3))
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(load, "insert_records", slow)
        assert not project.load().refused
    assert project.events() == ["e1", "e2"]
    assert [file.status for file in project.load().files] == ["known", "loaded"]
    assert project.events() == ["e1", "e2", "e3"]


def test_a_failing_database_is_not_taken_for_a_bad_file(project, monkeypatch):
    project.write("a.csv", rows(1))

    def failing(*_: object) -> None:
        raise EngineError("no space left")

    monkeypatch.setattr(load, "insert_records", failing)
    with pytest.raises(EngineError, match="no space left"):
        project.load()


def test_progress_is_reported(project):
    project.write("a.csv", rows(1, 2))
    told = []
    load_events(project.config(), project.warehouse, run_id="r", now_us=NOW_US, progress=lambda *a: told.append(a))
    assert told == [("load", "data/a.csv", 0), ("load", "data/a.csv", 2, 2)]


def test_the_warehouse_survives_being_closed(project, tmp_path):
    project.write("a.csv", rows(1))
    for _ in range(2):
        with open_warehouse(tmp_path / "state" / "w.duckdb") as warehouse:
            load_events(project.config(), warehouse, run_id="r", now_us=NOW_US)
            assert warehouse.count("raw.events") == 1
            assert warehouse.count("ledger.schema_version") == 1


def test_a_warehouse_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "w.duckdb"
    with open_warehouse(path) as warehouse:
        warehouse.execute("update ledger.schema_version set version = 99")
    with pytest.raises(InputError, match="newer journeyflow"):
        open_warehouse(path)


def test_no_message_holds_a_value(project):
    project.write("a.csv", HEADER.replace("event", "other") + "secret-id,2026-03-01,secret-cookie,x\n")
    with pytest.raises(InputError) as caught:
        project.load()
    assert "secret" not in str(caught.value)


def test_a_warehouse_that_everybody_may_write_is_refused(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    open_warehouse(path).close()
    path.chmod(0o666)
    with pytest.raises(InputError, match=f"chmod o-w {path}"):
        open_warehouse(path)


def test_a_key_that_everybody_may_write_is_refused(project):
    config = project.config()
    person_secret(config)
    config.privacy.key_file.chmod(0o606)
    with pytest.raises(InputError, match="chmod o-w"):
        person_secret(config)


def test_formats_mix_in_one_project(project):
    lines = pa.table({"id": ["p1"], "ts": ["2026-03-01"], "cookie": ["c"], "event": ["x"]})
    project.write("a.csv", rows(1))
    project.write("z.csv", rows(2))
    (project.folder / "shop").mkdir()
    pq.write_table(lines, project.folder / "shop" / "b.parquet")
    parquet = project.source | {"format": "parquet", "path": "shop/*"}
    late = project.source | {"path": "data/z.csv"}
    first = project.source | {"path": "data/a.csv"}
    config = load_config({"sources": {"web": first, "shop": parquet, "late": late}}, folder=project.folder)
    load_events(config, project.warehouse, run_id="r", now_us=NOW_US)
    assert project.events() == ["e1", "e2", "p1"]
