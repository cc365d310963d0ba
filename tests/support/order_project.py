"""A project so small that a run takes a second or two."""

from __future__ import annotations

import csv
import random
from datetime import datetime, timedelta
from pathlib import Path

CONFIG = """\
project: small-shop
sources:
  web:
    format: csv
    path: events.csv
    channel: web
    columns: {occurred_at: at, anonymous_id: cookie, user_id: customer, event_name: event, page_path: url}
models: {four_stage: builtin, value_journey: builtin}
personas:
  - {name: from_shop, when: {first.page_path: {prefix: /p/}}}
funnels:
  checkout:
    steps:
      - {name: product, when: {event: product_view}}
      - {name: cart, when: {event: add_to_cart}}
      - {name: paid, when: {event: purchase}}
    window: 2d
min_count: 5
"""
NAMES = ("page_view", "product_view", "product_view", "add_to_cart", "checkout_started", "purchase")


def write_project(folder: Path) -> Path:
    """Write a shop of 40 people and 400 events, the same every time, and return its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    chance, first = random.Random(7), datetime(2026, 3, 1)
    with (folder / "events.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["at", "cookie", "customer", "event", "url"])
        for _ in range(400):
            who, name = chance.randrange(40), chance.choice(NAMES)
            at = first + timedelta(seconds=chance.randrange(20 * 86400))
            rows.writerow([at.isoformat(), f"c{who}", f"u{who}" if name == "purchase" else "", name, f"/p/{who % 3}"])
    (folder / "journeyflow.yml").write_text(CONFIG)
    return folder / "journeyflow.yml"


ONE_FUNNEL = """
project: orders
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, user_id: customer, event_name: event}
funnels:
  order:
    steps: [{name: seen, when: {event: product_view}}, {name: paid, when: {event: purchase}}]
    window: 2d
"""
"""A configuration for tests that write the files of `web/` themselves."""
