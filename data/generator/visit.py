"""One visit to the web shop or the app, hit by hit."""

from __future__ import annotations

import random
from typing import Any, Protocol

from .event import Event
from .people import HOUR, START, Habit, Human, utc

BUG_START, BUG_END = utc("2026-03-08T23:00:00"), utc("2026-03-15T23:00:00")  # 9 to 15 March in Berlin
PRODUCTS = [(f"p-{n:03d}", 9 + (n * 37) % 190 + 0.9) for n in range(1, 121)]
ARRIVALS = {  # utm source, medium, campaign, referrer
    "social": ("clipfeed", "social", "creators", "clipfeed.example.com"),
    "cpc": ("searchads", "cpc", "sale", "search.example.com"),
    "affiliate": ("couponclub", "affiliate", "sale", "coupons.example.com"),
    "email": ("newsletter", "email", "weekly", ""),
    "search": ("", "", "", "search.example.com"),
    "friend": ("", "referral", "friends", "forum.example.com"),
    "direct": ("", "", "", ""),
}
AGENTS = {"d": "Desktop", "m": "Phone", "t": "Tablet", "k": "Kiosk"}


class Shopper(Protocol):
    """Who visits: what a visit reads of a person's life, and leaves in it."""

    rng: random.Random
    human: Human
    habit: Habit
    events: list[Event]
    order_count: int

    def can_sign_in(self, at: int) -> bool:
        """Return whether the person has an account by then."""

    def after_order(self, at: int, order: str) -> None:
        """Tell what follows an order."""


class Visit:
    """One visit with one device: a clock that moves on, and a person who may sign in."""

    def __init__(self, life: Shopper, at: int, arrival: str, device: str, campaign: str = "") -> None:
        self.life, self.rng, self.at, self.device = life, life.rng, at, device
        utm_source, medium, name, self.referrer = ARRIVALS[arrival]
        self.utm = (utm_source, medium, campaign or name)
        self.hits = 0
        self.is_app = device.startswith("a-")
        self.product = PRODUCTS[int(self.rng.paretovariate(0.7)) % len(PRODUCTS)]
        stays = 0.9 if self.is_app else 0.0 if device[0] in "tk" else 0.35
        self.user = ""
        if life.can_sign_in(at) and device in life.human.signed_in and self.rng.random() < stays:
            self.user = life.human.customer or ""

    def hit(self, name: str, low: int = 5, high: int = 110, **more: object) -> Event:
        """Record an event some seconds after the one before."""
        self.at += self.rng.randrange(low * 1000, high * 1000) * 1000
        return self._record(name, more)

    def same_instant(self, name: str, **more: object) -> Event:
        """Record an event in the very instant of the one before: only a sequence, if any, orders the two."""
        return self._record(name, more)

    def _record(self, name: str, more: dict[str, object]) -> Event:
        self.hits += 1
        # On a device that several people use the account is sometimes missing for a hit.
        is_forgotten = self.device[0] in "tk" and name != "purchase" and self.rng.random() < 0.08
        agent = AGENTS.get(self.device[0], "App")
        event = Event(self.life.human.number, self.at, "app" if self.is_app else "web", name, device=self.device,
                      user="" if is_forgotten else self.user, seq=None if self.is_app else self.hits,
                      agent=f"Mozilla/5.0 ({agent}) ExampleBrowser/12.0", **more)  # type: ignore[arg-type]  # fmt: skip
        self.life.human.times.add(self.at)
        self.life.events.append(event)
        return event

    def land(self) -> None:
        while self.at in self.life.human.times:
            self.at += 1000
        self.at -= self.at % 1000
        rng, life, where = self.rng, self.life, {"utm": self.utm, "referrer": self.referrer}
        path = rng.choice(["/", "/c/outdoor", "/c/home", "/blog/gift-ideas", "/blog/first-flat"])
        if self.utm[1] in ("cpc", "affiliate") and not self.is_app:
            self.same_instant("ad_click", path="/sale", **where)
            self.hit("page_view", 1, 4, path="/sale", **where)
        else:
            if self.utm[1] == "email":
                path = f"/c/home?utm_campaign={self.utm[2]}"
            self.same_instant("page_view", path=path, **where)
        chance = 0.9 if self.utm[1] == "email" or self.device[0] in "tk" else 0.62
        if not self.user and life.can_sign_in(self.at) and rng.random() < chance:
            self.sign_in()
        if rng.random() < 0.03:
            self.hit("share", path=path)
        if not self.user and rng.random() < 0.03:
            self.hit("subscribe", path="/newsletter")

    def sign_in(self) -> None:
        human = self.life.human
        if self.user or not self.life.can_sign_in(self.at):
            return
        is_new = not human.signed_in and human.joined_at is not None and human.joined_at >= START
        self.user = human.customer or ""
        human.signed_in.add(self.device)
        if is_new:
            human.joined_at = self.hit("sign_up", path="/account/new").at  # the CRM knows her from here on
        elif self.is_app and self.rng.random() < 0.3:
            self.hit("onboarding", target="tour-done")

    def browse(self) -> None:
        rng = self.rng
        if rng.random() < 0.4:
            self.hit("search", path="/search")
        for _ in range(rng.randrange(1, 4)):
            self.product = PRODUCTS[int(rng.paretovariate(0.7)) % len(PRODUCTS)]
            self.hit("product_view", path=f"/p/{self.product[0]}", props={"product": self.product[0]})
            if rng.random() < 0.15:
                self.hit("review_read", path=f"/p/{self.product[0]}/reviews", props={"product": self.product[0]})
        if rng.random() < 0.12:
            self.hit("compare", path="/compare")
        if rng.random() < 0.025:
            self.hit("price_alert_set", path=f"/p/{self.product[0]}", props={"product": self.product[0]})
        if self.life.human.kind == "professional" and rng.random() < 0.05:
            self.hit("lead", path="/business/quote")

    def shop(self) -> None:
        rng, habit = self.rng, self.life.habit
        if rng.random() > habit.cart:
            return
        self.hit("add_to_cart", path=f"/p/{self.product[0]}", props={"product": self.product[0]})
        if rng.random() < 0.12:
            self.hit("remove_from_cart", path="/cart", props={"product": self.product[0]})
            self.hit("add_to_cart", path="/p/p-007", props={"product": "p-007"})
        if rng.random() > habit.checkout:
            return
        if rng.random() < 0.2:
            self.at += rng.randrange(2, 60) * HOUR  # comes back later
            self.hits = 0
            if self.device[0] in "tk":
                self.user = ""
        if rng.random() < 0.03:
            self.same_instant("checkout_started", path="/checkout")
        else:
            self.hit("checkout_started", path="/checkout")
        self.sign_in()
        if not self.user:
            return  # only customers can order
        self.pay(rng.random() < habit.pay)

    def pay(self, is_willing: bool) -> None:
        rng, life = self.rng, self.life
        self.hit("payment_info", path="/checkout/pay", target="pay-button")
        is_broken = self.is_app and BUG_START <= self.at < BUG_END and rng.random() < 0.88
        if is_broken or rng.random() < 0.02:
            for _ in range(rng.randrange(1, 4)):
                self.hit("payment_error", 1, 9, path="/checkout/pay", props={"code": "E17" if is_broken else "E02"})
                for _ in range(3):  # three taps in under two seconds
                    self.at += rng.randrange(200, 500) * 1000
                    self._record("payment_info", {"path": "/checkout/pay", "target": "pay-button"})
            if is_broken or rng.random() < 0.5:
                return
        if not is_willing:
            return
        life.order_count += 1
        order = f"o{life.human.number:05d}-{life.order_count:02d}"
        amount = self.product[1] * rng.choice([1, 1, 1, 2])
        more: dict[str, Any] = {"path": "/checkout/done", "amount": f"{amount:.2f}", "currency": life.human.currency,
                "props": {"order_id": order, "product": self.product[0]}}  # fmt: skip
        event = self.same_instant("purchase", **more) if rng.random() < 0.02 else self.hit("purchase", **more)
        life.after_order(event.at, order)
