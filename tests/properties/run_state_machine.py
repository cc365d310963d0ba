"""Everything that may happen between two runs, as rules that Hypothesis puts into any order."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from faults import run_process
from faults.run_process import Fault
from soak import erasure
from soak.expected_events import ExpectedEvents
from support.shop import KIOSK, Event, Shop
from support.shop_project import ShopProject
from support.shop_rules import SWITCHES

START = date(2025, 3, 20)
"""Close to a change of the clocks and to the end of a month."""
MANY = "JOURNEYFLOW_EXAMPLES" in os.environ
few = st.integers(0, 10**6)


class RunHistory(RuleBasedStateMachine):
    """A shop's project; after every complete run each figure equals that of a project that reads all files at once."""

    size = (8, 4)
    """Shoppers, and visits a day."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="journeyflow-runs-"))
        self.project = ShopProject(self.root / "shop")
        self.today = START
        self.events: list[Event] = []
        self.expected = ExpectedEvents()
        self.is_stale = False

    def teardown(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    @initialize(seed=few)
    def open_the_shop(self, seed: int) -> None:
        self.shop = Shop(seed, *self.size)
        self.project.begin()
        self.days_pass(3)
        self.project.run()  # Of a first run there is nothing to compare: it is what it would be compared with.
        self.is_stale = False

    # What comes in.

    @rule(days=st.integers(1, 3))
    def days_pass(self, days: int) -> None:
        for _ in range(days):
            self._add(self.shop.day(self.today))
            self.today += timedelta(days=1)

    @rule(days=st.integers(5, 40))
    def a_quiet_time_passes(self, days: int) -> None:
        """Nothing happens but one page view of an unknown visitor: outcomes mature, a month may change."""
        self.today += timedelta(days=days)
        self._add([self.shop.event("page_view", self._now(), cookie="unknown")])

    @rule(back=st.integers(2, 30))
    def a_late_file_comes(self, back: int) -> None:
        day = max(START - timedelta(days=40), self.today - timedelta(days=back))
        rng = self.shop.rng
        start = datetime.combine(day, time(10)) + timedelta(minutes=rng.randrange(600))
        visit = [event for event in self.shop.visit(rng.choice(self.shop.shoppers), start) if event.at < self._now()]
        self._add(replace(event, delay=timedelta(days=back)) for event in visit)

    @rule(pick=few)
    def an_event_falls_between_two(self, pick: int) -> None:
        """A late event beside an earlier one: it may join two sessions, or make another attempt count."""
        event = self._one_of(pick, "web", "app")
        name = ("checkout_started", "payment_error", "add_to_cart", "refund")[pick % 4]
        at = event.at + timedelta(minutes=20)
        self._add([replace(self.shop.event(name, at, "web"), cookie=event.cookie, user=event.user)])

    @rule(pick=few)
    def a_file_comes_again(self, pick: int) -> None:
        names = sorted(self.project.read)
        source, _, ending = names[pick % len(names)].partition("-")
        self.project.put(source, self.project.read[names[pick % len(names)]], ending.partition(".")[2])

    @rule(pick=few, later=st.booleans())
    def an_event_comes_with_another_content(self, pick: int, later: bool) -> None:
        """Received before the one that is known it takes its place; received after it, it is a duplicate."""
        event = self._one_of(pick, "web", "deliveries", "surveys")
        delay = event.delay + timedelta(days=1) if later else event.delay - timedelta(milliseconds=300)
        self._add([replace(event, delay=delay, name="share", page="/p/desk")])

    @rule(pick=few)
    def two_accounts_become_one(self, pick: int) -> None:
        users = sorted({event.user for event in self.events if event.user})
        if len(users) < 2:
            return
        one, other = users[pick % len(users)], users[(pick // 7 + 1) % len(users)]
        alias = self.shop.event("alias", self._now(), user=one, cookie="", facts={"previous_id": other})
        self._add([alias])

    @rule(pick=few)
    def an_unknown_account_is_named(self, pick: int) -> None:
        user = self._one_of(pick, "web", "app").user or "u0"
        alias = self.shop.event("alias", self._now(), user=user, facts={"previous_id": f"ghost{pick % 3}"})
        self._add([alias])

    @rule(pick=few)
    def that_account_acts(self, pick: int) -> None:
        """Whose it is, an alias has said long before, or will say one day."""
        look = self.shop.event("product_view", self._now() - timedelta(hours=2), cookie=f"g{pick % 2}")
        self._add([replace(look, user=f"ghost{pick % 3}")])

    @rule(pick=few)
    def a_device_turns_out_to_be_shared(self, pick: int) -> None:
        device = (self._one_of(pick, "web", "app").cookie, KIOSK)[pick % 2]
        users = [f"u{pick % 8}", f"guest{pick % 3}"]
        at = self._now() - timedelta(hours=3)
        self._add(
            replace(self.shop.event("product_view", at + timedelta(minutes=n)), cookie=device, user=user)
            for n, user in enumerate([users[0], "", users[1], ""])
        )

    @rule(pick=few)
    def something_new_happens(self, pick: int) -> None:
        """An event of a new name, or of a known name on a new page: event types are numbered again."""
        known = self._one_of(pick, "web", "app")
        name, page = ("aa_new", "/p/lamp") if pick % 2 else ("product_view", f"/p/lamp/{pick}")
        at = self._now() - timedelta(hours=1)
        self._add([replace(self.shop.event(name, at), cookie=known.cookie, user=known.user, page=page)])

    @rule(pick=few)
    def a_bot_comes(self, pick: int) -> None:
        """A known device turns out to be a program as well: only its marked events are left out."""
        known = self._one_of(pick, "web")
        self._add([replace(self.shop.event("purchase", self._now()), cookie=known.cookie, agent="Bingbot/1.0")])

    # What is changed.

    @rule(switch=st.sampled_from(sorted(SWITCHES)))
    def a_rule_changes(self, switch: str) -> None:
        self.project.settings[switch] = 1 - self.project.settings.get(switch, 0)
        self.project.write_rules()
        self.is_stale = True

    @rule(pick=few)
    def traits_change(self, pick: int) -> None:
        user = f"u{pick % 8}"
        self.project.segments[user] = ("business", "home")[pick % 2]
        day = START + timedelta(days=pick % 20 - 10)
        self.project.plans.append({"customer": user, "plan": ("gold", "basic")[pick // 2 % 2], "changed_at": str(day)})
        self.project.write_traits()
        self.is_stale = True

    @rule()
    def the_input_is_cleared(self) -> None:
        self.project.clear_input()

    @rule(keep=st.booleans())
    def copies_are_pruned(self, keep: bool) -> None:
        """Copies of calls and answers need not be kept; their files must then still be there to be read again."""
        sources = {"calls": "none", "surveys": "none"}
        self.project.retention = {} if keep else {"sources": sources}
        for name, content in self.project.read.items():
            source, _, ending = name.partition("-")
            if source in sources:
                self.project.put(source, content, ending.partition(".")[2])
        self.project.write_rules()

    # What is run.

    @precondition(lambda self: self.is_stale)
    @rule()
    def run(self) -> None:
        self.project.run()
        self._compare()

    @precondition(lambda self: self.is_stale)
    @rule()
    def run_again(self) -> None:
        """RunHistory are what this is about: they are drawn more often than what happens between them."""
        self.run()

    @rule(back=st.integers(1, 20))
    def run_as_of_an_earlier_day(self, back: int) -> None:
        first = min(event.at for event in self.events)
        as_of = max(self._now() - timedelta(days=back), first)
        self.project.run(as_of)
        self._compare(as_of)
        self.is_stale = True

    @rule(nth=st.integers(1, 500))
    def a_run_is_interrupted(self, nth: int) -> None:
        if not self.project.interrupted(nth):
            self._compare()

    @precondition(lambda _: MANY)
    @rule(point=st.sampled_from([*run_process.DISK, "before build", "after publish"]), nth=st.integers(1, 60))
    def a_run_is_killed(self, point: str, nth: int) -> None:
        if run_process.finish(self.project.path, Fault(point, nth)) == 0:
            self.project.note()
            self._compare()

    @precondition(lambda self: not self.is_stale)
    @rule()
    def rebuild(self) -> None:
        self.project.rebuild()
        self._compare()

    @precondition(lambda self: not self.is_stale)
    @rule(pick=few)
    def a_person_is_erased(self, pick: int) -> None:
        """Only after a run has read all files: identities come from what is known."""
        users = sorted({event.user for event in self.events if event.user} - self.expected.erased)
        if len(users) > 2:
            erasure.erase_user(self.project, self.events, self.expected, users[pick % len(users)])
            self._compare()

    def _add(self, events: object) -> None:
        added = list(events)  # type: ignore[call-overload]
        self.events += added
        self.project.put_events(added, is_packed=len(self.events) % 2 == 0)
        self.is_stale = True

    def _now(self) -> datetime:
        return datetime.combine(self.today, time()) - timedelta(seconds=1)

    def _one_of(self, pick: int, *sources: str) -> Event:
        known = [event for event in self.events if event.source in sources]
        if not known:
            known = [self.shop.event("page_view", self._now(), cookie="unknown")]
            self._add(known)
        return known[pick % len(known)]

    def _compare(self, as_of: datetime | None = None) -> None:
        inputs = {name: erasure.without(name, each, self.expected) for name, each in self.project.read.items()}
        found = self.project.compared(as_of, inputs)
        assert not found.differences, "\n".join(found.differences)
        self.is_stale = False
