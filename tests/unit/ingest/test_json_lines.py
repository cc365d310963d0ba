"""JSON lines: nested paths, nested lists of records, and lines that are none."""

from __future__ import annotations

import json

import pytest

from journeyflow.ingest.parser import lines as line_readers
from journeyflow.ingest.parser import records as reading

SOURCE = {
    "format": "jsonl",
    "path": "data/*",
    "columns": {"event_id": "id", "occurred_at": "ts", "anonymous_id": "device.id", "event_name": "name"},
}


@pytest.fixture
def lines(project):
    project.source = dict(SOURCE)
    return project


def event(number: int, **more) -> dict:
    return {"id": f"e{number}", "ts": "2026-03-01T10:00:00Z", "device": {"id": "d"}, "name": "x"} | more


def dump(*events: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in events)


def test_paths_go_into_objects_and_lists(lines):
    lines.source["columns"] = SOURCE["columns"] | {"target": "items[1].sku", "user_id": "user"}
    lines.write("a", dump(event(1, items=[{"sku": "a"}, {"sku": "b"}], user=None), event(2, items=[], user=7)))
    lines.load()
    assert lines.events("event_id, target, user_id") == [("e1", "b", None), ("e2", None, "7")]


def test_a_key_may_hold_what_other_notations_mean_something_by(lines):
    lines.source["columns"] = SOURCE["columns"] | {"target": "a*", "session_id": "$x~/\"y'"}
    lines.write("a", dump(event(1, **{"a*": "star", "ab": "other", "$x~/\"y'": "s"})))
    lines.load()
    assert lines.events("target, session_id") == [("star", "s")]


def test_a_bad_line_costs_itself(lines):
    lines.write("a", dump(event(1)) + '{"id": "e2", \n[1]\n"text"\n7\n\n' + dump(event(3)))
    counts = lines.load().counts
    assert (counts.record, counts.accepted) == (6, 2)
    assert lines.quarantine() == [(2, "bad_json"), (3, "bad_json"), (4, "bad_json"), (5, "bad_json")]
    assert lines.raws()[0] == '{"id": "e2", '


def test_a_key_first_seen_late_is_seen(lines):
    lines.source["columns"] = SOURCE["columns"] | {"target": "late"}
    lines.write("a", dump(*(event(n) for n in range(30_000)), event(30_000, late="here")))
    lines.load()
    assert lines.warehouse.count("raw.events", "target = 'here'") == 1
    assert lines.warehouse.count("raw.events") == 30_001


def test_numbers_keep_their_digits(lines):
    lines.source["columns"] = SOURCE["columns"] | {"revenue_amount": "amount", "currency": {"constant": "eur"}}
    text = (
        '{"id": 18446744073709551617123, "ts": "2026-03-01", "device": {"id": 9223372036854775809}, '
        '"name": "x", "amount": 19.9}\n'
    )
    lines.write("a", text)
    lines.load()
    found = lines.events("event_id, anonymous_id, revenue_amount::varchar as r, currency")
    assert found == [("18446744073709551617123", "9223372036854775809", "19.9000", "EUR")]


def test_nested_records_see_the_object_around_them(lines):
    lines.source |= {"records": "batch.events", "properties": ["price"]}
    around = {"device": {"id": "outer"}, "batch": {"events": [event(1, price={"a": 1}), event(2)]}}
    for one in around["batch"]["events"]:
        del one["device"]
    around["batch"]["events"][1]["device"] = {"id": "inner"}
    lines.write("a", dump(around, {"device": {"id": "empty"}, "batch": {"events": []}}))
    assert lines.load().counts.record == 2
    assert lines.events("event_id, anonymous_id, source_row, properties::varchar as p") == [
        ("e1", "outer", 1, '{"price":{"a":1}}'),
        ("e2", "inner", 1, '{"price":null}'),
    ]


def test_an_object_without_its_list_and_an_element_that_is_none_are_quarantined(lines):
    lines.source["records"] = "events"
    lines.write("a", dump({"events": [event(1), 7]}, {"event": []}, {"events": {}}))
    counts = lines.load().counts
    assert (counts.record, counts.accepted) == (4, 1)
    assert lines.quarantine() == [(1, "bad_json"), (2, "bad_json"), (3, "bad_json")]


def test_a_bad_nested_record_is_kept_with_what_is_around_it(lines):
    lines.source["records"] = "events"
    lines.write("a", dump({"device": {"id": "d"}, "events": [{"id": "e1", "name": "x"}]}))
    lines.load()
    assert lines.quarantine() == [(1, "no_time")]
    assert json.loads(lines.raws()[0]) == {"device": {"id": "d"}, "id": "e1", "name": "x"}


def test_all_properties_are_the_whole_record(lines):
    lines.source["properties"] = "*"
    lines.write("a", dump(event(1, plan="p")))
    lines.load()
    assert json.loads(lines.events("properties::varchar as p")[0]) == event(1, plan="p")


def test_bytes_that_are_no_text_cost_their_line(lines):
    lines.write("a", dump(event(1)).encode() + b'{"id": "\xff"}\n' + dump(event(2)).encode())
    lines.load()
    assert lines.quarantine() == [(2, "bad_encoding")]
    assert lines.events() == ["e1", "e2"]


def test_a_list_of_records_may_lie_deep_and_long_without_its_cost_being_squared(lines):
    lines.source["records"] = "events"
    lines.write("a", dump({"device": {"id": "d"}, "events": [event(n) for n in range(20_000)]}))
    assert lines.load().counts.accepted == 20_000


@pytest.mark.parametrize("indent", [None, 2])
def test_one_list_is_read_as_the_lines_it_would_be(lines, indent):
    lines.source["properties"] = ["n"]
    events = [event(number, n={"text": '}],[ \\"{', "list": [1, [2]]}) for number in range(500)]
    lines.write("a", "\ufeff \n" + json.dumps([*events, "no object", event(500), 7], indent=indent) + "\n")
    counts = lines.load().counts
    assert (counts.record, counts.accepted, counts.quarantined) == (503, 501, 2)
    assert lines.quarantine() == [(501, "bad_json"), (503, "bad_json")]
    assert lines.events("count(distinct properties->>'$.n.text')") == [1]


def test_an_empty_list_holds_no_record(lines):
    lines.write("a", "[ ]\n")
    lines.write("b", dump(event(1)))
    assert lines.load().counts.record == 1


def test_a_record_of_a_list_that_cannot_be_stored_costs_itself_only(lines):
    good = json.dumps(event(1)).encode()
    control = json.dumps(event(2)).replace('"x"', '"x\ty"').encode()
    lines.write("a", b"[" + b",\n".join([good, b'{"id": "\xff"}', b'{"id": "\x00"}', control]) + b"]")
    lines.load()
    assert lines.events() == ["e1"]
    assert lines.quarantine() == [(2, "bad_encoding"), (3, "nul_byte"), (4, "bad_json")]


@pytest.mark.parametrize(
    "broken",
    [
        "[{}, {}",
        "[{}, {}}]",
        '[{}, {}, {"a": ',
        "[{} {}]",
        "[{},]",
        "[{}, {}] x",
        "[{}, {}]\n[{}]",
        "[" * 100_000,
        "[1",
    ],
)
def test_a_list_that_is_not_whole_is_refused(lines, broken):
    lines.write("a", broken)
    lines.write("b", dump(event(1)))
    (refused,) = lines.load().refused
    assert refused.source_file == "data/a"
    assert "list of records" in refused.detail
    assert lines.events() == ["e1"]


def test_records_longer_than_what_is_read_at_once(lines, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK_CHARACTERS", 7)
    lines.write("a", json.dumps([event(1, name="é" * 99), event(2)], ensure_ascii=False))
    lines.load()
    assert lines.events("event_id, length(event_name)") == [("e1", 99), ("e2", 1)]


def test_no_more_is_held_than_a_record_may_be_long(lines, monkeypatch):
    monkeypatch.setattr(line_readers, "MAX_RECORD_CHARACTERS", 1000)
    monkeypatch.setattr(reading, "BLOCK_CHARACTERS", 100)
    lines.write("a", json.dumps([event(1), event(2, name="x" * 5000)]))
    lines.write("b", dump(event(3)))
    (refused,) = lines.load().refused
    assert "beyond record 1" in refused.detail


WITHOUT_ID = {
    "format": "jsonl",
    "path": "data/*",
    "columns": {"occurred_at": "ts", "anonymous_id": "c", "event_name": "name"},
    "properties": "*",
}


def turned(value):
    """Return a JSON value with the keys of all its objects in the other order."""
    if isinstance(value, dict):
        return {key: turned(below) for key, below in reversed(value.items())}
    return [turned(below) for below in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "properties",
    [
        {"a": 1, "b": None, "c": "x"},
        {"a": {"z": 1, "y": {"w": 1, "v": 2}}, "b": [{"d": 1, "c": "x"}, 2]},
        {"": 1, "a/b": 2, "a~b": 3, "ä": 4, 'q"': 5, "a.b": 6},
        {},
    ],
)
def test_the_order_of_keys_makes_no_other_event(project, properties):
    project.source = WITHOUT_ID
    line = {"ts": "2026-03-01", "c": "c", "name": "x", **properties}
    project.write("a", json.dumps(line) + "\n")
    project.write("b", json.dumps(turned(line)) + "\n")
    counts = project.load().counts
    assert (counts.accepted, counts.duplicate) == (1, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": {"x": 1}, "b": {"x": 2}}, {"a": {"x": 2}, "b": {"x": 1}}),
        ({"a": "1"}, {"a": 1}),
        ({"a": "{}"}, {"a": {}}),
        ({"a": 'x,"b":1'}, {"a": "x", "b": 1}),
        ({"a": None}, {"a": "null"}),
    ],
)
def test_other_content_is_another_event(project, one, other):
    project.source = WITHOUT_ID
    for name, properties in (("a", one), ("b", other)):
        project.write(name, json.dumps({"ts": "2026-03-01", "c": "c", "name": "x", **properties}) + "\n")
    counts = project.load().counts
    assert (counts.accepted, counts.duplicate) == (2, 0)


def test_an_object_with_a_key_twice_is_an_event_all_the_same(project):
    project.source = WITHOUT_ID
    project.write("a", '{"ts": "2026-03-01", "c": "c", "name": "x", "a": 1, "a": 2, "n": {"b": 1, "b": 2}}\n')
    assert project.load().counts.accepted == 1
