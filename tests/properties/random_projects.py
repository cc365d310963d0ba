"""Small random logs, and what the job publishes for them."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from external.projects import Project, run_project, scratch

START = datetime(2026, 3, 1)
AS_OF = datetime(2026, 6, 1)
NAMES = ("page_view", "product_view", "add_to_cart", "checkout_started", "purchase", "support_chat", "hover")
CONFIG = """
project: random
sources:
  web:
    format: csv
    path: input/*.csv
    channel: {column: channel}
    columns:
      event_id: id
      occurred_at: at
      received_at: received
      anonymous_id: cookie
      user_id: customer
      event_name: event
      utm_medium: medium
      revenue_amount: amount
      currency: {constant: EUR}
    properties: [plan]
models: {four_stage: builtin, value_journey: builtin}
personas:
  - {name: campaign, when: {first.utm_medium: [cpc, social]}}
  - {name: regular, as_of: now, when: {count.purchase: {at_least: 2}}}
  - {name: visitor, when: {first.event: page_view}}
funnels:
  ordered:
    window: 3d
    goal: order
    steps:
      - {name: product, when: {event: product_view}}
      - {name: cart, when: {event: add_to_cart}, within: 2d}
      - {name: paid, when: {event: purchase}}
  strict:
    order: strict
    window: 3d
    steps: [{name: product, when: {event: product_view}}, {name: cart, when: {event: add_to_cart}}]
  any_order: {order: any_order, window: 3d, steps: @cart_to_paid@}
  excluded:
    window: 3d
    steps: @cart_to_paid@
    exclusions: [{between: [cart, paid], when: {event: support_chat}, then: drop}]
  attempts: {count: attempts, window: 2d, steps: @cart_to_paid@}
  sessions: {unit: session, steps: [{name: any, when: {}}, {name: paid, when: {event: purchase}}]}
  plans: {unit: {property: plan}, window: 5d, steps: @cart_to_paid@}
goals: {order: {when: {event: purchase}, value: revenue_amount}}
currency: {report: EUR}
min_count: 2
privacy: {person_id: clear}
"""
CART_TO_PAID = "[{name: cart, when: {event: add_to_cart}}, {name: paid, when: {event: purchase}}]"


@dataclass(frozen=True)
class Row:
    """One line of a source."""

    id: str
    at: datetime
    received: datetime | None
    cookie: str
    customer: str
    event: str
    channel: str
    medium: str
    amount: str
    plan: str

    def cells(self) -> list[str]:
        """Return the row as the file holds it."""
        stamps = [stamp.isoformat(sep=" ") if stamp else "" for stamp in (self.at, self.received)]
        return [
            self.id,
            *stamps,
            self.cookie,
            self.customer,
            self.event,
            self.channel,
            self.medium,
            self.amount,
            self.plan,
        ]


HEADER = ["id", "at", "received", "cookie", "customer", "event", "channel", "medium", "amount", "plan"]


def log_of(seed: int, size: int = 120) -> list[Row]:
    """Make a log with ties, shared devices, offline channels, quiet months and late rows."""
    rng = random.Random(seed)
    clocks = {f"cookie{number}": START + timedelta(minutes=rng.randrange(3000)) for number in range(12)}
    owners = {cookie: rng.choice(["", "", "ada", "bob", "cyd", "dee"]) for cookie in clocks}
    rows = []
    for number in range(size):
        cookie = rng.choice(list(clocks))
        clocks[cookie] += rng.choice(
            [timedelta(), *[timedelta(minutes=m) for m in (1, 7, 30, 31, 700, 3000)], timedelta(days=35)]
        )
        customer = rng.choice(
            ["", owners[cookie], owners[cookie], rng.choice(["ada", "bob"]) if cookie == "cookie0" else ""]
        )
        event = rng.choice(NAMES)
        channel = rng.choices(["web", "app", "email", "store"], [7, 3, 1, 1])[0]
        rows.append(
            Row(
                id=f"e{number}",
                at=clocks[cookie],
                received=rng.choice([None, *[clocks[cookie] + timedelta(minutes=rng.randrange(4000))] * 4]),
                cookie="" if channel == "store" and customer else cookie,
                customer=customer,
                event=event,
                channel=channel,
                medium=rng.choice(["", "", "cpc", "social", "email"]),
                amount=str(rng.randrange(5, 90)) if event == "purchase" else "",
                plan=rng.choice(["", "basic", "gold"]),
            )
        )
    return [row for row in rows if row.at < AS_OF]


def make_project(root: Path) -> Path:
    """Make an empty project."""
    folder = scratch(root)
    (folder / "input").mkdir()
    path = folder / "journeyflow.yml"
    path.write_text(CONFIG.replace("@cart_to_paid@", CART_TO_PAID), encoding="utf-8")
    return path


def add_file(path: Path, name: str, rows: Iterable[Row]) -> None:
    """Write a file of rows into a project."""
    with (path.parent / "input" / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(row.cells() for row in rows)


def published_project(
    root: Path, *files: Sequence[Row], in_several_runs: bool = False, as_of: datetime = AS_OF
) -> Project:
    """Run the job on files of rows: all in one run, or one more file each run."""
    path = make_project(root)
    for number, rows in enumerate(files):
        add_file(path, f"part{number}.csv", rows)
        if in_several_runs and any(row.at <= as_of for row in rows):
            run_project(path, as_of=as_of)
    return run_project(path, as_of=as_of)


def shifted(row: Row, by: timedelta) -> Row:
    """Move a row in time."""
    return replace(row, at=row.at + by, received=row.received and row.received + by)


def with_rivals(rows: Sequence[Row], rng: random.Random) -> list[Row]:
    """Add rows that claim an id another row has, some received earlier, some later, some at once."""
    rivals = []
    for row in rng.sample(list(rows), 20):
        by = timedelta(hours=rng.choice([-1, 0, 5]))
        received = row.received and max(row.at, row.received + by)
        rivals.append(replace(row, received=received, event=rng.choice(NAMES), amount="", plan="gold"))
    return [*rows, *rivals]
