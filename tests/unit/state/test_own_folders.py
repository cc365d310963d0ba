"""The folders of the product are its own: it takes no other, and removes only what runs made."""

from __future__ import annotations

import pytest

import journeyflow
from journeyflow.config import check, load_config
from journeyflow.errors import InputError
from journeyflow.state.folder import clear_work, own_paths, require_own_state
from support.order_project import write_project

BUILT = ()
SOURCE = "sources: {web: {format: csv, path: data/in/*.csv, columns: {occurred_at: t, user_id: u, event_name: e}}}\n"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("state: out\npublish: ./out", "folders_alike"),
        ("state: out\npublish: out/tables", "folder_in_folder"),
        ("state: out/private\npublish: out", "folder_in_folder"),
        ("state: link/private\npublish: out", "folder_in_folder"),
        ("state: .", "folder_of_config"),
        ("publish: ..", "folder_of_config"),
        ("state: /", "folder_is_root"),
        ("publish: /", "folder_is_root"),
        ("state: data", "folder_of_inputs"),
        ("publish: data/in", "folder_of_inputs"),
        ("privacy: {key_file: published/current/key}", "key_in_publish"),
        ("privacy: {key_file: state/raw/key}", "key_in_state"),
        ("privacy: {key_file: state/work/key}", "key_in_state"),
    ],
)
def test_folders_that_hold_one_another_the_configuration_or_inputs_are_refused(tmp_path, given, code):
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "in" / "a.csv").write_text("t,u,e\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "journeyflow.yml").write_text(SOURCE + given + "\n")
    assert code in {problem.code for problem in check(tmp_path) if problem.severity == "error"}


@pytest.mark.parametrize(
    "given", ["state: own\npublish: tables", "state: data/own", "privacy: {key_file: state/my.key}"]
)
def test_folders_beside_one_another_and_beside_inputs_are_right(tmp_path, given):
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "in" / "a.csv").write_text("t,u,e\n")
    (tmp_path / "journeyflow.yml").write_text(SOURCE + given + "\n")
    assert [problem for problem in check(tmp_path) if problem.severity == "error"] == []


@pytest.fixture
def config(tmp_path):
    return load_config(write_project(tmp_path / "shop"))


@pytest.mark.parametrize("name", ["report.txt", "raw/export.csv", "work/mine/notes", "audiences/Old Lists/a.csv"])
def test_a_first_run_refuses_a_folder_with_other_things_and_changes_nothing(config, name):
    path = config.state / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    path.chmod(0o644)
    with pytest.raises(InputError, match="it must be one of its own"):
        journeyflow.run(config)
    assert [each for each in config.state.rglob("*") if each.is_file() and each.name not in _LOCK] == [path]
    assert path.stat().st_mode & 0o777 == 0o644


_LOCK = ("run.lock", "run.holder.json")


@pytest.mark.parametrize("name", ["lost+found", ".keep", "pseudonym.key", "work/20260301T100000000000/x"])
def test_what_volumes_and_killed_runs_leave_is_no_obstacle(config, name):
    path = config.state / name
    path.parent.mkdir(parents=True)
    path.write_text("key")
    require_own_state(config)


def test_the_folder_of_a_project_that_has_run_may_hold_other_things_which_stay(config):
    journeyflow.run(config)
    mine = [config.state / "report.txt", config.state / "work" / "mine" / "notes", config.state / "raw" / "export.csv"]
    mine += [config.publish / "notes.txt", config.publish / "generations" / "backup" / "a"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
        path.chmod(0o644)
    for _ in range(2):
        journeyflow.run(config, full_refresh=True)
    assert {path.read_text() for path in mine} == {"mine"}
    assert {path.stat().st_mode & 0o777 for path in mine} == {0o644}
    assert not set(mine) & set(own_paths(config.state))


def test_only_folders_of_runs_are_removed_from_the_work_folder(config):
    work = config.state / "work"
    for name in ("20260301T100000000000", "spill", "mine"):
        (work / name).mkdir(parents=True)
        (work / name / "a").write_text("a")
    elsewhere = config.folder / "elsewhere"
    (elsewhere / "b").mkdir(parents=True)
    (work / "scratch").symlink_to(elsewhere)
    clear_work(config.state)
    assert sorted(path.name for path in work.iterdir()) == ["mine", "scratch"]
    assert (elsewhere / "b").is_dir()
    (work / "scratch").unlink()
    work.rename(config.state / "moved")
    work.symlink_to(config.state / "moved")
    (work / "spill").mkdir()
    clear_work(config.state)
    assert (config.state / "moved" / "spill").is_dir()
