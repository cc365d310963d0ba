"""The flows as scripts: what a line of a crontab sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from journeyflow.errors import ExitCode
from journeyflow.utils import files


def script(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(files.pipelines_folder() / name), *arguments]
    # Prefect's own records stay in the folder of the test.
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["nightly.py", "backfill.py"])
def test_help_says_what_it_does(name: str, tmp_path: Path) -> None:
    done = script(name, tmp_path, "--help")
    assert done.returncode == ExitCode.OK
    assert "--config" in done.stdout
    assert "Example" in done.stdout


@pytest.mark.parametrize(
    "arguments", [["nightly.py"], ["backfill.py", "--first", "2026-03-01", "--last", "2026-03-02"]], ids=str
)
def test_a_folder_without_a_project_is_a_loud_failure(arguments: list[str], tmp_path: Path) -> None:
    done = script(arguments[0], tmp_path, *arguments[1:])
    assert done.returncode == ExitCode.CONFIGURATION
    assert "journeyflow.yml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_input_is_a_loud_failure_and_a_run_publishes(project: Path) -> None:
    events = project.parent / "events.csv"
    events.rename(project.parent / "away.csv")
    failed = script("nightly.py", project.parent)
    assert failed.returncode == ExitCode.INPUT, failed.stderr
    assert [line for line in failed.stderr.splitlines() if line.startswith("journeyflow: ") and "events.csv" in line]
    (project.parent / "away.csv").rename(events)
    done = script("nightly.py", project.parent, "--as-of", "2026-03-10")
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout.startswith("Published ")
    manifest = json.loads((project.parent / "published" / "current" / "manifest.json").read_text())
    assert manifest["high_water_at"] == "2026-03-10T00:00:00"


@pytest.mark.long
def test_a_backfill_with_a_failed_day_is_a_loud_failure(project: Path) -> None:
    done = script("backfill.py", project.parent, "--first", "2026-02-28", "--last", "2026-03-01")
    assert done.returncode == ExitCode.FAILED
    assert "journeyflow: 1 of 2 runs failed: 2026-02-28" in done.stderr.splitlines()
    turned = script("backfill.py", project.parent, "--first", "2026-03-02", "--last", "2026-03-01")
    assert turned.returncode == ExitCode.INPUT
    assert "is before the first" in turned.stderr
