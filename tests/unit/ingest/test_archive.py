"""Archived records are what the parser gave, whatever their types, and records are removed from them by number."""

from __future__ import annotations

import gzip
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.config.sources import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import JourneyflowError
from journeyflow.ingest import archive, suppression
from journeyflow.ingest.archive import RecordArchive, blanking, rows_without_others
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.client import job_of, show_records
from journeyflow.ingest.parser.transfer import ParsedFile, ParserLimits, receive_records, receive_rejects
from journeyflow.ingest.parser.worker import parse
from support.file_search import files_with

COLUMNS = {"occurred_at": "at", "user_id": "who", "event_name": "event"}
CSV = 'at,who,event\n1,ann,x\n2,"b\nc",y\nbad,row,of,four\n3,,z\n"open\n'
NESTED = """{"v": 1.0, "in": {"events": [{"n": 1}, 7, {"n": 2.50}]}, "z": "\\u00e9"}
no json
{"in": {"events": []}, "z": "ann"}
"""


@pytest.fixture
def parsed(tmp_path):
    def parse_text(content, form="csv", **more):
        folder = tmp_path / "copies"
        folder.mkdir(exist_ok=True)
        (folder / "1.in").write_bytes(content if isinstance(content, bytes) else content.encode())
        source = Source.model_validate({"format": form, "path": "x", "columns": COLUMNS, **more})
        job = job_of(source, "1.in", (folder / "1.in").stat().st_size)
        answer = parse(folder, job, ParserLimits())
        rows = receive_records(folder, job.rows_file, answer, ParserLimits())
        return ParsedFile(answer, rows, receive_rejects(folder, job.rejects_file, answer))

    return parse_text


@pytest.fixture
def store(tmp_path):
    return RecordArchive(tmp_path / "state")


def everything(parsed):
    """Return all that statements see of a file, with the database's types."""
    with DuckDBEngine(is_ordered=True) as engine, show_records(engine, [parsed]) as raw:
        types = engine.columns("raw_records")
        rows = engine.rows(
            f"select {', '.join(f'cast({name} as varchar) as {name}' for name in types)} from raw_records"
        )
        return raw, types, rows.to_pylist(), engine.rows("select * from raw_rejects").to_pylist()


TYPES = {
    "uuid": "case when i <> 2 then ('00000000-0000-0000-0000-00000000000' || i)::uuid end",
    "huge": "(170141183460469231731687303715884105000 + i)::hugeint",
    "time with zone": "('10:00:0' || i || '+02')::timetz",
    "nanoseconds": "make_timestamp_ns(1_700_000_000_000_000_001 + i)",
    "zoned": "make_timestamp(1_700_000_000_000_000 + i)::timestamptz",
    "decimal": "(i / 3)::decimal(38, 10)",
    "bytes": "encode('é' || i)",
    "null": "null",
    "json": """('{"a": ' || i || '.50, "b": [1, "é"]}')::json""",
    "nested": "[{'a': i, 'b': ['x', null]}]",
    "map": "map {'k': i}",
    "array": "[i, i]::int[2]",
    "interval": "to_days(i::integer)",
    "nested interval": "{'a': to_days(i::integer)}",
    "date": "date '2026-01-01' + i::integer",
    "bool": "i = 1",
    "float": "i / 3.0",
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_parquet_comes_back_as_it_was(parsed, store, tmp_path, kind):
    with DuckDBEngine(folders=[tmp_path]) as engine:
        engine.execute(
            f"copy (select {TYPES[kind]} as x, 'é' || i as y from range(4) as numbers(i)) "
            f"to '{tmp_path / 'a.parquet'}' (format parquet)"
        )
    before = parsed((tmp_path / "a.parquet").read_bytes(), "parquet")
    after = store.read(store.write("a", before))
    assert everything(after) == everything(before)
    assert after.is_like(before)


@pytest.mark.parametrize(
    ("content", "form", "more"),
    [
        (CSV, "csv", {}),
        (gzip.compress(CSV.encode(), mtime=0), "csv", {"header": False}),
        ("at;who;event\n1;é;x\n".encode("latin-1"), "csv", {"encoding": "latin-1", "delimiter": ";"}),
        ("at,who,event\n", "csv", {}),
        (NESTED, "jsonl", {"records": "in.events"}),
        ('[{"a": 2.50}, 7]', "jsonl", {}),
        ('1.2.3.4 - ann [x] "GET / HTTP/1.1" 200 1\n\n\x00\n', "access_log", {"columns": {}}),
    ],
    ids=["csv", "gzip", "latin-1", "empty", "nested", "list", "access log"],
)
def test_records_and_rejects_come_back_as_they_were(parsed, store, content, form, more):
    before = parsed(content, form, **more)
    found = store.write("a", before)
    after = store.read(found)
    assert everything(after) == everything(before)
    assert store.write("again", after) == found, "what is read is written as it was"
    assert after.erased_count == 0


def test_many_records_are_written_and_read_in_parts(parsed, store, monkeypatch):
    monkeypatch.setattr(archive, "_GROUP_ROWS", 1_000)
    rows = "".join(f"{n},u{n % 7},x\n" for n in range(120_000))
    before = parsed(f"at,who,event\n{rows}")
    found = store.write("a", before)
    assert pq.ParquetFile(store.path(found)).num_row_groups > 2
    after = store.read(found)
    assert max(batch.num_rows for batch in after.rows.checked()) <= archive.READ_ROWS
    assert everything(after) == everything(before)


def test_records_are_removed_by_number_and_counted(parsed, store):
    """Rejects have negative numbers in their order."""
    before = parsed(CSV)
    reduced = store.read(store.write("a", before, {0, -2}))
    _, _, rows, rejects = everything(reduced)
    assert [row["record_ix"] for row in rows] == ["1", "2"]
    assert [reject["source_row"] for reject in rejects] == [5]
    assert (reduced.answer.row_count, reduced.answer.reject_count, reduced.erased_count) == (2, 1, 2)
    again = store.read(store.write("a", reduced, {1, 2, -1}))
    assert (again.answer.row_count, again.answer.reject_count, again.erased_count) == (0, 0, 5)
    assert files_with(store.folder, "row,of,four") == [
        (store.path(name).name, "row,of,four")
        for name in sorted(sha for sha in store.contents() if store.read(sha).answer.reject_count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_what_remains_is_what_was_there_without_the_removed(parsed, store, seed):
    rng = random.Random(seed)
    before = parsed("at,who,event\n" + "".join(rng.choice(["1,a,x\n", '2,"b\nc",y\n', "3\n"]) for _ in range(50)))
    rows, rejects = everything(before)[2:]
    removed = {n for n in range(-len(rejects), len(rows)) if rng.random() < 0.4}
    after = everything(store.read(store.write("a", before, removed)))
    assert after[2] == [row for row in rows if int(row["record_ix"]) not in removed]
    kept = [reject for n, reject in enumerate(rejects) if -1 - n not in removed]
    assert [reject["source_row"] for reject in after[3]] == [reject["source_row"] for reject in kept]


def test_a_row_is_gone_when_all_its_records_are(parsed):
    nested = parsed(NESTED, "jsonl", records="in.events")
    assert rows_without_others(nested, {0}) == []
    assert rows_without_others(nested, {0, 1}) == [], "the element that is no object is of the same row"
    assert rows_without_others(nested, {0, 1, -1, -2}) == [1, 2]


def test_damage_is_noticed(parsed, store):
    found = store.write("a", parsed(CSV))
    path = store.path(found)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert not store.is_sound(found)
    with pytest.raises(RefusedFileError, match="damaged"):
        store.read(found)
    with pytest.raises(RefusedFileError, match="damaged"):
        store.read("0" * 64)


def test_a_full_disk_leaves_nothing(parsed, store, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "sync", full)
    with pytest.raises(JourneyflowError, match=r"Cannot archive the records of data/a in .*No space left"):
        store.write("data/a", parsed(CSV))
    assert list(store.folder.iterdir()) == []


@pytest.fixture
def suppressed(project):
    config = project.config()
    suppression.register_suppression(project.warehouse, config, suppression.RawStore(config.state), ["any"])
    rows = project.warehouse.rows("select suppression_hash('u:ann') as h union all select suppression_hash('u:4711')")
    project.warehouse.scratch("erased_ids", pa.table({"id_hash": rows["h"]}).to_reader())
    return project.warehouse


def test_ids_are_blanked_in_columns(parsed, store, suppressed):
    before = parsed("at,who,event\n1,ann,of annual\n2,ann,x\n3,ben,ann\n")
    found = store.write("a", before, change=blanking(suppressed, {0, 2}))
    rows = everything(store.read(found))[2]
    assert [(row["c1"], row["c2"]) for row in rows] == [(None, "of annual"), ("ann", "x"), ("ben", None)]


def test_ids_are_blanked_in_json_and_all_else_stays_as_written(parsed, store, suppressed):
    line = {"a": 2.5, "note": 'x "ann" y', "n": 4711, "m": 47110, "in": json.dumps({"who": "ann"}), "b": "annual"}
    text = json.dumps(line).replace("2.5", "2.50").replace("annual", "\\u0061nnual")
    found = store.write("a", parsed(text, "jsonl"), change=blanking(suppressed, {0}))
    (row,) = everything(store.read(found))[2]
    assert row["record"] == '{"a": 2.50, "note": "", "n": null, "m": 47110, "in": "", "b": "\\u0061nnual"}'


def test_ids_are_blanked_in_numbers_and_nested_columns_of_parquet(parsed, store, suppressed):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": [4711, 4712], "deep": [[{"who": "ann"}], [{"who": "ben"}]]}), sink)
    table = parsed(sink.getvalue().to_pybytes(), "parquet")
    rows = everything(store.read(store.write("b", table, change=blanking(suppressed, {0, 1}))))[2]
    assert [row["c0"] for row in rows] == [None, "4712"]
    assert (rows[0]["c1"], "ben" in rows[1]["c1"]) == (None, True)
