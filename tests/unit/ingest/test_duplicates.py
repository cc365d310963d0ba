"""One event, many arrivals: the least version wins whatever came first, and every row is accounted for."""

from __future__ import annotations

from itertools import permutations

import pytest

from journeyflow.config import load_config
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse
from support.in_process_parser import parse_in_process

HEADER = "id,ts,received,cookie,event,target\n"
COLUMNS = {
    "event_id": "id",
    "occurred_at": "ts",
    "received_at": "received",
    "anonymous_id": "cookie",
    "event_name": "event",
    "target": "target",
}


def row(event_id: str, received: str = "", target: str = "", ts: str = "2026-03-01 10:00:00") -> str:
    return f"{event_id},{ts},{received},c,x,{target}\n"


EARLY, LATE = "2026-03-01 10:00:01", "2026-03-01 10:00:02"
FILES = {
    "a": row("e1", LATE, "a") + row("e2", EARLY, "a") + row("e2", EARLY, "a"),
    "b": row("e1", EARLY, "b") + row("e2", EARLY, "b") + row("e3", "", "b"),
    "c": row("e1", LATE, "a") + row("e3", LATE, "c") + row("e4", LATE, "c"),
}


@pytest.fixture
def shop(project):
    project.source |= {"columns": COLUMNS}
    return project


def audit(shop) -> dict[str, tuple[int, ...]]:
    columns = "record_count, accepted_count, duplicate_count, conflicting_count"
    rows = shop.warehouse.rows(f"select source_file, {columns} from ledger.loads").to_pylist()
    return {row["source_file"].removeprefix("data/"): tuple(list(row.values())[1:]) for row in rows}


def test_the_least_arrival_wins_then_the_least_content(shop):
    for name, text in FILES.items():
        shop.write(name, HEADER + text)
    shop.load()
    found = shop.events("event_id, target")
    assert found[0] == ("e1", "b")
    assert found[1][0] == "e2"
    assert found[2:] == [("e3", "c"), ("e4", "c")]


def test_each_row_is_accounted_for_in_the_file_that_brought_it(shop):
    for name, text in FILES.items():
        shop.write(name, HEADER + text)
    shop.load()
    counts = audit(shop)
    assert {name: row[:3] for name, row in counts.items()} == {"a": (3, 2, 1), "b": (3, 1, 2), "c": (3, 1, 2)}
    assert counts["a"][3] == 0
    assert counts["b"][3] == 2
    assert counts["c"][3] == 2
    accepted = shop.warehouse.rows("select sum(accepted_count) as n from ledger.loads")["n"][0].as_py()
    assert accepted == shop.warehouse.count("raw.events")


LOADED = (
    "event_id, event_key, occurred_at, received_at, device_key, user_key, anonymous_id, session_id, sequence, "
    "event_name, channel, page_path, target, revenue_amount, properties::varchar as p"
)


@pytest.fixture(scope="module")
def loaded_at_once(tmp_path_factory):
    """The events of all files, loaded together."""
    folder = tmp_path_factory.mktemp("at_once")
    with open_warehouse(threads=1) as warehouse, pytest.MonkeyPatch.context() as patch:
        parse_in_process(patch)
        for name, text in FILES.items():
            (folder / name).write_text(HEADER + text)
        source = {"format": "csv", "path": "*", "columns": {**COLUMNS}}
        config = load_config({"sources": {"web": source}}, folder=folder)
        load_events(config, warehouse, run_id="r", now_us=1_800_000_000_000_000)
        return warehouse.rows(f"select {LOADED} from raw.events order by event_id").to_pylist()


@pytest.mark.parametrize("order", list(permutations(FILES)))
@pytest.mark.parametrize("each_in_a_run", [True, False])
def test_no_order_of_arrival_changes_an_event(shop, loaded_at_once, order, each_in_a_run):
    for index, name in enumerate(order):
        shop.write(f"{index}-{name}", HEADER + FILES[name])
        if each_in_a_run:
            shop.load()
    if not each_in_a_run:
        shop.load()
    found = shop.warehouse.rows(f"select {LOADED} from raw.events order by event_id").to_pylist()
    assert found == loaded_at_once


def test_equal_rows_in_one_file_are_events_of_their_own_when_they_have_no_id(shop):
    shop.source |= {"columns": {name: column for name, column in COLUMNS.items() if name != "event_id"}}
    shop.write("a", HEADER + row("1") + row("1") + row("2", target="t"))
    assert shop.load().counts.accepted == 3
    assert len(set(shop.events())) == 3


def test_equal_rows_of_overlapping_files_are_one(shop):
    shop.source |= {"columns": {name: column for name, column in COLUMNS.items() if name != "event_id"}}
    shop.write("a", HEADER + row("") + row("") + row("", target="t"))
    shop.write("b", HEADER + row("", target="u") + row("") + row("", target="t") + row("") + row(""))
    report = shop.load()
    assert [file.counts.accepted for file in report.files] == [3, 2]
    assert [file.counts.duplicate for file in report.files] == [0, 3]
    assert report.counts.conflicting == 0


def test_a_row_without_id_among_rows_with_ids_is_identified_by_its_content(shop):
    shop.write("a", HEADER + row("e1") + row("", target="t") + row("", target="t"))
    assert shop.load().counts.accepted == 3
    assert len(set(shop.events())) == 3


def test_the_same_id_in_two_sources_is_two_events(shop):
    shop.write("a", HEADER + row("e1"))
    config = {"sources": {"one": shop.source, "two": shop.source}}
    with open_warehouse(threads=1) as warehouse:
        from journeyflow.config import load_config

        load_events(load_config(config, folder=shop.folder), warehouse, run_id="r", now_us=1_800_000_000_000_000)
        assert warehouse.rows("select count(distinct event_key) as n from raw.events")["n"][0].as_py() == 2
