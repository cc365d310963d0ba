"""Small files that are alike are landed by the same statements; nothing but the time it takes is another."""

from __future__ import annotations

import json
import random

import pytest

from journeyflow.config import load_config
from journeyflow.ingest import insert, load, suppression
from journeyflow.ingest.archive import RecordArchive
from journeyflow.ingest.files import RawStore
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse

NOW_US = 1_800_000_000_000_000
COLUMNS = {"event_id": "id", "occurred_at": "ts", "anonymous_id": "cookie", "user_id": "who", "event_name": "event"}
ERASED = ("u:ann", "d:c3")
SOURCES = {
    "csv": {"format": "csv", "path": "data/*", "columns": COLUMNS, "where": {"event": {"not": "skip"}}},
    "jsonl": {"format": "jsonl", "path": "data/*", "columns": COLUMNS, "where": {"event": {"not": "skip"}}},
    "list": {"format": "jsonl", "path": "data/*", "columns": COLUMNS, "records": "all"},
    "access_log": {"format": "access_log", "path": "data/*"},
}
OF_EVENTS = "events.* exclude (event_ix, properties), events.properties::varchar as properties"
DUMPED = (
    f"select {OF_EVENTS}, files.source_file from raw.events join ledger.files using (file_ix) order by event_ix",
    "select * from raw.quarantine order by all",
    "select * from ledger.files order by file_ix",
    "select * from ledger.loads order by all",
)


def drawn(rng):
    ts = rng.choice(["2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", "soon", "2026-03-02T11:00:00Z"])
    return {
        "id": rng.choice(["", "", *"abcdef"]),
        "ts": ts,
        "cookie": rng.choice(["c1", "c2", "c3", ""]),
        "who": rng.choice(["", "", "ann", "ben"]),
        "event": rng.choice(["page_view", "purchase", "skip"]),
    }


def as_csv(rows, rng):
    bad = rng.choice([[], ['"open'], ["one,two,three,four,five,six"]])
    return "\n".join(["id,ts,cookie,who,event", *blank(rng), *(",".join(row.values()) for row in rows), *bad])


def as_jsonl(rows, rng):
    bad = rng.choice([[], ["{broken"], ['{"who": "ann", "n": ']])
    return "\n".join([*blank(rng), *map(json.dumps, rows), *bad])


def blank(rng):
    return rng.choice([[], ["", ""]])


def as_list(rows, rng):
    halves = [rows[::2], rows[1::2] + rng.choice([[], [7], ["ann"]])]
    return "\n".join(json.dumps({"batch": number, "all": half}) for number, half in enumerate(halves))


def as_log(rows, rng):
    template = '{} - {} [01/Mar/2026:10:00:0{} +0000] "GET /{} HTTP/1.1" 200 5 "-" "Mozilla/5.0"'
    lines = [
        template.format(f"10.0.0.{rng.randint(1, 3)}", row["who"] or "-", rng.randint(0, 9), row["event"])
        for row in rows
    ]
    return "\n".join([*blank(rng), *lines, *rng.choice([[], ["no log line"]])])


MADE = {"csv": as_csv, "jsonl": as_jsonl, "list": as_list, "access_log": as_log}


def loaded(folder, kind, files, *, erased_ids):
    """Load files and return the tables of the warehouse and the contents of the raw store."""
    (folder / "data").mkdir(parents=True)
    for number, text in enumerate(files):
        (folder / "data" / f"{number:03}").write_text(text, encoding="utf-8")
    config = load_config({"sources": {"web": SOURCES[kind]}}, folder=folder)
    raw_store = RawStore(config.state)
    (folder / "state").mkdir(mode=0o700)
    (folder / "state" / "pseudonym.key").write_text("k" * 64, encoding="utf-8")
    (folder / "state" / "pseudonym.key").chmod(0o600)
    with open_warehouse(threads=1) as warehouse:
        suppression.register_suppression(warehouse, config, raw_store, ["any"])
        hashes = [warehouse.rows(f"select suppression_hash('{each}') as h")["h"][0].as_py() for each in erased_ids]
        suppression.add_suppressions(warehouse, hashes)
        report = load_events(config, warehouse, run_id="r", now_us=NOW_US)
        (numbers,) = warehouse.rows("select count(*) as n, count(distinct event_ix) as d from raw.events").to_pylist()
        assert numbers["n"] == numbers["d"]
        tables = [warehouse.rows(select).to_pylist() for select in DUMPED]
    return report.counts, tables, sorted(RecordArchive(config.state).contents())


@pytest.mark.parametrize("erased_ids", [(), ERASED], ids=["none erased", "some erased"])
@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("seed", range(3))
def test_together_is_as_one_by_one(tmp_path, monkeypatch, kind, erased_ids, seed):
    rng = random.Random(f"{kind} {erased_ids} {seed}")
    files = [MADE[kind]([drawn(rng) for _ in range(rng.randint(1, 8))], rng) for _ in range(12)]
    groups = watched(monkeypatch)
    with monkeypatch.context() as many:
        many.setattr(insert, "STORED_RECORDS", 0)  # As of more records than those of these files.
        together = loaded(tmp_path / "together", kind, files, erased_ids=erased_ids)
    assert max(groups) > 6
    groups.clear()
    monkeypatch.setattr(load.PendingFile, "is_like", lambda *_: False)
    apart = loaded(tmp_path / "apart", kind, files, erased_ids=erased_ids)
    assert set(groups) == {1}
    assert together == apart
    assert together[0].accepted
    assert bool(erased_ids) is bool(together[0].erased)


def watched(monkeypatch):
    """Record the number of files of each `insert_records` call."""
    sizes = []
    original = load.insert_records

    def insert(warehouse, files, raw):
        sizes.append(len(files))
        return original(warehouse, files, raw)

    monkeypatch.setattr(load, "insert_records", insert)
    return sizes


def test_files_of_other_columns_or_first_met_at_another_time_are_apart(project, monkeypatch):
    project.write("a.csv", "id,ts,cookie,event\n1,2026-03-01,c,x\n")
    project.load()
    project.source["timezone"] = "Europe/Berlin"  # All files are read again.
    for name in "bcd":
        project.write(f"{name}.csv", f"id,ts,cookie,event\n{name},2026-03-01,c,x\n")
    project.write("e.csv", "id,ts,cookie,more,event\ne,2026-03-01,c,y,x\n")
    groups = watched(monkeypatch)
    project.load(now_us=NOW_US + 1)
    assert groups == [1, 3, 1]


def test_a_file_that_is_refused_leaves_most_others_together(project, monkeypatch):
    for number in range(64):
        project.write(f"{number:02}.csv", f"id,ts,cookie,event\n{number},2026-03-01,c,x\n")
    project.write("20.csv", "no,columns\n1,2\n")
    groups = watched(monkeypatch)
    report = project.load()
    assert [file.source_file for file in report.refused] == ["data/20.csv"]
    assert len(project.events()) == 63
    assert max(groups) == 32
    assert len(groups) < 20
