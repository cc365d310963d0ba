"""What goes wrong in exports, tried in every format and, in the long tier, in every container that it is read from."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faults.corpus import LONG_TIER
from faults.exports import MARK, made
from faults.record_count import record_count
from journeyflow.config import load_config
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse

EXPORTS = [export for export in made(is_every=LONG_TIER) if export.container != "lines"]
NOW_US = 1_800_000_000_000_000
COUNTS = ("accepted", "quarantined", "duplicate", "filtered", "erased")
REASONS = {
    "infinity": {"bad_time", "future"},
    "2026-03-01 10:00:00 or so": {"bad_time"},
    '{"sku": "x", "note": "cut sho': {"bad_time"},
    "nan": {"bad_time"},
}
"""Texts, and how a record is refused whose time is one."""


@pytest.fixture
def warehouse():
    with open_warehouse(threads=1) as opened:
        yield opened


def load(warehouse, folder, contents):
    """Load one file of each source, and account for every record of it."""
    sources = {}
    for name, (export, content) in contents.items():
        (folder / name).mkdir()
        (folder / name / "a").write_bytes(content)
        sources[name] = export.source | {"path": f"{name}/*"}
    load_events(load_config({"sources": sources}, folder=folder), warehouse, run_id="r", now_us=NOW_US)
    loads = warehouse.rows("select * from ledger.loads").to_pylist()
    assert {row["source"]: row["detail"] for row in loads if row["status"] != "loaded"} == {}
    for row in loads:
        due = record_count(contents[row["source"]][1], sources[row["source"]])
        assert due == row["record_count"] == sum(row[f"{each}_count"] for each in COUNTS), row["source"]


@pytest.mark.parametrize("text", REASONS)
def test_a_text_in_each_column_costs_its_record_at_most(warehouse, tmp_path, text):
    contents = {}
    for export in EXPORTS:
        rows = [export.rows[0], *(export.rows[0] | {column: text} for column in export.rows[0])]
        contents[export.name] = export, export.content(rows, random.Random(1))
    load(warehouse, tmp_path, contents)
    found = warehouse.rows("select source_file, reason from raw.quarantine").to_pylist()
    assert {row["source_file"].partition("/")[0] for row in found if row["reason"] in REASONS[text]} == set(contents)
    finite = "isfinite(occurred_at) and coalesce(isfinite(received_at), true)"
    assert warehouse.count("raw.events", f"not ({finite})") == 0
    assert warehouse.count("raw.events") > 0


@pytest.mark.parametrize(
    "text", ["undefined", "00000000-0000-0000-0000-000000000000", "[object Object]", "\u00a0null "]
)
def test_a_placeholder_in_each_column_is_nobody(warehouse, tmp_path, text):
    contents = {}
    for export in EXPORTS:
        rows = [
            row | {column: text}
            for row in export.rows
            for column, value in row.items()
            if isinstance(value, str) and MARK in value
        ]
        contents[export.name] = export, export.content([*export.rows, *rows], random.Random(1))
    load(warehouse, tmp_path, contents)
    ids = "select unnest([user_id, anonymous_id]) as id from raw.events"
    assert text.strip() not in {row["id"] for row in warehouse.rows(ids).to_pylist()}


def test_texts_of_parquet_without_their_mark_are_the_same(warehouse, tmp_path):
    contents = {}
    for export in EXPORTS:
        if export.container == "parquet":
            content = export.content(export.rows, random.Random(1))
            table = pq.read_table(pa.BufferReader(content))
            types = [pa.binary() if field.type == pa.string() else field.type for field in table.schema]
            held = pa.BufferOutputStream()
            pq.write_table(table.cast(pa.schema(list(zip(table.column_names, types, strict=True)))), held)
            contents[f"{export.name}_text"] = export, content
            contents[f"{export.name}_bytes"] = export, held.getvalue().to_pybytes()
    load(warehouse, tmp_path, contents)
    columns = "event_id, occurred_at, anonymous_id, user_id, event_name, page_path, properties::varchar as properties"
    for name in {name.rpartition("_")[0] for name in contents}:
        one, other = (
            warehouse.rows(f"select {columns} from raw.events where source = '{name}_{end}' order by all").to_pylist()
            for end in ("text", "bytes")
        )
        assert one == other, name
        assert one, name
