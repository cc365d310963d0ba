"""Whatever a file does to the process that parses it: that file is refused, and the run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import journeyflow
from faults import corpus, faulty_parser, run_process
from faults.expected_results import COLUMNS, NOW_US, config_of
from journeyflow.config import load_config
from journeyflow.errors import JourneyflowError
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.load import load_events
from journeyflow.ingest.parser import client
from journeyflow.ingest.parser.client import Parser
from journeyflow.ingest.parser.transfer import Job, ParserLimits
from journeyflow.state.warehouse import open_warehouse

BUILT = ()

SOURCE = {"format": "csv", "columns": COLUMNS}
DETAILS = {
    "crash": "ends its parser",
    "abort": "ends its parser",
    "exit": "ends its parser",
    "killed": "want of memory",
    "sleep": "longer than",
    "spin": "longer than",
    "eat": "more memory",
    "eat_outside_python": "more memory",
    "recurse": "RecursionError",
    "fail": "KeyError",
    "stack": "ends its parser",
    "babble": "not what it should be",
    "babble_for_ever": "",
} | dict.fromkeys(faulty_parser.AFTER, "not what it should be")


@pytest.fixture
def warehouse():
    with open_warehouse(threads=1) as opened:
        yield opened


def _load(warehouse, folder, **limits):
    config = load_config({"sources": {"web": SOURCE | {"path": "data/*"}}, "limits": limits}, folder=folder)
    return load_events(config, warehouse, run_id="r", now_us=NOW_US)


def test_a_parser_that_fails_costs_the_file_that_it_failed_on_and_nothing_else(warehouse, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "BOOT", faulty_parser.BOOT)
    (tmp_path / "data").mkdir()
    for name in DETAILS:
        order = f"do: {name}\n{name}"
        (tmp_path / "data" / name).write_bytes(corpus.text(corpus.HEADER, *corpus.good(order)))
        (tmp_path / "data" / f"{name}.good").write_bytes(corpus.text(corpus.HEADER, *corpus.good(name)))
    begun = time.monotonic()
    report = _load(warehouse, tmp_path, time="2s", memory="400MB")
    expected = {f"data/{name}": "refused" for name in DETAILS} | {f"data/{name}.good": "loaded" for name in DETAILS}
    assert {file.source_file: file.status for file in report.files} == expected
    details = {file.source_file.removeprefix("data/"): file.detail for file in report.refused}
    assert {name: detail for name, detail in details.items() if DETAILS[name] not in detail} == {}
    assert "secret" not in str(details)
    assert warehouse.count("raw.events") == 2 * len(DETAILS)
    assert not list((tmp_path / "state" / "work").rglob("*.*"))
    seconds = time.monotonic() - begun
    assert seconds < 60
    print(f"parsers: {len(DETAILS)} ways to fail, none cost another file, {seconds:.0f} s")  # noqa: T201 - for `make faults`


def test_a_run_publishes_although_the_parser_crashes(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1").write_bytes(corpus.text(corpus.HEADER, *corpus.good("1")))
    (tmp_path / "data" / "2").write_bytes(corpus.text(corpus.HEADER, *corpus.good("do: crash\n2")))
    monkeypatch.setattr(client, "BOOT", faulty_parser.BOOT)
    report = journeyflow.run(config_of(tmp_path, SOURCE | {"channel": "web"}))
    assert report.event_count == 2
    assert any("data/2 was refused: it ends its parser" in alert for alert in report.alerts)


@pytest.fixture
def staged(tmp_path):
    """A folder of staged files."""
    for number in range(5):
        (tmp_path / f"{number}.in").write_bytes(corpus.text(corpus.HEADER, *corpus.good(f"f{number}")))
    return tmp_path


def _job(number, **more):
    return Job(f"{number}.in", 100, "csv", **more)


def test_one_process_parses_many_files(staged):
    with Parser(staged) as parsing:
        parsing.ask(_job(number) for number in range(5))
        answers = [parsing.answer(_job(0))]
        process = parsing._process.pid
        answers += [parsing.answer(_job(number)) for number in range(1, 5)]
        assert parsing._process.pid == process
    assert [answer.row_count for answer in answers] == [2] * 5
    assert not Path(f"/proc/{process}").exists()


def test_the_two_sides_never_wait_for_one_another(tmp_path):
    """All that is asked, and all that is answered, is more than the pipes between them hold."""
    names = ",".join(f"a_column_with_a_name_{number}" for number in range(20))
    jobs = [Job(f"{number}.in", 1_000, "csv") for number in range(600)]
    for job in jobs:
        (tmp_path / job.file).write_text(f"{names}\n{'1,' * 19}1\n", encoding="utf-8")
    waited = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError))
    signal.alarm(100)
    try:
        with Parser(tmp_path) as parsing:
            parsing.ask(jobs)
            time.sleep(1)  # So long no answer is read.
            assert [parsing.answer(job).row_count for job in jobs] == [1] * len(jobs)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, waited)


def test_no_process_is_started_for_nothing(staged):
    with Parser(staged) as parsing:
        assert parsing._process is None


def test_the_process_gets_nothing_but_what_it_needs(staged, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_RUN", "1")
    with open(staged / "0.in", "rb") as held:  # noqa: PTH123 - a file that the run has open
        os.set_inheritable(held.fileno(), True)
        with Parser(staged) as parsing:
            parsing.answer(_job(0))
            place = Path(f"/proc/{parsing._process.pid}")
            environment = (place / "environ").read_bytes().split(b"\0")
            opened = [str(path.readlink()) for path in (place / "fd").iterdir()]
            limits = (place / "limits").read_text()
    assert {line.split(b"=")[0] for line in environment if line} == {name.encode() for name in client._ENVIRONMENT}
    assert not [path for path in opened if not path.startswith(("pipe:", "/dev/null", "/dev/urandom", "anon_inode"))]
    assert str(ParserLimits().memory_bytes) in limits.split("Max data size")[1].split("\n")[0]


def test_the_process_ends_with_the_run_however_that_ends(staged):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from journeyflow.ingest.parser.client import Parser\n"
        "from journeyflow.ingest.parser.transfer import Job\n"
        f"parsing = Parser(Path({str(staged)!r}))\n"
        "parsing.answer(Job('0.in', 100, 'csv'))\n"
        "print(parsing._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL
    place = Path(f"/proc/{int(run.stdout)}")
    until = time.monotonic() + 10
    while place.exists() and "(zombie)" not in (place / "status").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert not place.exists() or "(zombie)" in (place / "status").read_text()


def test_a_process_that_cannot_be_started_stops_the_run(staged, monkeypatch):
    monkeypatch.setattr(client, "BOOT", "raise SystemExit(3)")
    with Parser(staged) as parsing, pytest.raises(JourneyflowError, match="cannot be started"):
        parsing.answer(_job(0))


def test_a_full_disk_is_no_fault_of_the_file(staged, monkeypatch):
    monkeypatch.setattr(client, "BOOT", faulty_parser.BOOT.replace("faulty_parser.main()", FULL))
    with Parser(staged) as parsing, pytest.raises(JourneyflowError, match="no room"):
        parsing.answer(_job(0))


FULL = """
from journeyflow.ingest.parser import worker
def full(*_):
    raise OSError(28, "No space left on device")
worker.parse = full
worker.main()
"""


@pytest.mark.parametrize(
    ("content", "limits", "detail"),
    [
        pytest.param(corpus.text(corpus.HEADER, *corpus.good("r", range(9))), {"rows": 8}, "`limits.rows`", id="rows"),
        pytest.param(corpus.text(corpus.HEADER, *["bad"] * 9), {"rows": 8}, "`limits.rows`", id="bad rows"),
        pytest.param(corpus.text(corpus.HEADER, *corpus.good("c")), {"columns": 3}, "3 columns", id="columns"),
        pytest.param(
            corpus.text(corpus.HEADER, *corpus.good("s"), "x" * 1100), {"file": "1KB"}, "`limits.file`", id="size"
        ),
    ],
)
def test_a_file_beyond_the_limits_of_the_configuration_is_refused(warehouse, tmp_path, content, limits, detail):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "good").write_bytes(GOOD)
    _load(warehouse, tmp_path)
    (tmp_path / "data" / "much").write_bytes(content)
    (refused,) = _load(warehouse, tmp_path, **limits).refused
    assert refused.source_file == "data/much"
    assert detail in refused.detail
    assert warehouse.count("raw.events") == 2


GOOD = corpus.text(corpus.HEADER, *corpus.good("good"))


def test_parsing_a_refused_file_is_not_tried_twice_in_a_run(staged, monkeypatch):
    monkeypatch.setattr(client, "BOOT", faulty_parser.BOOT)
    (staged / "0.in").write_bytes(b"do: sleep\n")
    with Parser(staged, ParserLimits(seconds=1)) as parsing:
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(RefusedFileError, match="longer than"):
                parsing.answer(_job(0))
        assert time.monotonic() - begun < 1  # A second attempt would take its whole second.


def test_a_killed_run_leaves_no_staged_file_behind_the_next(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1").write_bytes(GOOD)
    config = tmp_path / "journeyflow.yml"
    columns = ", ".join(f"{name}: {column}" for name, column in COLUMNS.items())
    config.write_text(
        f"sources: {{web: {{format: csv, path: data/*, channel: web, columns: {{{columns}}}}}}}\n", encoding="utf-8"
    )
    assert run_process.finish(config, run_process.Fault("after load")) == -signal.SIGKILL
    assert run_process.finish(config) == 0
    assert not list((tmp_path / "state").rglob("*.in*"))
