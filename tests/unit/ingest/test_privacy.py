"""What strangers can write into an event and nobody may keep: addresses of people and machines, tokens, queries."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.engines.base import text as literal
from journeyflow.state.warehouse import open_warehouse
from support.examples import examples

JSONL = {
    "format": "jsonl",
    "path": "data/*",
    "columns": {
        "event_id": "id",
        "occurred_at": "ts",
        "anonymous_id": "device",
        "event_name": "name",
        "channel": "channel",
        "page_path": "url",
        "referrer_host": "referrer",
        "target": "target",
        "utm_term": "term",
    },
    "properties": "*",
}


@pytest.fixture
def loaded(project):
    """A function that loads events and returns a column of them, in their order."""
    project.source = dict(JSONL)

    def load(column: str, *events: dict) -> list:
        base = {"ts": "2026-03-01T10:00:00Z", "device": "d", "name": "x"}
        lines = [json.dumps({"id": f"e{n:02}"} | base | event) for n, event in enumerate(events)]
        project.write(f"f{project.run}", "\n".join(lines))
        project.load()
        found = project.events(f"event_id, {column}")
        assert [event_id for event_id, *_ in found] == [f"e{n:02}" for n in range(len(events))]
        return [value for _, value in found]

    load.project = project
    return load


PATHS = [
    ("/p/shoes-42", "/p/shoes-42"),
    ("/p/4006381333931/how-to-build-a-customer-journey-map-in-2024", None),
    ("/blog/How_We_Grew_Without_Advertising", None),
    ("/report/20260301101010", None),
    ("https://user:word@shop.example/a/b?token=1#x", "/a/b"),
    ("/account/ann@example.com/orders", "/account/e-mail/orders"),
    ("/account/ann%40example.com", "/account/e-mail"),
    ("/reset/550e8400-e29b-41d4-a716-446655440000/new", "/reset/secret/new"),
    ("/reset/d41d8cd98f00b204e9800998ecf8427e", "/reset/secret"),
    ("/login/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", "/login/secret"),
    ("/s/Ab3dEf6hIj9lMn2pQr5t/x", "/s/secret/x"),
    ("/pay/4111111111111111", "/pay/secret"),
    ("/pay/4111-1111-1111-1111/ok", "/pay/secret/ok"),
    ("/pay/4111%201111%201111%201111", "/pay/secret"),
    ("/pay/3782-822463-10005", "/pay/secret"),
    ("/cart;jsessionid=1A530637289A03B07199A44E8D531427", "/cartsecret"),
]


def test_paths_keep_the_page_and_no_secret(loaded):
    found = loaded("page_path", *({"url": url} for url, _ in PATHS))
    assert found == [url if kept is None else kept for url, kept in PATHS]


REFERRERS = [
    ("https://ann:word@News.example/a?b", "news.example"),
    ("ann@news.example", "news.example"),
    ("news.example?token=1", "news.example"),
    ("5th-avenue.example", "5th-avenue.example"),
]


def test_of_a_referrer_the_host_is_kept(loaded):
    found = loaded("referrer_host", *({"referrer": referrer} for referrer, _ in REFERRERS))
    assert found == [kept for _, kept in REFERRERS]


def test_names_that_are_published_hold_no_address_and_no_token(loaded):
    columns = ("name", "channel", "target")
    address, token = "mail to ann@example.com", "key 550e8400-e29b-41d4-a716-446655440000"
    found = loaded("(event_name, channel, target)", dict.fromkeys(columns, address), dict.fromkeys(columns, token))
    assert [set(names.values()) for names in found] == [{"mail to e-mail"}, {"key secret"}]


def test_campaign_parameters_hold_no_address(loaded):
    address = {"url": "/?utm_content=ann%40example.com&x=1"}
    assert loaded("coalesce(utm_term, utm_content)", {"term": "ann@example.com"}, address) == ["e-mail", "e-mail"]


def test_a_device_that_is_an_address_is_kept_as_a_keyed_hash(loaded):
    addresses = ("192.0.2.77", "192.0.2.77:443", "::ffff:192.0.2.77", "2001:db8::77")
    for device in loaded("anonymous_id", *({"device": address} for address in addresses)):
        assert len(device) == 32
        assert int(device, 16)
    assert set(loaded.project.events("device_key = md5_number_lower('d:' || anonymous_id)")) == {True}


def test_other_devices_are_kept_as_they_are(loaded):
    devices = ["1.2.3", "a1.b2.c3.d4", "00:1b:44:11:3a:b7", "10:05:03"]
    assert loaded("anonymous_id", *({"device": device} for device in devices)) == devices


MACHINES = [
    "192.0.2.77",
    "192.0.2.77, 198.51.100.1",
    "192.0.2.77:443",
    "::ffff:192.0.2.77",
    "2001:db8::77",
    "2001:db8:0:0:0:0:0:77",
    "[2001:db8::77]:443",
    "fe80::1%eth0",
]


def test_properties_hold_no_machine_address(loaded):
    events = ({"nested": {"list": [value, "kept"]}, "b": value} for value in MACHINES)
    for value, text in zip(MACHINES, loaded("properties::varchar", *events), strict=True):
        found = json.loads(text)
        assert (found["b"], found["nested"]) == ("address", {"list": ["address", "kept"]}), value


def test_other_properties_are_kept_as_they_are(loaded):
    values = ["1.2.3", "10:05:03", "a.b.c.d", "::before", "2026-03-01T10:00:00.000Z", 1.5, "::"]
    found = loaded("properties::varchar", *({"v": value} for value in values))
    assert [json.loads(text)["v"] for text in found] == values


LINKS = [
    ("https://shop.example/a?token=1", "https://shop.example/a"),
    ('http://shop.example/a#x\\"y"', "http://shop.example/a"),
    ("https://ann:word@shop.example/a", "https://shop.example/a"),
    ("see https://shop.example/a?b", "see https://shop.example/a?b"),
]


def test_addresses_of_pages_in_properties_are_cut(loaded):
    found = loaded("properties::varchar", *({"link": value, "after": "kept?"} for value, _ in LINKS))
    assert [json.loads(text)["link"] for text in found] == [kept for _, kept in LINKS]
    assert {json.loads(text)["after"] for text in found} == {"kept?"}


def test_escaped_slashes_hide_no_query(project):
    project.source = dict(JSONL)
    project.write(
        "a",
        '{"id": "e", "ts": "2026-03-01T10:00:00Z", "device": "d", "name": "x",'
        ' "l": "https:\\/\\/a.example\\/b?canary"}',
    )
    project.load()
    assert "canary" not in str(project.events("properties::varchar"))


def test_what_is_masked_makes_no_new_device_or_event(loaded):
    event = {"device": "192.0.2.77", "url": "/reset/d41d8cd98f00b204e9800998ecf8427e"}
    assert loaded("device_key", event) == loaded("device_key", event)
    assert len(loaded.project.events()) == 1


HOSTILE = st.one_of(
    st.text(alphabet='"\\/:,?#@[]{} ab1.%\n', max_size=12),
    st.sampled_from(
        ["192.0.2.77", "2001:db8::77", "https://a.example/b?c", 'https://a/b"c\\?d', "http://u:p@h/?x", "::"]
    ),
    st.tuples(st.sampled_from(["1.2.3.4", "::1", "https://u@h/a?"]), st.text('"\\ ,:?x', max_size=6)).map("".join),
)
VALUES = st.recursive(
    HOSTILE | st.none() | st.booleans() | st.integers(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES, st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_whatever_is_cut_stays_json_of_the_same_shape(engine, value, is_nested):
    nested = json.dumps(value, separators=(",", ":")) if is_nested else value
    written = json.dumps({"v": nested, "w": [nested]}, separators=(",", ":"))
    cut = engine.rows(f"select properties_cut({literal(written)}::json)::varchar as j")["j"][0].as_py()
    assert shape_of(json.loads(cut)["w"]) == shape_of([nested])


def shape_of(value):
    """Return lists with kinds of values in the place of values; keys of an object may fall together when cut."""
    return [shape_of(each) for each in value] if isinstance(value, list) else type(value)


@pytest.fixture(scope="module")
def engine():
    with open_warehouse(threads=1) as warehouse:
        yield warehouse


def test_a_sign_with_nothing_on_one_side_is_no_address(loaded):
    names = ["@", "@home", "sale@", "%40"]
    assert loaded("event_name", *({"name": name} for name in names)) == names


def test_named_query_parameters_are_kept_as_properties(project):
    """Those without a column of their own; a property of the same name stays, and all others are removed."""
    project.source = JSONL
    urls = [
        "/a?gclid=Cj0KCQ&secret=x&q=red+shoes%20b",
        "https://shop.example/a?q=a%40b.example&plan=gold#q=2",
        "/a?xgclid=1&q=",
        "/a",
    ]
    lines = [
        {"id": str(n), "ts": "2026-03-01", "device": "d", "name": "x", "url": url, "plan": "tin"}
        for n, url in enumerate(urls)
    ]
    project.write("a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    project.load(privacy={"keep_query_params": ["gclid", "q", "plan", "a.b"]})
    rows = project.warehouse.rows("select properties::varchar as p from raw.events order by event_id")["p"].to_pylist()
    names = ("gclid", "q", "secret", "plan")
    found = [{name: value for name, value in json.loads(row).items() if name in names} for row in rows]
    assert found == [
        {"plan": "tin", "gclid": "Cj0KCQ", "q": "red shoes b"},
        {"plan": "tin", "q": "e-mail"},
        {"plan": "tin"},
        {"plan": "tin"},
    ]
