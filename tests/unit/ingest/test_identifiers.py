"""What is an identifier, in every format: placeholders, blanks, whole numbers with decimals."""

from __future__ import annotations

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.config import load_config
from journeyflow.config.sources import NULL_IDS
from journeyflow.errors import InputError
from journeyflow.ingest.insert import set_null_ids
from journeyflow.ingest.people_and_spend import load_traits
from journeyflow.state.warehouse import open_warehouse

COLUMNS = {
    "occurred_at": "ts",
    "anonymous_id": "device",
    "user_id": "user",
    "session_id": "visit",
    "event_name": "event",
}
AT = "2026-03-01T10:00:00Z"


def write_rows(project, file_format: str, users: list) -> None:
    project.source = {"format": file_format, "path": "data/*", "columns": COLUMNS}
    rows = [{"ts": AT, "device": f"d{n}", "user": user, "visit": "v", "event": "e"} for n, user in enumerate(users)]
    if file_format == "parquet":
        path = project.write("rows.parquet", b"")
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif file_format == "jsonl":
        project.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    else:
        cells = ["" if user is None else '"' + str(user).replace('"', '""') + '"' for user in users]
        lines = [f"{AT},d{n},{cell},v,e" for n, cell in enumerate(cells)]
        project.write("rows.csv", "\n".join(["ts,device,user,visit,event", *lines]) + "\n")


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_placeholders_and_blanks_are_no_users_and_are_counted(project, file_format):
    texts = [*NULL_IDS, "NULL", "None", "[object Object]", " null ", "\u00a0undefined\u200b", "nobody"]
    write_rows(project, file_format, [*texts, "", " \t", "\u3000", "ann", " ann\u00a0"])
    counts = project.load(null_ids=["Nobody"]).counts
    assert counts.accepted == len(texts) + 5
    assert project.events("user_id") == ["ann", "ann", *[None] * (len(texts) + 3)]
    assert sum(project.events("has_placeholder_id")) == len(texts)


def test_a_record_with_placeholders_alone_is_of_nobody(project):
    project.source = {"format": "jsonl", "path": "data/*", "columns": COLUMNS}
    project.write("a.jsonl", json.dumps({"ts": AT, "device": "null", "user": 0, "event": "e"}) + "\n")
    project.load()
    assert project.quarantine() == [(1, "no_identifier")]


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
@pytest.mark.parametrize(("device", "user", "expected"), [(0, 0, ("0", None)), ("0", "0", (None, None))])
def test_devices_may_be_numbered_from_zero_by_type(project, file_format, device, user, expected):
    project.source = {"format": file_format, "path": "data/*", "columns": COLUMNS}
    row = {"ts": AT, "device": device, "user": user, "visit": "v", "event": "e"}
    if file_format == "jsonl":
        project.write("rows.jsonl", json.dumps(row) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist([row]), project.write("rows.parquet", b""))
    counts = project.load().counts
    assert (project.events("anonymous_id, user_id") or [(None, None)]) == [expected]
    assert counts.accepted == int(expected != (None, None))


def test_sessions_of_a_placeholder_are_cut_by_time_and_numbers_may_name_events(project):
    project.source = {"format": "csv", "path": "data/*", "columns": COLUMNS | {"event_id": "id"}}
    lines = [f"{AT},d{n},,{visit},e,{event}" for n, (visit, event) in enumerate([("null", "0"), ("(not set)", "null")])]
    project.write("a.csv", "\n".join(["ts,device,user,visit,event,id", *lines]) + "\n")
    project.load()
    assert project.events("session_id") == [None, None]
    found = project.events()
    assert "0" in found
    assert "null" not in found


@pytest.mark.parametrize(
    ("file_format", "users", "expected"),
    [
        ("parquet", [123.0, math.nan, 12345678901.0, 1.5, -0.0], ["123", None, "12345678901", "1.5", None]),
        ("jsonl", [123, 123.0, "123", 1.2345678901e10, 2**63 + 1, "7.0"],
         ["123", "123", "123", "12345678901", str(2**63 + 1), "7.0"]),
        ("csv", ["123", "123.0", "1.50", "a.0"], ["123", "123", "1.50", "a.0"]),
    ],
)  # fmt: skip
def test_a_whole_number_with_decimals_is_the_whole_number(project, file_format, users, expected):
    write_rows(project, file_format, users)
    project.load()
    assert sorted(map(str, project.events("user_id"))) == sorted(map(str, expected))


def test_gaps_of_a_floating_point_column_are_no_amounts(project):
    project.source = {"format": "parquet", "path": "data/*", "columns": COLUMNS | {"revenue_amount": "amount"}}
    rows = [
        {"ts": AT, "device": "d", "user": "u", "visit": "v", "event": "e", "amount": value} for value in (math.nan, 2.5)
    ]
    pq.write_table(pa.Table.from_pylist(rows), project.write("rows.parquet", b""))
    assert project.load().counts.accepted == 2


def test_a_hash_of_placeholders_alone_is_no_device(project):
    columns = COLUMNS | {"anonymous_id": {"hash": ["device", "visit"]}}
    project.source = {"format": "csv", "path": "data/*", "columns": columns}
    rows = [("null", "(not set)"), ("null", "x"), ("d", "x")]
    lines = [f"{AT},{device},u,{visit},e" for device, visit in rows]
    project.write("a.csv", "\n".join(["ts,device,user,visit,event", *lines]) + "\n")
    project.load()
    assert project.events("anonymous_id is null as is_null") == [False, False, True]


def test_traits_follow_the_same_rule(project):
    project.source = {"format": "csv", "path": "data/*", "columns": COLUMNS}
    project.write("a.csv", f"ts,device,user,visit,event\n{AT},d,u,v,e\n")
    (project.folder / "crm.csv").write_text("id,plan\n 7.0 ,gold\nnull,gold\n0,gold\n")
    people = [{"format": "csv", "path": "crm.csv", "user_id": "id", "traits": ["plan"]}]
    config = load_config({"sources": {"web": project.source}, "people": people}, folder=project.folder)
    project.load(people=people)
    counts = load_traits(config, project.warehouse)
    assert (counts.accepted, counts.quarantined) == (1, 2)
    assert project.warehouse.rows("select user_id from raw.traits").to_pylist() == [{"user_id": "7"}]


@pytest.mark.parametrize(
    ("name", "records", "expected"),
    [
        ("snowplow", [{"event_id": "e", "collector_tstamp": "2026-03-01 10:00:00", "event_name": "p",
                       "domain_userid": "00000000-0000-0000-0000-000000000000", "network_userid": "n"}], [("n", None)]),
        ("segment", [{"messageId": "m", "type": "track", "event": "x", "timestamp": AT, "anonymousId": "a",
                      "userId": "undefined"},
                     {"messageId": "n", "type": "track", "event": "x", "timestamp": AT, "userId": 7.0}],
         [("a", None), (None, "7")]),
        ("posthog", [{"uuid": "u", "event": "x", "distinct_id": "dev", "timestamp": AT,
                      "properties": {"$device_id": "null"}}], [("dev", "dev")]),
        ("mixpanel", [{"event": "x", "properties": {"time": 1772359200, "distinct_id": "eve", "$user_id": "null",
                                                   "$device_id": "undefined"}}], [("eve", "eve")]),
        ("amplitude", [{"event_type": "x", "event_time": "2026-03-01 10:00:00", "device_id": "null",
                        "amplitude_id": 5.0, "user_id": "0"}], [("5", None)]),
    ],
)  # fmt: skip
def test_adapters_pass_placeholders_over(project, name, records, expected):
    project.source = {"format": name, "path": "data/*"}
    project.write("a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    project.load()
    assert project.events("anonymous_id, user_id") == expected


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_the_former_id_of_an_alias_is_an_identifier_too(project, file_format):
    """Two users whose former id is `undefined` would otherwise be one person."""
    former = ["undefined", " ann ", 123.0] if file_format == "jsonl" else ["undefined", " ann ", "123.0"]
    write_rows(project, file_format, ["bob"] * 3)
    path = next((project.folder / "data").glob("rows.*"))
    if file_format == "csv":
        rows = [f"{AT},d{n},bob,v,alias,{old}" for n, old in enumerate(former)]
        path.write_text("\n".join(["ts,device,user,visit,event,previous_id", *rows]) + "\n")
    else:
        rows = [
            {"ts": AT, "device": f"d{n}", "user": "bob", "event": "alias", "previous_id": i}
            for n, i in enumerate(former)
        ]
        if file_format == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows).append_column("visit", pa.nulls(3, pa.string())), path)
    project.source["properties"] = ["previous_id"]
    project.load()
    found = project.events("json_extract_string(properties, '/previous_id') as former")
    assert set(found) == {None, "ann", "123"}


BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2009\u200b\u2028\u202f\u205f\u2060\u3000\ufeff"


def test_blanks_of_every_kind_are_trimmed_and_nothing_else(tmp_path):
    texts = [*BLANKS, *(f"{blank}a b{blank}" for blank in BLANKS), *"!~é", "a\x01", "", "A B"]
    with open_warehouse(threads=1) as warehouse:
        found = warehouse.values("select trimmed_id(text) from (select unnest(?) as text)", [texts])
        set_null_ids(warehouse, load_config({"sources": {"web": {"format": "ga4", "path": "*.json"}}}, folder=tmp_path))
        plan = warehouse.values("explain select identifier_of(text) from (select 'u' || range as text from range(9))")
    assert [text for (text,) in found] == [text.strip(BLANKS) or None for text in texts]
    assert "JOIN" not in str(plan).upper()  # One with the placeholders would take longer than all else of a record.


def test_a_name_of_blanks_is_none(project):
    names = ["x", " y", "\xa0", "   ", "é"]
    project.source = {"format": "csv", "path": "data/*", "columns": COLUMNS}
    project.write(
        "rows.csv", "\n".join(["ts,device,user,visit,event", *(f"{AT},d,u,v,{name}" for name in names)]) + "\n"
    )
    project.load()
    assert project.events("event_name") == [" y", "x", "é"]
    assert project.quarantine() == [(4, "no_name"), (5, "no_name")]


STRUCT = pa.struct({"id": pa.float64(), 'name, of "it"': pa.string(), "in": pa.struct({"amount": pa.float32()})})


def test_fields_of_structs_of_parquet_are_read_as_columns_are(project):
    """An id with gaps is a floating-point number in data frames; a dot may be part of the name of a struct."""
    columns = COLUMNS | {"user_id": "the.user.id", "revenue_amount": "the.user.in.amount"}
    project.source = {
        "format": "parquet", "path": "data/*", "columns": columns, "properties": ['the.user.name, of "it"']
    }  # fmt: skip
    users = [
        {"id": number, 'name, of "it"': "x", "in": {"amount": 19.99}}
        for number in (42.0, math.nan, None, 12345678901.0)
    ]
    rows = [{"ts": AT, "device": f"d{at}", "visit": "v", "event": "e"} for at in range(len(users))]
    table = pa.Table.from_pylist(rows).append_column("the.user", pa.array(users, STRUCT))
    pq.write_table(table, project.write("rows.parquet", b""))
    assert project.load().counts.accepted == len(users)
    assert project.events("user_id || ''") == ["12345678901", "42", None, None]
    assert {float(amount) for amount in project.events("revenue_amount")} == {19.99}
    kept = [json.loads(text) for text in project.events("properties::varchar")]
    assert kept == [{"the": {"user": {'name, of "it"': "x"}}}] * len(users)


def test_a_field_that_a_struct_does_not_have_is_missing(project):
    project.source = {"format": "parquet", "path": "data/*", "columns": COLUMNS | {"user_id": "user.idd"}}
    row = {"ts": AT, "device": "d", "visit": "v", "event": "e", "user": {"id": "u"}}
    pq.write_table(pa.Table.from_pylist([row]), project.write("rows.parquet", b""))
    with pytest.raises(InputError, match=r"the header has no column user\.idd;"):
        project.load()
