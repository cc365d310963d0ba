"""Benchmark logs: the shop's world at 10 or 100 million events, a file a day, vectorised and in bounded memory.

What a person is (kind, account, second device) is a hash of her number, so that no state is kept from day to day.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from .big_config import CONFIG
from .big_rows import EVENTS, EVENTS_SCHEMA, MEDIA, NO_DEVICE, PATH_COUNT, customers_table, events_table
from .people import DAY, HOUR, MINUTE, SECOND, START

DAYS = 30
EVENTS_PER_PERSON = 18
EVENTS_PER_VISIT = 5.06  # measured; turns a wished number of events into a number of visits
BOT_SHARE = 0.0004
BLOCK, ROW_GROUP = 100_000, 200_000  # visits made, and rows turned into texts, at a time
STEPS = np.array(
    [EVENTS.index(n) for n in ("product_view", "add_to_cart", "checkout_started", "payment_info", "purchase")]
)
BROWSED = np.array(
    [
        EVENTS.index(n)
        for n in ("page_view", "search", "product_view", "compare", "review_read", "price_alert_set", "sign_up")
    ]
)
BROWSED_SHARES = np.cumsum([0.40, 0.16, 0.30, 0.05, 0.06, 0.01, 0.02])
# How deep a visit goes, by kind of person: chance of at least product view, cart, checkout, payment, purchase.
DEPTHS = np.array([
    [0.70, 0.30, 0.14, 0.10, 0.06], [0.75, 0.38, 0.24, 0.20, 0.17], [0.72, 0.34, 0.25, 0.22, 0.20],
    [0.62, 0.36, 0.15, 0.10, 0.06], [0.50, 0.18, 0.09, 0.07, 0.04],
])  # fmt: skip
# Which medium a visit comes from, by kind of person, in the order of MEDIA.
ARRIVALS = np.cumsum([
    [0.24, 0.04, 0.66, 0.04, 0.02, 0.0], [0.50, 0.06, 0.06, 0.34, 0.02, 0.02], [0.76, 0.06, 0.02, 0.12, 0.02, 0.02],
    [0.14, 0.52, 0.06, 0.06, 0.20, 0.02], [0.62, 0.14, 0.10, 0.06, 0.04, 0.04],
], axis=1)  # fmt: skip
Columns = dict[str, npt.NDArray[Any]]
Generator = np.random.Generator


def mixed(values: npt.NDArray[Any], salt: int = 0) -> npt.NDArray[np.uint64]:
    """Return a bijective 64-bit hash (splitmix64) of whole numbers."""
    x = values.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % (1 << 64))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def chance(values: npt.NDArray[Any], salt: int) -> npt.NDArray[np.float64]:
    """Return a fixed number in [0, 1) for each of some numbers."""
    return (mixed(values, salt) >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def write_log(folder: Path, events: int, seed: int) -> None:
    """Write 30 daily Parquet files of about `events` rows in all, the customers, and a configuration."""
    person_count = max(100, events // EVENTS_PER_PERSON)
    visit_count = int(events / DAYS / EVENTS_PER_VISIT)
    (folder / "events").mkdir(parents=True, exist_ok=True)
    later: dict[int, list[Columns]] = {}
    for day in range(DAYS):
        parts = later.pop(day, [])
        for block, start in enumerate(range(0, visit_count, BLOCK)):
            rng = np.random.Generator(np.random.PCG64([seed, day, block]))
            rows = _block(rng, day, block, min(BLOCK, visit_count - start), person_count)
            parts.append(_spread(rng, rows, day, later))
        rng = np.random.Generator(np.random.PCG64([seed, day, 1 << 30]))
        _write_day(folder / "events" / f"events-2026-01-{day + 1:02d}.parquet", _joined(parts), rng)
    numbers = np.arange(person_count)
    known = numbers[chance(numbers, 1) < 0.5]
    pq.write_table(customers_table(known, chance(known, 5), chance(known, 6)), folder / "customers.parquet")
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")


def _write_day(path: Path, rows: Columns, rng: Generator) -> None:
    """Write a file, roughly by arrival; the texts exist for one row group at a time."""
    order = np.argsort(rows["received"] + rng.integers(0, 120 * SECOND, len(rows["at"])), kind="stable")
    groups = [order[start : start + ROW_GROUP] for start in range(0, len(order), ROW_GROUP)]
    with pq.ParquetWriter(path, EVENTS_SCHEMA, compression="zstd") as writer:
        for group in groups:
            writer.write_table(events_table({name: values[group] for name, values in rows.items()}))


# ---- one day -----------------------------------------------------------------------------------------


def _block(rng: Generator, day: int, block: int, visit_count: int, person_count: int) -> Columns:
    """Return what the visits of a part of a day lead to; numbers of rows and orders begin where no other block does."""
    first = (day << 40) + (block << 25)
    people = _joined([_hits(rng, first, _visits(rng, day, visit_count, person_count)), _bots(rng, day, visit_count)])
    rows = _joined([people, _aftermath(rng, people)])
    rows["id"] = mixed(np.arange(len(rows["at"])) + first)
    rows["received"] = rows["at"] + (rng.exponential(2 * SECOND, len(rows["at"]))).astype(np.int64)
    return rows


def _visits(rng: Generator, day: int, count: int, person_count: int) -> Columns:
    """Return one row per visit. The square of a uniform number makes few people visit often: a Pareto tail."""
    person = (person_count * rng.random(count) ** 2).astype(np.int64)
    kind = (mixed(person, 2) % np.uint64(5)).astype(np.int64)
    depth = (rng.random(count)[:, None] < DEPTHS[kind]).sum(axis=1)
    medium = (rng.random(count)[:, None] >= ARRIVALS[kind]).sum(axis=1)
    which = np.digitize(rng.random(count), [0.72, 0.94])
    second = (which == 1) & (chance(person, 3) < 0.5)
    tablet = (which == 2) & (chance(person >> 1, 4) < 0.4)  # two neighbours share it
    device = np.where(tablet, (person >> 1) * 4 + 2, person * 4 + second)
    signs_in = np.digitize(rng.random(count), [0.40, 0.75])  # from the start, at some hit, never
    browsed = 1 + rng.exponential(3.0, count).astype(np.int64)
    return {
        "person": person, "depth": depth, "medium": np.minimum(medium, len(MEDIA) - 1), "device": device,
        "is_app": second.astype(np.int8), "browsed": browsed, "start": _starts(rng, day, count),
        "signed_from": np.where(chance(person, 1) < 0.5, np.choose(signs_in, [0, 2, 1 << 30]), 1 << 30),
    }  # fmt: skip


def _starts(rng: Generator, day: int, count: int) -> npt.NDArray[np.int64]:
    seconds = rng.triangular(0, 19 * 3600, 24 * 3600, count)
    return START + day * DAY + (seconds * 1000).astype(np.int64) * 1000


def _hits(rng: Generator, first: int, visits: Columns) -> Columns:
    """Return one row per hit: browsing first, then the steps down to the visit's depth."""
    lengths = visits["browsed"] + visits["depth"]
    visit = np.repeat(np.arange(len(lengths)), lengths)
    hit = np.arange(len(visit)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    step = hit - visits["browsed"][visit]
    browsed = BROWSED[np.minimum(np.searchsorted(BROWSED_SHARES, rng.random(len(visit))), len(BROWSED) - 1)]
    event = np.where(step >= 0, STEPS[np.maximum(step, 0)], browsed)
    fails = (event == EVENTS.index("payment_info")) & (rng.random(len(visit)) < 0.05)
    event = np.where(fails, EVENTS.index("payment_error"), event)
    person = visits["person"][visit]
    is_order = event == EVENTS.index("purchase")
    is_landing = (hit == 0) | (rng.random(len(visit)) < 0.02)
    return {
        "at": visits["start"][visit] + _elapsed(rng, lengths, visit),
        "device": visits["device"][visit],
        "customer": np.where(hit >= visits["signed_from"][visit], person, -1),
        "event": event.astype(np.int8),
        "channel": visits["is_app"][visit],
        "path": _paths(rng, event),
        "medium": np.where(is_landing, visits["medium"][visit], 0).astype(np.int8),
        "cents": np.where(is_order, 500 + (rng.pareto(2.5, len(visit)) * 4000).astype(np.int64), -1),
        "currency": np.where(is_order, 1 + (chance(person, 7) < 0.1), 0).astype(np.int8),
        "order": np.where(is_order, visit + first, -1),
        "trait": rng.integers(0, 24, len(visit)).astype(np.int8),
        "hit": hit + 1,
        "agent": (mixed(visits["device"][visit], 8) % np.uint64(40)).astype(np.int8),
    }


def _elapsed(rng: Generator, lengths: npt.NDArray[Any], visit: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return microseconds since the visit's start: some hits tie, some gaps end or all but end a session."""
    gaps = (rng.exponential(25_000, len(visit)) + 300).astype(np.int64) * 1000
    draw = rng.random(len(visit))
    gaps = np.select([draw < 0.02, draw < 0.024, draw < 0.025], [0, 31 * MINUTE, 30 * MINUTE], gaps)
    total: npt.NDArray[np.int64] = np.cumsum(gaps)
    first = np.cumsum(lengths) - lengths
    elapsed: npt.NDArray[np.int64] = total - total[first][visit]
    return elapsed


def _paths(rng: Generator, event: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Return the number of a page: popular products first; steps of the checkout have pages of their own."""
    product = np.minimum((rng.pareto(0.8, len(event)) * 10).astype(np.int64), PATH_COUNT - 1)
    return np.where(np.isin(event, STEPS[2:]), -1, product).astype(np.int16)


def _bots(rng: Generator, day: int, visit_count: int) -> Columns:
    lengths = rng.integers(30, 300, rng.poisson(visit_count * BOT_SHARE))
    visit = np.repeat(np.arange(len(lengths)), lengths)
    count = len(visit)
    none = np.full(count, -1, np.int64)
    at = _starts(rng, day, len(lengths))[visit] + np.cumsum(rng.integers(100, 900, count)) % (2 * HOUR // 1000) * 1000
    return {
        "at": at, "device": -1 - visit, "customer": none, "event": np.zeros(count, np.int8),
        "channel": np.zeros(count, np.int8), "path": rng.integers(0, PATH_COUNT, count).astype(np.int16),
        "medium": np.zeros(count, np.int8), "cents": none, "currency": np.zeros(count, np.int8), "order": none,
        "trait": np.zeros(count, np.int8), "hit": np.arange(count),
        "agent": (40 + visit % 3).astype(np.int8),
    }  # fmt: skip


def _aftermath(rng: Generator, rows: Columns) -> Columns:
    """Return deliveries, answers and contacts that follow the orders of known customers."""
    bought = np.flatnonzero((rows["order"] >= 0) & (rows["customer"] >= 0))
    parts = []
    for name, share, low, high in (
        ("delivered", 0.95, 1, 5),
        ("csat_answer", 0.15, 2, 6),
        ("support_chat", 0.08, 0.1, 4),
    ):
        chosen = bought[rng.random(len(bought)) < share]
        part = {column: values[chosen] for column, values in rows.items()}
        part["at"] = part["at"] + (rng.uniform(low, high, len(chosen)) * 86_400).astype(np.int64) * SECOND
        part["event"] = np.full(len(chosen), EVENTS.index(name), np.int8)
        part["channel"] = np.full(len(chosen), {"delivered": 2, "csat_answer": 3}.get(name, 0), np.int8)
        part |= {"cents": np.full(len(chosen), -1), "currency": np.zeros(len(chosen), np.int8)}
        if name != "support_chat":
            part["device"] = np.full(len(chosen), NO_DEVICE)
        parts.append(part)
    return _joined(parts)


# ---- lateness, repeats, order ------------------------------------------------------------------------


def _spread(rng: Generator, rows: Columns, day: int, later: dict[int, list[Columns]]) -> Columns:
    """Return what arrives on the day; late rows, repeats and what happens later go to the files of later days."""
    count = len(rows["at"])
    is_late = rng.random(count) < 0.01
    rows["received"] = rows["received"] + np.where(is_late, rng.integers(1, 6, count), 0) * DAY
    again = _repeats(rng, rows)
    rows = _joined([rows, again])
    arrival = np.clip((rows["received"] - START) // DAY, day, DAYS - 1)
    # What happens after the last day is not written: the log ends there.
    is_inside = rows["at"] < START + DAYS * DAY
    for target in np.unique(arrival[is_inside]):
        if target > day:
            mine = is_inside & (arrival == target)
            later.setdefault(int(target), []).append({name: values[mine] for name, values in rows.items()})
    now = is_inside & (arrival == day)
    return {name: values[now] for name, values in rows.items()}


def _repeats(rng: Generator, rows: Columns) -> Columns:
    """Return one row in a hundred again; of these one in ten later and with another page."""
    chosen = np.flatnonzero(rng.random(len(rows["at"])) < 0.01)
    again = {name: values[chosen] for name, values in rows.items()}
    differs = rng.random(len(chosen)) < 0.1
    again["received"] = again["received"] + np.where(differs, HOUR, 0)
    again["path"] = np.where(differs, PATH_COUNT - 1, again["path"]).astype(np.int16)
    return again


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
