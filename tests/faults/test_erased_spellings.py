"""An erased person's ids are found in every spelling and place in which files write them, and do not come back."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import unicodedata
import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

import journeyflow
from faults.exports import MARK, made
from journeyflow.config import load_config
from journeyflow.config.sources import known_formats
from journeyflow.ingest.archive import RecordArchive
from journeyflow.operations.erase import RequestedId, erase, plan_erasure
from journeyflow.operations.rebuild import verify
from journeyflow.state.warehouse import open_warehouse
from support.file_search import files_with

BUILT = ("marts.funnel_steps", "marts.person_stages", "marts.touchpoints", "marts.event_kinds")

USER, MAIL, DEVICE = "canary.zoë/x@mail.example", "canary.two@mail.example", "canary-device-1"
NEEDLES = ("canary", "CANARY", "Canary")
COLUMNS = "columns: {event_id: id, occurred_at: at, anonymous_id: cookie, user_id: who, event_name: event}"
CONFIG = f"""
project: spellings
sources:
  web: {{format: csv, path: web/*, {COLUMNS}, properties: [note, previous_id], where: {{event: {{not: skip}}}}}}
  latin: {{format: csv, path: latin/*, encoding: cp1252, delimiter: ";", {COLUMNS}}}
  wide: {{format: csv, path: wide/*, encoding: utf-16, {COLUMNS}}}
  app: {{format: jsonl, path: app/*, records: batch.events, {COLUMNS}, properties: [note]}}
  list: {{format: jsonl, path: list/*, {COLUMNS}}}
  store: {{format: parquet, path: store/*, {COLUMNS}}}
  log: {{format: access_log, path: log/*}}
  calls: {{format: segment, path: calls/*}}
  old: {{format: csv, path: old/*, {COLUMNS}, properties: [note]}}
people: [{{path: crm.csv, user_id: who, traits: [plan], valid_from: since}}]
min_count: 1
"""
AT = "2026-03-01 10:00:00"
NFD, UPPER, TITLE = unicodedata.normalize("NFD", USER), USER.upper(), USER.capitalize()
ESCAPED = json.dumps(USER)[1:-1]
LOG = '203.0.113.9 - {login} [{at}] "GET /p HTTP/1.1" 200 12 "-" "Mozilla"'


def web_rows(n):
    """Rows of a file, each with its plant; `n` begins the ids of the events."""
    nested = json.dumps({"who": USER}).replace('"', '""')
    rows = [
        ("plain", f"{AT},c,{USER},x,,,"),
        ("blanks", f"{AT},c,  {USER} ,x,,,"),
        ("blanks in quotes", f'{AT},c," {USER}\t",x,,,'),
        ("unbreakable blanks", f"{AT},c,\u00a0{USER}\u00a0,x,,,"),
        ("upper case", f"{AT},c,{UPPER},x,,,"),
        ("decomposed", f"{AT},c,{NFD},x,,,"),
        ("capital", f"{AT},c,{TITLE},x,,,"),
        ("in a property of theirs", f"{AT},c,{MAIL},x,of {USER},,"),
        ("no time", f"soon,c,{USER},x,,,"),
        ("no name", f"{AT},c,{USER},,,,"),
        ("too many fields", f"{AT},c,{USER},x,,,,,,"),
        ("too few fields", f"{AT},c,{USER}"),
        ("zero byte", f"{AT},c,\x00,x,{USER},,"),
        ("filtered", f"{AT},c,{USER},skip,,,"),
        ("mentioned in a filtered record", f"{AT},c,bob,skip,{USER},,"),
        ("mentioned in an unreadable record", f"soon,c,bob,x,{USER},,"),
        ("JSON in an unreadable record", f'soon,c,bob,x,"{nested}",,'),
        ("link in an unreadable record", f"soon,c,bob,x,/u?m={MAIL.replace('@', '%40')}&z=1,,"),
        ("a column that nobody maps", f"{AT},c,bob,x,,,{USER}"),
        ("JSON in a column that nobody maps", f'{AT},c,bob,x,,,"{nested}"'),
        ("a column that nobody maps, of a device", f"{AT},c2,,x,,,{MAIL}"),
        ("device", f"{AT},{DEVICE},,x,,,"),
        ("device with blanks", f"{AT}, {DEVICE} ,,x,,,"),
        ("unreadable record of the device", f"soon,{DEVICE},,x,,,"),
        ("earlier id", f"{AT},c,{MAIL},alias,,{USER},"),
        ("line break", f'{AT},c,{USER},x,"one\ntwo of {USER}",,'),
        ("too long", f"{AT},c,{USER},x,{'y' * (1 << 24)} {USER},,"),
        ("open quote", f'{AT},c,x,x,"{USER}'),
    ]
    lines = [f"{n}-{at},{row}" for at, (_, row) in enumerate(rows)]
    return [name for name, _ in rows], "id,at,cookie,who,event,note,previous_id,old\n" + "\n".join(lines) + "\n"


def event(n, who, **more):
    return {"id": f"j{n}", "at": AT, "cookie": f"cj{n}", "who": who, "event": "x", **more}


def write(folder, n):
    """Write one file of each kind; return the names of what is planted, the same for every `n`."""
    names, text = web_rows(n)
    put(folder, f"web/{n}.csv", text.encode())
    short = f"id,at,cookie,who,event\n{n}z,{AT},c,{USER},x\n{n}b,{AT},c,bob,x\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", short.replace("z,", "y,").replace(",", ";").encode("cp1252"))
    put(folder, f"old/{n}.csv", (short.replace("event\n", "event,note\n").replace(",x\n", f",x,{USER}\n")).encode())
    put(folder, f"latin/{n}.csv", short.replace(",", ";").encode("cp1252"))
    put(folder, f"wide/{n}.csv", short.encode("utf-16"))
    put(folder, f"wide/{n}.csv.gz", gzip.compress(short.replace("z,", "zz,").encode("utf-16"), mtime=0))
    put(folder, f"latin/{n}.csv.zst", pa.compress(short.replace(",", ";").encode("cp1252"), "zstd", asbytes=True))
    put(folder, f"latin/{n}.zip", packed.getvalue())
    envelopes = [
        {"batch": {"events": [event(f"{n}1", USER)]}},
        {"batch": {"events": [event(f"{n}2", None)]}, "who": USER},
        {"batch": {"events": [event(f"{n}3", USER)]}, "owner": USER},
        {"batch": {"events": []}, "owner": USER},
        {"batch": {"events": [event(f"{n}4", "bob"), USER, 7]}},
        {"batch": {"events": [event(f"{n}5", "bob", extra={"ref": USER})]}},
        {"batch": {"events": [event(f"{n}6", "bob", extra=json.dumps({"ref": [USER]}))]}},
        {"batch": {"events": [event(f"{n}7", "bob")]}, "sender": {"mail": MAIL}},
    ]
    lines = [json.dumps(each) for each in envelopes]
    mixed = ESCAPED.replace("u00eb", "u00EB").replace("/", r"\/")
    lines += [lines[0].replace(ESCAPED, mixed).replace("j", "k"), lines[0][:-9], json.dumps([USER])]
    put(folder, f"app/{n}.jsonl", "\n".join(lines).encode())
    put(folder, f"list/{n}.json", json.dumps([event(f"{n}l", USER), event(f"{n}m", "bob"), USER]).encode())
    table = pa.table(
        {
            "id": [f"p{n}{at}" for at in range(5)],
            "at": [AT] * 5,
            "cookie": ["c"] * 5,
            "who": pa.array([USER, "bob", "bob", "bob", "bob"]).dictionary_encode(),
            "event": ["x"] * 5,
            "deep": [None, {"ref": [USER]}, None, None, None],
            "many": [None, None, [USER, "x"], None, None],
            "bytes": [None, None, None, USER.encode(), None],
            "json": [None, None, None, None, json.dumps({"ref": USER})],
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    put(folder, f"store/{n}.parquet", sink.getvalue())
    logins = [LOG.format(login=MAIL, at="01/Mar/2026:10:00:00 +0000"), LOG.format(login=MAIL, at="never")]
    put(folder, f"log/{n}.log", "\n".join([*logins, LOG.format(login="-", at="01/Mar/2026:10:00:01 +0000")]).encode())
    call = {
        "messageId": f"m{n}",
        "type": "track",
        "event": "Called",
        "userId": USER,
        "timestamp": "2026-03-09T10:00:00Z",
    }
    put(folder, f"calls/{n}.jsonl", json.dumps(call | {"anonymousId": "cc"}).encode())
    put(folder, "crm.csv", f"who,plan,since\n{USER},gold,\n{USER},gold,soon\nbob,{MAIL},soon\nbob,x,\n".encode())
    names += [f"text in {each}" for each in ("cp1252", "UTF-16", "gzip", "Zstandard", "zip")]
    names += ["old source", "mention in an old source"]
    names += [f"envelope {at}" for at in range(len(envelopes))] + ["escapes in mixed case", "broken JSON", "JSON list"]
    names += ["list", "text in a list", "dictionary", "struct", "column of lists", "column of bytes", "column of JSON"]
    return [*names, "login", "login of an unreadable line", "call", "trait", "unreadable trait", "mention in a trait"]


def put(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def assert_gone(project):
    assert [files_with(project / part, *NEEDLES) for part in ("state", "published")] == [[], []]


def test_no_spelling_is_left_and_none_comes_back(tmp_path):
    project = tmp_path / "shop"
    project.mkdir()
    path = project / "journeyflow.yml"
    path.write_text(CONFIG, encoding="utf-8")
    planted = write(project, 1)
    assert len(set(planted)) == len(planted) > 40
    journeyflow.run(project)
    # One source is taken out, and one is renamed: both have archived records under their old names.
    lines = [line for line in CONFIG.splitlines() if not line.startswith("  old:")]
    path.write_text("\n".join(lines).replace("  list:", "  crm:"), encoding="utf-8")
    journeyflow.run(project)
    assert len(files_with(project / "state", NEEDLES[0])) > 10
    ids = [RequestedId("user", USER), RequestedId("user", MAIL)]
    config = load_config(project)
    assert plan_erasure(config, ids).similar_count == 3
    plan = plan_erasure(config, [*ids, RequestedId("device", DEVICE)], also_similar=True)
    assert plan.dropped == ()
    erase(config, plan)
    assert_gone(project)
    verify(config)
    archive = RecordArchive(project / "state")
    held = [archive.read(each) for each in archive.contents()]
    assert sum(each.erased_count for each in held) >= 40
    assert sum(each.answer.row_count for each in held) == 14, "others stay"
    # Later files bring them again. What another person's record mentions where nobody reads it stays in the archive.
    write(project, 2)
    shutil.rmtree(project / "old")
    put(project, "crm.csv", b"who,plan,since\nbob,x,\n")
    journeyflow.run(project)
    left = {name for name, _ in files_with(project / "state", *NEEDLES)}
    assert {name for name in left if not name.startswith("raw/")} == set()


VISITOR = "4815162342108"


def workbook(rows):
    book = openpyxl.Workbook()
    names = list(rows[0])
    book.active.append(names)
    for row in rows:
        book.active.append([None if row.get(name) is None else str(row.get(name)) for name in names])
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def put_exports(project, exports, number):
    """Write every export, the more often the more rows, so that no two files are the same."""
    for export in exports:
        rows = [*export.rows, *export.rows[:number]]
        if export.source["format"] == "adobe":  # Its cases name no user, and its device is of two columns.
            rows = [row | {"post_visid_high": VISITOR, "post_cust_visid": f"ann-{MARK}"} for row in rows]
        put(project, f"in/{export.name}/{number}", export.content(rows, random.Random(1)))
        # A format that is told by the content of a file may come in a workbook too.
        if export.name.endswith("_csv") and export.source["format"] != "csv":
            put(project, f"in/{export.name}/{number}.xlsx", workbook(rows))


def test_no_format_keeps_an_id_and_none_comes_back(tmp_path):
    project = tmp_path / "shop"
    exports = [*made(is_every=bool(os.environ.get("JOURNEYFLOW_FAULTS")))]
    assert {export.source["format"] for export in exports} == set(known_formats()) - {"xlsx"}
    sources = {export.name: export.source | {"path": f"in/{export.name}/*"} for export in exports}
    columns = {"occurred_at": "at", "user_id": "who", "event_name": "event"}
    sources["other"] = {"format": "csv", "path": "other.csv", "columns": columns, "channel": "web"}
    config = load_config({"sources": sources, "min_count": 1}, folder=project)
    put_exports(project, exports, 0)
    put(project, "other.csv", f"at,who,event\n{AT},bob,x\n".encode())
    journeyflow.run(config)
    with open_warehouse(project / "state" / "warehouse.duckdb") as warehouse:
        select = (
            "select distinct source, kind, id from raw.events unpivot (id for kind in (user_id, anonymous_id)) "
            "where source <> 'other'"
        )
        known = warehouse.rows(select).to_pylist()
        assert {row["source"] for row in known} == set(sources) - {"other"}
    kinds = {"user_id": "user", "anonymous_id": "device"}
    ids = {RequestedId(kinds[row["kind"]], row["id"]) for row in known}
    needles = {each.value for each in ids if MARK in each.value} | {VISITOR}
    assert len(needles) > 20
    found = files_with(project / "state" / "raw", *needles)
    made_up = {each for each in needles if each.startswith("session.")}  # A visitor of GA4 without an id.
    assert {needle for _, needle in found} == needles - made_up
    assert set(sources) - {row["source"] for row in known if row["id"] in needles} == {"access_log_lines", "other"}
    plan = plan_erasure(config, sorted(ids, key=str))
    assert plan.dropped == ()
    erase(config, plan)
    left = [files_with(project / part, *needles) for part in ("state", "published")]
    assert left == [[], []]
    put_exports(project, exports, 1)
    journeyflow.run(config)
    assert [files_with(project / part, *needles) for part in ("state", "published")] == [[], []]
    verify(config)
