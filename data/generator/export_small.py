"""The smaller sources as files: e-mail, store, calls, chats, answers, deliveries; and customers and spend."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from .event import Event
from .export import BERLIN, batch, iso, local, month, number, raw_name
from .files import TextFile
from .people import DAY, HOUR, SECOND, START, Human, utc

CALLS_OVERLAP_FROM = utc("2026-03-25T00:00:00")


def table(path: str, header: tuple[str, ...], events: list[Event], row: Callable[[Event], dict[str, object]],
          delimiter: str = ",", encoding: str = "utf-8") -> TextFile:  # fmt: skip
    """Return one CSV file of a source; a row that is called `sent` is one that the source's filter leaves out."""
    file = TextFile(path, header, delimiter, encoding)
    for event in events:
        if event.name == "sent":
            file.filtered(row(event))
        else:
            file.good(row(event), is_late=event.received - event.at > DAY)
    return file


def email_files(events: list[Event], rng: random.Random) -> list[TextFile]:
    """Return two quarters of sends (filtered), opens and clicks."""
    header = ("id", "ts", "received", "customer", "event", "source", "medium", "campaign")

    def row(e: Event) -> dict[str, object]:
        return {"id": e.event_id, "ts": iso(e.at)[:19].replace("T", " "),
                "received": iso(e.received)[:19].replace("T", " "), "customer": e.user, "event": raw_name(e),
                "source": e.utm[0], "medium": e.utm[1], "campaign": e.utm[2]}  # fmt: skip

    for event in number(events, "e"):
        event.received = batch(event.at, 60)
    files = []
    for n, months in (("q1", ("01", "02", "03")), ("q2", ("04", "05", "06"))):
        mine = [e for e in events if month(e.at)[-2:] in months]
        file = table(f"email/email-2026-{n}.csv.gz", header, mine, row)
        answers = [e for e in mine if e.name != "sent"]
        for event in rng.sample(answers, 10):
            file.repeat(row(event), rng)
        for k in range(2):
            file.bad("no_identifier", row(answers[0]) | {"id": f"xe-{n}-{k}", "customer": ""}, rng)
        files.append(file)
    return files


def store_files(visits: list[Event], purchases: list[Event], rng: random.Random) -> list[TextFile]:
    """Return two Latin-1 files without event ids, on local clocks and to the minute."""
    form = "%d.%m.%Y %H:%M"

    def row(e: Event) -> dict[str, object]:
        return {"datum": local(e.at, form), "erfasst": local(e.received, form), "kunde": e.user,
                "beleg": e.props.get("receipt", ""), "betrag": e.amount, "währung": e.currency,
                "filiale": e.props["branch"]}  # fmt: skip

    for event in visits + purchases:
        event.received = event.at - event.at % DAY + 20 * HOUR
    visits.sort(key=lambda e: (e.at, e.user))
    purchases.sort(key=lambda e: (e.at, e.user))
    first = table("store/visits.csv", ("datum", "erfasst", "kunde", "filiale"), visits, row, ";", "latin-1")
    header = ("datum", "erfasst", "kunde", "beleg", "betrag", "währung", "filiale")
    second = table("store/purchases.csv", header, purchases, row, ";", "latin-1")
    for k in range(5):  # no loyalty card
        second.bad("no_identifier", row(purchases[k]) | {"kunde": "", "beleg": f"b-guest-{k}"}, rng)
    first.bad("bad_time", row(visits[0]) | {"datum": "31.02.2026 11:00"}, rng)
    second.bad("bad_record", [*row(purchases[0]).values(), "?"], rng)
    return [first, second]


def call_files(events: list[Event], rng: random.Random) -> list[TextFile]:
    """Return two files without event ids; the second repeats the last days of the first."""
    form = "%Y-%m-%d %H:%M:%S"

    def row(e: Event) -> dict[str, object]:
        return {"started": local(e.at, form), "recorded": local(e.received, form), "customer": e.user,
                "topic": e.props["topic"]}  # fmt: skip

    events.sort(key=lambda e: (e.at, e.user))
    for event in events:
        event.received = batch(event.at, 30)
    header = ("started", "recorded", "customer", "topic")
    first = table("calls/calls-2026-q1.csv", header, [e for e in events if month(e.at) < "2026-04"], row)
    second = table("calls/calls-2026-q2.csv", header, [e for e in events if month(e.at) >= "2026-04"], row)
    for event in events:
        if event.at >= CALLS_OVERLAP_FROM and month(event.at) < "2026-04":
            second.repeat(row(event), rng)
    for k in range(3):
        second.bad("no_identifier", row(events[-1 - k]) | {"customer": ""}, rng)
    return [first, second]


def answer_files(chats: list[Event], surveys: list[Event], reviews: list[Event], rng: random.Random) -> list[TextFile]:
    """Return chats, survey answers and reviews."""
    for event in number(chats, "h") + number(surveys, "s") + number(reviews, "r"):
        event.received = batch(event.at, 15)

    def row(e: Event) -> dict[str, object]:
        stamps = {"id": e.event_id, "ts": iso(e.at, has_millis=False), "received": iso(e.received, has_millis=False)}
        return {**stamps, "visitor": e.device, "customer": e.user, "kind": raw_name(e), **e.props}

    stamps = ("id", "ts", "received")
    chat = table("chat/chat.csv", (*stamps, "visitor", "customer", "kind", "topic"), chats, row)
    survey = table("surveys/answers.csv", (*stamps, "customer", "kind", "score", "comment"), surveys, row)
    review = table("reviews/reviews.csv", (*stamps, "customer", "stars", "text", "order_id"), reviews, row)
    survey.bad("no_time", row(surveys[0]) | {"id": "xs-1", "ts": ""}, rng)
    survey.bad("no_name", row(surveys[0]) | {"id": "xs-2", "kind": ""}, rng)
    survey.repeat(row(surveys[5]), rng)
    changed = {"stars": 1, "text": "Changed my mind.", "received": iso(reviews[3].received + 9 * DAY, has_millis=False)}
    review.repeat(row(reviews[3]) | changed, rng, differs=True)
    return [chat, survey, review]


def delivery_files(events: list[Event], rng: random.Random) -> list[TextFile]:
    """Return the carrier's JSON lines, with the offset of Berlin in every stamp."""
    file = TextFile("deliveries/deliveries.jsonl")

    def row(e: Event) -> dict[str, object]:
        at = datetime.fromtimestamp(e.at // SECOND, BERLIN).isoformat()
        return {"id": e.event_id, "order_id": e.props["order_id"], "customer": e.user, "status": "delivered", "at": at,
                "recorded": iso(e.received, has_millis=False)}  # fmt: skip

    for event in number(events, "v"):
        event.received = batch(event.at, 60)
        file.good(row(event))
    for event in rng.sample(events, 6):
        file.repeat(row(event), rng)
    file.bad("no_time", row(events[0]) | {"id": "xv-1", "at": None}, rng)
    file.bad("bad_json", '{"id":"xv-2","order_id":"o0\n', rng)
    return [file]


# ---- what is not an event ------------------------------------------------------------------------


def crm_file(humans: list[Human], rng: random.Random) -> tuple[TextFile, list[dict[str, object]]]:
    """Return the CRM export (one row a change) and its rows, `changed_at` in microseconds."""
    header = ("customer", "birth_year", "household", "plan", "country", "changed_at")
    rows: list[dict[str, object]] = []
    for human in humans:
        if human.customer is None or human.joined_at is None or (human.joined_at >= START and not human.signed_in):
            continue
        has_facts = human.has_crm_record
        at = human.joined_at - human.joined_at % SECOND
        row: dict[str, object] = {
            "customer": human.customer, "birth_year": human.birth_year if has_facts else "",
            "household": human.household if has_facts else "", "plan": human.plan if has_facts else "",
            "country": human.country, "changed_at": at,
        }  # fmt: skip
        rows.append(row)
        if has_facts and human.kind in ("casual", "professional") and rng.random() < 0.08:
            plan = "business" if human.kind == "casual" else "plus"
            rows.append(row | {"plan": plan, "changed_at": START + rng.randrange(20, 150) * DAY + 9 * HOUR})
    for n in (1, 2, 3):  # customers whom no event ever names
        rows.append(rows[0] | {"customer": f"c9900{n}"})
    file = TextFile("crm/customers.csv", header)
    for row in rows:
        file.lines.append(file.line(row | {"changed_at": iso(int(str(row["changed_at"])), has_millis=False)}))
    return file, rows


def spend_file(rng: random.Random) -> TextFile:
    """Return the advertising spend: a row a day and channel, one channel billed in dollars."""
    file = TextFile("spend.csv", ("date", "channel", "amount", "currency"))
    for day in range(180):
        for channel, cost, currency in (("cpc", 190, "EUR"), ("social", 120, "USD"), ("affiliate", 60, "EUR")):
            date = iso(START + day * DAY)[:10]
            file.lines.append(file.line([date, channel, f"{cost * rng.uniform(0.7, 1.3):.2f}", currency]))
    return file
