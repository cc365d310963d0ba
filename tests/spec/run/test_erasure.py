"""An erased person is removed from every file and figure, and from what arrives later."""

from __future__ import annotations

import csv
import json
import shutil

import polars as pl
import pytest
from pyarrow import fs

import journeyflow
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.apply import begin_erasure, pending_erasure
from journeyflow.errors import InputError, JourneyflowError, NotFoundError
from journeyflow.ingest.files import RefusedFileError
from journeyflow.operations.erase import RequestedId, plan_erasure
from journeyflow.operations.erase import erase as carry_out
from journeyflow.operations.rebuild import ARRIVALS, rebuild, replay, verify
from support.file_search import files_with
from support.templates import built_once, copy_of

BUILT = ("marts.funnel_steps", "marts.person_stages", "marts.personas", "insights.restatements")

CONFIG = """
project: gone
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, user_id: customer, event_name: event}
    properties: [note, previous_id]
people: [{path: crm.csv, user_id: customer, traits: [plan]}]
funnels:
  order:
    steps: [{name: seen, when: {event: product_view}}, {name: paid, when: {event: purchase}}]
    window: 2d
"""
HEAD = "id,at,cookie,customer,event,note,previous_id\n"
ANN, ANNS, DEVICE, NEW = "ann-4711@x.example", "ann-4711", "c-ann-4711", "new-ann-4711"
HERS = f"""1,2026-03-01 10:00:00,{DEVICE},,product_view,,
2,2026-03-01 11:00:00,{DEVICE},{ANN},product_view,"two
lines about {ANN}",
3,2026-03-01 12:00:00,c-shared,{ANN},purchase,,
bad,gestern,{DEVICE},,purchase,,
wide,2026-03-01 12:30:00,c-dee,{ANN},purchase,too,many,fields
9,2026-03-02 12:30:00,,{NEW},alias,,{ANN}
"""
OTHERS = """4,2026-03-01 12:00:00,c-shared,ben,purchase,,
41,2026-03-01 12:10:00,c-shared,dee,purchase,,
5,2026-03-01 13:00:00,c-cyd,cyd,product_view,,
6,2026-03-08 13:00:00,c-cyd,cyd,purchase,,
7,2026-03-01 12:30:00,c-dee,dee,purchase,too,many,fields
"""
CRM = "customer,plan\nben,basic\n"
PARTS = ("accepted", "quarantined", "duplicate", "filtered", "erased")


def make(folder, rows=HERS + OTHERS, crm=f"{CRM}{ANN},gold\n"):
    (folder / "web").mkdir(parents=True)
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    (folder / "web" / "one.csv").write_text(HEAD + rows, encoding="utf-8")
    (folder / "crm.csv").write_text(crm, encoding="utf-8")
    journeyflow.run(folder)
    return folder


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    return copy_of(built_once(tmp_path_factory, "erasure", make), tmp_path / "shop")


def erase(project, *ids):
    config = load_config(project)
    return carry_out(config, plan_erasure(config, ids or [RequestedId("user", ANN)]))


def table(project, name):
    with journeyflow.open(project / "published") as published:
        return published.table(name)


def figures(project):
    with journeyflow.open(project / "published") as published:
        return {name: published.table(name).rows() for name in published.tables if name not in ARRIVALS}


def audit(project, name="web/one.csv"):
    """Return the counts of a file in each run, having added them up."""
    rows = table(project, "load_audit").filter(pl.col("source_file") == name).to_dicts()
    for row in rows:
        assert row["record_count"] == sum(row[f"{part}_count"] for part in PARTS)
    return [tuple(row[f"{part}_count"] for part in PARTS) for row in rows]


def assert_gone(project, *needles):
    for folder in ("state", "published"):
        assert files_with(project / folder, ANNS, *needles) == []


def test_a_plan_counts_and_changes_nothing(project):
    before = files_with(project / "state", ANNS)
    plan = plan_erasure(load_config(project), [RequestedId("user", ANN)])
    assert (plan.user_count, plan.device_count) == (2, 1)
    assert (plan.event_count, plan.quarantined_count, plan.trait_count) == (4, 2, 1)
    assert [(each.source_file, each.record_count) for each in plan.copies] == [("web/one.csv", 6)]
    assert [(each.source_file, each.record_count) for each in plan.inputs] == [("web/one.csv", 6), ("crm.csv", 1)]
    assert files_with(project / "state", ANNS) == before
    assert ANNS not in repr(plan)


def test_nothing_is_left_in_any_file_and_every_figure_is_as_if_they_had_never_come(project, tmp_path):
    known = set(table(project, "person_stages")["person_id"])
    erase(project)
    gone = known - set(table(project, "person_stages")["person_id"])
    assert gone
    assert_gone(project, *gone)
    assert pending_erasure(project / "state") is None
    # The key of the hashes must be the same for equal person_ids.
    other = tmp_path / "never"
    (other / "state").mkdir(parents=True)
    shutil.copy(project / "state" / "pseudonym.key", other / "state")
    make(other, OTHERS, CRM)
    assert figures(project) == figures(other)


def test_ids_whose_signs_are_escaped_leave_the_quarantine_too(project):
    names = ('zo"brien', r"CORP\zann", "zmüller", "zann, zlee")
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    app = text[text.index("  web:") : text.index("people:")].replace("web", "app").replace("csv", "jsonl")
    (project / "journeyflow.yml").write_text(text.replace("people:", f"{app}people:"), encoding="utf-8")
    (project / "app").mkdir()
    bad = [{"id": name, "at": "gestern", "customer": name, "event": "x"} for name in (*names, "ben")]
    lines = [json.dumps(row) for row in bad] + [json.dumps(row)[:-1] for row in bad]
    (project / "app" / "one.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with (project / "web" / "two.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEAD.strip().split(","), *(["", "gestern", "", n, "x", "", ""] for n in names)])
    journeyflow.run(project)
    erase(project, *(RequestedId("user", name) for name in names))
    with DuckDBEngine(project / "state" / "warehouse.duckdb", read_only=True) as warehouse:
        raw = warehouse.rows("select raw from raw.quarantine where source_file not in ('web/one.csv')")
    assert len(raw) == 2
    needles = {json.dumps(name, ensure_ascii=is_ascii)[1:-1] for name in names for is_ascii in (True, False)}
    assert files_with(project / "state", *names, *needles, 'zo""brien') == []
    assert audit(project, "app/one.jsonl") == [(0, 2, 0, 0, 8)]


def test_rows_kept_aside_of_a_device_that_is_an_address_go_too(project):
    """The warehouse knows such a device by a hash, the quarantine as it came; of a log it hides what looks like one."""
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    log = "  log: {format: access_log, path: log/*.log}\n"
    (project / "journeyflow.yml").write_text(text.replace("people:", f"{log}people:"), encoding="utf-8")
    times = ("2026-03-01 10:00:00,203.0.113.77,zed-1", "gestern,203.0.113.77,", "gestern,203.0.113.77,,too,many")
    rows = "".join(f"{number},{row},page_view,,\n" for number, row in enumerate(times, 70))
    (project / "web" / "two.csv").write_text(HEAD + rows, encoding="utf-8")
    (project / "log").mkdir()
    line = '198.51.100.{} - {} [{}] "GET /p HTTP/1.1" 200 5 "-" "Mozilla"\n'
    lines = line.format(1, "x::zed-1", "never") + line.format(2, "-", "01/Mar/2026:10:00:00 +0000")
    (project / "log" / "one.log").write_text(lines, encoding="utf-8")
    journeyflow.run(project)
    erase(project, RequestedId("user", "zed-1"), RequestedId("user", "x::zed-1"))
    assert [files_with(project / folder, "203.0.113.77", "zed-1") for folder in ("state", "published")] == [[], []]
    assert audit(project, "web/two.csv") == [(0, 0, 0, 0, 3)]
    assert audit(project, "log/one.log") == [(1, 0, 0, 0, 1)]


def test_the_accounts_move_from_accepted_to_erased_and_add_up(project):
    assert audit(project) == [(8, 3, 0, 0, 0)]
    erase(project)
    assert audit(project) == [(4, 1, 0, 0, 6)]
    assert audit(project, "crm.csv")[-1] == (1, 0, 0, 0, 1)


def test_what_changes_is_listed_with_its_cause(project):
    erase(project)
    restated = table(project, "restatements")
    assert set(restated["cause"]) == {"erasure"}
    assert not restated.is_empty()
    journeyflow.run(project)
    assert table(project, "restatements").equals(restated)


def test_what_comes_again_is_counted_and_not_stored(project):
    erase(project)
    before = figures(project)
    journeyflow.run(project)  # The same file: known by the hash that it came with.
    assert audit(project) == [(4, 1, 0, 0, 6)]
    later = f"{HERS}20,2026-03-09 10:00:00,{DEVICE},eve,page_view,,\n21,2026-03-09 10:00:00,c-eve,eve,alias,,{ANN}\n"
    (project / "web" / "two.csv").write_text(f"{HEAD}{later}22,2026-03-01 12:20:00,c-shared,ben,hover,,\n", "utf-8")
    (project / "web" / "three.csv").write_text(f'{HEAD}30,2026-03-01,c,x,y,"open {ANN}\n', encoding="utf-8")
    journeyflow.run(project)
    assert audit(project, "web/two.csv") == [(1, 0, 0, 0, 8)]
    assert audit(project, "web/three.csv") == [(0, 0, 0, 0, 1)]
    assert_gone(project)
    after = figures(project)
    assert after["personas"] == before["personas"]
    verify(load_config(project))


def test_a_rebuild_and_changed_settings_bring_nothing_back(project):
    erase(project)
    before = figures(project)
    config = load_config(project)
    verify(config)
    rebuild(config)
    assert figures(project) == before
    (project / "state" / "warehouse.duckdb").unlink()
    rebuild(config)
    assert figures(project) == before
    assert_gone(project)
    replay(config)
    journeyflow.run(project)
    assert figures(project) == before
    text = (project / "journeyflow.yml").read_text(encoding="utf-8").replace("channel: web", "channel: app")
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    journeyflow.run(project)
    assert audit(project)[-1] == (4, 1, 0, 0, 6)
    shutil.rmtree(project / "web")
    text = text.replace("channel: app", "channel: web")
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    journeyflow.run(project)
    assert {name: rows for name, rows in figures(project).items() if name != "blind_spots"} == {
        name: rows for name, rows in before.items() if name != "blind_spots"
    }
    assert_gone(project)


def test_files_that_are_loaded_together_keep_their_events_apart_where_some_were_erased(tmp_path):
    """Records that are left keep their numbers in their file, which are higher than their count."""
    project = make(tmp_path / "shop", OTHERS, CRM)
    for name, first in (("one_more", ANN), ("two", "cyd")):
        rows = [f"{name}{n},2026-03-01 10:0{n}:00,,{first if n < 4 else 'ben'},product_view,,\n" for n in range(8)]
        (project / "web" / f"{name}.csv").write_text(HEAD + "".join(rows), encoding="utf-8")
    journeyflow.run(project)
    erase(project, RequestedId("user", ANN))
    text = (project / "journeyflow.yml").read_text(encoding="utf-8").replace("channel: web", "channel: app")
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    journeyflow.run(project)
    with DuckDBEngine(project / "state" / "warehouse.duckdb", read_only=True) as warehouse:
        assert warehouse.values("select count(*), count(distinct event_ix) from raw.events") == [(16, 16)]


def test_a_lost_warehouse_is_rebuilt_without_them(project):
    erase(project)
    before = figures(project)
    (project / "state" / "warehouse.duckdb").unlink()
    journeyflow.run(project)
    assert audit(project)[-1] == (4, 1, 0, 0, 6)
    assert {k: v for k, v in figures(project).items() if k != "blind_spots"} == {
        k: v for k, v in before.items() if k != "blind_spots"
    }
    assert_gone(project)


def test_who_was_erased_is_known_and_who_never_came_is_refused(project):
    config = load_config(project)
    with pytest.raises(NotFoundError) as raised:
        plan_erasure(config, [RequestedId("user", "unknown-77")])
    assert "unknown-77" not in raised.value.message
    with pytest.raises(InputError):
        plan_erasure(config, [])
    erase(project)
    again = plan_erasure(config, [RequestedId("user", ANN)])
    assert again.is_done
    assert [(each.source_file, each.record_count) for each in again.inputs] == [("web/one.csv", 6), ("crm.csv", 1)]


def test_a_device_names_its_one_person_and_a_shared_one_only_itself(project):
    config = load_config(project)
    assert plan_erasure(config, [RequestedId("device", DEVICE)]).user_count == 2
    shared = plan_erasure(config, [RequestedId("device", "c-shared")])
    assert (shared.user_count, shared.device_count, shared.event_count, shared.other_count) == (0, 1, 3, 3)
    both = plan_erasure(config, [RequestedId("user", ANN), RequestedId("user", "ben"), RequestedId("user", "dee")])
    assert both.device_count == 2, "all who used the shared device are meant"


def test_of_a_file_of_two_sources_both_count_what_is_left(project):
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    same = text[text.index("  web:") : text.index("people:")].replace("web:", "app:")
    (project / "journeyflow.yml").write_text(text.replace("people:", f"{same}people:"), encoding="utf-8")
    journeyflow.run(project)
    erase(project)
    with DuckDBEngine(project / "state" / "warehouse.duckdb", read_only=True) as engine:
        assert engine.rows("select record_count from ledger.files")["record_count"].to_pylist() == [5, 5]


def test_devices_used_in_a_source_that_was_taken_out_go_too(project):
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    old = text[text.index("  web:") : text.index("people:")].replace("web", "old")
    (project / "journeyflow.yml").write_text(text.replace("people:", f"{old}people:"), encoding="utf-8")
    (project / "old").mkdir()
    rows = f"1,2026-03-01 10:00:00,zz-old,{ANN},page_view,,\n2,2026-03-01 10:00:00,zz-old,,page_view,,\n"
    (project / "old" / "one.csv").write_text(HEAD + rows, encoding="utf-8")
    journeyflow.run(project)
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    assert erase(project).plan.device_count == 2
    assert_gone(project, "zz-old")


def test_another_version_of_an_event_comes_into_its_place(project):
    (project / "web" / "two.csv").write_text(f"{HEAD}4,2026-03-01 12:00:00,c-x,{ANN},purchase,,\n", encoding="utf-8")
    (project / "web" / "one.csv").write_text(f"{HEAD}{HERS}{OTHERS}", encoding="utf-8")
    journeyflow.run(project)
    warehouse = project / "state" / "warehouse.duckdb"
    with DuckDBEngine(warehouse, read_only=True) as engine:
        winner = engine.rows("select user_id from raw.events where event_id = '4'")["user_id"].to_pylist()
    loser = "ben" if winner == [ANN] else ANN
    erase(project, RequestedId("user", ANN if loser == "ben" else "ben"))
    with DuckDBEngine(warehouse, read_only=True) as engine:
        assert engine.rows("select user_id from raw.events where event_id = '4'")["user_id"].to_pylist() == [loser]
    verify(load_config(project))


def test_when_nobody_is_left_nothing_stays_published(tmp_path):
    project = make(tmp_path / "shop", f"1,2026-03-01 10:00:00,{DEVICE},{ANN},product_view,,\n", f"{CRM}{ANN},x\n")
    assert erase(project).report is None
    assert not (project / "published" / "current").exists()
    assert_gone(project)


def test_when_nobody_is_left_nothing_stays_in_an_object_store(tmp_path, monkeypatch):
    project = make(tmp_path / "shop", f"1,2026-03-01 10:00:00,{DEVICE},{ANN},product_view,,\n", f"{CRM}{ANN},x\n")
    with (project / "journeyflow.yml").open("a", encoding="utf-8") as file:
        file.write("\ntargets: {object_store: {url: s3://bucket/journeys}}\n")
    store = tmp_path / "bucket"
    store.mkdir()
    system, fails = fs.SubTreeFileSystem(str(store), fs.LocalFileSystem()), []

    def object_target(config):
        if fails:
            raise RefusedFileError("denied", "access is denied")
        for generation in (project / "published" / "generations").iterdir():
            system.create_dir(f"journeys/generations/{generation.name}")
        return system, "journeys", "key"

    for module in ("journeyflow.pipeline.run_report", "journeyflow.erasure.apply"):
        monkeypatch.setattr(f"{module}.object_target", object_target)
    journeyflow.run(project)
    assert (store / "journeys" / "current.json").exists()
    fails.append(True)
    with pytest.raises(JourneyflowError, match="not in the object store: access is denied"):
        erase(project)
    assert pending_erasure(project / "state") is not None
    fails.clear()
    monkeypatch.setattr("journeyflow.erasure.apply.object_target", lambda config: (system, "journeys", "key"))
    with pytest.raises(InputError, match="what was published is withdrawn"):
        journeyflow.run(project)
    assert pending_erasure(project / "state") is None
    assert not [path for path in store.rglob("*") if path.is_file()]


def test_when_nobody_is_left_the_next_run_completes_what_was_killed(tmp_path):
    project = make(tmp_path / "shop", f"1,2026-03-01 10:00:00,{DEVICE},{ANN},product_view,,\n", f"{CRM}{ANN},x\n")
    config = load_config(project)
    begin_erasure(config.state, plan_erasure(config, [RequestedId("user", ANN)]).erasure)
    with pytest.raises(InputError, match="what was published is withdrawn"):
        journeyflow.run(project)
    assert pending_erasure(project / "state") is None
    assert not (project / "published" / "current").exists()
    assert_gone(project)
    with pytest.raises(InputError, match="No event was accepted"):
        journeyflow.run(project)


def test_events_of_a_source_that_was_taken_out_keep_nothing_published(tmp_path):
    project = make(tmp_path / "shop", f"1,2026-03-01 10:00:00,{DEVICE},{ANN},product_view,,\n", f"{CRM}{ANN},x\n")
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    old = text[text.index("  web:") : text.index("people:")].replace("web", "old")
    (project / "journeyflow.yml").write_text(text.replace("people:", f"{old}people:"), encoding="utf-8")
    (project / "old").mkdir()
    (project / "old" / "one.csv").write_text(f"{HEAD}1,2026-03-01 10:00:00,c-ben,ben,page_view,,\n", encoding="utf-8")
    journeyflow.run(project)
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    assert erase(project).report is None
    assert not (project / "published" / "current").exists()
    assert pending_erasure(project / "state") is None
    assert_gone(project)


def test_without_archived_files_the_warehouse_is_cleared_all_the_same(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    project = make(folder.parent / "kept")
    (project / "journeyflow.yml").write_text(f"{CONFIG}retention: {{raw: none}}\n", encoding="utf-8")
    journeyflow.run(project)
    erase(project)
    assert_gone(project)
    journeyflow.run(project)
    (project / "state" / "warehouse.duckdb").unlink()
    journeyflow.run(project)
    assert audit(project)[-1] == (4, 1, 0, 0, 6)
    assert_gone(project)


def test_a_second_erasure_from_a_list_takes_nobody_elses_rows(tmp_path):
    """A list becomes shorter when records are removed: the rest has other row numbers than when it was loaded."""
    project = tmp_path / "shop"
    (project / "web").mkdir(parents=True)
    (project / "journeyflow.yml").write_text(CONFIG.replace("csv\n", "jsonl\n", 1).replace("*.csv", "*.json"), "utf-8")
    (project / "crm.csv").write_text(CRM, encoding="utf-8")
    times = {"ann": "2026-03-01 10:00:00", "ben": "gestern", "cyd": "2026-03-01 11:00:00", "dee": "2026-03-02 10:00:00"}
    rows = [{"id": name, "at": at, "customer": name, "event": "purchase"} for name, at in times.items()]
    (project / "web" / "one.json").write_text(json.dumps(rows), encoding="utf-8")
    journeyflow.run(project)
    for name, left in (("ann", (2, 1, 0, 0, 1)), ("cyd", (1, 1, 0, 0, 2))):
        erase(project, RequestedId("user", name))
        assert audit(project, "web/one.json") == [left]
    assert verify(load_config(project)).row_count > 100


@pytest.mark.parametrize("is_loaded", [True, False])
def test_archived_records_of_a_source_that_was_taken_out_go_however_ids_are_spelled(project, is_loaded):
    """No mapping says whose they are: the stored rows do, and else the texts."""
    name = "zmüller-1" if is_loaded else ANN.replace("ann", "änn/é")
    text = (project / "journeyflow.yml").read_text(encoding="utf-8")
    old = text[text.index("  web:") : text.index("people:")].replace("web", "old").replace("csv", "jsonl")
    drops = "" if is_loaded else "    where: {event: {not: purchase}}\n"
    (project / "journeyflow.yml").write_text(text.replace("people:", f"{old}{drops}people:"), encoding="utf-8")
    (project / "old").mkdir()
    row = {"id": "1", "at": "2026-03-01 10:00:00", "customer": name, "event": "purchase"}
    spelled = json.dumps(row).replace("/", r"\/").replace("u00e", "u00E")
    lines = (spelled, json.dumps(row | {"id": "2", "event": "x", "customer": "cyd"}))
    (project / "old" / "one.jsonl").write_text("\n".join(lines), encoding="utf-8")
    if not is_loaded:
        (project / "web" / "two.csv").write_text(f"{HEAD}77,2026-03-01 10:00:00,,{name},x,,\n", encoding="utf-8")
    journeyflow.run(project)
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    plan = erase(project, RequestedId("user", name)).plan
    assert plan.dropped == ()
    assert [(each.source_file, each.record_count) for each in plan.copies if each.source_file.startswith("old")] == [
        ("old/one.jsonl", 1)
    ]
    assert files_with(project / "state", json.loads(spelled)["customer"], spelled.split('"')[11]) == []


def test_a_file_that_a_renamed_source_reads_is_cut_and_not_dropped(project):
    path = project / "journeyflow.yml"
    path.write_text(path.read_text(encoding="utf-8").replace("  web:\n", "  shop:\n"), encoding="utf-8")
    journeyflow.run(project)
    assert erase(project).plan.dropped == ()
    assert_gone(project)
    (project / "web" / "one.csv").unlink()
    assert verify(load_config(project)).row_count > 100


def test_a_file_that_the_old_source_read_otherwise_keeps_nothing(project):
    """What a renamed source takes for another person's was hers by the columns of before, which it no longer reads."""
    path = project / "journeyflow.yml"
    text = path.read_text(encoding="utf-8").replace("  web:\n", "  shop:\n")
    path.write_text(text.replace("user_id: customer, event", "user_id: event, event"), encoding="utf-8")
    journeyflow.run(project)
    assert erase(project, RequestedId("user", ANN)).plan.dropped == ()
    # Her device is a shared one by the new columns, so it stays.
    assert files_with(project / "state" / "raw", ANN, NEW) == []


def test_of_a_nested_list_the_elements_go_that_name_somebody(tmp_path):
    project = tmp_path / "shop"
    (project / "web").mkdir(parents=True)
    nested = CONFIG.replace("csv\n", "jsonl\n    records: events\n", 1).replace("*.csv", "*.json")
    (project / "journeyflow.yml").write_text(nested, encoding="utf-8")
    (project / "crm.csv").write_text(CRM, encoding="utf-8")
    row = {"id": "1", "at": "2026-03-01 10:00:00", "customer": "ben", "event": "purchase"}
    lines = [json.dumps({"events": each}) for each in ([row, ANN, "cyd", 7], [row | {"id": "2"}, 7])]
    (project / "web" / "one.json").write_text("\n".join(lines), encoding="utf-8")
    journeyflow.run(project)
    assert audit(project, "web/one.json") == [(2, 4, 0, 0, 0)]
    erase(project)
    assert audit(project, "web/one.json") == [(2, 3, 0, 0, 1)]
    assert_gone(project)
    assert verify(load_config(project)).row_count > 100


def test_what_is_loaded_between_plan_and_erasure_stops_it(project):
    config = load_config(project)
    plan = plan_erasure(config, [RequestedId("user", ANN)])
    (project / "web" / "two.csv").write_text(f"{HEAD}20,2026-03-09 10:00:00,{DEVICE},{ANN},x,,\n", encoding="utf-8")
    journeyflow.run(project)
    with pytest.raises(InputError, match="Plan it again; nothing was erased"):
        carry_out(config, plan)
    assert pending_erasure(config.state) is None
    erase(project)
    assert_gone(project)


def test_the_accounts_of_a_rebuild_count_who_was_erased(project):
    erase(project)
    rebuild(load_config(project))
    assert audit(project)[-1] == (4, 1, 0, 0, 6)


def test_an_original_goes_whole(project):
    path = project / "journeyflow.yml"
    path.write_text(f"{CONFIG}retention: {{originals: forever}}\n", encoding="utf-8")
    (project / "web" / "two.csv").write_text(f"{HEAD}20,2026-03-09 10:00:00,c-ben,ben,x,,{ANN}\n", encoding="utf-8")
    (project / "web" / "three.csv").write_text(f"{HEAD}21,2026-03-09 10:00:00,c-ben,ben,x,,\n", encoding="utf-8")
    (project / "web" / "four.csv").write_text(f"{HEAD}22,2026-03-09 10:00:00,c,{ANN},x,,\n", encoding="utf-8")
    journeyflow.run(project)
    assert len(list((project / "state" / "raw").glob("*.plain.zst"))) == 3
    assert [each.source_file for each in erase(project).plan.dropped] == ["web/four.csv"]
    assert len(list((project / "state" / "raw").glob("*.plain.zst"))) == 2


def test_ids_that_differ_in_case_are_reported_and_erased_when_asked_for(project):
    rows = f"20,2026-03-09 10:00:00,c-up,{ANN.upper()},x,,\n21,soon,c-up,{ANN.title()},x,,\n"
    (project / "web" / "two.csv").write_text(HEAD + rows, encoding="utf-8")
    journeyflow.run(project)
    config = load_config(project)
    assert plan_erasure(config, [RequestedId("user", ANN)]).similar_count == 1
    plan = plan_erasure(config, [RequestedId("user", ANN)], also_similar=True)
    assert (plan.user_count, plan.similar_count) == (3, 0)
    carry_out(config, plan)
    assert_gone(project, ANN.upper(), ANN.title())
    (project / "web" / "three.csv").write_text(f"{HEAD}30,2026-03-10,c-up,{ANN.capitalize()},x,,\n", encoding="utf-8")
    journeyflow.run(project)
    assert audit(project, "web/three.csv") == [(0, 0, 0, 0, 1)]
