"""What the people of the sample shop do: shopping trips, e-mails, deliveries, contacts, answers."""

from __future__ import annotations

import random

from .event import BROWSER, Event
from .people import DAY, END, HABITS, HOUR, MINUTE, SECOND, START, Habit, Human, make_humans, utc
from .texts import pick_text
from .visit import PRODUCTS, Visit

CHAT_SILENT_FROM = utc("2026-05-17T22:00:00")  # 18 May in Berlin


class Life:
    """The half year of one person, told event by event."""

    def __init__(self, seed: int, human: Human) -> None:
        self.rng = random.Random(f"{seed}-life-{human.number}")
        self.human = human
        self.habit: Habit = HABITS[human.kind]
        self.events: list[Event] = []
        self.order_count = 0

    def tell(self) -> list[Event]:
        """Return all events of the person, unordered."""
        trips = max(1, min(6, int(self.rng.expovariate(1 / self.habit.trips) + 0.7)))
        for start in sorted(self.rng.randrange(START, END - 3 * DAY, DAY) for _ in range(trips)):
            self.trip(start + self.daytime())
        if self.human.has_opted_in:
            self.newsletters()
        if self.human.old_customer:
            self.merge_accounts(START + self.rng.randrange(60, 90) * DAY + self.daytime())
        return [e for e in self.events if START <= e.at <= END]

    def merge_accounts(self, at: int) -> None:
        """Put the e-mails before the merger under the account she had before."""
        human = self.human
        self.add(at, "web", "alias", device=human.web_device, user=human.customer or "", seq=1, path="/account/merge",
                 agent=BROWSER, props={"previous_id": human.old_customer})  # fmt: skip
        for event in self.events:
            if event.source == "email" and event.at < at:
                event.user = human.old_customer

    def daytime(self) -> int:
        """Return a time of day, UTC, most often in the evening."""
        return int(self.rng.triangular(6, 21.5, 18) * 3600) * SECOND + self.rng.randrange(1000) * 1000

    def add(self, at: int, source: str, name: str, step: int = 1000, **more: object) -> Event:
        """Append an event at a time that no other event of this person has (`step` is the source's precision)."""
        at -= at % step
        while at in self.human.times:
            at += step
        self.human.times.add(at)
        event = Event(self.human.number, at, source, name, **more)  # type: ignore[arg-type]
        self.events.append(event)
        return event

    # ---- one trip to the shop --------------------------------------------------------------------

    def trip(self, at: int) -> None:
        rng, habit = self.rng, self.habit
        if rng.random() < habit.store:
            self.visit_store(at)
            if rng.random() < 0.6:
                return
            at += rng.randrange(1, 4) * DAY
        arrival = rng.choices([a for a, _ in habit.arrivals], [w for _, w in habit.arrivals])[0]
        visit = Visit(self, at, arrival, self.device_for(at, arrival))
        visit.land()
        if rng.random() > habit.consider:
            return
        visit.browse()
        if rng.random() < 0.35:
            at = visit.at + rng.randrange(4, 40) * HOUR
            visit = Visit(self, at, rng.choices(["direct", arrival], [3, 1])[0], self.device_for(at, "direct"))
            visit.land()
            visit.browse()
        visit.shop()

    def device_for(self, at: int, arrival: str) -> str:
        human, rng = self.human, self.rng
        if human.tablet and rng.random() < 0.5:
            return human.tablet
        if arrival != "cpc" and human.customer and human.has_app and rng.random() < 0.85:
            return human.app_device
        if human.kind == "family" and rng.random() < 0.05:
            return f"k-{1 + at // DAY % 3:02d}"
        is_phone = human.is_phone_first != (rng.random() < 0.12)
        return human.phone_device if is_phone else human.web_device

    def can_sign_in(self, at: int) -> bool:
        return self.human.joined_at is not None and self.human.joined_at <= at

    # ---- offline ---------------------------------------------------------------------------------

    def visit_store(self, at: int) -> None:
        if not self.can_sign_in(at):
            return
        day = at - at % DAY
        at = day + self.rng.randrange(9 * 60, 17 * 60) * MINUTE
        shop = self.rng.choice(["Königsplatz", "Südring", "Hafenstraße"])
        user = self.human.customer or ""
        self.add(at, "store_visits", "store_visit", MINUTE, user=user, props={"branch": shop})
        if self.rng.random() < 0.35:
            price = self.rng.choice(PRODUCTS)[1]
            at += self.rng.randrange(4, 25) * MINUTE
            receipt = f"b{self.human.number:05d}-{at // DAY % 1000:03d}"
            self.add(at, "store_purchases", "purchase", MINUTE, user=user, amount=f"{price:.2f}", currency="EUR",
                     props={"receipt": receipt, "branch": shop})  # fmt: skip

    def newsletters(self) -> None:
        rng, user = self.rng, self.human.customer or ""
        for week in range(1, 26, 2):
            at = START + week * 7 * DAY + 7 * HOUR + rng.randrange(900) * SECOND
            campaign = f"news-{week:02d}"
            self.add(at, "email", "sent", SECOND, user=user, utm=("newsletter", "email", campaign))
            if rng.random() > (0.3 if self.human.kind == "family" else 0.18):
                continue
            at += rng.randrange(5, 900) * MINUTE
            self.add(at, "email", "email_opened", SECOND, user=user, utm=("newsletter", "email", campaign))
            if rng.random() > 0.3:
                continue
            at += rng.randrange(5, 60) * SECOND
            self.add(at, "email", "email_clicked", SECOND, user=user, utm=("newsletter", "email", campaign))
            visit = Visit(self, at + 3 * SECOND, "email", self.human.web_device, campaign)
            visit.land()
            visit.browse()

    def after_order(self, at: int, order: str) -> None:
        """Tell delivery, contacts, answers, review and refund that follow an order."""
        rng, user = self.rng, self.human.customer or ""
        is_slow = rng.random() < (0.62 if self.human.kind == "family" else 0.06)
        took = rng.uniform(3.2, 8.5) if is_slow else rng.uniform(0.8, 2.9)
        arrived = at + int(took * DAY)
        is_lost = rng.random() < 0.01
        if not is_lost:
            self.add(arrived, "deliveries", "delivered", SECOND, user=user, props={"order_id": order})
        if rng.random() < (0.55 if is_slow or is_lost else 0.12):
            self.contact(at + int((3.3 if is_slow else 1.5) * DAY), "delivery", 0.75 if is_slow else 0.3)
        mood = 0.3 if is_slow else 0.85
        if rng.random() < 0.22:
            self.answer(arrived + rng.randrange(1, 48) * HOUR, "nps_answer", mood)
        if rng.random() < 0.12:
            stars = max(1, min(5, round(rng.gauss(2.2 if is_slow else 4.4, 0.8))))
            self.add(arrived + rng.randrange(24, 200) * HOUR, "reviews", "review", SECOND, user=user,
                     props={"stars": stars, "text": pick_text(rng, (stars - 1) / 4), "order_id": order})  # fmt: skip
        if rng.random() < (0.12 if is_slow else 0.03):
            self.add(arrived + rng.randrange(2, 90) * HOUR, "web", "refund", device=self.human.web_device, user=user,
                     seq=1, path="/account/returns", props={"order_id": order})  # fmt: skip

    def contact(self, at: int, topic: str, anger: float) -> None:
        rng, user = self.rng, self.human.customer or ""
        if rng.random() < 0.5:
            day = at - at % DAY
            at = max(at, day + 7 * HOUR) if at - day < 17 * HOUR else day + DAY + 7 * HOUR
            self.add(at, "calls", "support_call", SECOND, user=user, props={"topic": topic})
        elif at < CHAT_SILENT_FROM:
            name = "complaint" if rng.random() < anger / 2 else "support_chat"
            self.add(at, "chat", name, SECOND, device=self.human.web_device, user=user, props={"topic": topic})
        else:
            return
        if rng.random() < 0.5:
            self.answer(at + rng.randrange(20, 300) * MINUTE, "csat_answer", 1 - anger)

    def answer(self, at: int, name: str, mood: float) -> None:
        mood = max(0.0, min(1.0, self.rng.gauss(mood, 0.18)))
        score = round(mood * 10) if name == "nps_answer" else 1 + round(mood * 4)
        comment = pick_text(self.rng, mood) if self.rng.random() < 0.6 else ""
        self.add(at, "surveys", name, SECOND, user=self.human.customer or "",
                 props={"score": score, "comment": comment})  # fmt: skip


def live(seed: int) -> tuple[list[Human], list[Event]]:
    """Return everybody and everything that happened, in no particular order."""
    humans = make_humans(seed)
    return humans, [event for human in humans for event in Life(seed, human).tell()]
