"""The real inputs named by JOURNEYFLOW_EXTERNAL_DATA land whole, to the record."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from journeyflow.config import load_config
from journeyflow.ingest.insert import RecordCounts
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse

pytestmark = pytest.mark.external
NOW_US = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("JOURNEYFLOW_EXTERNAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("JOURNEYFLOW_EXTERNAL_DATA names no folder: the real inputs are not here")
    return Path(folder).resolve()


@pytest.fixture
def warehouse():
    with open_warehouse(threads=2) as warehouse:
        yield warehouse


def load(warehouse, folder: Path, **source) -> RecordCounts:
    config = load_config({"sources": {"web": source}}, folder=folder)
    report = load_events(config, warehouse, run_id="r", now_us=NOW_US)
    assert not report.refused
    return report.counts


def ask(warehouse, query: str) -> list[tuple]:
    return [tuple(row.values()) for row in warehouse.rows(query).to_pylist()]


def records(stream: io.TextIOBase, **dialect) -> int:
    return sum(1 for row in csv.reader(stream, **dialect) if row) - 1


def test_access_log(warehouse, data, tmp_path):
    counts = load(warehouse, tmp_path, format="access_log", path=str(data / "apache_logs" / "apache_logs"))
    assert counts == RecordCounts(record=10_000, accepted=9_999, quarantined=1)
    assert ask(warehouse, "select source_row from raw.quarantine") == [(8899,)]
    lines = (data / "apache_logs" / "apache_logs").read_text(encoding="utf-8").splitlines()
    assert len(lines) - len(set(lines)) == 19
    assert ask(warehouse, "select count(*), count(distinct event_id), count(distinct sequence) from raw.events") == [
        (9_999, 9_999, 9_999)
    ]
    # Some referrers are pages of servers that have no name: their host is kept, as any page's is.
    kept = ask(warehouse, "select e::varchar from (select * exclude (referrer_host, page_path) from raw.events) e")
    addresses = {line.split(" ", 1)[0] for line in lines}
    assert not addresses & set(re.split("[' \n]", "\n".join(row[0] for row in kept)))


def test_latin_1_and_semicolons(warehouse, data, tmp_path):
    counts = load(
        warehouse,
        tmp_path,
        format="csv",
        path=str(data / "complaints" / "BPI2016_Complaints.csv"),
        encoding="latin-1",
        delimiter=";",
        columns={
            "occurred_at": "ContactDate",
            "event_id": "ComplaintID",
            "user_id": "CustomerID",
            "event_name": {"constant": "complaint"},
        },
    )
    assert counts == RecordCounts(
        record=289, accepted=counts.accepted, duplicate=289 - counts.accepted, conflicting=counts.conflicting
    )
    assert ask(warehouse, "select count(distinct user_id) from raw.events") == [(226,)]


def test_days_in_columns_in_a_zip(warehouse, data, tmp_path):
    path = data / "eshop_2008" / "clickstream.zip"
    counts = load(
        warehouse,
        tmp_path,
        format="csv",
        path=str(path),
        delimiter=";",
        columns={
            "occurred_at": {"columns": ["year", "month", "day"]},
            "anonymous_id": "session ID",
            "session_id": "session ID",
            "sequence": "order",
            "event_name": {"constant": "product_view"},
        },
        properties="*",
    )
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as stream:
        assert counts.record == records(io.TextIOWrapper(stream, newline=""), delimiter=";") == 165_474
    assert counts.accepted == 165_474
    assert ask(warehouse, "select count(distinct session_id), min(sequence) from raw.events") == [(24_026, 1)]


def test_nested_sessions(warehouse, data, tmp_path):
    path = data / "otto" / "train.jsonl"
    counts = load(
        warehouse,
        tmp_path,
        format="jsonl",
        path=str(path),
        records="events",
        columns={"occurred_at": {"column": "ts", "unit": "ms"}, "anonymous_id": "session", "event_name": "type"},
        properties=["aid"],
    )
    expected = sum(len(json.loads(line)["events"]) for line in path.read_text(encoding="utf-8").splitlines())
    assert counts == RecordCounts(record=expected, accepted=expected)
    assert expected == 862
    assert ask(warehouse, "select count(distinct anonymous_id) from raw.events") == [(20,)]


def test_gzip(warehouse, data, tmp_path):
    path = data / "shop_personas" / "ecom.csv.gz"
    columns = {"occurred_at": "timestamp", "anonymous_id": "user_id", "session_id": "session_id", "event_name": "event"}
    counts = load(warehouse, tmp_path, format="csv", path=str(path), columns=columns)
    with gzip.open(path, "rt", newline="") as stream:
        assert counts.record == records(stream) == 31_106
    assert counts.accepted == 31_106


def test_snowplow_shop(warehouse, data, tmp_path):
    path = data / "snowplow_ecommerce" / "snowplow_ecommerce_events.csv"
    where = {"properties.app_id": {"not": "skip-me"}}
    assert load(warehouse, tmp_path, format="snowplow", path=str(path), where=where) == RecordCounts(
        record=833, accepted=832, filtered=1
    )
    assert ask(warehouse, "select count(*) from raw.events where event_name = 'snowplow_ecommerce_action'") == [(410,)]
    assert ask(
        warehouse,
        "select currency, count(*), sum(revenue_amount) from raw.events where event_name = 'purchase' "
        "group by currency order by currency",
    ) == [("EUR", 13, Decimal("1234863.8900")), ("USD", 1, Decimal("231231.0000"))]
    assert ask(warehouse, "select count(*) from raw.events where revenue_amount is not null") == [(14,)]
    sessions = "count(distinct session_id) filter (where event_name = '{}')"
    steps = ("add_to_cart", "checkout_started", "purchase")
    chosen = ", ".join(sessions.format(name) for name in steps)
    assert ask(warehouse, f"select {chosen} from raw.events") == [(15, 11, 8)]
    assert ask(
        warehouse,
        "select count(*), count(session_id), count(sequence), count(distinct anonymous_id) from raw.events "
        "where channel = 'app'",
    ) == [(10, 10, 10, 1)]
    assert ask(warehouse, "select count(*) from raw.events where contains(properties::varchar, '@')") == [(0,)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("snowplow_web/snowplow_web_events.csv", RecordCounts(record=160, accepted=157, duplicate=3, conflicting=3)),
        ("snowplow_fractribution/snowplow_fractribution_events.csv", RecordCounts(record=98, accepted=98)),
        ("dbt_snowplow/event/sp_event*.csv", RecordCounts(record=9, accepted=9)),
    ],
)
def test_snowplow(warehouse, data, tmp_path, path, expected):
    assert load(warehouse, tmp_path, format="snowplow", path=str(data / path)) == expected


@pytest.mark.parametrize(
    ("name", "path", "record", "accepted"),
    [
        ("amplitude", "amplitude/amplitude_event_data.csv", 10, 10),
        ("mixpanel", "mixpanel/event.csv", 5, 5),
        ("ga4", "ga4/event_data.csv", 6, 6),
        ("ga4", "ga4/events.ndjson", 2, 2),  # No user_pseudo_id: each event is its session's.
    ],
)
def test_collectors_load_without_a_mapping(warehouse, data, tmp_path, name, path, record, accepted):
    counts = load(warehouse, tmp_path, format=name, path=str(data / "collectors" / path))
    assert (counts.record, counts.accepted + counts.duplicate) == (record, accepted)
    assert counts.quarantined == record - accepted
