"""`run --select`: what is asked of the pipeline, and what is printed of its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from journeyflow.cli import main
from journeyflow.errors import ExitCode
from journeyflow.pipeline.partial import SelectedBuild
from support.order_project import write_project
from support.templates import copy_of, finished_shop


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace the build; every call of it is in the list."""
    calls: list[dict[str, Any]] = []

    def build(config: object, select: object, *, publish: bool, **rest: object) -> SelectedBuild:
        calls.append({"select": select, "publish": publish, **rest})
        published = Path("published/generations/1") if publish else None
        return SelectedBuild(("map.promises", "marts.promises"), published, 1.25, 7, {"marts.promises": 1234})

    monkeypatch.setattr("journeyflow.pipeline.partial.build", build)
    return calls


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    config = write_project(tmp_path / "shop")

    def run(*arguments: str, code: int = ExitCode.OK) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["run", "-c", str(config), *arguments])
        captured = capsys.readouterr()
        assert (ended.value.code or 0) == code, captured.err
        return captured.out if code == ExitCode.OK else " ".join(captured.err.replace("│", " ").split())

    return run


def test_selected_models_are_built_and_nothing_is_published(
    asked: list[dict[str, Any]], call: Callable[..., str]
) -> None:
    shown = call("--select", "+marts.promises", "-s", "marts.paths kernel.*", "--memory", "2GB").splitlines()
    assert asked[0]["select"] == ("+marts.promises", "marts.paths kernel.*")
    assert (asked[0]["publish"], asked[0]["memory_limit"]) == (False, "2GB")
    assert shown[0] == "Built 2 models in 1.2 s"
    assert [line.split() for line in shown[1:4]] == [
        ["map.promises"],
        ["marts.promises", "1,234", "rows"],
        ["checks", "7,", "all", "passed"],
    ]
    assert shown[4].startswith("Nothing was published")
    assert shown[5] == '  journeyflow query --selected "from marts.promises"'


def test_selected_models_are_published_on_request(asked: list[dict[str, Any]], call: Callable[..., str]) -> None:
    assert "Published in published/generations/1" in call("--select", "marts.promises", "--publish")
    assert asked[0]["publish"] is True
    found = json.loads(call("--select", "marts.promises", "--json"))
    assert (found["models"], found["published"]) == (["map.promises", "marts.promises"], None)
    assert found["preview"] == {"marts.promises": 1234}
    assert call("--select", "marts.promises", "--quiet") == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "x", "--full-refresh"], "--full-refresh cannot be combined with --select"),
        (
            ["--select", "x", "--as-of", "2026-03-31", "--fail-on-alert"],
            "--as-of and --fail-on-alert cannot be combined",
        ),
        (["--publish"], "--publish belongs to --select"),
    ],
)
def test_options_that_exclude_each_other(
    asked: list[dict[str, Any]], call: Callable[..., str], arguments: list[str], message: str
) -> None:
    assert message in call(*arguments, code=ExitCode.CONFIGURATION)
    assert not asked


def test_the_selected_tables_can_be_queried(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(copy_of(finished_shop(tmp_path_factory), tmp_path / "shop") / "journeyflow.yml")

    def ran(*arguments: str, code: int = ExitCode.OK) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "-c", config])
        captured = capsys.readouterr()
        assert (ended.value.code or 0) == code, captured.err
        return captured.out + captured.err

    assert "journeyflow run --select" in ran("query", "--selected", "from marts.paths", code=ExitCode.NOT_FOUND)
    ran("run", "--select", "marts.funnel_steps", "--quiet")
    count = "select count(*) as n from marts.funnel_steps"
    assert ran("query", "--selected", count, "-f", "csv") == ran("query", "--build", count, "-f", "csv") != "n\n0\n"
    ran("query", "--selected", "--build", count, code=ExitCode.CONFIGURATION)
