"""Any source's SELECT brought to one set of columns and types: `typed_records`, which `sql/cleaned.sql` reads."""

from __future__ import annotations

from collections.abc import Mapping

from journeyflow.config.inputs import CANONICAL_COLUMNS
from journeyflow.ingest.quoting import literal
from journeyflow.ingest.times import time_of_text, utc_of_naive

AMOUNT = "decimal(18, 4)"
TIMES = ("occurred_at", "received_at")
TEXTS = (
    *(name for name in CANONICAL_COLUMNS if name not in (*TIMES, "revenue_amount")),
    "content",
    "quarantine_raw",
    "reason",
)
NAMES = ("event_id", "anonymous_id", "user_id", "session_id", "event_name")
"""What tells events, people and sessions apart: blanks alone name nobody, and would make one of all that have them."""


def typed_select(columns: Mapping[str, str], zone: str, constant_channel: str | None = None) -> str:
    """Return a SELECT over `canonical_records` that has every canonical column, null where the source gives none.

    Parameters
    ----------
    columns : mapping of str to str
        Columns of `canonical_records` and their types. Times may be text (ISO, in the source's zone where they state
        none), naive timestamps of that zone, or already UTC with a `has_…` column beside them.
    zone : str
        IANA name of the source's zone.
    constant_channel : str or None
        Overrules the source's own channel.

    Returns
    -------
    str
        The statement.
    """
    listed = ["record_ix", "source_row"]
    for name in TEXTS:
        listed.append(f"{_text(name, columns)} as {name}")
    for name in TIMES:
        flag = f"has_{name.removesuffix('_at')}"
        listed += [f"{_time(name, flag, columns, zone)} as {name}", f"{_has(name, flag, columns)} as {flag}"]
    amount = "revenue_amount" if "revenue_amount" in columns else "null"
    listed += [f"try_cast({amount} as {AMOUNT}) as revenue_amount"]
    listed += [f"{_has('revenue_amount', 'has_amount', columns)} as has_amount"]
    listed += ["properties" if "properties" in columns else "cast(null as json) as properties"]
    if constant_channel:
        listed[listed.index(f"{_text('channel', columns)} as channel")] = f"{literal(constant_channel)} as channel"
    return f"select {', '.join(listed)} from canonical_records"


def _text(name: str, columns: Mapping[str, str]) -> str:
    if name not in columns:
        return "cast(null as varchar)"
    text = name if columns[name] == "VARCHAR" else f"cast({name} as varchar)"
    return f"case when trim({text}) <> '' then {text} end" if name in NAMES else text


def _has(name: str, flag: str, columns: Mapping[str, str]) -> str:
    if flag in columns:
        return flag
    return f"{name} is not null" if name in columns else "false"


def _time(name: str, flag: str, columns: Mapping[str, str], zone: str) -> str:
    if name not in columns:
        return "cast(null as timestamp)"
    if flag in columns:
        return name
    if columns[name] == "VARCHAR":
        return time_of_text(name, zone)
    return utc_of_naive(f"cast({name} as timestamp)", zone)
