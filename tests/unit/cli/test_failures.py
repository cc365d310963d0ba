from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from journeyflow.cli import main
from journeyflow.cli.app import _usage_message
from journeyflow.cli.output import DEBUG_VARIABLE, guarded
from journeyflow.cli.run import command_name
from journeyflow.errors import ExitCode, JourneyflowError


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def _all_errors(kind: type[JourneyflowError]) -> list[type[JourneyflowError]]:
    return [kind, *(error for child in kind.__subclasses__() for error in _all_errors(child))]


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("kind", _all_errors(JourneyflowError), ids=lambda kind: kind.__name__)
def test_every_error_leaves_by_its_code_with_its_message(
    kind: type[JourneyflowError], capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind.__new__(kind)
    error.message = "Something \x1b[2J is wrong."
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: _raise(error))
    assert ended.value.code == kind.exit_code
    assert capsys.readouterr().err == "journeyflow: Something \\x1b[2J is wrong.\n"


def test_a_bug_shows_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: _raise(ValueError("ada@example.com")))
    shown = capsys.readouterr().err
    assert ended.value.code == ExitCode.FAILED
    assert "ValueError in test_failures.py" in shown
    assert "ada" not in shown


def test_a_panic_of_an_engine_is_a_bug_too(capsys: pytest.CaptureFixture[str]) -> None:
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: _raise(panic("ada@example.com")))
    shown = capsys.readouterr().err
    assert ended.value.code == ExitCode.FAILED
    assert "an unexpected PanicException in test_failures.py" in shown
    assert "ada" not in shown


def test_debug_lets_the_error_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    with pytest.raises(ValueError, match="ada"):
        guarded(lambda: _raise(ValueError("ada")))


def test_ctrl_c_leaves_by_130() -> None:
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: _raise(KeyboardInterrupt()))
    assert ended.value.code == ExitCode.INTERRUPTED


def test_a_missing_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run") == ExitCode.CONFIGURATION
    assert "journeyflow init" in capsys.readouterr().err


def test_all_mistakes_of_the_configuration_are_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("journeyflow.yml").write_text("projet: x\nmin_count: none\n")
    assert call("check") == ExitCode.CONFIGURATION
    shown = capsys.readouterr().out
    assert "journeyflow.yml:1" in shown
    assert "journeyflow.yml:2" in shown
    assert "did you mean 'project'" in shown
    assert call("check", "--json") == ExitCode.CONFIGURATION
    assert {problem["line"] for problem in json.loads(capsys.readouterr().out)} >= {1, 2}


def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("funel") == ExitCode.CONFIGURATION
    assert "'funnel'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("funnel --limit 3", "journeyflow funnel has no option --limit."),
        (
            "attribution --goal x",
            "journeyflow attribution has no option --goal; it is an argument: journeyflow attribution GOAL.",
        ),
        ("funnel --persno x", "has no option --persno; did you mean --persona or --period?"),
        ("funnel shop --format xml", "--format: 'xml' is not one of 'table', 'csv', 'json', 'parquet'."),
        ("events --limit 0", "--limit: give at least 1."),
        ("ui --port 99999", "--port: give at most 65535."),
        (f"paths --limit {'9' * 20}", "--limit: give at most 2147483647."),
        (f"query x --limit {'9' * 20}", "--limit: give at most 2147483647."),
        (f"events --limit {'9' * 20}", "--limit: give at most 2147483647."),
        (f"drop-offs checkout --top {'9' * 20}", "--top: give at most 2147483647."),
        ("compare --day 2026-03-15 --days 99999999999", "--days: give at most 36500."),
        ("events --since 9999-12-31T23:59:59-23:00", "--since: give a day or a time, such as 2026-03-31 or"),
        ("run --as-of 0001-01-01T00:00:00+10:00", "--as-of: give a day or a time, such as 2026-03-31 or"),
        ("explain pain-point x", "RANK: give a whole number."),
        ("describe", "journeyflow describe needs table: A published table."),
        ("erase --user-id", "--user-id needs a value after it. See: journeyflow erase --help"),
        ("paths --json=1", "--json takes no value. See: journeyflow paths --help"),
        ("explain event a --json=1", "--json takes no value. See: journeyflow explain event --help"),
        ("explain --help=1", "--help takes no value. See: journeyflow explain --help"),
        ("--version=1", "--version takes no value. See: journeyflow --help"),
        ("drop-offs", "journeyflow drop-offs needs FUNNEL: A funnel or a journey model."),
        ("funnel a b", "journeyflow funnel takes no further argument; there is 'b'."),
        ("run --memory lots", "--memory: give a number with a unit"),
        ("run --memory 1KB", "--memory: give at least 64MB"),
        ("run --memory 63.9MB", "--memory: give at least 64MB"),
        ("explain evnt 1", "there is no command 'evnt'. Did you mean 'event'? See: journeyflow explain --help"),
        ("report --dark", "--dark is for svg and png, not for html."),
        ("-c x funnel", "journeyflow has no option -c."),
    ],
)
def test_a_mistake_on_the_command_line_says_what_is_wrong_and_what_to_do(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words.split()) == ExitCode.CONFIGURATION
    shown = capsys.readouterr().err
    assert shown.startswith("journeyflow: ")
    assert said in shown
    assert " --help" in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("words", ["erase --user-id a c02", "forget c02", "explain person a c02 c02"])
def test_no_id_is_shown_where_an_argument_is_too_many(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words.split()) == ExitCode.CONFIGURATION
    shown = capsys.readouterr().err
    assert "takes no further argument. See: journeyflow" in shown
    assert "c02" not in shown
    assert call("explain", "c02") == ExitCode.CONFIGURATION
    assert (
        capsys.readouterr().err
        == "journeyflow: journeyflow explain has no such command; there is event, person, opportunity, pain-point. "
        "See: journeyflow explain --help\n"
    )


def test_a_value_may_look_like_a_template() -> None:
    error = typer.BadParameter("'{x}' is none of these")
    error.__cause__ = ValueError()
    error.__cause__.errors = lambda: [{"type": "other"}]  # type: ignore[attr-defined]
    assert "'{x}' is none of these." in _usage_message(error, None)


@pytest.mark.parametrize(
    ("program", "found", "name"),
    [
        ("/bin/journeyflow", "/bin/journeyflow", "journeyflow"),
        ("/opt/journeyflow", None, "/opt/journeyflow"),
        ("/opt/journeyflow/__main__.py", None, "python -m journeyflow"),
    ],
)
def test_the_next_steps_name_a_command_that_can_be_called(
    program: str, found: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", [program, "demo"])
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert command_name() == name


def test_init_then_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("init") == ExitCode.OK
    assert call("check") == ExitCode.OK
    assert "journeyflow.yml: 1 warning." in capsys.readouterr().out
    assert call("init") == ExitCode.INPUT
    assert call("init", "--force") == ExitCode.OK


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("schema") == ExitCode.OK
    assert "sources" in json.loads(capsys.readouterr().out)["properties"]


def test_nothing_published_yet(capsys: pytest.CaptureFixture[str]) -> None:
    call("init")
    assert call("funnel", "checkout") == ExitCode.NOT_FOUND
    assert call("query", "select 1") == ExitCode.NOT_FOUND
    assert call("explain", "event", "x") in (ExitCode.NOT_FOUND, ExitCode.INPUT)
    assert call("status") == ExitCode.OK
    assert "Nothing is published yet" in capsys.readouterr().out


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m journeyflow schema | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_ctrl_c_of_a_process_leaves_by_130(tmp_path: Path) -> None:
    code = "import journeyflow.cli.output as f, time; f.guarded(lambda: (print('up', flush=True), time.sleep(30)))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, signal.SIGINT)
    _, shown = process.communicate(timeout=10)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in shown


def test_a_full_disk_is_named_and_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guarded(lambda: _raise(OSError(28, "No space left on device", "ada.csv")))
    shown = capsys.readouterr().err
    assert "(No space left on device)" in shown
    assert "ada" not in shown


def test_ctrl_c_says_what_readers_see(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        guarded(lambda: _raise(KeyboardInterrupt()))
    assert "The last published version stays available" in capsys.readouterr().err


def test_an_interrupted_command_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("journeyflow.cli.output.write_file", lambda *_: _raise(KeyboardInterrupt()))
    assert call("init") == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.count("interrupted") == 1


def test_a_cron_line_that_is_none_is_a_wrong_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "journeyflow.yml").write_text("sources: {web: {format: snowplow, path: a.tsv}}")
    assert call("serve", "--config", str(tmp_path / "journeyflow.yml"), "--cron", "99 x") == ExitCode.CONFIGURATION
    assert "five fields" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("init", "--output", "no/such/folder.yml") == ExitCode.FAILED
    assert "Cannot write" in capsys.readouterr().err


def test_output_has_codes_for_letters_that_its_encoding_lacks() -> None:
    code = "from journeyflow import cli"
    code += "\ntry:\n    cli.main(['--version'])\nexcept SystemExit:\n    print('\u2588')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "\\u2588"
