"""Parquet texts without the mark of UTF-8, as ClickHouse and older writers store them."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.ingest.people_and_spend import load_traits


def write(project, name, columns):
    project.write(name, b"")
    pq.write_table(pa.table(columns), project.folder / "data" / name)


def binary(*texts):
    return pa.array([text.encode() if isinstance(text, str) else text for text in texts], pa.binary())


def events(project, *cookies, props=None):
    texts = [f"e{n}" for n in range(len(cookies))]
    columns = {"id": binary(*texts), "ts": binary(*["2026-03-01 10:00:00"] * len(texts)), "cookie": binary(*cookies)}
    columns |= {"event": binary(*["Käufe"] * len(texts)), "props": props or binary(*['{"plan": "gold"}'] * len(texts))}
    write(project, "a.parquet", columns)


def test_texts_are_decoded_and_are_the_same_as_in_other_files(project):
    project.source |= {"format": "parquet", "properties": ["props"]}
    events(project, "bär", "cat")
    project.load()
    assert project.events("anonymous_id") == ["bär", "cat"]
    assert set(project.events("event_name")) == {"Käufe"}
    assert json.loads(project.events("properties::varchar")[0]) == {"props": '{"plan": "gold"}'}


def test_bytes_that_are_no_text_cost_their_record(project):
    project.source |= {"format": "parquet", "properties": ["props"]}
    events(project, "a", b"\xff\xfe", "c", props=binary("{}", "{}", b"\xff"))
    counts = project.load().counts
    assert (counts.record, counts.accepted) == (3, 1)
    assert project.quarantine() == [(2, "bad_encoding"), (3, "bad_encoding")]
    assert "Käufe" in project.raws()[0]


def test_columns_that_are_not_named_may_hold_any_bytes(project):
    project.source |= {"format": "parquet", "properties": "*"}
    events(project, "a", props=binary(b"\xff"))
    assert project.load().counts.accepted == 1


def test_bytes_inside_a_list_refuse_the_file_that_needs_them(project):
    project.source |= {"format": "parquet", "properties": ["props"]}
    events(project, "a", props=pa.array([[b"x"]], pa.list_(pa.binary())))
    with pytest.raises(Exception, match="column props holds binary values inside a list"):
        project.load()


@pytest.mark.parametrize(
    ("properties", "reason"), [(b'{"a": 1}', None), (b'{"a": ', "bad_json"), (b"\xff", "bad_encoding")]
)
def test_adapters_decode_too(project, properties, reason):
    """Amplitude's and PostHog's properties are JSON."""
    project.source = {"format": "posthog", "path": "data/*"}
    row = {"uuid": "e", "event": "x", "distinct_id": "bär", "timestamp": "2026-03-01T10:00:00Z"}
    write(project, "a.parquet", {name: binary(text) for name, text in row.items()} | {"properties": binary(properties)})
    project.load()
    assert [found for _, found in project.quarantine()] == ([reason] if reason else [])
    assert project.events("anonymous_id") == ([] if reason else ["bär"])


def test_traits_are_decoded_too(project):
    project.write("people/a.parquet", b"")
    table = pa.table({"user": binary("bär", b"\xff", "c"), "plan": binary("grün", "x", b"\xff")})
    pq.write_table(table, project.folder / "data" / "people" / "a.parquet")
    people = [{"path": "data/people/*", "user_id": "user", "traits": ["plan"], "format": "parquet"}]
    counts = load_traits(project.config(people=people), project.warehouse)
    assert (counts.accepted, counts.quarantined) == (1, 2)
    found = project.warehouse.rows("select user_id, trait_value from raw.traits").to_pylist()
    assert found == [{"user_id": "bär", "trait_value": "grün"}]
