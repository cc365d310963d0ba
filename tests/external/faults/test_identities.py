"""Reported inputs about identities and folders: each folder gives what its `expected.md` says."""

from __future__ import annotations

import shutil
import stat
import time
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import journeyflow
from external.projects import Project
from journeyflow.config import load_config
from journeyflow.errors import ConfigError, InputError
from journeyflow.pipeline import run

SECONDS = 60


@pytest.fixture
def ran(external_data, tmp_path):
    """Return a function that runs a copy of one of the folders."""

    def run_fault(name: str) -> Project:
        run.run(load_config(copied(external_data, name, tmp_path) / "journeyflow.yml"))
        return Project(tmp_path / name)

    return run_fault


def copied(external_data: Path, name: str, tmp_path: Path) -> Path:
    given = external_data / "faults" / name
    if not given.is_dir():
        pytest.skip(f"the folder {name} is not there")
    folder = tmp_path / name
    shutil.copytree(given, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def persons(project: Project) -> int:
    return project.table("person_stages")["person_id"].n_unique()


def spots(project: Project) -> set[str]:
    return set(project.table("blind_spots")["kind"])


@pytest.mark.parametrize("name", ["clear-ids-fail-the-night", "server-events-second-person"])
def test_events_of_a_server_are_the_users(ran, name):
    project = ran(name)
    assert persons(project) == 3
    assert project.steps("buy") == [2, 1, 1]
    assert project.steps("buy", "pending_count")[0] == 1


def test_identify_alias_and_merge_join_ids(ran):
    project = ran("identify-and-alias-ignored")
    assert persons(project) == 3
    assert project.steps("buy") == [3, 3]


def test_floating_point_ids_are_the_whole_numbers(ran):
    project = ran("float-user-ids")
    assert project.steps("buy") == [4, 2]
    assert persons(project) == 6
    assert project.audit("quarantined_count") == 0


def test_placeholders_merge_nobody_and_are_told(ran):
    project = ran("placeholder-ids-merge")
    assert "placeholder_ids" in spots(project)
    # 16 devices with a placeholder, d17 and d18 of one user, d19 of another, and a device and a user of one text.
    assert persons(project) == 16 + 2 + 2
    assert project.audit("quarantined_count") == 3


def test_equal_orders_are_one_unit_and_an_empty_text_is_none(ran):
    project = ran("property-unit-text")
    assert project.steps("per_order") == [4, 4]


def test_attempts_cost_in_proportion_to_the_events():
    def log(size: int) -> pl.DataFrame:
        start = datetime(2026, 1, 1)
        return pl.DataFrame(
            {
                "person": ["p"] * size,
                "time": [start + timedelta(microseconds=n) for n in range(size)],
                "event": ["abc"[n % 3] for n in range(size)],
            }
        )

    began = time.process_time()
    for size in (300, 300_000):
        began = time.process_time()
        found = journeyflow.funnel(
            log(size), ["a", "b", "c"], window="1d", count="attempts", person="person", time="time", event="event"
        )
        assert found["person_count"][0] == size // 3
    assert time.process_time() - began < SECONDS


def test_a_folder_with_files_of_others_is_refused_and_nothing_is_lost(external_data, tmp_path):
    folder = copied(external_data, "own-folders-lost", tmp_path)
    before = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    with pytest.raises(ConfigError, match="state"):
        run.run(load_config(folder / "journeyflow.yml"))
    text = (folder / "journeyflow.yml").read_text()
    # Also where the inputs are elsewhere: the state folder is not one of its own.
    shutil.copytree(folder / "data" / "raw", folder / "in")
    (folder / "journeyflow.yml").write_text(text.replace("data/raw/", "in/"))
    with pytest.raises(InputError, match="state folder"):
        run.run(load_config(folder / "journeyflow.yml"))
    # Generations of the product beside folders of others.
    (folder / "journeyflow.yml").write_text(text.replace("data/raw/", "in/").replace("state: data", "state: own"))
    for _ in range(2):
        run.run(load_config(folder / "journeyflow.yml"))
    assert {path: stat.S_IMODE(path.stat().st_mode) for path in before} == before
