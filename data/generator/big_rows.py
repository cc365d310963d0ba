"""Benchmark rows as Arrow tables: numbers become the texts that a collector writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

EVENTS = (
    "page_view", "search", "product_view", "compare", "review_read", "price_alert_set", "sign_up", "add_to_cart",
    "checkout_started", "payment_info", "payment_error", "purchase", "delivered", "csat_answer", "support_chat",
)  # fmt: skip
CHANNELS = ("web", "app", "delivery", "survey")
MEDIA = (None, "cpc", "social", "email", "affiliate", "referral")
SOURCES = (None, "searchads", "clipfeed", "newsletter", "couponclub", "forum")
CAMPAIGNS = (None, "sale", "creators", "weekly", "coupons", "friends")
PATH_COUNT = 2000
PATHS = tuple(
    f"/blog/post-{n}" if n % 17 == 3 else f"/c/section-{n}" if n % 11 == 5 else f"/p/p-{n:04d}"
    for n in range(PATH_COUNT)
)
AGENTS = (
    *(f"Mozilla/5.0 (System {n}) ExampleBrowser/{n % 9}.0" for n in range(40)),
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example.com)",
    "SampleCrawler/1.0 (crawler; https://crawl.example.org)",
    "Mozilla/5.0 (compatible; DemoSpider/0.9)",
)
CURRENCIES = (None, "EUR", "USD")
TRAITS = tuple(
    f'"variant":"{"ab"[n % 2]}","theme":"{("light", "dark", "auto")[n // 2 % 3]}",'
    f'"score":{1 + n % 5},"beta":{"true" if n > 20 else "false"}'
    for n in range(24)
)
NO_DEVICE = np.iinfo(np.int64).min
Numbers = npt.NDArray[Any]
STAMP = pa.timestamp("us", "UTC")
EVENTS_SCHEMA = pa.schema([
    ("id", pa.string()), ("ts", STAMP), ("received", STAMP), ("cookie", pa.string()), ("customer", pa.string()),
    ("event", pa.string()), ("channel", pa.string()), ("url", pa.string()), ("utm_source", pa.string()),
    ("utm_medium", pa.string()), ("utm_campaign", pa.string()), ("amount", pa.decimal128(18, 2)),
    ("currency", pa.string()), ("props", pa.json_(pa.string())), ("hit", pa.int64()), ("agent", pa.string()),
])  # fmt: skip


def _text(values: Sequence[str | None], codes: Numbers) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(codes))


def _named(letter: str, numbers: Numbers, is_null: Numbers) -> pa.Array:
    texts = pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")
    return pc.if_else(pa.array(is_null), pa.scalar(None, pa.string()), texts)


def events_table(rows: dict[str, Numbers]) -> pa.Table:
    """Return rows of numbers as the table that is written.

    Parameters
    ----------
    rows : dict of arrays
        at, received (microseconds, UTC), id, device, customer (-1: none), event, channel, path (-1: checkout), medium,
        cents (-1: none), currency, order (-1: none), trait, hit, agent: codes of the tuples of this module.

    Returns
    -------
    Table
        id, ts, received, cookie, customer, event, channel, url, utm_source, utm_medium, utm_campaign, amount, currency,
        props (JSON), hit, agent; one row per event, order kept.
    """
    is_person = rows["device"] >= 0
    cookie = pc.if_else(
        pa.array(is_person),
        pc.binary_join_element_wise("d", pa.array(rows["device"]).cast(pa.string()), ""),
        pc.binary_join_element_wise("b", pa.array(rows["device"]).cast(pa.string()), ""),
    )
    cookie = pc.if_else(pa.array(rows["device"] == NO_DEVICE), pa.scalar(None, pa.string()), cookie)
    amount = pa.array(np.where(rows["cents"] < 0, 0, rows["cents"]) / 100, mask=rows["cents"] < 0)
    columns = {
        "id": pa.array(rows["id"]).cast(pa.string()),
        "ts": pa.array(rows["at"], STAMP),
        "received": pa.array(rows["received"], STAMP),
        "cookie": cookie,
        "customer": _named("c", rows["customer"], rows["customer"] < 0),
        "event": _text(EVENTS, rows["event"]),
        "channel": _text(CHANNELS, rows["channel"]),
        "url": _text((*PATHS, "/checkout"), np.where(rows["path"] < 0, PATH_COUNT, rows["path"])),
        "utm_source": _text(SOURCES, rows["medium"]),
        "utm_medium": _text(MEDIA, rows["medium"]),
        "utm_campaign": _text(CAMPAIGNS, rows["medium"]),
        "amount": amount.cast(pa.decimal128(18, 2)),
        "currency": _text(CURRENCIES, rows["currency"]),
        "props": pa.ExtensionArray.from_storage(pa.json_(pa.string()), _properties(rows)),
        "hit": pa.array(np.where(rows["device"] == NO_DEVICE, 0, rows["hit"]), mask=rows["device"] == NO_DEVICE),
        "agent": _text(AGENTS, rows["agent"]),
    }
    return pa.table(columns, schema=EVENTS_SCHEMA)


def _properties(rows: dict[str, Numbers]) -> pa.Array:
    plain = _text([f"{{{text}}}" for text in TRAITS], rows["trait"])
    has_order = rows["order"] >= 0
    numbers = pa.array(rows["order"][has_order]).cast(pa.string())
    ends = _text([f'",{text}}}' for text in TRAITS], rows["trait"][has_order])
    return pc.replace_with_mask(
        plain, pa.array(has_order), pc.binary_join_element_wise('{"order_id":"o', numbers, ends, "")
    )


def customers_table(numbers: Numbers, age: Numbers, plan: Numbers) -> pa.Table:
    """Return the customers: customer, birth_year, plan, changed_at; `age` and `plan` are numbers in [0, 1)."""
    return pa.table(
        {
            "customer": _named("c", numbers, numbers < 0),
            "birth_year": pa.array(1950 + (age * 58).astype(np.int64)),
            "plan": _text(("basic", "plus", "business"), np.digitize(plan, [0.6, 0.85])),
            "changed_at": pa.array(np.full(len(numbers), 1_735_689_600_000_000), STAMP),
        }
    )
