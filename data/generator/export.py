"""The sample's events as the files that collectors, shops and call centres would hand over."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from zoneinfo import ZoneInfo

from .event import Event
from .files import TextFile
from .people import DAY, HOUR, MINUTE, SECOND, utc

BERLIN = ZoneInfo("Europe/Berlin")
RAW_NAMES = {
    "web": {
        "product_view": "view_item", "add_to_cart": "cart_add", "remove_from_cart": "cart_remove",
        "checkout_started": "checkout", "purchase": "order_paid", "payment_error": "payment_failed",
        "refund": "order_returned",
    },
    "app": {
        "page_view": "screen", "product_view": "product", "add_to_cart": "cart", "remove_from_cart": "uncart",
        "checkout_started": "checkout", "payment_info": "pay", "payment_error": "pay_failed", "purchase": "buy",
        "onboarding": "tour",
    },
    "email": {"email_opened": "open", "email_clicked": "click"},
    "surveys": {"csat_answer": "csat", "nps_answer": "nps"},
}  # fmt: skip
WEB = ("id", "ts", "received", "cookie", "customer", "event", "url", "referrer", "utm_source", "utm_medium",
       "utm_campaign", "button", "amount", "currency", "hit", "agent", "order_id", "product", "code",
       "previous_id")  # fmt: skip
LATE_AT = utc("2026-05-02T03:00:00")
GAP = utc("2026-04-30T12:00:00"), utc("2026-04-30T16:00:00")  # missing in April's file, in its second export
OVERLAP_FROM = utc("2026-04-27T00:00:00")


def iso(at: int, *, has_millis: bool = True) -> str:
    """Return a UTC stamp with a `Z`."""
    text = datetime.fromtimestamp(at // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{at % SECOND // 1000:03d}Z" if has_millis else f"{text}Z"


def local(at: int, form: str) -> str:
    """Return a stamp on Berlin's clocks, without a zone."""
    return datetime.fromtimestamp(at // SECOND, BERLIN).strftime(form)


def month(at: int) -> str:
    """Return the UTC month."""
    return _month_of_day(at // DAY)


@cache
def _month_of_day(day: int) -> str:
    return iso(day * DAY)[:7]


def batch(at: int, minutes: int = 5) -> int:
    """Return when a batch that is sent every few minutes arrives."""
    return at + minutes * MINUTE - at % (minutes * MINUTE)


def number(events: list[Event], letter: str) -> list[Event]:
    """Return the events by time, with ids of their source."""
    events.sort(key=lambda e: (e.at, e.device, e.user, e.seq or 0, e.name))
    for n, event in enumerate(events, 1):
        event.event_id = f"{letter}{n:06d}"
    return events


def raw_name(event: Event) -> str:
    """Return what the source itself calls the event."""
    return RAW_NAMES.get(event.source, {}).get(event.name, event.name)


# ---- web -----------------------------------------------------------------------------------------


def web_row(e: Event) -> dict[str, object]:
    """Return an event as a row of the web collector."""
    return {
        "id": e.event_id, "ts": iso(e.at), "received": iso(e.received, has_millis=False), "cookie": e.device,
        "customer": e.user, "event": raw_name(e), "url": e.path, "referrer": e.referrer, "utm_source": e.utm[0],
        "utm_medium": e.utm[1], "utm_campaign": e.utm[2], "button": e.target, "amount": e.amount,
        "currency": e.currency, "hit": e.seq or "", "agent": e.agent, **e.props,
    }  # fmt: skip


def web_files(events: list[Event], rng: random.Random) -> list[TextFile]:
    """Return monthly files, one that came late, and a second export that overlaps April's."""
    files = {f"2026-{m:02d}": TextFile(f"web/web-2026-{m:02d}.csv.gz", WEB) for m in range(1, 7)}
    late = TextFile("web/web-late.csv.gz", WEB)
    again = TextFile("web/web-2026-04_reexport.csv.gz", WEB)
    for event in number(events, "w"):
        event.received = batch(event.at)
        is_april_end = month(event.at) == "2026-04" and event.at >= OVERLAP_FROM
        if month(event.at) in ("2026-02", "2026-03") and rng.random() < 0.02:
            event.received = LATE_AT
            late.good(web_row(event), is_late=True)
        elif GAP[0] <= event.at < GAP[1]:
            again.good(web_row(event))
        else:
            files[month(event.at)].good(web_row(event))
            if is_april_end:
                again.repeat(web_row(event), rng)
    for name, file in files.items():
        mine = [e for e in events if month(e.at) == name and e.received != LATE_AT and not GAP[0] <= e.at < GAP[1]]
        _spoil_web(file, mine, rng)
    rng.shuffle(files["2026-05"].lines)  # a file out of order
    return [*files.values(), again, late]


def _spoil_web(file: TextFile, events: list[Event], rng: random.Random) -> None:
    for event in rng.sample(events, 15):
        file.repeat(web_row(event), rng)
    for event in rng.sample(events, 4):  # the same id again, later and with another page: the first one stands
        row = web_row(event) | {"url": "/changed", "received": iso(event.received + HOUR, has_millis=False)}
        file.repeat(row, rng, differs=True)
    base = web_row(rng.choice(events)) | {"event": "page_view", "amount": "", "currency": ""}
    tag = file.path[-9:-7]
    bad: list[tuple[str, dict[str, object]]] = [
        ("no_time", {"ts": ""}), ("no_time", {"ts": ""}),
        ("no_identifier", {"cookie": "", "customer": ""}), ("no_identifier", {"cookie": "", "customer": ""}),
        ("no_name", {"event": ""}),
        ("bad_time", {"ts": "2026-02-30T10:00:00.000Z"}),
        ("before_floor", {"ts": "1970-01-01T00:00:00.000Z"}),
        ("future", {"ts": "2031-01-01T00:00:00.000Z"}),
    ]  # fmt: skip
    for n, (reason, change) in enumerate(bad):
        file.bad(reason, base | change | {"id": f"x{tag}-{n}"}, rng)
    file.bad("bad_record", [*((base | {"id": f"x{tag}-8"}).get(name, "") for name in WEB), "one", "more"], rng)
    file.bad("bad_record", [f"x{tag}-9", base["ts"], base["received"], base["cookie"]], rng)


# ---- app -----------------------------------------------------------------------------------------


def app_item(e: Event) -> dict[str, object]:
    """Return an event as an element of a batch of the app."""
    item: dict[str, object] = {"id": e.event_id, "ts": e.at // 1000, "name": raw_name(e)}
    if e.path:
        item["screen"] = e.path
    if e.target:
        item["target"] = e.target
    if e.utm[1]:
        item["utm"] = dict(zip(("source", "medium", "campaign"), e.utm, strict=True))
    if e.amount:
        item["price"] = {"amount": e.amount, "currency": e.currency}
    return item | e.props


def app_batch(events: list[Event]) -> dict[str, object]:
    """Return events of one device and user as the batch that the app sends."""
    first = events[0]
    return {
        "device": {"id": first.device, "os": "os-" + str(first.human % 2)},
        "user": {"id": first.user} if first.user else {},
        "received": events[0].received // 1000,
        "events": [app_item(e) for e in events],
    }


def app_files(events: list[Event], rng: random.Random) -> list[TextFile]:
    """Return monthly files by arrival; some phones were offline for days."""
    files = {f"2026-{m:02d}": TextFile(f"app/app-2026-{m:02d}.jsonl.gz") for m in range(1, 7)}
    batches = [list(group) for _, group in groupby(_by_device(number(events, "a")), key=lambda pair: pair[0])]
    told = []
    for pairs in batches:
        mine = [event for _, event in pairs]
        received = batch(max(e.at for e in mine))
        if rng.random() < 0.02:
            received += rng.randrange(2, 35) * DAY
        for event in mine:
            event.received = received
        told.append(mine)
    told.sort(key=lambda mine: (mine[0].received, mine[0].event_id))
    for mine in told:
        late = sum(e.received - e.at > DAY for e in mine)
        file = files[min(month(mine[0].received), "2026-06")]
        file.good(app_batch(mine), len(mine))
        file.account.late += late
    for name, file in files.items():
        _spoil_app(file, [m for m in told if min(month(m[0].received), "2026-06") == name], rng)
    return list(files.values())


def _by_device(events: list[Event]) -> Iterable[tuple[tuple[str, str, int], Event]]:
    """Yield events device by device with a key that changes with the device, the user and after half an hour."""
    previous: Event | None = None
    n = 0
    for event in sorted(events, key=lambda e: (e.device, e.event_id)):
        if previous and event.device == previous.device and event.at - previous.at > 30 * MINUTE:
            n += 1
        yield (event.device, event.user, n), event
        previous = event


def _spoil_app(file: TextFile, batches: list[list[Event]], rng: random.Random) -> None:
    for mine in rng.sample(batches, 4):  # a batch sent twice
        file.repeat(app_batch(mine), rng, len(mine))
    tag, base = file.path[-11:-9], batches[0][0]
    good = app_item(base) | {"name": "screen"}
    shell = app_batch([base])
    file.bad("no_time", shell | {"events": [{"id": f"y{tag}-1", "name": "screen"}]}, rng)
    file.bad("no_identifier", shell | {"device": {}, "user": {}, "events": [good | {"id": f"y{tag}-2"}]}, rng)
    file.bad("bad_json", file.line(shell)[:60] + "\n", rng)
