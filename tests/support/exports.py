"""Exports in the shapes of well-known public data sets, generated: nothing of those sets is copied."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

START = datetime(2026, 3, 1, 8)
PEOPLE = 400


def _write(path: Path, header: list[str], rows: Iterator[list[object]], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _journeys(
    chance: random.Random, steps: list[tuple[str, float]], repeats: float = 0.5
) -> Iterator[tuple[int, datetime, str]]:
    """Yield person, time and name: each step is reached with its chance from the one before, and may repeat."""
    for person in range(PEOPLE):
        at = START + timedelta(minutes=chance.randrange(60 * 24 * 28))
        for name, rate in steps:
            if chance.random() > rate:
                break
            yield person, at, name
            while chance.random() < repeats * 0.5:
                at += timedelta(seconds=chance.randrange(20, 400))
                yield person, at, name
            at += timedelta(seconds=chance.randrange(30, 3_000))


def cosmetics(folder: Path) -> Path:
    """Events of a cosmetics shop in the columns of REES46: a price on every row, times that end in UTC."""
    chance = random.Random(1)
    steps = [("view", 1.0), ("cart", 0.5), ("remove_from_cart", 0.5), ("purchase", 0.6)]

    def rows() -> Iterator[list[object]]:
        for person, at, name in sorted(_journeys(chance, steps), key=lambda row: row[1]):
            price = round(chance.uniform(1, 60), 2)
            session = f"{person:08x}-0000-4000-8000-{at:%y%m%d}000000"
            category = chance.choice(("", "apparel.glove", "appliances"))
            yield [
                f"{at} UTC",
                name,
                chance.randrange(10**6),
                10**18 + chance.randrange(99),
                category,
                "",
                price,
                5 * 10**8 + person,
                session,
            ]

    header = [
        "event_time",
        "event_type",
        "product_id",
        "category_id",
        "category_code",
        "brand",
        "price",
        "user_id",
        "user_session",
    ]
    return _write(folder / "cosmetics.csv", header, rows())


def retail(folder: Path) -> Path:
    """Events in the columns of Retailrocket: milliseconds, a visitor and an item."""
    chance = random.Random(2)
    steps = [("view", 1.0), ("addtocart", 0.4), ("transaction", 0.5)]

    def rows() -> Iterator[list[object]]:
        for person, at, name in _journeys(chance, steps):
            order = chance.randrange(10**5) if name == "transaction" else ""
            yield [int(at.timestamp() * 1000), 1000 + person, name, chance.randrange(10**5), order]

    return _write(folder / "events.csv", ["timestamp", "visitorid", "event", "itemid", "transactionid"], rows())


def marketing(folder: Path) -> Path:
    """A marketing funnel: advertising channels in a column `channel`, campaigns by id, day-first dates."""
    chance = random.Random(3)
    steps = [("impression", 1.0), ("click", 0.6), ("lead", 0.5), ("qualified", 0.5), ("converted", 0.5)]
    channels = ("Google Ads", "LinkedIn", "Email", "Organic")

    def rows() -> Iterator[list[object]]:
        for person, at, name in _journeys(chance, steps, repeats=0.1):
            value = round(chance.uniform(100, 900), 2) if name == "converted" else ""
            yield [
                f"{at:%d/%m/%Y %H:%M}",
                f"u{person}",
                name,
                channels[person % 4],
                f"c-{person % 7}",
                chance.choice(("mobile", "desktop")),
                value,
            ]

    header = ["date", "user_id", "stage", "channel", "campaign_id", "device", "conversion_value"]
    return _write(folder / "marketing.csv", header, rows(), ";")


def orders(folder: Path) -> Path:
    """Orders in the columns of Olist: one row with five times, and a file of customers beside."""
    chance = random.Random(4)

    def rows() -> Iterator[list[object]]:
        for number in range(PEOPLE):
            at = START + timedelta(minutes=chance.randrange(60 * 24 * 28))
            times: list[object] = [at]
            for hours, rate in ((2, 0.97), (40, 0.95), (120, 0.93)):
                at += timedelta(minutes=chance.randrange(10, hours * 60))
                times.append(at if times[-1] and chance.random() < rate else "")
            status = "delivered" if times[-1] else "shipped" if times[-2] else "approved"
            yield [f"{number:032x}", f"{number % 300:032x}", status, *times, (START + timedelta(days=60)).date()]

    header = [
        "order_id", "customer_id", "order_status", "order_purchase_timestamp", "order_approved_at",
        "order_delivered_carrier_date", "order_delivered_customer_date", "order_estimated_delivery_date",
    ]  # fmt: skip
    people = ([f"{n:032x}", chance.choice(("SP", "RJ", "MG")), 10_000 + n] for n in range(300))
    _write(folder / "customers.csv", ["customer_id", "customer_state", "customer_zip_code_prefix"], people)
    _write(folder / "orders.csv", header, rows())
    return folder


def activation(folder: Path) -> Path:
    """A SaaS activation log: three columns, ISO times under a name of its own, names that no shop has."""
    chance = random.Random(5)
    steps = [
        ("account_created", 1.0), ("workspace_created", 0.7), ("teammate_invited", 0.6), ("first_report_built", 0.8),
        ("plan_selected", 0.5), ("subscription_paid", 0.8),
    ]  # fmt: skip

    def rows() -> Iterator[list[object]]:
        for person, at, name in _journeys(chance, steps):
            yield [f"user-{person}", name, at.isoformat()]

    return _write(folder / "activation.csv", ["user_id", "event_name", "event_dt"], rows())


def appointments(folder: Path) -> Path:
    """A clinic's bookings as JSON-like CSV: epoch seconds, patients, names in capitals and spaces."""
    chance = random.Random(6)
    steps = [
        ("Page Viewed", 1.0), ("Doctor Viewed", 0.7), ("Slot Selected", 0.6), ("Appointment Booked", 0.7),
        ("Appointment Completed", 0.8), ("Survey Answered", 0.4),
    ]  # fmt: skip

    def rows() -> Iterator[list[object]]:
        for person, at, name in _journeys(chance, steps, repeats=0.2):
            yield [int(at.timestamp()), f"p{person}", name, chance.choice(("new", "known"))]

    return _write(folder / "clinic.csv", ["ts", "patient_id", "action", "customer_type"], rows())


SHAPES: dict[str, Callable[[Path], Path]] = {
    each.__name__: each for each in (cosmetics, retail, marketing, orders, activation, appointments)
}
"""Name of a shape → what writes it into a folder, and returns the file or folder to name to `init`."""
