"""Whatever a file holds: it is accepted, kept aside or refused as its case says, and the run goes on."""

from __future__ import annotations

import collections
import hashlib
import os
import socket

import pytest

import journeyflow
from faults import corpus, run_process
from faults.expected_results import BOMBS, SOURCES, differing, load, load_bombs
from journeyflow.ingest import load as loader
from journeyflow.ingest.archive import RecordArchive
from journeyflow.ingest.parser import client
from journeyflow.state.warehouse import open_warehouse

BUILT = ()

BOMB_MEGABYTES = 1000
"""What bombs may add to the memory of a run, and take of the parsing process, together."""


@pytest.fixture
def warehouse():
    with open_warehouse(threads=1) as opened:
        yield opened


@pytest.mark.parametrize("kind", SOURCES)
def test_every_file_ends_as_its_case_says(warehouse, tmp_path, kind):
    source, make = SOURCES[kind]
    (tmp_path / "data").mkdir()
    cases = make()
    for case in cases:
        (tmp_path / "data" / case.name).write_bytes(case.make())
    report = load(warehouse, tmp_path, source)
    if other := differing(warehouse, cases):
        pytest.fail("\n".join(other))
    assert len(report.files) == len(cases)
    rows = sum(case.expected.records for case in cases)
    print(f"{kind}: {len(cases)} files, {rows} rows, none lost")  # noqa: T201 - for `make faults`


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.long if kind == "json" else ()) for kind in BOMBS]
)
def test_bombs_cost_a_bounded_memory(tmp_path, kind):
    (tmp_path / "data").mkdir()
    cases = BOMBS[kind]()
    for case in cases:
        (tmp_path / "data" / case.name).write_bytes(case.make())
    heard, told = run_process.CONTEXT.Pipe(duplex=False)
    process = run_process.CONTEXT.Process(target=load_bombs, args=(tmp_path, kind, told))
    process.start()
    assert heard.poll(180)
    other, megabytes, parsing = heard.recv()
    process.join(60)
    assert not other
    assert megabytes + parsing < BOMB_MEGABYTES
    print(f"{kind} bombs: {len(cases)} files of up to 2 GB, {megabytes} MB more memory, {parsing} MB to parse them")  # noqa: T201 - for `make faults`


@pytest.fixture
def data(tmp_path):
    """A folder with one good file and one elsewhere, outside the project."""
    (tmp_path / "project" / "data").mkdir(parents=True)
    (tmp_path / "elsewhere.csv").write_bytes(corpus.text(corpus.HEADER, *corpus.good("else")))
    (tmp_path / "project" / "data" / "good").write_bytes(corpus.text(corpus.HEADER, *corpus.good("good")))
    return tmp_path / "project" / "data"


def statuses(warehouse, data):
    return {file.source_file: file.status for file in load(warehouse, data.parent, SOURCES["csv"][0]).files}


def test_what_is_no_file_of_ours_never_stops_the_run(warehouse, data):
    (data / "folder").mkdir()
    os.mkfifo(data / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(data / "socket"))
    (data / "to_pipe").symlink_to("pipe")
    (data / "to_zero").symlink_to("/dev/zero")
    (data / "to_nothing").symlink_to("nothing")
    (data / "to_itself").symlink_to("to_itself")
    (data / "to_folder").symlink_to("folder")
    found = statuses(warehouse, data)
    refused = ("pipe", "socket", "to_pipe", "to_zero", "to_nothing", "to_itself")
    assert found == {"data/good": "loaded"} | {f"data/{name}": "refused" for name in refused}


def test_links_are_read_as_what_they_lead_to(warehouse, data):
    """An operator may link files in; one content is loaded once under whatever names."""
    (data / "hard").hardlink_to(data / "good")
    (data / "inside").symlink_to("good")
    (data / "outside").symlink_to(data.parent.parent / "elsewhere.csv")
    found = statuses(warehouse, data)
    assert collections.Counter(found.values()) == {"known": 2, "loaded": 2}
    assert found["data/outside"] == "loaded"
    assert warehouse.count("raw.events") == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_refused(warehouse, data):
    (data / "locked").write_bytes(b"x")
    (data / "locked").chmod(0)
    assert statuses(warehouse, data) == {"data/good": "loaded", "data/locked": "refused"}


NAMES = {
    b"-rf": "-rf",
    b"a\nFAKE LOG LINE": "a\\nFAKE LOG LINE",
    b"a\x1b[31m": "a\\x1b[31m",
    "a\u202eb".encode(): "a\\u202eb",
    b"it's": "it's",
    b'a"; drop table x; --': 'a"; drop table x; --',
    b"*": "*",
    b"[x]{y}$(touch z)": "[x]{y}$(touch z)",
    b"\xff\xfe": "\\udcff\\udcfe",
    b"n" * 255: "n" * 255,
    "naïve 名前".encode(): "naïve 名前",
    b"=1+1": "=1+1",
}


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_names_of_files_do_nothing(warehouse, tmp_path, kind):
    (tmp_path / "data").mkdir()
    for number, name in enumerate(NAMES):
        rows = {
            "csv": lambda key: corpus.text(corpus.HEADER, *corpus.good(key)),
            "json": lambda key: corpus.text(corpus.record(key), corpus.record(key + "b")),
            "parquet": lambda key: corpus.parquet(corpus.table(key, 2)),
        }[kind](f"{kind}{number}")
        (tmp_path / "data" / os.fsdecode(name)).write_bytes(rows)
    report = load(warehouse, tmp_path, SOURCES[kind][0])
    assert {file.source_file: file.status for file in report.files} == {f"data/{n}": "loaded" for n in NAMES.values()}
    assert warehouse.count("raw.events") == 2 * len(NAMES)
    assert warehouse.count("ledger.files") == len(NAMES)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "log"])
@pytest.mark.parametrize("swap", ["vanished", "changed", "piped"])
def test_a_file_that_moves_under_the_reader_counts_as_it_was(warehouse, tmp_path, monkeypatch, kind, swap):
    source, make = SOURCES[kind]
    content = next(case for case in make() if case.name == "good").make()
    (tmp_path / "data").mkdir()
    moving, still = tmp_path / "data" / "moving", tmp_path / "data" / "still"
    moving.write_bytes(content)
    still.write_bytes({"log": corpus.text(corpus.log_line(50), corpus.log_line(51))}.get(kind) or _others(kind))
    original = loader.parsed_file

    def parsed_file(input_parser, file, source):
        if file.path.name == "moving":
            moving.unlink(missing_ok=True)
            if swap == "changed":
                moving.write_bytes(_others(kind, "changed") if kind != "log" else corpus.text(corpus.log_line(52)))
            elif swap == "piped":
                os.mkfifo(moving)
        return original(input_parser, file, source)

    monkeypatch.setattr(loader, "parsed_file", parsed_file)
    report = load(warehouse, tmp_path, source)
    assert {file.source_file: file.status for file in report.files} == {
        "data/moving": "loaded",
        "data/still": "loaded",
    }
    rows = 3 if kind == "parquet" else 2
    assert warehouse.count("raw.events") == 2 + rows
    (moved,) = warehouse.rows(MOVED, [sha(content)]).to_pylist()
    assert moved["source_file"] == "data/moving"
    assert RecordArchive(tmp_path / "state").read(moved["archive_sha256"]).answer.row_count >= rows


MOVED = "select source_file, archive_sha256 from ledger.files where sha256 = ? and is_loaded"


def sha(content):
    return hashlib.sha256(content).hexdigest()


def _during_the_copy(monkeypatch, act):
    """Let something happen to the file `moving` when half of it is copied."""
    original = client._write

    def write(target, block):
        original(target, block[: len(block) // 2])
        if b"moving" in block:
            act()
        original(target, block[len(block) // 2 :])

    monkeypatch.setattr(client, "_write", write)


@pytest.mark.parametrize("how", ["grows", "shrinks", "is written to"])
def test_a_file_that_changes_while_it_is_copied_waits_for_the_next_run(warehouse, data, monkeypatch, how):
    moving = data / "moving"
    whole = corpus.text(corpus.HEADER, *corpus.good("moving", range(50)))
    moving.write_bytes(whole)
    os.utime(moving, (0, 0))
    changed = {"grows": whole + b"more", "shrinks": whole[:99], "is written to": whole.replace(b"view", b"look")}[how]
    with monkeypatch.context() as patch:
        _during_the_copy(patch, lambda: moving.write_bytes(changed))
        report = load(warehouse, data.parent, SOURCES["csv"][0])
    refused = [(file.source_file, "changed while it was read" in file.detail) for file in report.refused]
    assert refused == [("data/moving", True)]
    moving.write_bytes(whole)
    assert statuses(warehouse, data) == {"data/good": "known", "data/moving": "loaded"}
    assert warehouse.count("raw.events") == 52


@pytest.mark.parametrize("what", ["link", "pipe", "file"])
def test_a_name_that_is_taken_over_while_its_file_is_copied_changes_nothing(warehouse, data, monkeypatch, what):
    moving = data / "moving"
    whole = corpus.text(corpus.HEADER, *corpus.good("moving"))
    moving.write_bytes(whole)

    def take_over():
        moving.unlink()
        if what == "link":
            moving.symlink_to(data.parent.parent / "elsewhere.csv")
        elif what == "pipe":
            os.mkfifo(moving)
        else:
            moving.write_bytes(whole.replace(b"moving", b"others"))

    _during_the_copy(monkeypatch, take_over)
    assert statuses(warehouse, data) == {"data/good": "loaded", "data/moving": "loaded"}
    found = warehouse.rows("select event_id from raw.events order by 1")["event_id"].to_pylist()
    assert found == ["good-0", "good-1", "moving-0", "moving-1"]


def _others(kind, key="still"):
    if kind == "parquet":
        return corpus.parquet(corpus.table(key, 2))
    if kind == "json":
        return corpus.text(corpus.record(key), corpus.record(key + "2"))
    return corpus.text(corpus.HEADER, *corpus.good(key))


def test_a_source_that_loaded_before_may_bring_nothing_but_bad_files(tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "journeyflow.yml").write_text(
        "sources:\n  web: {format: csv, path: web/*.csv, channel: web,"
        " columns: {occurred_at: at, anonymous_id: who, event_name: event}}\n",
        encoding="utf-8",
    )
    good = tmp_path / "web" / "good.csv"
    good.write_text("at,who,event\n2026-03-01 10:00:00,a,page_view\n", encoding="utf-8")
    journeyflow.run(tmp_path)
    good.unlink()
    (tmp_path / "web" / "bad.csv").write_text("nothing,that,is,expected\n1,2,3,4\n", encoding="utf-8")
    report = journeyflow.run(tmp_path)
    assert report.event_count == 1
    assert any("bad.csv was refused" in alert for alert in report.alerts)
