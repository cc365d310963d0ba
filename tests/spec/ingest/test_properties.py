"""What holds for any input: nothing is lost, nothing is altered, and no order matters."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.config import load_config
from journeyflow.config.sources import NULL_IDS
from journeyflow.ingest.insert import RecordCounts
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import clear_raw_events, open_warehouse
from support.examples import examples

NOW_US = 1_800_000_000_000_000
MAPPED = {"occurred_at": "ts", "anonymous_id": "cookie", "event_name": "event", "target": "target"}
# Without what e-mail and machine addresses are known by: those are masked on the way in.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00@%:"), max_size=12)
# Ids are trimmed, and what names nobody is no id (`tests/unit/ingest/test_identifiers.py`).
IDS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zs", "Zl", "Zp"], exclude_characters="@%:"), max_size=12
).filter(lambda text: text.lower() not in NULL_IDS and not text.endswith(".0"))
ROWS = st.lists(st.tuples(IDS, TEXT, TEXT), max_size=12)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["a", "b", "c", "d", ""]),
            "ts": st.sampled_from(["2026-03-01 10:00:00", "2026-03-01 10:00:01", "", "never"]),
            "received": st.sampled_from(["", "2026-03-01 10:00:05", "2026-03-01 10:00:06"]),
            "cookie": st.sampled_from(["x", "y", ""]),
            "event": st.sampled_from(["page_view", "purchase"]),
            "target": st.sampled_from(["", "t"]),
        }
    ),
    min_size=1,
    max_size=12,
)
LANDED = (
    "event_id, event_key, occurred_at, received_at, device_key, anonymous_id, sequence, event_name, channel, target, "
    "properties::varchar as properties"
)


@cache
def warehouse_of_all_examples():
    return open_warehouse(threads=1)


def emptied_warehouse():
    warehouse = warehouse_of_all_examples()
    clear_raw_events(warehouse)
    warehouse.execute("delete from ledger.files")
    return warehouse


def loaded(source: dict, runs: list[dict[str, str]]) -> tuple[list[dict], RecordCounts]:
    """Load files run by run; return the events without their lineage, and the sum of the accounts."""
    total = RecordCounts()
    warehouse = emptied_warehouse()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "data").mkdir()
        config = load_config({"sources": {"web": {"path": "data/*"} | source}}, folder=folder)
        for run, files in enumerate(runs):
            for name, text in files.items():
                (folder / "data" / name).write_text(text, encoding="utf-8", newline="")
            total += load_events(config, warehouse, run_id=f"r{run}", now_us=NOW_US).counts
        return warehouse.rows(f"select {LANDED} from raw.events order by event_id").to_pylist(), total


def as_csv(header: list[str], rows: list, **dialect: object) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream, **dialect).writerows([header, *rows])
    return stream.getvalue()


@settings(max_examples=examples(25), deadline=None)
@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]), delimiter=st.sampled_from([",", ";", "\t"]))
def test_what_goes_into_a_csv_comes_out(rows, end, delimiter):
    header = ["ts", "cookie", "event", "target"]
    # The writer leaves a lone carriage return bare, which would be a line end: quoted, it is text.
    quoting = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    text = as_csv(
        header, [("2026-03-01", *row) for row in rows], lineterminator=end, delimiter=delimiter, quoting=quoting
    )
    events, counts = loaded({"format": "csv", "delimiter": delimiter, "columns": MAPPED}, [{"a.csv": text}])
    assert (
        counts.record == len(rows) == sum(1 for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) - 1
    )
    assert Counter((e["anonymous_id"], e["event_name"], e["target"] or "") for e in events) == Counter(
        row for row in rows if row[0].strip(" ") and row[1].strip(" ")
    )


@settings(max_examples=examples(25), deadline=None)
@given(rows=ROWS, is_nested=st.booleans())
def test_what_goes_into_json_lines_comes_out(rows, is_nested):
    objects = [{"ts": "2026-03-01", "cookie": a, "event": b, "target": c} for a, b, c in rows]
    lines = [{"events": objects}] if is_nested else objects
    text = "".join(json.dumps(line, ensure_ascii=len(rows) % 2 == 0) + "\n" for line in lines)
    source = {"format": "jsonl", "columns": MAPPED} | ({"records": "events"} if is_nested else {})
    events, counts = loaded(source, [{"a.jsonl": text}])
    assert counts.record == len(rows)
    assert Counter((e["anonymous_id"], e["event_name"], e["target"] or "") for e in events) == Counter(
        row for row in rows if row[0].strip(" ") and row[1].strip(" ")
    )


@settings(max_examples=examples(25), deadline=None)
@given(events=EVENTS, data=st.data())
def test_neither_the_order_of_rows_nor_of_files_nor_of_runs_changes_an_event(events, data):
    source = {"format": "csv", "columns": MAPPED | {"event_id": "id", "received_at": "received"}}
    columns = ["id", "ts", "received", "cookie", "event", "target"]
    rows = [tuple(event[column] for column in columns) for event in events]
    # A row without an id is known by its how-many-eth-ness in its file: such rows are moved, but stay in one file.
    with_id, without_id = [row for row in rows if row[0]], [row for row in rows if not row[0]]
    cut = data.draw(st.integers(0, len(with_id)))
    order = data.draw(st.permutations(with_id))
    first = data.draw(st.permutations([*order[:cut], *without_id]))
    # Each file names itself in its header: two files of one content would be one.
    one, one_counts = loaded(source, [{"a.csv": as_csv([*columns, "a"], [(*row, "") for row in rows])}])
    runs = [
        {"z.csv": as_csv([*columns, "z"], [(*row, "") for row in order[cut:]])},
        {"b.csv": as_csv([*columns, "b"], [(*row, "") for row in first])},
    ]
    two, two_counts = loaded(source, runs)
    assert two == one
    assert two_counts.record == one_counts.record == len(rows)
    assert two_counts.accepted == one_counts.accepted == len(one)
    assert two_counts.quarantined == one_counts.quarantined


@settings(max_examples=examples(25), deadline=None)
@given(content=st.binary(max_size=200) | st.text('",;\n\r aé\\', max_size=60).map(str.encode))
def test_every_record_of_any_file_whatever_is_accounted_for(content):
    """Loading raises nothing but its own errors, and its own sums are checked on the way."""
    warehouse = emptied_warehouse()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "data").mkdir()
        header = b"ts,cookie,event,target\n"
        (folder / "data" / "a.csv").write_bytes(header + content + b"\n2026-03-01,last,x,t\n")
        config = load_config(
            {"sources": {"web": {"format": "csv", "path": "data/*", "columns": MAPPED}}}, folder=folder
        )
        counts = load_events(config, warehouse, run_id="r", now_us=NOW_US).counts
        assert counts.record == counts.accepted + counts.quarantined
        assert counts.accepted >= 1, "the good row at the end is never lost to what stands before it"
