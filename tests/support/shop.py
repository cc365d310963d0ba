"""A small shop whose people browse, buy, complain and answer, day by day: the events of long tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

KIOSK = "kiosk"
"""A device in the shop that everybody may use."""
BOT = "Googlebot/2.1"
PAGES = ("/p/lamp", "/p/desk", "/p/chair", "/blog/light", "/search")
PRAISE, BLAME = (
    "I love this lamp, it is wonderful and works great.",
    "This is terrible, the desk arrived broken and ugly.",
)


@dataclass(frozen=True)
class Event:
    """One thing that happened, before any source has written it down."""

    id: str
    at: datetime
    name: str
    source: str = "web"
    cookie: str = ""
    user: str = ""
    channel: str = "web"
    page: str = ""
    medium: str = ""
    target: str = ""
    agent: str = "Mozilla/5.0"
    amount: str = ""
    delay: timedelta = timedelta(seconds=1)
    facts: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def received(self) -> datetime:
        """When the collector got it."""
        return self.at + self.delay


@dataclass(frozen=True)
class Shopper:
    """A person: devices, perhaps an account, and how they behave."""

    number: int
    cookies: tuple[str, ...]
    user: str
    zeal: float

    @classmethod
    def of(cls, number: int, rng: random.Random) -> Shopper:
        """Make up a shopper; a third never has an account, a quarter has two devices."""
        cookies = (f"c{number}", f"c{number}b") if rng.random() < 0.25 else (f"c{number}",)
        return cls(number, cookies, f"u{number}" if rng.random() < 0.65 else "", rng.random())


class Shop:
    """Shoppers and what they do, a day at a time.

    Parameters
    ----------
    seed : int
        Equal seeds give equal events.
    shoppers : int
        People there are on the first day; now and then somebody new comes.
    visits : float
        Visits a day.
    """

    def __init__(self, seed: int, shoppers: int, visits: float) -> None:
        self.rng = random.Random(seed)
        self.shoppers = [Shopper.of(number, self.rng) for number in range(shoppers)]
        self._visits = visits
        self._later: list[Event] = []
        self._count = 0

    def day(self, day: date) -> list[Event]:
        """Return what happens on a day, in the order of time; what it leads to later comes on its own day."""
        for _ in range(max(1, round(self.rng.gauss(self._visits, self._visits / 4)))):
            if self.rng.random() < 0.04:
                self.shoppers.append(Shopper.of(len(self.shoppers), self.rng))
            start = datetime.combine(day, time()) + timedelta(seconds=self.rng.randrange(86_400))
            self._later += self.visit(self.rng.choice(self.shoppers), start)
        end = datetime.combine(day, time()) + timedelta(days=1)
        due = sorted((event for event in self._later if event.at < end), key=lambda event: (event.at, event.id))
        self._later = [event for event in self._later if event.at >= end]
        return due

    def visit(self, shopper: Shopper, start: datetime) -> list[Event]:
        """Return one visit of somebody, and what follows from it in the days after."""
        rng = self.rng
        scene = rng.choices(
            [self._looks, self._buys, self._rages, self._researches, self._calls, self._comes, self._crawls],
            [5, 5, 1, 2, 1 if shopper.user else 0, 1 if shopper.user else 0, 0.5],
        )[0]
        cookie = KIOSK if shopper.user and rng.random() < 0.06 else rng.choice(shopper.cookies)
        # Some log in on the way: what came before belongs to them all the same.
        known_from = rng.choice([0, 0, 1, 2, 99]) if cookie != KIOSK else rng.choice([0, 1])
        return [
            self._placed(event, shopper, cookie, is_known=place >= known_from)
            for place, event in enumerate(scene(shopper, start))
        ]

    def event(self, name: str, at: datetime, source: str = "web", **more: object) -> Event:
        """Return a new event with an id of its own."""
        self._count += 1
        return Event(f"{source}{self._count}", at, name, source, **more)  # type: ignore[arg-type]

    def _placed(self, event: Event, shopper: Shopper, cookie: str, *, is_known: bool) -> Event:
        if event.source not in ("web", "app"):
            return event if event.user else replace(event, user=shopper.user)
        return replace(event, cookie=cookie, user=shopper.user if is_known else "")

    def _steps(self, start: datetime, *names: str) -> Iterator[Event]:
        """Yield steps of one visit on one channel, minutes apart; now and then two at one instant, or a long pause."""
        source = "app" if self.rng.random() < 0.3 else "web"
        medium = self.rng.choice(["", "", "", "cpc", "social", "email"])
        plan = self.rng.choice(["", "basic", "gold"])
        at = start
        for name in names:
            page = self.rng.choice(PAGES)
            yield self.event(name, at, source, channel=source, page=page, medium=medium, facts={"plan": plan})
            at += timedelta(seconds=self.rng.choice([0, 20, 20, 90, 300, 1800, 1801, 40_000]))
            medium = ""

    def _looks(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        names = ["page_view", *["product_view"] * self.rng.randint(0, 3)]
        if self.rng.random() < 0.3:
            names.append(self.rng.choice(["hover", "wish", "sign_up", "share", "add_to_cart"]))
        yield from self._steps(start, *names)

    def _researches(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        yield from self._steps(start, *self.rng.sample(["compare", "review_read", "search"], self.rng.randint(1, 3)))

    def _rages(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        for number in range(4):
            yield self.event("click", start + timedelta(milliseconds=400 * number), page="/p/desk", target="#buy")

    def _crawls(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        for event in self._steps(start, "page_view", "product_view"):
            yield replace(event, agent=BOT)

    def _calls(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        yield self.event("support_call", start, "calls", channel="call_centre", facts={"topic": "order"})
        if self.rng.random() < 0.5:
            yield self._answer("csat_answer", start + timedelta(hours=5), self.rng.randint(1, 5))

    def _comes(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        yield self.event("store_visit", start, "store", channel="store")
        if self.rng.random() < 0.4:
            amount = str(self.rng.randrange(5, 90))
            yield self.event("purchase", start + timedelta(minutes=9), "store", channel="store", amount=amount)

    def _buys(self, shopper: Shopper, start: datetime) -> Iterator[Event]:
        names = ["product_view", "add_to_cart", "checkout_started", "payment_info", "purchase"]
        if self.rng.random() < 0.25:
            names.insert(4, "payment_error")
        if self.rng.random() < 0.5:
            names = names[: self.rng.randint(2, len(names))]
        order = f"o{self._count}"
        for event in self._steps(start, *names):
            if event.name != "purchase":
                yield event
                continue
            yield replace(event, amount=str(self.rng.randrange(5, 200)), facts=event.facts | {"order_id": order})
            yield from self._aftermath(shopper, event.at, order)

    def _aftermath(self, shopper: Shopper, bought: datetime, order: str) -> Iterator[Event]:
        """Yield what follows an order; the parcel may go to somebody else, who then signs for it."""
        rng = self.rng
        arrived = bought + timedelta(hours=rng.randrange(20, 150))
        owners = [other.user for other in self.shoppers if other.user]
        signer = rng.choice(owners) if not shopper.user or rng.random() < 0.2 else shopper.user
        facts = {"order_id": order}
        if rng.random() < 0.85:
            yield self.event("delivered", arrived, "deliveries", channel="delivery", user=signer, facts=facts)
        if shopper.user and rng.random() < 0.4:
            yield self._answer("nps_answer", arrived + timedelta(hours=30), rng.randint(0, 10))
        if shopper.user and rng.random() < 0.3:
            yield self._answer("review", arrived + timedelta(days=3), rng.randint(1, 5))
        if rng.random() < 0.1:
            yield self.event("refund", arrived + timedelta(days=2), "web", facts=facts)

    def _answer(self, name: str, at: datetime, score: int) -> Event:
        text = PRAISE if score >= 4 else BLAME
        facts = {"score": str(score), "comment": text if self.rng.random() < 0.5 else ""}
        return self.event(name, at, "surveys", channel="survey", facts=facts)
