"""Judge the rows that the product publishes, one by one, against what is true of the world.

Read are the rows of `opportunities` (for persona `all`, period `all` and one model), in their order; the days and the
grade come from the same row of `pain_points` where `opportunities` has none.

A row is **true** when it names a pain:
- *exposure* (error, notice, chat, wait, repeat): the row's subject names the pain's event. A wait may be named by its
  question, its answer or its promise. The form that everybody fills in is a pain only in its repetition: a row of kind
  `drop_off` about it (met, not repeated) is a decoy.
- *incident*: the row's slice is the pain's slice, it has days, and they share at least half of the pain's days and half
  of the row's own. An incident that writes an error event is also named by this event, whatever the days.
- *gap*: the row's slice is the pain's slice, and it is no incident, or one over at least half of all days.
- *promise*: the row's subject is the promise.

Names are compared whole, without the channel in front, letter case, quotes and a remark in brackets; a subject may hold
several (`a, b`, `a and b`). Stage and funnel step are not compared: a pain at payment may well be told at the cart. A
slice given beside the right event must not contradict the pain's.

A row is **neutral**, and counts neither way, when it is near a pain: a part of a pair of slices, a narrower slice than
the pain's, the right slice with the wrong days or none; the refunds after a broken promise.

Otherwise it is a **decoy** when it names a planted decoy (its event; the goal's own event; the promise that is broken
harmlessly; an incident in the days of the tracking gap or of the seasonal dip; personas and media where the mix
changes; a return where events tie), and **false** when it names nothing of the world.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb

from benchmarks.worlds.draw import START, Pain, World
from benchmarks.worlds.truth import Truth

LEADING = 10
SLICE = re.compile(r"([A-Za-z_.]+)\s*=\s*([^,;&]+?)\s*(?:$|[,;&]|\band\b)")
COLUMNS: tuple[str, ...] = (
    *("opportunity_rank", "stage", "origin", "kind", "grade", "subject", "slice", "first_day", "last_day"),
    *("person_count", "lost_count", "lost_low", "lost_high", "goal_lost_count", "goal_lost_low", "goal_lost_high"),
    *("worth_amount", "headline"),
)

Row = dict[str, object]


@dataclass(frozen=True)
class Verdict:
    """What a row is, and which pain (by number) or decoy (by kind) it names."""

    row: Row
    is_what: str
    """`true`, `neutral`, `decoy` or `false`."""
    pain: int | None = None
    decoy: str | None = None


def run_product(folder: Path) -> None:
    """Run the product on the world in `folder`."""
    done = subprocess.run(
        [sys.executable, "-m", "journeyflow", "run"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"The run failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")


def read_rows(folder: Path, model: str) -> tuple[list[Row], list[Row]]:
    """Return the rows of `opportunities` and `pain_points` for everybody and the whole time, in their order.

    Columns that the tables do not have are null.
    """
    with duckdb.connect(str(folder / "published" / "current" / "marts.duckdb"), read_only=True) as database:
        opportunities = _read(database, "opportunities", model, "opportunity_rank")
        pains = _read(database, "pain_points", model, "pain_rank")
    known = {_key(row): row for row in reversed(pains)}
    for row in opportunities:
        beside = known.get(_key(row), {})
        for column in ("slice", "first_day", "last_day", "grade"):
            if row.get(column) is None:
                row[column] = beside.get(column)
    return opportunities, pains


def _read(database: duckdb.DuckDBPyConnection, table: str, model: str, rank: str) -> list[Row]:
    found = database.execute(
        f"select * from {table} where model = ? and persona = 'all' and period = 'all' order by {rank}", [model]
    )
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, values, strict=True)) for values in found.fetchall()]
    for row in rows:
        row["subject"] = row.get("subject", row.get("pain_point"))
        for column in COLUMNS:
            row.setdefault(column, None)
    return rows


def _key(row: Row) -> tuple[object, ...]:
    return row.get("stage"), row.get("kind"), row.get("subject"), row.get("slice")


def judge(world: World, rows: list[Row]) -> list[Verdict]:
    """Judge each row; see the module."""
    return [_judge_row(world, row) for row in rows]


def has_alert(opportunities: list[Row], pains: list[Row]) -> bool:
    """Say whether anything of grade `incident` or `matched` is listed (without grades: anything with an estimate)."""
    rows = opportunities + pains
    graded = any(row["grade"] is not None for row in rows)
    if graded:
        return any(row["grade"] in ("incident", "matched") for row in rows)
    return any(row["lost_count"] is not None for row in rows)


def _judge_row(world: World, row: Row) -> Verdict:
    matches = [(_match(world, row, pain), pain) for pain in world.pains]
    for wanted in ("true", "neutral"):
        for match, pain in matches:
            if match == wanted:
                return Verdict(row, wanted, pain=pain.number)
    decoy = _decoy_of(world, row)
    return Verdict(row, "decoy" if decoy else "false", decoy=decoy)


def _match(world: World, row: Row, pain: Pain) -> str | None:
    names, given = names_of(row["subject"]), slice_of(row)
    wanted = dict(pain.slice)
    agrees = all(given.get(column, value) == value for column, value in wanted.items())
    if names & _names(world, pain):
        if pain.kind == "repeat" and row["kind"] == "drop_off":
            return None
        return "true" if agrees else None
    if pain.family == "promise" and names & {"refund", "complaint", "return_requested"}:
        return "neutral"
    if not wanted or not given or not agrees:
        return None
    if not set(given.items()) & set(wanted.items()):
        return None
    if given != wanted:
        return "neutral"
    days = _days(row)
    if pain.family == "gap":
        is_long = days is None or (days[1] - days[0]).days + 1 >= world.days / 2
        return "true" if is_long else "neutral"
    return "true" if days is not None and _overlap(world, pain, days) else "neutral"


def _names(world: World, pain: Pain) -> set[str]:
    """Return the names under which a pain may be told, beside its slice."""
    found = {name.lower() for name in (pain.event, pain.promise) if name}
    wait = world.business.wait
    if wait is not None and pain.event == wait[1]:
        found |= {wait[0].lower()}
        if world.business.after_goal is None and world.business.promise is not None:
            found |= {world.business.promise.lower()}
    return found


def names_of(subject: object) -> set[str]:
    """Return the names that a subject holds, in lower case, with and without the channel in front."""
    text = re.sub(r"\([^)]*\)", " ", str(subject or "")).replace("`", "").replace("'", "").replace('"', "")
    parts = re.split(r",|;| and | \+ | / ", text)
    whole = {part.strip().lower() for part in [text, *parts]}
    return (whole | {part.split(": ", 1)[1].strip() for part in whole if ": " in part}) - {""}


def slice_of(row: Row) -> dict[str, str]:
    """Return the slice of a row as column → value; a subject such as `device=mobile` counts as one."""
    found = SLICE.findall(str(row["slice"] or "")) or SLICE.findall(str(row["subject"] or ""))
    return {column.split(".")[-1].strip(): value.strip().strip("'\"`") for column, value in found}


def _days(row: Row) -> tuple[datetime.date, datetime.date] | None:
    first, last = row["first_day"], row["last_day"]
    if first is None:
        return None
    begun = first.date() if isinstance(first, datetime.datetime) else datetime.date.fromisoformat(str(first)[:10])
    if last is None:
        return begun, datetime.date.max
    return begun, last.date() if isinstance(last, datetime.datetime) else datetime.date.fromisoformat(str(last)[:10])


def _overlap(world: World, pain: Pain, days: tuple[datetime.date, datetime.date]) -> bool:
    """Say whether at least half of the pain's days and half of the row's days are common."""
    dates, end = world.dates(pain), START + datetime.timedelta(days=world.days - 1)
    if dates is None:
        return False
    first, last = dates
    until = min(days[1], end)
    common = (min(last, until) - max(first, days[0])).days + 1
    return common >= 0.5 * ((last - first).days + 1) and common >= 0.5 * ((until - days[0]).days + 1)


def _decoy_of(world: World, row: Row) -> str | None:
    names, given, days = names_of(row["subject"]), slice_of(row), _days(row)
    business = world.business
    if business.goal.lower() in names:
        return "goal"
    for decoy in world.decoys:
        if decoy.event is not None and decoy.event.lower() in names:
            return decoy.kind
        if decoy.kind == "harmless_wait" and business.wait is not None and names & set(business.wait[:2]):
            return decoy.kind
        if decoy.kind == "harmless_late" and str(business.promise).lower() in names:
            return decoy.kind
        if decoy.kind == "persona_mix" and set(given) & {"persona", "utm_medium", "medium", "utm_source"}:
            return decoy.kind
        if decoy.kind == "ties" and row["kind"] == "return":
            return decoy.kind
        if decoy.kind in ("tracking_gap", "season") and row["kind"] == "incident" and days is not None:
            dates = world.dates(decoy)
            if dates is not None and days[0] <= dates[1] and days[1] >= dates[0]:
                return decoy.kind
    if row["kind"] == "drop_off" and business.field_event in names:
        return "form"
    return None


def found_pains(truth: Truth, verdicts: list[Verdict]) -> dict[int, int]:
    """Return the number of each pain that a true row names → the position of the first such row, from 1."""
    found: dict[int, int] = {}
    for position, verdict in enumerate(verdicts, start=1):
        if verdict.is_what == "true" and verdict.pain is not None:
            found.setdefault(verdict.pain, position)
    return {loss.pain.number: found[loss.pain.number] for loss in truth.losses if loss.pain.number in found}
