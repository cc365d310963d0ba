"""`SOURCES.md`: the sample and its stories, in words and true figures."""

from __future__ import annotations

from typing import Any

FILE_COLUMNS = ("record_count", "accepted_count", "quarantined_count", "duplicate_count", "conflicting_count",
                "filtered_count", "late_count")  # fmt: skip
STEPS = ("product", "cart", "checkout", "paid")
PERIODS = (("9 to 15 March", "bug_week"), ("9 February to 8 March", "four_weeks_before"))


def page(found: dict[str, Any]) -> str:
    """Return the page for the figures of `truths.json`."""
    return "\n".join([_what_it_is(found), _personas(found), _stories(found), _files(found)])


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    lines: list[list[Any]] = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _what_it_is(found: dict[str, Any]) -> str:
    revenue = ", ".join(f"{currency} {amount}" for currency, amount in found["revenue"].items())
    bots, testers = found["bots"], found["internal"]
    return f"""# The sample

Half a year (1 January to 29 June 2026) of an invented shop: {found["humans"]:,} people, made by
`python -m data.generator` with seed {found["seed"]}. Nobody in it exists; hosts are `example.com`, texts are
invented. This page and `truths.json` are written by the generator from what it knows to be true, not from what the
pipeline says; the tests find each of them in the published tables. Figures leave out bots and internal traffic, and
use the rules of `docs/reference/semantics.md`.

- {found["events"]:,} events of {found["persons"]:,} persons that the data can tell apart,
  in {found["journeys"]:,} journeys; the last event is at {found["high_water_at"]}.
- Purchases: {_listed(found["purchases"])}. Revenue: {revenue}; never added.
- Devices: {found["devices"]:,}; {len(found["shared_devices"])} are shared (tablets of families, kiosks in the store),
  {found["devices_without_user"]:,} never carried an account. {found["merged_accounts"]} customers merged
  an older account into theirs (event `alias`).
- {bots["devices"]} bots made {bots["events"]:,} hits; {testers["users"]} testers of the shop made
  {testers["events"]} events, test orders included.
"""


def _personas(found: dict[str, Any]) -> str:
    checkout = [
        [persona, *(row["person_count"] for row in periods["all"])]
        for persona, periods in found["funnels"]["checkout"].items()
    ]
    return f"""## Personas

Persons by their latest journey: {_listed(found["persons_by_persona"])}.
By lifecycle: {_listed(found["persons_by_lifecycle"])}.

People reaching the steps of the funnel `checkout`, by the persona of the journey that holds the attempt's start:

{table(["persona", *STEPS], checkout)}
"""


def _stories(found: dict[str, Any]) -> str:
    bug, lone, silent = found["payment_bug"], found["uncovered"], found["silent"]
    paid = [[label, *bug[f"app_{key}"].values(), *bug[f"web_{key}"].values()] for label, key in PERIODS]
    promised = [[persona, *row.values()] for persona, row in found["delivery_promise"].items()]
    social = [
        [persona, row["journeys"], row["social"], f"{row['share']:.1%}"]
        for persona, row in found["first_touches"].items()
    ]
    return f"""## Planted stories

### 1. A payment bug in the app, for one week
From 9 to 15 March 2026 paying in the app fails with code E17. Persons who started the checkout, and who paid in the
same channel within a day (funnels `app_payment_bug_week` and `web_payment_bug_week`):

{table(["entered", "app", "app paid", "web", "web paid"], paid)}

There are {bug["payment_errors"]} `payment_error` events, {bug["payment_errors_app_bug_week"]} of them in the app in
that week.

### 2. A delivery promise broken for families
Orders are promised within three days. Online orders by persona of the journey that holds the order (funnel
`delivery_promise` of `funnel_steps`, a unit an order: kept is `converted_count`, broken `drop_off_count`):

{table(["persona", "orders", "kept", "broken", "pending"], promised)}

### 3. A source that falls silent
`chat` has {silent["events"]} events, the last at {silent["last_event_at"]}; from {silent["silent_from"]}
on there is none, though people go on calling (`event_kinds`, `last_seen_at`).

### 4. An event that no rule covers
`{lone["event_name"]}`: {lone["event_count"]} events of {lone["person_count"]} persons. No rule of any of the three
models names it. (`alias`, {found["merged_accounts"]} events, is named by the shop's own model only.)

### 5. Students start on social channels
Journeys whose first event has `utm_medium` social (`first_touches`, a table of the shop's own, in
`sql/marts/` beside `journeyflow.yml`; touchpoints `app: Social landing` and `web: Social landing`):

{table(["persona", "journeys", "social", "share"], social)}
"""


def _files(found: dict[str, Any]) -> str:
    rows = [
        [name, *(file[column] for column in FILE_COLUMNS), ", ".join(f"{k} {n}" for k, n in file["reasons"].items())]
        for name, file in found["files"].items()
    ]
    columns = [column.removesuffix("_count") for column in FILE_COLUMNS]
    return f"""## What is wrong with the files

Every row ends in one place: records = accepted + quarantined + duplicate + filtered. Late rows were received more than
a day after they occurred. `web-2026-04_reexport` repeats the last days of April and fills a gap of four hours;
`calls-2026-q2` repeats the last days of March (its duplicates have no id and are found by content); `web-2026-05` is
shuffled; `web-late` and some app batches came weeks late. Bots and testers are among the accepted rows.

{table(["file", *columns, "reasons"], rows)}

`crm/customers.csv` has one row per customer and change, valid from `changed_at`; `spend.csv` has one row per day and
channel.
"""
