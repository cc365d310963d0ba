"""The sample: generate the world, write its files, count its truths."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from . import export, export_small, truths
from .event import Event
from .files import TextFile
from .page import page
from .people import DAY, HOUR, Human
from .traffic import make_bots, make_testers
from .true_funnels import (
    Step,
    any_order_attempt,
    best_attempt,
    local_day,
    payment_attempts,
    settled_attempt,
    stage_attempt,
    strict_attempt,
    tabulate,
)
from .world import live

BUG_DAYS = ("2026-03-09", "2026-03-15")
WEEKS_BEFORE = ("2026-02-09", "2026-03-08")
UNCOVERED = "price_alert_set"


def named(name: str, source: str = "") -> Callable[[Event], bool]:
    """Return a condition on the event's name and, if given, its source."""
    return lambda event: event.name == name and (not source or event.source == source)


def write_sample(folder: Path, seed: int) -> None:
    """Write all files of the sample, `truths.json` and `SOURCES.md` into a folder."""
    humans, events = live(seed)
    rng = random.Random(f"{seed}-files")
    bots, testers = make_bots(seed), make_testers(seed)
    events += _scanned_twice(events)
    files = _event_files(events, bots + testers, rng)
    crm, rows = export_small.crm_file(humans, rng)
    for file in [*files, crm, export_small.spend_file(rng)]:
        file.write(folder)
    counted = [e for e in events if e.name != "sent"]
    found = _truths(seed, humans, counted, bots, testers, files, rows)
    (folder / "truths.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "SOURCES.md").write_text(page(found), encoding="utf-8")


def _scanned_twice(events: list[Event]) -> list[Event]:
    """Return store visits to be written twice: two identical lines of a log without ids are two events."""
    visits = sorted((e for e in events if e.source == "store_visits"), key=lambda e: (e.at, e.user))
    return [Event(e.human, e.at, e.source, e.name, user=e.user, props=e.props) for e in visits[10:250:60]]


def _event_files(events: list[Event], extra: list[Event], rng: random.Random) -> list[TextFile]:
    of = {source: [e for e in events if e.source == source] for source in {e.source for e in events}}
    return [
        *export.web_files(of["web"] + extra, rng),
        *export.app_files(of["app"], rng),
        *export_small.email_files(of["email"], rng),
        *export_small.store_files(of["store_visits"], of["store_purchases"], rng),
        *export_small.call_files(of["calls"], rng),
        *export_small.answer_files(of["chat"], of["surveys"], of["reviews"], rng),
        *export_small.delivery_files(of["deliveries"], rng),
    ]


def _truths(seed: int, humans: list[Human], events: list[Event], bots: list[Event], testers: list[Event],
            files: list[TextFile], crm: list[dict[str, object]]) -> dict[str, object]:  # fmt: skip
    traits: dict[str, list[tuple[int, dict[str, object]]]] = {}
    for row in crm:
        facts = {key: row[key] for key in ("birth_year", "household", "plan", "country")}
        traits.setdefault(str(row["customer"]), []).append((int(str(row["changed_at"])), facts))
    high_water = max(e.at for e in [*events, *bots, *testers])
    people = truths.persons(events)
    told = truths.journeys(people, traits)
    persona_of = {id(event): journey.persona for journey in told for event in journey.events}
    latest = {journey.person: journey.persona for journey in told}
    devices = truths.users_of_devices(events)
    return {
        "seed": seed,
        "high_water_at": export.iso(high_water),
        "humans": len(humans),
        "persons": len(people),
        "persons_by_persona": dict(sorted(Counter(latest.values()).items())),
        "persons_by_lifecycle": dict(sorted(truths.lifecycle(people, high_water).items())),
        "journeys": len(told),
        "journeys_by_persona": dict(sorted(Counter(j.persona for j in told).items())),
        "events": len(events),
        "events_by_source": dict(sorted(Counter(e.source for e in events).items())),
        "events_by_name": dict(sorted(Counter(e.name for e in events).items())),
        "purchases": dict(sorted(Counter(e.source for e in events if e.name == "purchase").items())),
        "revenue": truths.revenue(events),
        "merged_accounts": sum(e.name == "alias" for e in events),
        "devices": len(devices),
        "shared_devices": sorted(d for d, users in devices.items() if len(users) > 1),
        "devices_without_user": sum(not users for users in devices.values()),
        "bots": {"devices": len({e.device for e in bots}), "events": len(bots)},
        "internal": {"users": len({e.user for e in testers}), "events": len(testers)},
        "uncovered": _uncovered(events, people),
        "silent": _silent(events),
        "first_touches": truths.first_touches(told),
        "delivery_promise": truths.promise(told, 3 * DAY, high_water),
        "funnels": _funnels(people, told, persona_of, high_water),
        "payment_bug": _payment_bug(people, high_water, events),
        "files": {f.path: _account(f) for f in files},
    }


def _account(file: TextFile) -> dict[str, object]:
    account = file.account
    return {
        "record_count": account.records,
        "accepted_count": account.accepted,
        "quarantined_count": sum(account.quarantined.values()),
        "duplicate_count": account.duplicate,
        "conflicting_count": account.conflicting,
        "filtered_count": account.filtered,
        "late_count": account.late,
        "reasons": dict(sorted(account.quarantined.items())),
    }


def _uncovered(events: list[Event], people: dict[str, list[Event]]) -> dict[str, object]:
    return {
        "event_name": UNCOVERED,
        "event_count": sum(e.name == UNCOVERED for e in events),
        "person_count": sum(any(e.name == UNCOVERED for e in mine) for mine in people.values()),
    }


def _silent(events: list[Event]) -> dict[str, object]:
    chats = [e.at for e in events if e.source == "chat"]
    return {
        "source": "chat",
        "events": len(chats),
        "last_event_at": export.iso(max(chats)),
        "silent_from": "2026-05-18",
    }


CHECKOUT = (
    Step("product", named("product_view")),
    Step("cart", named("add_to_cart"), DAY),
    Step("checkout", named("checkout_started")),
    Step("paid", named("purchase")),
)


def _payment(source: str) -> tuple[Step, Step]:
    return Step("started", named("checkout_started", source)), Step("paid", named("purchase", source))


RESEARCH = (
    Step("compared", named("compare")),
    Step("read_reviews", named("review_read")),
    Step("searched", named("search")),
)
STRAIGHT = (
    Step("cart", named("add_to_cart")),
    Step("checkout", named("checkout_started")),
    Step("payment", named("payment_info")),
)

FOUR_STAGES = (
    ("ad_click", "search", "page_view", "email_opened"),
    ("product_view", "compare", "review_read", "email_clicked", "sign_up", "subscribe", "lead", "store_visit"),
    ("add_to_cart", "remove_from_cart", "checkout_started", "payment_info", "payment_error", "purchase"),
    ("delivered", "onboarding", "support_call", "support_chat", "complaint", "csat_answer", "nps_answer", "review",
     "share", "refund"),
)  # fmt: skip
STAGE_OF = {name: index for index, names in enumerate(FOUR_STAGES, 1) for name in names}


def _funnels(
    people: dict[str, list[Event]], told: list[truths.Journey], persona_of: dict[int, str], high_water: int
) -> dict[str, object]:
    def ordered(steps: Sequence[Step], window: int, days: tuple[str, str] | None = None) -> object:
        attempts = (best_attempt(events, steps, window, high_water, days) for events in people.values())
        return tabulate(attempts, persona_of, len(steps))

    visits = truths.sessions_of_devices(people)
    straight = (strict_attempt(session, STRAIGHT, 2 * HOUR, high_water) for session in visits)
    research = (any_order_attempt(events, RESEARCH, 3 * DAY, high_water) for events in people.values())
    payments = (attempt for events in people.values() for attempt in payment_attempts(events, high_water))
    settled = (settled_attempt(events, lambda e: STAGE_OF.get(e.name) == 3, high_water) for events in people.values())
    of_person: dict[str, list[list[Event]]] = {}
    for journey in told:
        of_person.setdefault(journey.person, []).append(journey.events)
    stages = (stage_attempt(mine, STAGE_OF, high_water) for mine in of_person.values())
    return {
        "checkout": ordered(CHECKOUT, 7 * DAY),
        "app_payment": ordered(_payment("app"), DAY),
        "app_payment_bug_week": ordered(_payment("app"), DAY, BUG_DAYS),
        "web_payment_bug_week": ordered(_payment("web"), DAY, BUG_DAYS),
        "straight_to_checkout": tabulate(straight, persona_of, len(STRAIGHT)),
        "researched": tabulate(research, persona_of, len(RESEARCH)),
        "smooth_payment": tabulate(payments, persona_of, 3),
        "settled_order": tabulate(settled, persona_of, 4),
        "four_stage": tabulate(stages, persona_of, len(FOUR_STAGES)),
    }


def _payment_bug(people: dict[str, list[Event]], high_water: int, events: list[Event]) -> dict[str, object]:
    found: dict[str, object] = {"first_day": BUG_DAYS[0], "last_day": BUG_DAYS[1]}
    for source in ("app", "web"):
        for label, days in (("bug_week", BUG_DAYS), ("four_weeks_before", WEEKS_BEFORE)):
            attempts = [best_attempt(mine, _payment(source), DAY, high_water, days) for mine in people.values()]
            depths = [attempt.depth for attempt in attempts if attempt]
            found[f"{source}_{label}"] = {"entered": len(depths), "paid": depths.count(2)}
    errors = [e for e in events if e.name == "payment_error"]
    in_week = [e for e in errors if e.source == "app" and BUG_DAYS[0] <= local_day(e.at) <= BUG_DAYS[1]]
    return found | {"payment_errors": len(errors), "payment_errors_app_bug_week": len(in_week)}
