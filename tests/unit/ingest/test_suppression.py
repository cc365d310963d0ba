"""Suppression list: records of erased persons are recognised by hashes, counted and stored nowhere."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.ingest import suppression
from journeyflow.ingest.archive import RecordArchive
from journeyflow.ingest.files import SNAPSHOT, RawStore, read_snapshot
from journeyflow.ingest.load import load_events
from journeyflow.ingest.people_and_spend import load_traits
from journeyflow.ingest.suppression import find_texts_naming
from journeyflow.state.warehouse import migrations, newest_version, open_warehouse
from support.file_search import files_with

HEAD = "id,ts,cookie,who,event,previous\n"
COLUMNS = {"event_id": "id", "occurred_at": "ts", "anonymous_id": "cookie", "user_id": "who", "event_name": "event"}
TS = "2026-03-01T10:00:00Z"


@pytest.fixture
def shop(project):
    project.source |= {"columns": COLUMNS, "properties": ["previous"]}
    return project


def suppress(project, *ids):
    """Add ids such as ``u:ann`` to the suppression list, as an erasure does."""
    config = project.config()
    suppression.register_suppression(project.warehouse, config, RawStore(config.state), ["any"])
    hashes = [project.warehouse.rows(f"select suppression_hash('{each}') as h")["h"][0].as_py() for each in ids]
    suppression.add_suppressions(project.warehouse, hashes)
    return hashes


def counts(report):
    found = report.counts
    return found.record, found.accepted, found.quarantined, found.duplicate, found.filtered, found.erased


def test_users_devices_and_rows_that_are_bad_or_filtered_count_as_erased(shop):
    suppress(shop, "u:ann", "d:c-ann")
    shop.source["where"] = {"event": {"not": "skip"}}
    rows = [
        f"1,{TS},c,ann,x,",
        f"2,{TS},c-ann,,x,",
        f"3,{TS},c-ann,ben,x,",
        f"4,{TS},c,ann,skip,",
        "5,soon,c,ann,x,",
        f"6,{TS},c,ben,x,,ann",
        f"7,{TS},c,,x,",
        f"8,{TS},c,anne,x,",
        f"9,{TS},ann,,x,",
        "10,soon,c,,x,ann",
    ]
    shop.write("a.csv", HEAD + "\n".join(rows))
    assert counts(shop.load()) == (10, 3, 0, 0, 0, 7)
    assert shop.events() == ["7", "8", "9"], "a device is no user, and a name that only begins alike is another"
    assert files_with(shop.config().state, ",ann,x", "c-ann") == []


def test_an_alias_event_belongs_to_both_ids_that_it_names(shop):
    suppress(shop, "u:old")
    shop.source |= {"columns": COLUMNS | {"event_name": "event"}, "properties": ["previous_id"]}
    rows = f"1,{TS},c,new,alias,old\n2,{TS},c,new,x,old\n"
    shop.write("a.csv", HEAD.replace("previous", "previous_id") + rows)
    assert counts(shop.load()) == (2, 1, 0, 0, 0, 1)


BROKEN = [
    ('{"who": "a@b.example", "n": ', True),
    ('{"who":a@b.example,"n":', True),
    ("/u/a%40b.example/x", True),
    ("1;a@b.example;x", True),
    ("x, 'a@b.example' ,y", True),
    ("ba@b.example", False),
    ("a@b.example.org", False),
    ("10:42:00", False),
    ('{"id": 42, ', True),
    ("7,42,8", True),
    ("2042-42-x", False),
    ("Anna Maria,x", True),
]


def test_what_in_a_broken_record_could_be_an_id(shop):
    """In a field beyond the columns, and as a line of its own."""
    suppress(shop, "u:a@b.example", "u:42", "u:Anna Maria")
    doubled = [line.replace('"', '""') for line, _ in BROKEN]
    shop.write("a.csv", HEAD + "".join(f'{n},{TS},c,,x,y,"{line}"\n' for n, line in enumerate(doubled)))
    shop.write("b.csv", HEAD + "".join(f"{line}\n" for line, _ in BROKEN))
    files = shop.load().files
    kept = [place for place, (_, is_theirs) in enumerate(BROKEN, 2) if not is_theirs]
    assert [(each.counts.quarantined, each.counts.erased) for each in files] == [
        (len(kept), len(BROKEN) - len(kept))
    ] * 2
    for name in ("a", "b"):
        rows = shop.warehouse.rows(f"select source_row from raw.quarantine where source_file = 'data/{name}.csv'")
        assert sorted(rows["source_row"].to_pylist()) == kept


SIGNS = (
    'o"b, x',
    r"CORP\ann",
    "müller",
    "ann lee",
    "o'b",
    "u/ann",
    "t\tab",
    "{ann}",
    "u:ann:7",
    " ann",
    "ann;lee",
    "ann=",
)


def written(name):
    """Yield lines that hold a name: JSON and delimited texts, whole and broken, with another quote open before it."""
    escaped, plain = (json.dumps({"a": 1, "who": name}, ensure_ascii=is_ascii) for is_ascii in (True, False))
    doubled = name.replace('"', '""')
    yield from (escaped, plain, escaped[:-1], f'{{"a": "b, {escaped[1:]}')
    yield from (f'1,"{doubled}",x\n', f'1;"{doubled}";x\r\n')
    # JSON in a text of JSON, whole and broken.
    nested = json.dumps({"payload": escaped})
    yield from (nested, nested[:-1], json.dumps({"payload": plain}, ensure_ascii=False))
    yield from [nested[:-3]] if name.isalpha() else []
    yield from [] if '"' in name or "\t" in name else [f"1\t{name}\tx\n"]


def test_an_id_is_known_however_its_signs_are_written(shop):
    suppress(shop, "u:anybody")
    lines = [(name, line) for name in SIGNS for line in written(name)]
    table = pa.table({"name": [name for name, _ in lines], "line": [line for _, line in lines]})
    shop.warehouse.scratch("lines", table.to_reader())
    missed = shop.warehouse.rows("select name, line from lines where not list_contains(words_of(line), name)")
    assert missed.to_pylist() == []


def test_an_id_in_the_address_of_a_page_is_known_before_its_fragment_too(shop):
    suppress(shop, "u:ann")
    words = shop.warehouse.rows('select words_of(\'{"url": "https://a.example/p?u=4711#top\') as words')["words"][0]
    assert "4711" in words.as_py()


def test_of_a_list_only_the_elements_go_that_name_somebody(shop):
    suppress(shop, "u:ann")
    shop.source |= {"format": "jsonl", "records": "events", "properties": []}
    record = {"id": "1", "ts": TS, "cookie": "c", "who": "ben", "event": "x"}
    lists = [[record, "ann", "ben", 7, record | {"id": "2", "who": "ann"}], ["ben", 7], [record | {"id": "3"}]]
    shop.write("a.jsonl", "\n".join(json.dumps({"events": each}) for each in lists))
    assert counts(shop.load()) == (8, 2, 4, 0, 0, 2)
    assert files_with(shop.config().state, "ann") == []


def test_two_sources_of_one_file_each_take_their_records_out(shop, tmp_path):
    suppress(shop, "u:ann")
    other = dict(shop.source, columns={**COLUMNS, "user_id": "cookie", "anonymous_id": "who"})
    rows = f"1,{TS},c,ann,x,\n2,{TS},ann,ben,x,\n3,{TS},c,ben,x,\n"
    shop.write("a.csv", HEAD + rows)

    def load(config):
        shop.run += 1
        return load_events(config, shop.warehouse, run_id=f"r{shop.run}", now_us=1_800_000_000_000_000)

    config = load_config({"sources": {"web": shop.source, "other": other}}, folder=tmp_path)
    assert counts(load(config)) == (6, 4, 0, 0, 0, 2)
    archived = shop.warehouse.rows("select source, archive_sha256 from ledger.files").to_pylist()
    held = {row["source"]: RecordArchive(config.state).read(row["archive_sha256"]).rows for row in archived}
    rows = {
        source: [row["c0"] for batch in rows.checked() for row in batch.to_pylist()] for source, rows in held.items()
    }
    assert rows == {"web": ["2", "3"], "other": ["1", "3"]}, "as in the warehouse, so that a rebuild gives the same"
    assert all(file.status == "known" for file in load(config).files)
    assert len(list((config.state / "raw").glob("*.records.parquet"))) == 2


def test_of_a_file_without_remaining_records_their_number_is_archived(shop):
    suppress(shop, "u:ann")
    names = {"id": "column1", "ts": "column2", "cookie": "column3", "who": "column4", "event": "column5"}
    shop.source |= {"header": False, "columns": {k: names[v] for k, v in COLUMNS.items()}, "properties": []}
    path = shop.write("a.csv", f"1,{TS},c,ann,x\n")
    assert counts(shop.load()) == (1, 0, 0, 0, 0, 1)
    assert files_with(shop.config().state, "ann") == []
    path.unlink()
    shop.write("b.csv", f"2,{TS},c,ben,x\n")
    shop.source["rename"] = {"x": "page_view"}
    report = shop.load()
    assert [file.status for file in report.files] == ["loaded", "loaded"]
    assert counts(report) == (2, 1, 0, 0, 0, 1)


def test_a_file_loaded_before_files_were_archived_is_archived_without_who_was_erased(shop):
    shop.write("a.csv", f"{HEAD}1,{TS},c,ann,x,\n2,{TS},c,ben,x,\n")
    shop.load(retention={"raw": "none"})
    suppress(shop, "u:ann")
    shop.load()
    assert files_with(shop.config().state, "ann") == []
    assert len(RecordArchive(shop.config().state).contents()) == 1


def test_traits_of_who_was_erased_are_not_loaded(shop, tmp_path):
    suppress(shop, "u:ann")
    (tmp_path / "crm.csv").write_text("who,plan,since\nann,a,\nben,b,\nann,c,soon\n,d,\n", encoding="utf-8")
    people = [{"path": "crm.csv", "user_id": "who", "traits": ["plan"], "valid_from": "since"}]
    found = load_traits(shop.config(people=people), shop.warehouse, run_id="r")
    assert (found.record, found.accepted, found.quarantined, found.erased) == (4, 1, 1, 2)
    assert "ann" not in str(shop.raws())


def test_the_list_of_the_raw_store_is_enough_and_holds_no_id(shop):
    hashes = suppress(shop, "u:ann")
    shop.write("a.csv", f"{HEAD}1,{TS},c,ben,x,\n")
    shop.load()
    path = shop.config().state / "raw" / suppression.SUPPRESSION_FILE
    assert pq.read_table(path)["id_hash"].to_pylist() == hashes
    shop.write("b.csv", f"{HEAD}2,{TS},c,ann,x,\n")
    with open_warehouse(threads=1) as empty:
        found = load_events(shop.config(), empty, run_id="r", now_us=1_800_000_000_000_000)
        assert counts(found) == (2, 1, 0, 0, 0, 1)
    path.write_bytes(b"no table")
    with pytest.raises(InputError, match="put a copy of it back"):
        shop.load()


def test_the_list_of_an_earlier_version_is_read_and_replaced(shop):
    suppress(shop, "u:ann")
    shop.write("a.csv", f"{HEAD}1,{TS},c,ben,x,\n")
    shop.load()
    folder = shop.config().state / "raw"
    new, old = folder / "suppressions.parquet", folder / "tombstones.parquet"
    new.rename(old)
    shop.write("b.csv", f"{HEAD}2,{TS},c,ann,x,\n")
    with open_warehouse(threads=1) as empty:
        found = load_events(shop.config(), empty, run_id="r", now_us=1_800_000_000_000_000)
    assert counts(found) == (2, 1, 0, 0, 0, 1)
    assert new.is_file()
    assert not old.exists()
    assert pq.read_table(new).num_rows == 1


def test_entries_that_only_the_list_holds_survive_its_next_writing(shop):
    hashes = suppress(shop, "u:ann")
    store = RawStore(shop.config().state)
    suppression.write_suppressions(shop.warehouse, store)
    with open_warehouse(threads=1) as empty:
        suppression.add_suppressions(empty, ["0" * 64])
        suppression.write_suppressions(empty, store)
    assert pq.read_table(store.folder / suppression.SUPPRESSION_FILE)["id_hash"].to_pylist() == sorted(
        ["0" * 64, *hashes]
    )


def test_an_older_warehouse_and_an_older_list_are_brought_up_to_date(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with DuckDBEngine(path) as engine:
        for number in (1, 2):
            engine.execute(migrations()[number])
        engine.execute("insert into ledger.schema_version values (2)")
    with open_warehouse(path) as warehouse:
        assert "kept_sha256" in warehouse.columns("ledger.files")
        assert warehouse.count("ledger.suppressions") == 0
        assert warehouse.count("ledger.schema_version", f"version = {newest_version()}") == 1
        kept = RawStore(tmp_path)
        kept.folder.mkdir()
        old = warehouse.rows("select * exclude (kept_sha256) from ledger.files")
        pq.write_table(old, kept.folder / SNAPSHOT)
        assert "kept_sha256" in read_snapshot(warehouse, kept).files.column_names


PLACES = (0, 30_000, 59_986, 63_986, 119_986, 123_986, 1_250_000)


def test_an_id_is_known_wherever_it_stands_in_a_long_text(shop):
    """Long texts are asked in pieces, and many texts a few at a time."""
    suppress(shop, "u:ann lee, b", "d:c-ann")
    suppression.register_suppression(shop.warehouse, shop.config(), RawStore(shop.config().state))
    names = ("ann lee, b", "c-ann", "ann leo, b")
    lines = [
        f'{"x " * (place // 2)}"who": "{name}", {"y " * (40_000 if place < 100_000 else 2_000)}'
        for place in PLACES
        for name in names
    ]
    texts = [*lines, "", None, *["short"] * 3000]
    table = pa.table({"row_id": range(len(texts)), "text": pa.array(texts, pa.string())})
    shop.warehouse.scratch("long_texts", table.to_reader())
    find_texts_naming(shop.warehouse, "select row_id, text from long_texts")
    found = shop.warehouse.rows("select row_id from naming_texts order by row_id")["row_id"].to_pylist()
    assert found == [at for at in range(len(lines)) if at % len(names) < 2]


def test_unreadable_records_are_searched_in_batches(shop):
    """The words of a text take a hundred times its room: of an untrusted file they would end the run."""
    suppress(shop, "u:ann")
    texts = pa.table({"row_id": range(40), "text": ["a b, " * 20_000] * 40}).to_reader()
    shop.warehouse.scratch("long_texts", texts)
    find_texts_naming(shop.warehouse, "select row_id, text from long_texts")
    batches = shop.warehouse.rows("select count(*) * 64000 as size from searched_spans group by batch")
    sizes = batches["size"].to_pylist()
    assert len(sizes) >= 4
    assert max(sizes) <= 1_100_000
