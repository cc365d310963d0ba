"""Ready adapters: their cases, and one contract for all of them."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.config import load_config
from journeyflow.config.sources import MAPPED_FORMATS, known_formats
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import ConfigError
from journeyflow.ingest.adapters import load_adapter
from journeyflow.ingest.insert import set_null_ids
from journeyflow.ingest.load import load_events
from journeyflow.ingest.mapping import TEXTS
from journeyflow.state.folder import set_hash_keys
from journeyflow.state.warehouse import open_warehouse
from journeyflow.utils import files
from support.text_tables import parse

NAMES = sorted(
    path.stem for path in (files.sql_folder() / "sources").glob("*.yml") if "\nraw:" in path.read_text(encoding="utf-8")
)
CASES = [
    pytest.param(name, case, id=f"{name}-{case.name}") for name in NAMES for case in load_adapter(name).metadata.cases
]
CANONICAL = {
    *TEXTS,
    "record_ix",
    "source_row",
    "occurred_at",
    "received_at",
    "has_occurred",
    "revenue_amount",
    "properties",
}


@pytest.fixture
def engine(project, tmp_path):
    engine = project.warehouse
    set_hash_keys(engine, "a secret of the tests")
    set_null_ids(engine, load_config({"sources": {"web": {"format": "ga4", "path": "*.json"}}}, folder=tmp_path))
    return engine


def raw_of(engine: DuckDBEngine, name: str, text: str) -> None:
    """Make `raw` of a case: the declared columns, all text."""
    declared = load_adapter(name).metadata
    header, body = parse(text)
    assert set(header) <= set(declared.raw), "a case gives declared columns only"
    columns = {
        "record_ix": pa.array(range(len(body)), pa.int64()),
        "source_row": pa.array(range(1, len(body) + 1), pa.int64()),
    }
    for column in declared.raw:
        values = [row[header.index(column)] for row in body] if column in header else [None] * len(body)
        columns[column] = pa.array(values, pa.string())
    if declared.container == "columns":
        columns["reason"] = pa.array([None] * len(body), pa.string())
    if declared.others:
        columns["others"] = pa.array(["{}"] * len(body), pa.string())
    engine.scratch("raw", pa.table(columns).to_reader())


def test_there_are_the_adapters_that_the_formats_name():
    assert tuple(NAMES) == tuple(name for name in known_formats() if name not in MAPPED_FORMATS)
    assert {"access_log", "ga4", "snowplow"} <= set(NAMES)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_case(engine, name, case):
    raw_of(engine, name, case.given)
    header, expected = parse(case.expect)
    chosen = ", ".join(f"cast({column} as varchar) as {column}" for column in header)
    actual = engine.rows(f"select {chosen} from ({load_adapter(name).select}) order by record_ix").to_pylist()
    assert [list(row.values()) for row in actual] == expected


@pytest.mark.parametrize("name", NAMES)
def test_contract(engine, name):
    """Canonical columns only, among them those that make an event, one row per record, JSON properties."""
    adapter = load_adapter(name)
    raw_of(engine, name, adapter.metadata.cases[0].given)
    engine.execute(f"create or replace temp view canonical_records as {adapter.select}")
    columns = engine.columns("canonical_records")
    assert set(columns) <= CANONICAL
    assert {"record_ix", "source_row", "occurred_at", "anonymous_id", "event_name", "properties"} <= set(columns)
    assert columns["properties"] == "JSON"
    assert columns["occurred_at"] in ("VARCHAR", "TIMESTAMP")
    counted = engine.rows("select count(*) as n, count(distinct record_ix) as d from canonical_records").to_pylist()
    assert counted[0]["n"] == counted[0]["d"] == engine.count("raw")


def test_an_unknown_adapter_is_an_error_that_names_the_others():
    with pytest.raises(ConfigError, match=r"no adapter.*there are: access_log"):
        load_adapter("nothing")


def test_a_file_without_a_required_column_is_refused(project):
    project.source = {"format": "snowplow", "path": "data/*"}
    project.write("a.csv", "event_id,collector_tstamp\ne,2026-03-01\n")
    with pytest.raises(Exception, match="no column domain_userid"):
        project.load()


def test_snowplow_contexts_of_any_version_and_unknown_ones_are_kept(project):
    project.source = {"format": "snowplow", "path": "data/*"}
    names = [
        "event_id",
        "collector_tstamp",
        "domain_userid",
        "event_name",
        "contexts_com_snowplowanalytics_snowplow_web_page_2_7_1",
        "contexts_org_example_weather_1_0_3",
    ]
    values = ["e", "2026-03-01 10:00:00", "d", "page_view", '[{"id":"w"}]', "sunny"]
    project.write(
        "a.tsv", "\t".join(names) + "\n" + "\t".join(value.replace('"', '""').join('""') for value in values) + "\n"
    )
    project.load()
    properties = json.loads(project.events("properties::varchar as p")[0])
    assert properties == {"contexts_org_example_weather": "sunny", "page_view_id": "w"}


LINE = '{} - - [17/May/2015:10:05:0{} +0000] "GET /a HTTP/1.1" 200 12 "-" "Agent"\n'


def log(project, *lines: str):
    project.source = {"format": "access_log", "path": "data/*"}
    project.write(f"log-{project.run}", "".join(lines))
    return project.load().counts


def test_no_address_is_kept_anywhere(project, tmp_path):
    log(
        project,
        LINE.format("192.0.2.77", 1),
        LINE.format("2001:db8::77", 2),
        "192.0.2.77 2001:db8:0:0:0:0:0:77 broken\n",
        "192.0.2.77 \x00\n",
        LINE.format("host-77.example", 3),
        "host-77.example broken\n",
    )
    everything = project.warehouse.rows("select * from raw.events").to_pylist()
    everything += project.warehouse.rows("select * from raw.quarantine").to_pylist()
    assert len(everything) == 6
    for address in ("192.0.2.77", "2001:db8", ":0:77", "host-77"):
        assert address not in str(everything)


def test_lines_without_an_address_hash_to_nothing_that_can_be_guessed(project):
    """The same line under two keys gets two ids: an unkeyed hash would tell the address to who tries them all."""
    log(project, LINE.format("192.0.2.1", 1))
    (project.folder / "state" / "pseudonym.key").write_text("another secret")
    with open_warehouse(threads=1) as other:
        load_events(project.config(), other, run_id="r", now_us=1_800_000_000_000_000)
        assert other.rows("select event_id from raw.events")["event_id"].to_pylist() != project.events()


def test_a_line_that_repeats_is_an_event_and_in_an_overlapping_file_it_is_not(project):
    one, two = LINE.format("192.0.2.1", 1), LINE.format("192.0.2.1", 2)
    assert log(project, one, one, two).accepted == 3
    counts = log(project, one, two, LINE.format("192.0.2.1", 3))
    assert (counts.accepted, counts.duplicate, counts.conflicting) == (1, 2, 0)
    assert [row[1] for row in project.events("occurred_at, sequence")] == [1, 2, 2, 3]


def test_quotes_in_a_request_a_login_and_a_common_line_are_read(project):
    log(
        project,
        '192.0.2.1 - jane [17/May/2015:10:05:03 +0200] "GET /a\\"b HTTP/1.1" 200 - "http://x.example/" "A \\"B\\""\n',
        '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /c HTTP/1.0" 304 0\n',
        '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "-" 408 0 "-" "-"\n',
    )
    assert project.quarantine() == []
    assert project.events("page_path, user_agent, user_id") == [
        ('/a\\"b', 'A \\"B\\"', None),
        ("/c", None, None),
        (None, None, None),
    ]


AT = "2026-03-01 10:00:00"
JSON_COLUMNS = [
    ("segment", {"messageId": "e", "type": "track", "event": "x", "timestamp": AT, "anonymousId": "a"}, "properties"),
    ("posthog", {"uuid": "e", "event": "x", "timestamp": AT, "distinct_id": "a"}, "properties"),
    ("mixpanel", {"insert_id": "e", "event": "x", "time": AT, "distinct_id": "a"}, "properties"),
    ("amplitude", {"uuid": "e", "event_type": "x", "event_time": AT, "device_id": "a"}, "event_properties"),
    ("amplitude", {"uuid": "e", "event_type": "x", "event_time": AT, "device_id": "a"}, "user_properties"),
    ("ga4", {"event_timestamp": AT, "event_name": "x", "user_pseudo_id": "a"}, "event_params"),
    (
        "snowplow",
        {"event_id": "e", "event_name": "x", "collector_tstamp": AT, "domain_userid": "a"},
        "contexts_com_snowplowanalytics_snowplow_web_page_1_0_0",
    ),
]


# Contexts of Snowplow's JSON lines are not read.
CUT_OFF = [
    (*found, container)
    for found in JSON_COLUMNS
    for container in ("csv", "jsonl", "parquet")
    if (found[0], container) != ("snowplow", "jsonl")
]


@pytest.mark.parametrize(
    ("name", "row", "column", "container"), CUT_OFF, ids=lambda value: value if type(value) is str else ""
)
def test_json_that_is_cut_off_costs_its_record_and_not_the_run(project, name, row, column, container):
    """A warehouse cuts long texts at the limit of a column."""
    # PostHog's properties are required, so the record without any says null.
    texts = ['{"sku": "x"}', '{"sku": "x", "note": "cut sho', "plain words", "null", '{"a": {"b": ']
    project.source = {"format": name, "path": "data/*"}
    rows = [row | {column: text} | {key: f"e{n}" for key in row if row[key] == "e"} for n, text in enumerate(texts)]
    # Events of GA4 have no id.
    rows = [each | {key: f"x{n}" for key in each if each[key] == "x"} for n, each in enumerate(rows)]
    if container == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), project.write("a.parquet", b""))
    elif container == "jsonl":
        project.write("a.jsonl", "".join(json.dumps(each) + "\n" for each in rows))
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        project.write("a.csv", out.getvalue())
    counts = project.load().counts
    assert (counts.record, counts.accepted, counts.quarantined) == (5, 2, 3)
    assert {reason for _, reason in project.quarantine()} == {"bad_json"}
    assert project.events("event_name") == ["x0", "x3"]


@pytest.mark.parametrize(
    ("name", "row", "column"), JSON_COLUMNS[:5], ids=lambda value: value if type(value) is str else ""
)
@pytest.mark.parametrize(("text", "accepted"), [("[]", 1), ("[1]", 0), ('"words"', 0), ("5", 0)])
def test_properties_are_an_object(project, name, row, column, text, accepted):
    """PHP writes no properties as an empty list."""
    project.source = {"format": name, "path": "data/*"}
    project.write("a.jsonl", json.dumps(row | {column: text}) + "\n")
    assert project.load().counts.accepted == accepted


def test_parameters_of_ga4_may_be_anything(project):
    """Repeated and missing keys, no list, and elements that are no objects."""
    row = {"event_timestamp": AT, "event_name": "x", "user_pseudo_id": "a"}
    repeated = [{"key": "source", "value": {"string_value": word}} for word in "ba"]
    odd = [repeated, [{"key": None}, {}, None, 1, "x", []], {"key": "a"}, 7, [{"key": "a", "value": None}], []]
    project.source = {"format": "ga4", "path": "data/*"}
    project.write("a.jsonl", "".join(json.dumps(row | {"event_params": value}) + "\n" for value in odd))
    counts = project.load().counts
    assert (counts.record, counts.accepted) == (6, 6)
    assert project.events("utm_source").count("a") == 1


def test_structs_of_parquet_are_read_as_objects_of_json_are(project):
    """BigQuery exports GA4 in both forms."""
    row = {
        "event_timestamp": AT,
        "event_name": "purchase",
        "user_pseudo_id": "a",
        "event_params": [{"key": "page_location", "value": {"string_value": "https://a.example/b"}}],
        "device": {"category": "mobile", "web_info": {"browser": "Firefox"}},
        "geo": {"country": "DE"},
        "ecommerce": {"purchase_revenue_in_usd": 2.5, "transaction_id": "t"},
    }
    project.source = {"format": "ga4", "path": "data/*"}
    project.write("a.jsonl", json.dumps(row) + "\n")
    others = [row | {"user_pseudo_id": "b"}, row | {"user_pseudo_id": "c", "device": None}]
    pq.write_table(pa.Table.from_pylist(others), project.write("b.parquet", b""))
    assert project.load().counts.accepted == 3
    found = {who: rest for who, *rest in project.events("anonymous_id, page_path, revenue_amount, properties::varchar")}
    assert found["b"] == found["a"]
    assert (found["a"][0], float(found["a"][1])) == ("/b", 2.5)
    assert json.loads(found["a"][2]) == {"device_category": "mobile", "country": "DE", "order_id": "t"}
    assert json.loads(found["c"][2]) == {"country": "DE", "order_id": "t"}


def test_an_event_of_ga4_with_its_parameters_in_another_order_is_the_same(project):
    row = {"event_timestamp": AT, "event_name": "purchase", "user_pseudo_id": "a"}
    params = [{"key": key, "value": {"string_value": text}} for key, text in (("value", "20"), ("currency", "EUR"))]
    project.source = {"format": "ga4", "path": "data/*"}
    project.write("a.jsonl", json.dumps(row | {"event_params": params}) + "\n")
    project.write("b.jsonl", json.dumps(row | {"event_params": params[::-1]}) + "\n")
    counts = project.load().counts
    assert (counts.accepted, counts.duplicate, counts.conflicting) == (1, 1, 0)


def test_the_zone_of_a_mixpanel_source_is_that_of_its_times(project):
    project.source = {"format": "mixpanel", "path": "data/*", "timezone": "Europe/Berlin"}
    for number, time in enumerate((1772355600, "1772355600000", "2026-03-01 09:00:00")):
        project.write(
            f"{number}.jsonl", json.dumps({"event": str(number), "properties": {"time": time, "distinct_id": "a"}})
        )
    project.load()
    assert project.events("occurred_at") == [datetime(2026, 3, 1, 8)] * 3


VHOST = 'shop.example:443 {} - - [17/May/2015:10:05:0{} +0000] "GET /a HTTP/1.1" 200 12 "-" "Agent"\n'


def test_no_address_after_the_name_of_a_host_is_kept_anywhere(project):
    """The same visitor with and without the name of the host is one device; the lines are two events."""
    hosts = ("192.0.2.77", "client-77.example", "2001:db8::77")
    lines = [VHOST.format(host, 1) for host in hosts] + [LINE.format(hosts[0], 1)]
    counts = log(project, *lines, *(f"shop.example:443 {host} broken\n" for host in hosts))
    assert (counts.accepted, counts.quarantined) == (4, 3)
    assert len(set(project.events("anonymous_id"))) == 3
    everything = project.warehouse.rows("select * from raw.events").to_pylist()
    everything += project.warehouse.rows("select * from raw.quarantine").to_pylist()
    assert not any(host in str(everything) for host in hosts)


def test_the_zone_of_a_log_applies_to_stamps_without_an_offset(project):
    project.source = {"format": "access_log", "path": "data/*", "timezone": "America/New_York"}
    stamps = ("17/May/2015:10:05:03", "17/May/2015:10:05:03 +0000")
    lines = [f'192.0.2.1 - - [{stamp}] "GET /{n} HTTP 1.1" 200 1 "-" "Agent" 349\n' for n, stamp in enumerate(stamps)]
    project.write("a", "".join(lines))
    project.load()
    assert project.events("page_path, occurred_at") == [
        ("/0", datetime(2015, 5, 17, 14, 5, 3)),
        ("/1", datetime(2015, 5, 17, 10, 5, 3)),
    ]
