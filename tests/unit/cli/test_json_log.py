"""What a command does as lines of JSON: the documented events, and nothing of the data."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from journeyflow.cli import main
from journeyflow.errors import ExitCode
from journeyflow.state.folder import project_lock
from journeyflow.utils.formatting import EVENTS, PROGRESS_SECONDS, JsonLines
from support.order_project import write_project

BUILT = ()

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
ALWAYS = {"time", "level", "event", "run_id", "phase"}
PHASES = ["load", "stitch", "classify", "build", "check", "publish"]
CANARY = "canary-7Q@example.com"


def documented() -> dict[str, set[str]]:
    """Return event → names of the facts that the page says it adds."""
    section = PAGE.read_text(encoding="utf-8").split("## Logs for programs", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", section, re.MULTILINE)
    return {event: set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", adds))) for event, adds in rows}


def logged(
    arguments: list[str], capfdbinary: pytest.CaptureFixture[bytes], code: int = ExitCode.OK
) -> list[dict[str, object]]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    captured = capfdbinary.readouterr()
    assert (ended.value.code or 0) == code, captured.err
    lines = captured.err.decode("ascii").splitlines()
    assert CANARY not in captured.err.decode() + captured.out.decode()
    found = [json.loads(line) for line in lines]
    for line in found:
        assert set(line) >= ALWAYS
        assert str(line["time"]).endswith("Z")
        datetime.fromisoformat(str(line["time"]))
        assert set(line) - ALWAYS == documented()[str(line["event"])], line["event"]
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    config = write_project(tmp_path / "shop")
    with (config.parent / "events.csv").open("a") as file:
        file.writelines(f"not a time,{CANARY},,page_view,/{CANARY}\n" for n in range(50))
    return config


def test_the_page_lists_every_event() -> None:
    assert set(documented()) == set(EVENTS)


def test_a_run_logs_each_phase_with_its_run_id(
    project: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journeyflow.utils.formatting.PROGRESS_SECONDS", 0.0)
    found = logged(["run", "-c", str(project), "--log-format", "json", "--quiet"], capfdbinary)
    events = [line["event"] for line in found]
    assert set(events) >= set(EVENTS) - {"compacted", "command_failed"}
    assert [line["phase"] for line in found if line["event"] == "phase_started"] == PHASES
    assert [line["phase"] for line in found if line["event"] == "phase_finished"] == PHASES
    assert (events[0], events[1], events[-2], events[-1]) == (
        "command_started",
        "run_started",
        "run_finished",
        "command_finished",
    )
    (run_id,) = {line["run_id"] for line in found[1:-1]}
    assert run_id
    loaded = next(line for line in found if line["event"] == "loaded")
    assert (loaded["record_count"], loaded["quarantined_count"]) == (450, 50)
    alert = next(line for line in found if line["event"] == "alert")
    assert (alert["level"], alert["kind"], alert["phase"]) == ("warning", "input", "check")
    assert found[-2]["status"] == "published"
    assert found[-2]["alarm_count"] == 1


def test_the_environment_asks_for_it_too_and_errors_are_lines(
    project: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNEYFLOW_LOG", "json")
    with project_lock(project.parent / "state"):
        found = logged(["run", "-c", str(project), "-q"], capfdbinary, ExitCode.LOCKED)
    assert [line["event"] for line in found] == ["command_started", "command_failed"]
    assert found[1]["level"] == "error"
    assert found[1]["exit_code"] == ExitCode.LOCKED
    project.write_text("sources: 3\n")
    assert logged(["run", "-c", str(project)], capfdbinary, ExitCode.CONFIGURATION)[-1]["exit_code"] == 2
    project.unlink()
    for command in ("rebuild", "verify"):
        assert logged([command, "-c", str(project)], capfdbinary, ExitCode.CONFIGURATION)[0]["command"] == command


def test_a_failed_run_is_logged(project: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (project.parent / "events.csv").unlink()
    found = logged(["run", "-c", str(project), "--log-format", "json"], capfdbinary, ExitCode.INPUT)
    assert [line["event"] for line in found][-2:] == ["run_finished", "command_failed"]
    assert (found[-2]["status"], found[-2]["level"]) == ("failed", "error")
    assert "phase_finished" not in {line["event"] for line in found}


def test_progress_is_rare_and_control_characters_cannot_act() -> None:
    now = [0.0]
    stream = io.StringIO()
    lines = JsonLines(stream, lambda: now[0])
    for step in range(100):
        now[0] = step * PROGRESS_SECONDS / 10
        lines("build", "a\x1b[2J\u202e\n\u2028b", step, 100)
    lines("load", "secret-name.csv", 1)
    written = stream.getvalue()
    assert len(written.splitlines()) == written.count("\n") == 9
    assert written.isascii()
    assert "\x1b" not in written
    assert "secret-name" not in written


def test_without_being_asked_nothing_is_written(project: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "-c", str(project)])
    assert capfdbinary.readouterr().err == b""
