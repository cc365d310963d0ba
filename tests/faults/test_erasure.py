"""After an erasure no file of the product holds a byte of the person, whatever the format, and whenever it was killed.

`JOURNEYFLOW_FAULTS=300` tries every named point twice and every sync and rename once; without it a short tier runs.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import shutil
import zipfile

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from external.projects import Project
from faults import run_process
from faults.run_process import ERASURE, Fault
from support.file_search import contents, files_with

LONG = int(os.environ.get("JOURNEYFLOW_FAULTS", "0"))
USER, DEVICE = "canary.person@mail.example", "canary-device-4711"
NEEDLES = ("canary", "CANARY")
CONFIG = """
project: canaries
sources:
  web: {format: csv, path: web/*, channel: web, columns: {
    event_id: id, occurred_at: at, anonymous_id: cookie, user_id: who, event_name: event}, properties: [note]}
  app: {format: jsonl, path: app/*, channel: app, records: batch.events, columns: {
    event_id: id, occurred_at: at, anonymous_id: device, user_id: who, event_name: event}, properties: [note]}
  list: {format: jsonl, path: list/*, channel: crm, columns: {occurred_at: at, user_id: who, event_name: event}}
  store: {format: parquet, path: store/*, channel: store, columns: {
    event_id: id, occurred_at: at, user_id: who, event_name: event}, properties: [note]}
  log: {format: access_log, path: log/*}
  calls: {format: segment, path: calls/*}
people: [{path: crm.csv, user_id: who, traits: [plan]}]
surveys: {nps: {event: answer, score: properties.note, scale: [0, 10]}}
funnels:
  order:
    window: 3d
    steps: [{name: seen, when: {event: product_view}}, {name: paid, when: {event: purchase}}]
min_count: 1
"""
LINE = '{ip} - {login} [{day:02}/Mar/2026:10:00:00 +0000] "GET /p?x=1 HTTP/1.1" 200 12 "-" "Mozilla {agent}"'


def web_rows(who, cookie, first):
    rows = [
        [f"w{first}", "2026-03-01 10:00:00", cookie, "", "product_view", f"line one\nline two of {cookie}", ""],
        [f"w{first + 1}", "2026-03-02 10:00:00", cookie, who, "purchase", "", ""],
        [f"w{first + 2}", "2026-03-02 11:00:00", "shared", who, "page_view", "", ""],
        [f"w{first + 3}", "soon", cookie, who, "page_view", "", ""],
        [f"w{first + 4}", "2026-03-03 11:00:00", cookie, who, "page_view", "", "", "one field too many"],
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write(folder, people):
    """Write one file of each kind with the rows of some people, given as (user, device, number)."""
    head = "id,at,cookie,who,event,note,previous_id\n"
    text = head + "".join(web_rows(who, cookie, number * 10) for who, cookie, number in people)
    put(folder, "web/a.csv.gz", gzip.compress(text.encode(), mtime=0))
    put(folder, "web/b.csv", text + "\n")
    batches = [
        {
            "batch": {
                "sent": number,
                "events": [
                    {"id": f"a{number}-{who}", "at": "2026-03-04 10:00:00", "device": f"{cookie}-app", "who": who}
                    | {"event": "app_open", "note": f"of {who}"}
                    for who, cookie, _ in people
                ],
            }
        }
        for number in (1, 2)
    ]
    own = [{"batch": {"events": [{"id": f"o{n}", "at": "2026-03-05", "who": u, "event": "x"}]}} for u, _, n in people]
    lines = "\n".join(json.dumps(each) for each in [*batches, *own])
    broken = "".join(f'\n{{"id": 1, "who": "{who}", "at": ' for who, _, _ in people)
    put(folder, "app/a.jsonl.zst", pa.compress((lines + broken).encode(), "zstd", asbytes=True))
    listed = [{"at": f"2026-03-0{n}T10:00:00Z", "who": who, "event": "visit"} for who, _, _ in people for n in (6, 7)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.json"), json.dumps(listed))
    put(folder, "list/a.zip", packed.getvalue())
    whos = [who for who, _, _ in people for _ in (0, 1)]
    table = pa.table(
        {
            "id": [f"s{at}-{who}" for at, who in enumerate(whos)],
            "at": ["2026-03-08 10:00:00"] * len(whos),
            "who": pa.array(whos).dictionary_encode(),
            "event": ["answer"] * len(whos),
            "note": ["9"] * len(whos),
        }
    )
    held = io.BytesIO()
    pq.write_table(table, held)
    put(folder, "store/a.parquet", held.getvalue())
    log = [LINE.format(ip=f"203.0.113.{n}", login=who, day=n, agent=cookie) for who, cookie, n in people]
    put(folder, "log/a.log", "\n".join(log) + "\n")
    calls = [
        {"messageId": f"m{n}", "type": "track", "event": "Called", "userId": who, "timestamp": "2026-03-09T10:00:00Z"}
        | {"context": {"page": {"path": f"/u/{who}"}}, "anonymousId": cookie}
        for who, cookie, n in people
    ]
    put(folder, "calls/a.jsonl", "\n".join(map(json.dumps, calls)))
    put(folder, "crm.csv", "who,plan\n" + "".join(f"{who},gold\n" for who, _, _ in people))


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


PEOPLE = [("ada", "c-ada", 1), (USER, DEVICE, 2), ("bob", "c-bob", 3), ("cyd", "c-cyd", 4)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded") / "shop"
    folder.mkdir()
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    write(folder, PEOPLE)
    assert run_process.finish(folder / "journeyflow.yml") == 0
    assert run_process.finish(folder / "journeyflow.yml") == 0  # An older generation is there too.
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory, loaded):
    """What stands when nothing happens."""
    path = copy(loaded, tmp_path_factory.mktemp("whole"))
    assert run_process.finish(path, erased_user=USER) == 0
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """`loaded` and `whole` with few models: enough to be killed in the middle of."""
    folder = tmp_path_factory.mktemp("few") / "shop"
    folder.mkdir()
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    if not LONG:
        run_process.build_only(folder / "journeyflow.yml", "marts.funnel_steps", "marts.person_stages")
    write(folder, PEOPLE)
    assert run_process.finish(folder / "journeyflow.yml") == 0
    assert run_process.finish(folder / "journeyflow.yml") == 0
    path = copy(folder, tmp_path_factory.mktemp("few_whole"))
    assert run_process.finish(path, erased_user=USER) == 0
    return folder, state(path)


def copy(folder, place):
    return shutil.copytree(folder, place / "shop", symlinks=True) / "journeyflow.yml"


def state(path):
    project = Project(path.parent)
    events = project.warehouse_rows("select source, event_id, occurred_at, user_id from raw.events order by all")
    return (
        project.figures(),
        events,
        project.warehouse_rows("select source_file, reason from raw.quarantine order by all"),
    )


def published_ids(folder):
    return set(Project(folder).table("person_stages")["person_id"])


def assert_gone(path, *more):
    for part in ("state", "published"):
        assert files_with(path.parent / part, *NEEDLES, *more) == []
    assert not (path.parent / "state" / "erasure.json").exists()
    assert len(list((path.parent / "published" / "generations").iterdir())) == 1


def assert_accounts(path):
    rows = Project(path.parent).table("load_audit")
    parts = [pl.col(f"{part}_count") for part in ("accepted", "quarantined", "duplicate", "filtered", "erased")]
    assert rows.filter(pl.col("record_count") != pl.sum_horizontal(parts)).is_empty()


def test_the_search_finds_what_is_there(loaded):
    found = {name for name, _ in files_with(loaded / "state", *NEEDLES)}
    assert "warehouse.duckdb" in found
    assert len({name for name in found if name.endswith(".records.parquet")}) == 6
    assert any(b"canary" in text for text in contents(loaded / "store" / "a.parquet"))


def test_no_byte_is_left_whatever_the_format(loaded, whole):
    gone = published_ids(loaded) - published_ids(whole.parent)
    assert gone
    assert_gone(whole, *gone)
    assert_accounts(whole)
    archived = list((whole.parent / "state" / "raw").glob("*.records.parquet"))
    assert len(archived) == 6, "every file is still archived; two of them have the same records"


def test_everything_is_as_if_the_input_had_never_held_the_person(whole, tmp_path):
    folder = tmp_path / "never"
    folder.mkdir()
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    write(folder, [each for each in PEOPLE if each[0] != USER])
    (folder / "state").mkdir()
    shutil.copy(whole.parent / "state" / "pseudonym.key", folder / "state")
    assert run_process.finish(folder / "journeyflow.yml") == 0
    mine, theirs = Project(whole.parent).figures(), Project(folder).figures()
    assert {name for name in mine if mine[name] != theirs[name]} == set()


def test_the_same_files_and_new_ones_bring_nothing_back(whole, tmp_path):
    path = copy(whole.parent, tmp_path)
    before = state(path)
    assert run_process.finish(path) == 0
    assert state(path) == before
    write(path.parent / "later", [(USER, DEVICE, 5)])
    for file in (path.parent / "later").rglob("*"):
        if file.is_file() and file.name != "crm.csv":
            shutil.move(file, path.parent / file.parent.name / f"later-{file.name}")
    shutil.rmtree(path.parent / "later")
    assert run_process.finish(path) == 0
    assert_gone_but_generations(path)
    assert_accounts(path)
    erased = Project(path.parent).table("load_audit").filter(pl.col("source_file").str.contains("later-"))
    assert erased["erased_count"].sum() == erased["record_count"].sum() > 0


def assert_gone_but_generations(path):
    for part in ("state", "published"):
        assert files_with(path.parent / part, *NEEDLES) == []


NAMED = [f"{when} {step}" for step in ERASURE for when in ("before", "after")]
POINTS = (
    NAMED * 2 if LONG else ["after begin", "after archive", "after rewrite", "after copy", "after settle", "before end"]
)


@pytest.mark.parametrize(("number", "point"), list(enumerate(POINTS)))
def test_a_kill_at_a_step(few, tmp_path, number, point):
    path = copy(few[0], tmp_path)
    assert run_process.finish(path, Fault(point), USER) == -9
    # Either the next run or the same command again completes it; before it was written down only the command knows.
    is_again = number % 2 or point == "before begin"
    assert run_process.finish(path, erased_user=USER if is_again else None) == 0
    assert_gone(path)
    assert_accounts(path)
    assert state(path) == few[1]


@pytest.mark.parametrize("point", ["sync", "rename"])
def test_a_kill_at_a_call_to_the_disk(few, tmp_path, point):
    called = run_process.calls(copy(few[0], tmp_path / "called"), USER)[point]
    every = range(1, called + 1)
    for nth in every if LONG else [random.Random(point).choice(every)]:
        path = copy(few[0], tmp_path / str(nth))
        assert run_process.finish(path, Fault(point, nth), USER) == -9
        assert run_process.finish(path, erased_user=USER) == 0
        assert_gone(path)
        assert state(path) == few[1]


def test_a_step_that_is_left_out_is_noticed(loaded, tmp_path, monkeypatch):
    """The search itself is tested: without the copy into a new file the bytes are still there."""
    from journeyflow.config import load_config
    from journeyflow.operations.erase import RequestedId, erase, plan_erasure

    path = copy(loaded, tmp_path)
    config = load_config(path)
    monkeypatch.setattr("journeyflow.erasure.apply.rewrite_warehouse", lambda *_, **__: None)
    erase(config, plan_erasure(config, [RequestedId("user", USER)]))
    assert "warehouse.duckdb" in {name for name, _ in files_with(path.parent / "state", *NEEDLES)}
