"""The configuration that `journeyflow init` writes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from journeyflow.cli.peek import Peek, peek

SYNONYMS = {
    "event_id": ("event_id", "eventid", "id", "uuid", "message_id", "insert_id"),
    "occurred_at": (
        "occurred_at", "event_time", "event_timestamp", "timestamp", "ts", "time", "datetime", "created_at", "date",
    ),
    "anonymous_id": (
        "anonymous_id", "visitor_id", "visitorid", "cookie", "cookie_id", "client_id", "device_id", "user_pseudo_id",
        "fullvisitorid", "distinct_id",
    ),
    "user_id": ("user_id", "userid", "customer_id", "customer", "member_id", "account_id", "uid"),
    "session_id": ("session_id", "sessionid", "session", "visit_id", "visit", "user_session"),
    "event_name": ("event_name", "event", "event_type", "action", "type", "name", "activity"),
    "page_path": ("page_path", "page_url", "url", "page", "path", "page_location"),
    "referrer_host": ("referrer_host", "referrer", "referer"),
    "utm_source": ("utm_source",),
    "utm_medium": ("utm_medium",),
    "utm_campaign": ("utm_campaign",),
    "revenue_amount": ("revenue_amount", "revenue", "amount", "total", "price", "value"),
    "currency": ("currency", "currency_code"),
    "sequence": ("sequence", "hit_number", "order_in_session"),
}  # fmt: skip
"""Canonical column → names that sources give it, likeliest first."""

VOCABULARY = {
    "page_view": ("pageview", "page", "view_page"),
    "product_view": ("view", "view_item", "product_viewed", "detail"),
    "add_to_cart": ("cart", "addtocart", "product_added", "basket", "carts"),
    "remove_from_cart": ("removefromcart", "product_removed"),
    "checkout_started": ("checkout", "begin_checkout"),
    "purchase": ("transaction", "order", "order_completed", "orders", "payment_done", "buy"),
    "sign_up": ("signup", "register", "registration"),
}
"""Name of the built-in models → names that may mean it; only ever proposed, never applied."""


def starter(data: Path | None, folder: Path) -> tuple[str, list[str]]:
    """Return a commented configuration and what the reader should look at.

    Parameters
    ----------
    data : Path or None
        A file of events to look at; None gives an example to fill in.
    folder : Path
        Folder of the configuration: its paths are relative to it.

    Returns
    -------
    tuple of str and list of str
        The text of `journeyflow.yml`, and notes of one line each.

    Raises
    ------
    InputError
        When the file is missing or is of no kind that can be looked at.
    """
    if data is None:
        return _page(_EXAMPLE_SOURCE, "my-project"), [
            "Fill in `sources`: where the events lie and what their columns are called."
        ]
    seen = peek(data)
    path = os.path.relpath(data.resolve(), folder.resolve())
    source, notes = _source(seen, path)
    return _page(source, _identifier(data.resolve().parent.name)), notes


def _source(seen: Peek, path: str) -> tuple[str, list[str]]:
    lines = ["  events:", f"    format: {seen.form}", f"    path: {_quoted(path)}", "    channel: web"]
    if seen.form == "access_log":
        return "\n".join(lines), [f"{path} looks like a web server's access log; it needs no columns."]
    if seen.delimiter not in (None, ","):
        lines.append(f"    delimiter: {json.dumps(seen.delimiter)}")
    if seen.encoding:
        lines.append(f"    encoding: {seen.encoding}               # a guess: the file is not UTF-8")
    mapping = propose_columns(seen.columns)
    lines += [
        "    timezone: UTC                  # of stamps that have no zone",
        *_rename_lines(seen, mapping),
        "    columns:",
    ]
    lines += [f"      {name}: {_column(name, column, seen)}" for name, column in mapping.items()]
    missing = _missing(mapping)
    lines += [f"      # {name}: ...                # required; one of: {', '.join(seen.columns)}" for name in missing]
    rest = [column for column in seen.columns if column not in mapping.values()]
    if rest:
        lines.append(f"    properties: [{', '.join(map(_quoted, rest))}]")
    notes = [f"{name} is read from the column {column}" for name, column in mapping.items()]
    return "\n".join(lines), [
        *notes,
        *_amount_notes(seen, mapping),
        *(f"No column looks like {name}: name one before the first run" for name in missing),
    ]


def propose_columns(columns: list[str]) -> dict[str, str]:
    """Return canonical column → column of the file, for those whose names say it.

    Examples
    --------
    >>> propose_columns(["ts", "visitorid", "event", "colour"])
    {'occurred_at': 'ts', 'anonymous_id': 'visitorid', 'event_name': 'event'}
    """
    known = {column.lower().replace(" ", "_").replace("-", "_"): column for column in reversed(columns)}
    mapping: dict[str, str] = {}
    for name, synonyms in SYNONYMS.items():
        column = next((known[s] for s in synonyms if s in known and known[s] not in mapping.values()), None)
        if column is not None:
            mapping[name] = column
    return mapping


def _amount_notes(seen: Peek, mapping: dict[str, str]) -> list[str]:
    column = mapping.get("revenue_amount", "")
    if not any(re.fullmatch(r"[-+]?[\d.]*,\d{1,2}", value) for value in seen.values(column)):
        return []
    return [f"{column} holds decimal commas, and such amounts are quarantined: write 1.50 for 1,50, or take it out"]


def _missing(mapping: dict[str, str]) -> list[str]:
    missing = [name for name in ("occurred_at", "event_name") if name not in mapping]
    has_person = "anonymous_id" in mapping or "user_id" in mapping
    return missing if has_person else [*missing, "anonymous_id"]


def _column(name: str, column: str, seen: Peek) -> str:
    unit = seen.epoch_unit(column) if name == "occurred_at" else None
    return f"{{column: {_quoted(column)}, unit: {unit}}}" if unit else _quoted(column)


def _rename_lines(seen: Peek, mapping: dict[str, str]) -> list[str]:
    """Say which event names were seen, and propose what they may mean, as a comment for a person to decide."""
    names = seen.values(mapping.get("event_name", ""))
    if not names or len(names) > 40:
        return []
    lines = [f"    # event names seen: {', '.join(map(_quoted, names))}"]
    guesses = {name: known for known, others in VOCABULARY.items() for name in names if name.lower() in others}
    if guesses:
        pairs = ", ".join(f"{_quoted(name)}: {known}" for name, known in guesses.items())
        lines.append(f"    # rename: {{{pairs}}}    # their names in the built-in models; take it if it is true")
    return lines


def _quoted(text: str) -> str:
    is_plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text) and text.lower() not in {
        "yes",
        "no",
        "on",
        "off",
        "true",
        "false",
        "null",
    }
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "my-project"


_EXAMPLE_SOURCE = """\
  web:
    format: csv                    # csv, jsonl, parquet, access_log, snowplow
    path: data/web/*.csv.gz
    channel: web
    timezone: UTC                  # of stamps that have no zone
    columns:                       # canonical name: column of the file
      occurred_at: ts
      anonymous_id: cookie
      user_id: customer
      event_name: event
      page_path: url
      revenue_amount: amount"""


def _page(source: str, project: str) -> str:
    return _TEMPLATE.replace("@project@", project).replace("@source@", source)


_TEMPLATE = """\
# What journeyflow reads, what it counts and where it writes. Paths are relative to this file.
# Every key: docs/reference/configuration.md. Editors complete them from `journeyflow schema > journeyflow.schema.json`.
project: @project@
timezone: UTC                      # of reporting days; stored times are UTC
state: state/                      # private: the warehouse and the ledger of files
publish: published/                # what BI tools read

sources:
@source@

# people:                          # traits of users, for personas
#   - {path: data/crm.csv, user_id: customer, traits: [birth_year, plan], valid_from: changed_at}

models:
  four_stage: builtin              # awareness, consideration, decision, post_purchase

# personas:                        # the first that matches; everybody else is `unassigned`
#   - {name: from_campaigns, when: {first.utm_medium: [cpc, social, email]}}

# funnels:                         # two to twenty steps
#   checkout:
#     steps:
#       - {name: product, when: {event: product_view}}
#       - {name: cart, when: {event: add_to_cart}}
#       - {name: paid, when: {event: purchase}}
#     window: 7d

# goals:                           # conversions and their value
#   order: {when: {event: purchase}, value: revenue_amount}
# currency: {report: EUR}
"""
