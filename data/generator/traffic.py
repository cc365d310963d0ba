"""Traffic that is nobody's journey: bots and the shop's own testers."""

from __future__ import annotations

import random

from .event import BROWSER, Event
from .people import DAY, MINUTE, START

BOTS = (
    "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example.com/about)",
    "SampleCrawler/1.0 (crawler; https://crawl.example.org)",
    "Mozilla/5.0 (compatible; DemoSpider/0.9)",
)
BOT_COUNT, TESTER_COUNT = 24, 6


def make_bots(seed: int) -> list[Event]:
    """Return the hits of all bots: many pages, quickly, never signed in."""
    events = []
    for n in range(1, BOT_COUNT + 1):
        rng = random.Random(f"{seed}-bot-{n}")
        at, agent = START + rng.randrange(170) * DAY + rng.randrange(86_400_000) * 1000, BOTS[n % len(BOTS)]
        for hit in range(1, rng.randrange(40, 160)):
            at += rng.randrange(300, 4000) * 1000
            name = rng.choice(["page_view", "product_view", "product_view"])
            path = "/" if name == "page_view" else f"/p/p-{rng.randrange(1, 121):03d}"
            events.append(Event(-n, at, "web", name, device=f"d-9{n:04d}", seq=hit, path=path, agent=agent))
    return events


def make_testers(seed: int) -> list[Event]:
    """Return the events of the shop's own testers, test orders included; they are always signed in."""
    events = []
    for n in range(1, TESTER_COUNT + 1):
        rng = random.Random(f"{seed}-tester-{n}")
        for visit in range(5):
            at = START + (visit * 30 + rng.randrange(20)) * DAY + rng.randrange(30_000_000, 60_000_000) * 1000
            for hit, name in enumerate(["page_view", "product_view", "add_to_cart", "checkout_started", "purchase"], 1):
                at += rng.randrange(5, 100) * MINUTE // 60
                event = Event(-1000 - n, at, "web", name, device=f"d-8{n:04d}", seq=hit, path="/test",
                              user=f"tester-{n}@acme.example", agent=BROWSER)  # fmt: skip
                if name == "purchase":
                    event.amount, event.currency, event.props = "9999.00", "EUR", {"order_id": f"test-{n}-{visit}"}
                events.append(event)
    return events
