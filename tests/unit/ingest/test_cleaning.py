"""The step that every source shares: reasons, filters, names, addresses of pages, money, keys."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from journeyflow.config import load_config
from journeyflow.ingest import insert
from journeyflow.ingest.load import load_events
from journeyflow.state.warehouse import open_warehouse

COLUMNS = {
    "event_id": "id",
    "occurred_at": "ts",
    "received_at": "received",
    "anonymous_id": "cookie",
    "user_id": "user",
    "event_name": "event",
    "page_path": "url",
    "referrer_host": "referrer",
    "utm_source": "campaign",
    "revenue_amount": "amount",
    "currency": "currency",
    "sequence": "hit",
}


@pytest.fixture
def shop(project):
    project.source = {"format": "jsonl", "path": "data/*", "columns": COLUMNS}
    return project


def given(shop, *rows: dict, **more) -> None:
    base = {"id": "e", "ts": "2026-03-01T10:00:00Z", "cookie": "c", "event": "page_view"}
    records = [base | {"id": f"e{n:02}"} | row for n, row in enumerate(rows)]
    shop.write(f"file-{shop.run}", "".join(json.dumps(record) + "\n" for record in records))
    shop.load(**more)


REASONS = [
    ({"ts": None}, "no_time"),
    ({"ts": "never"}, "bad_time"),
    ({"event": ""}, "no_name"),
    ({"event": "  "}, "no_name"),
    ({"cookie": ""}, "no_identifier"),
    ({"cookie": " ", "user": "  "}, "no_identifier"),
    ({"received": "never"}, "bad_received_time"),
    ({"ts": "1970-01-01"}, "before_floor"),
    ({"ts": "2026-03-01T11:00:01Z", "received": "2026-03-01T10:00:00Z"}, "future"),
    ({"ts": "2027-01-15T09:00:01Z"}, "future"),
    ({"ts": "2027-01-15T09:30:00Z", "received": "2027-01-15T09:30:00Z"}, "future"),  # It arrives after it was read.
    ({"amount": "1,50"}, "bad_amount"),
    ({"amount": "NaN"}, "bad_amount"),
    ({"amount": "123456789012345.5"}, "bad_amount"),
    ({"hit": "first"}, "bad_sequence"),
    ({"cookie": "c" * 1001}, "too_long"),
]


@pytest.mark.parametrize("stored", [0, insert.STORED_RECORDS], ids=["in each statement", "once"])
def test_reasons(shop, monkeypatch, stored):
    monkeypatch.setattr(insert, "STORED_RECORDS", stored)
    given(shop, *(row for row, _ in REASONS), {})
    assert shop.quarantine() == [(place, reason) for place, (_, reason) in enumerate(REASONS, 1)]
    assert shop.events() == [f"e{len(REASONS):02}"]
    assert [json.loads(raw)["id"] for raw in shop.raws()] == [f"e{n:02}" for n in range(len(REASONS))]


GOOD_ENOUGH = [
    {"ts": "2026-03-01T11:00:00Z", "received": "2026-03-01T10:00:00Z"},
    {"ts": "2027-01-15T09:00:00Z"},
    {"cookie": None, "user": "u"},
    {"amount": "-3"},
]


def test_just_good_enough(shop):
    given(shop, *GOOD_ENOUGH)
    assert shop.events() == [f"e{n:02}" for n in range(len(GOOD_ENOUGH))]


def test_clock_skew_is_configured(shop):
    given(shop, {"ts": "2026-03-01T10:00:06Z", "received": "2026-03-01T10:00:00Z"}, clock_skew="5s")
    assert shop.quarantine() == [(1, "future")]


def test_filtered_rows_are_counted_whatever_else_is_wrong_with_them(shop):
    shop.source |= {"where": {"properties.app": {"not": "skip"}}, "properties": ["app"]}
    given(shop, {"app": "skip"}, {"app": "skip", "ts": None}, {"app": "keep"}, {})
    counts = shop.warehouse.rows("select * from ledger.loads").to_pylist()[0]
    assert (counts["filtered_count"], counts["accepted_count"], counts["quarantined_count"]) == (2, 2, 0)


def test_rename_and_where_see_the_vocabulary(shop):
    shop.source |= {"rename": {"view": "product_view"}, "where": {"event": "product_view"}}
    given(shop, {"event": "view"}, {"event": "other"})
    assert shop.events("event_name") == ["product_view"]


PATHS = [
    ("https://shop.example/p/1?utm_source=mail&token=secret#part", "/p/1"),
    ("https://shop.example", "/"),
    ("https://user:pass@shop.example:8443/a", "/a"),
    ("/p/1?q=x", "/p/1"),
    ("/p/1#x", "/p/1"),
    ("/p/1", "/p/1"),
    ("home", "home"),
    ("?q=1", "/"),
    ("/account/jane.doe@mail.example/orders", "/account/e-mail/orders"),
    ("/reset/jane%40mail.example", "/reset/e-mail"),
    ("app://screen/cart", "/cart"),
    (None, None),
]


def test_of_a_page_only_the_path_is_kept(shop):
    given(shop, *({"url": url} for url, _ in PATHS))
    assert shop.events("event_id, page_path") == [(f"e{n:02}", path) for n, (_, path) in enumerate(PATHS)]


HOSTS = [
    ("https://www.Search.example/find?q=private", "www.search.example"),
    ("https://user:pass@a.example:80/x", "a.example"),
    ("//cdn.example/x", "cdn.example"),
    ("news.example", "news.example"),
    ("android-app://com.example.app/", "com.example.app"),
]


def test_of_a_referrer_only_the_host_is_kept(shop):
    given(shop, *({"referrer": referrer} for referrer, _ in HOSTS))
    assert shop.events("event_id, referrer_host") == [(f"e{n:02}", host) for n, (_, host) in enumerate(HOSTS)]


def test_campaign_parameters_come_from_the_address_when_the_column_has_none(shop):
    url = "https://a.example/?x=1&utm_source=mail%20list&utm_medium=e+mail&utm_term=kept"
    given(shop, {"url": url}, {"url": url, "campaign": "stated"})
    columns = "utm_source, utm_medium, utm_campaign, utm_term"
    assert shop.events(columns) == [("mail list", "e mail", None, "kept"), ("stated", "e mail", None, "kept")]


def test_parameters_that_are_not_to_be_kept_are_not(shop):
    given(shop, {"url": "/?utm_source=mail&utm_term=jane"}, privacy={"keep_query_params": ["utm_source"]})
    assert shop.events("utm_source, utm_term") == [("mail", None)]


def test_money_is_decimal_and_its_currency_upper_case(shop):
    given(shop, {"amount": 0.1, "currency": "eur"}, {"amount": "12345678901234.5678"}, {"amount": 19.99})
    found = shop.events("event_id, revenue_amount, currency")
    assert [row[1] for row in found] == [Decimal("0.1000"), Decimal("12345678901234.5678"), Decimal("19.9900")]
    assert found[0][2] == "EUR"


def test_keys_of_devices_and_users_are_apart(shop):
    given(shop, {"cookie": "same", "user": "same"})
    device, user = shop.events("device_key, user_key")[0]
    assert device != user
    assert {device, user} == set(
        shop.warehouse.rows("select md5_number_lower('d:same') d, md5_number_lower('u:same') u").to_pylist()[0].values()
    )


@pytest.mark.parametrize(("channel", "expected"), [("store", "store"), ({"column": "place"}, "shop-1"), (None, "web")])
def test_the_channel_is_a_constant_or_a_column(shop, channel, expected):
    shop.source |= {"channel": channel} if channel else {}
    given(shop, {"place": "shop-1"})
    assert shop.events("channel") == [expected]


def test_a_keyed_hash_stands_for_an_address(shop, tmp_path):
    shop.source["columns"] = COLUMNS | {"anonymous_id": {"hash": ["address", "agent"]}}
    given(
        shop,
        {"address": "192.0.2.1", "agent": "A"},
        {"address": "192.0.2.1", "agent": "A"},
        {"address": "192.0.2.1", "agent": "B"},
        {"address": None, "agent": None, "user": "u"},
    )
    ids = shop.events("event_id, anonymous_id")
    assert ids[0][1] == ids[1][1] != ids[2][1]
    assert ids[3][1] is None
    assert len(ids[0][1]) == 32
    key = tmp_path / "state" / "pseudonym.key"
    assert key.stat().st_mode & 0o777 == 0o600
    other = load_config({"sources": {"web": shop.source}, "privacy": {"key_file": "other.key"}}, folder=tmp_path)
    with open_warehouse(threads=1) as warehouse:
        load_events(other, warehouse, run_id="r", now_us=1_800_000_000_000_000)
        foreign = warehouse.rows("select anonymous_id from raw.events order by event_id")["anonymous_id"][0].as_py()
    assert foreign != ids[0][1]


def test_blanks_are_no_id(shop):
    given(shop, {"id": " "}, {"id": " ", "cookie": "d"}, {"id": "e", "user": " "})
    assert len(shop.events()) == 3
    assert shop.events("user_id") == [None, None, None]


LONG = {"channel": "channel", "utm_source": "campaign", "page_path": "url", "target": "target", "user_agent": "agent"}


def test_names_are_shortened_and_ids_are_not(shop):
    shop.source["columns"] = COLUMNS | LONG
    shop.source |= {"properties": ["note"]}
    named = dict.fromkeys(LONG.values(), "/" + "n" * 1000)
    given(shop, named | {"note": "n" * 2000}, {"url": "/" + "n" * 999}, {"event": "n" * 1001}, {"user": "n" * 1001})
    assert shop.quarantine() == [(3, "too_long"), (4, "too_long")]
    short, whole = "/" + "n" * 998 + "…", "/" + "n" * 999
    assert shop.events(f"event_id, {', '.join(LONG)}") == [
        ("e00", *[short] * len(LONG)),
        ("e01", "web", None, whole, None, None),
    ]
    assert "n" * 2000 in shop.events("properties->>'note' as note")


def test_parameters_of_an_address_are_shortened_too(shop):
    shop.source["columns"] = {name: column for name, column in COLUMNS.items() if name != "utm_source"}
    given(shop, {"url": f"/a?utm_source={'n' * 2000}"}, privacy={"keep_query_params": ["utm_source"]})
    assert shop.events("utm_source") == ["n" * 999 + "…"]
