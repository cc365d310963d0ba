"""`erase` on the command line: ids from files and pipes, a question first, numbers and never an id."""

from __future__ import annotations

import io
import json
import shutil

import pytest

import journeyflow
from journeyflow.cli import main
from support.file_search import files_with
from support.in_process_parser import parse_in_process, parsing_in_process

BUILT = ()

CONFIG = """
sources:
  web:
    format: csv
    path: a.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, user_id: who, event_name: event}
"""
ROWS = """id,at,cookie,who,event
1,2026-03-01 10:00:00,c-canary,u-canary,page_view
2,2026-03-01 10:00:00,c-ben,ben,page_view
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded") / "shop"
    folder.mkdir()
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    (folder / "a.csv").write_text(ROWS, encoding="utf-8")
    with parsing_in_process():
        journeyflow.run(folder)
    return folder


@pytest.fixture(autouse=True)
def _parse_in_process(monkeypatch):
    parse_in_process(monkeypatch)


@pytest.fixture
def erase(loaded, tmp_path, monkeypatch, capsys):
    """Run the command on a copy of the project; returns the exit code, what was said, and the project."""

    def run(*arguments, typed=None, command="erase"):
        folder = tmp_path / "shop"
        if not folder.exists():
            shutil.copytree(loaded, folder, symlinks=True)
        monkeypatch.setattr("sys.stdin", io.StringIO(typed or ""))
        with pytest.raises(SystemExit) as ended:
            main([command, "--config", str(folder / "journeyflow.yml"), *arguments])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out + said.err, folder

    return run


def test_a_dry_run_counts_names_files_and_changes_nothing(erase):
    code, said, folder = erase("--user-id", "u-canary", "--dry-run")
    assert code == 0
    assert "1 event, 0 traits, 0 quarantined rows" in said
    assert "a.csv: 1 record\n" in said
    assert "canary" not in said
    assert files_with(folder / "state", "u-canary")
    # `forget` is an alias.
    code, said, _ = erase("--anonymous-id", "c-canary", "--dry-run", "--json", command="forget")
    assert code == 0
    assert (json.loads(said)["event_count"], json.loads(said)["user_count"]) == (1, 1)
    assert "canary" not in said


def test_ids_come_by_a_pipe_and_no_message_holds_them(erase):
    code, said, folder = erase("--ids-from", "-", "--yes", typed="# request 17\nuser: u-canary\n\n")
    assert code == 0, said
    assert "Erased. Published without them" in said
    assert "canary" not in said
    assert files_with(folder / "state", "canary") == []
    code, said, _ = erase("--ids-from", "-", "--yes", typed="user:u-canary\n")
    assert (code, "erased before" in said) == (0, True)


def test_without_a_terminal_nothing_is_erased(erase):
    code, said, folder = erase("--user-id", "u-canary")
    assert (code, "--yes" in said) == (2, True)
    assert files_with(folder / "state", "u-canary")
    assert not (folder / "state" / "erasure.json").exists()


def test_a_declined_confirmation_erases_nothing(erase, monkeypatch):
    monkeypatch.setattr("journeyflow.cli.maintenance._is_terminal", lambda: True)
    code, said, folder = erase("--user-id", "u-canary", typed="n\n")
    assert (code, "Nothing was erased" in said) == (1, True)
    assert files_with(folder / "state", "u-canary")


def test_ids_that_cannot_be_read_are_named_by_their_lines(erase, tmp_path):
    (tmp_path / "ids.txt").write_text("user:u-canary\nc-canary\ndevice:\n", encoding="utf-8")
    code, said, _ = erase("--ids-from", str(tmp_path / "ids.txt"), "--yes")
    assert (code, "Lines 2, 3" in said, "canary" in said) == (3, True, False)
    assert erase("--ids-from", str(tmp_path / "none.txt"), "--yes")[0] == 3
    code, said, _ = erase("--yes")
    assert (code, "--ids-from" in said) == (2, True)


def test_the_search_for_an_unknown_id_shows_how_far_it_is(erase, monkeypatch):
    monkeypatch.setattr("journeyflow.utils.formatting.PROGRESS_SECONDS", 0)
    code, said, _ = erase("--user-id", "canary-unknown", "--dry-run", "--progress", "plain")
    assert (code, "canary" in said) == (6, False)
    assert "search: 1 of 1 archived files" in said


def test_unknown_ids_are_not_found(erase):
    code, said, folder = erase("--user-id", "canary-unknown", "--yes")
    assert (code, "canary" in said) == (6, False)
    assert not (folder / "state" / "erasure.json").exists()


def test_a_word_in_the_records_of_others_is_not_erased_unseen(erase, loaded, monkeypatch):
    folder = erase("--user-id", "nobody")[2]
    rows = ROWS.replace("event\n", "event,segment\n", 1).replace("page_view\n", "page_view,customer\n")
    (folder / "a.csv").write_text(rows.replace("1,2026", "3,2026").replace("2,2026", "4,2026"), encoding="utf-8")
    journeyflow.run(folder)
    before = sorted((folder / "state" / "raw").iterdir())
    code, said, _ = erase("--user-id", "customer", "--user-id", "u-canary", "--yes")
    assert (code, sorted((folder / "state" / "raw").iterdir())) == (2, before)
    assert "0 records, and ids in 2 records of others" in erase("--user-id", "customer", "--dry-run")[1]
    code, said, _ = erase("--user-id", "customer", "--yes")
    assert (code, "--unknown-ids" in said, sorted((folder / "state" / "raw").iterdir())) == (2, True, before)
    assert "may hold such an id as a word" in said
    code, said, _ = erase("--user-id", "customer", "--yes", "--unknown-ids")
    assert (code, sorted((folder / "state" / "raw").iterdir()) != before) == (0, True)
