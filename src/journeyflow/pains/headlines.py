"""Headlines of pain points: one sentence each, made of the figures of its row alone; and the remedies beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.config.experience import Remedy, suggestion
from journeyflow.models.model import python_model
from journeyflow.utils.formatting import Labels, count, duration, numbered, percent

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine

MOST_CHARACTERS = 305
"""Names are cut, then refunds and the interval of the money left out, until a headline is no longer than this."""
SHAPES = ((60, True), (40, True), (28, True), (60, False), (40, False), (28, False), (20, False), (12, False))
"""Most characters of a name, and whether refunds and the interval of the money are given, tried in this order."""
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
STRENGTHS = ((2.0, "a strong"), (1.5, "a fairly strong"), (0.0, "a moderate"))
"""What an E-value says, from the least one on."""
ENTRY = "entry"
"""Subject of an incident or a gap that shows at the first event of the stage."""

_PROPERTY = re.compile(r"(^|, )([\w.]+)=")
NO_LABELS = Labels()
Row = Mapping[str, Any]
Name = Callable[[object], str]


@python_model("insights._pain_headlines")
def registered_headlines(engine: Engine, config: Config) -> pa.Table:
    """Return headline and remedy of every listed pain point; one row per `pain_ix`, `persona` and `period`."""
    stages = {model.model: model.stage_names for model in config.journey_models}
    entries = config.remedies.entries
    labels = Labels.of_rows(engine.rows("select * from config.labels").to_pylist())
    rows = engine.rows("select * from insights._pain_rows order by pain_ix, persona, period").to_pylist()
    columns = {
        "pain_ix": pa.array([row["pain_ix"] for row in rows], pa.int32()),
        "persona": pa.array([row["persona"] for row in rows], pa.string()),
        "period": pa.array([row["period"] for row in rows], pa.string()),
        "headline": pa.array([headline(row, labels) for row in rows], pa.string()),
        "remedy": pa.array([remedy(row, entries, stages[row["model"]], labels) for row in rows], pa.string()),
    }
    return pa.table(columns)


def headline(row: Row, labels: Labels = NO_LABELS) -> str:
    """Return the sentence of a pain point: who, where, when, how many, what it cost, how it is known.

    Parameters
    ----------
    row : mapping
        Columns of `insights._pain_rows`. Its names are untrusted: control characters are removed, and they are cut.
    labels : Labels
        What is written in place of the names of personas, stages and events.
    """
    for length, is_full in SHAPES:
        sentence = _sentence(row, labels, _shortener(length), is_full=is_full)
        if len(sentence) <= MOST_CHARACTERS:
            break
    return sentence


def remedy(row: Row, entries: Sequence[Remedy], stages: Sequence[str], labels: Labels = NO_LABELS) -> str | None:
    """Return what the catalogue of remedies suggests for a pain point; None where no entry fits."""
    name = _shortener(SHAPES[0][0])
    subject, stage = name(labels.touchpoint(row["subject"])), labels.stage(row["model"], row["stage"])
    values = None if row["slice"] is None else name(_values(row["slice"]))
    blanks = {
        "subject": subject,
        "place": stage if row["subject"] == ENTRY else subject,
        "slice": values or "",
        "whose": f"for {values}" if values else "for everybody",
        "since": f" on or just before {row['first_day']:%Y-%m-%d}" if row["first_day"] else "",
    }
    met = "" if row["subject"] == ENTRY else str(row["subject"])
    return suggestion(entries, row["kind"], row["stage"], stages, met, blanks=blanks)


def _sentence(row: Row, labels: Labels, name: Name, *, is_full: bool) -> str:
    parts = [
        f"{_who(row, labels, name)}, {_when(row)}: {_how_many(row)}",
        *_costs(row, name, is_full=is_full),
        _known(row),
    ]
    return "; ".join(part for part in parts if part) + "."


def _who(row: Row, labels: Labels, name: Name) -> str:
    which = "" if row["persona"] == "all" else f" of {name(labels.persona(row['persona']))}"
    if row["slice"] is not None:
        persona = str(row["slice"]).removeprefix("persona=")
        is_persona = persona != row["slice"] and "," not in persona and "=" not in persona
        which = f" of {name(labels.persona(persona))}" if is_persona else f"{which} with {name(_values(row['slice']))}"
        if is_persona and persona.startswith("all but "):
            which = f" of all personas but {name(labels.persona(persona.removeprefix('all but ')))}"
    subject, stage = name(labels.touchpoint(row["subject"])), name(labels.stage(row["model"], row["stage"]))
    persons = f"Persons{which}"
    if row["kind"] == "promise":
        return f"Promise {subject} broken at {stage}" + (f" for persons{which}" if which else "")
    if row["kind"] in ("exposure", "friction"):
        return f"{persons} who met {subject} at {stage}"
    return f"{persons} at {stage}" + ("" if row["subject"] == ENTRY else f" ({subject})")


def _values(found: str) -> str:
    """Return the values that persons share as words.

    >>> _values("user_lifecycle=new, channel=all but app")
    'user lifecycle new, channel all but app'
    """
    return _PROPERTY.sub(lambda match: f"{match[1]}{match[2].replace('_', ' ')} ", found)


def _when(row: Row) -> str:
    period = row["period"]
    begun = "" if period == "all" else f"journeys of {MONTHS[int(period[5:]) - 1]} {period[:4]}"
    if row["first_day"] is None:
        return begun or "the whole time"
    days = _days(row["first_day"], row["last_day"], is_ongoing=bool(row["is_ongoing"]))
    return f"{days}, {begun}" if begun else days


def _days(first: date, last: date | None, *, is_ongoing: bool) -> str:
    """Return a span of days, such as ``2 to 9 March 2026``."""
    if is_ongoing or last is None:
        return f"since {_day(first)}"
    if first == last:
        return f"on {_day(first)}"
    start = _day(first)
    if (first.year, first.month) == (last.year, last.month):
        start = str(first.day)
    elif first.year == last.year:
        start = f"{first.day} {MONTHS[first.month - 1]}"
    return f"{start} to {_day(last)}"


def _day(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _how_many(row: Row) -> str:
    persons = row["person_count"]
    compared = "" if row["compared_count"] is None else f"{count(row['compared_count'])} "
    if _is_only_felt(row):
        change = f"{-row['sentiment_effect']:.2f}"
        return f"sentiment of {_persons(persons)} was {change} lower than that of {compared}whose promise was kept"
    if row["expected_rate"] is None or row["rate"] is None:
        return f"{_persons(persons)}, no estimate of those lost"
    done = "converted again" if row["kind"] == "promise" else "went on"
    others = {
        "incident": "on other days" if row["slice"] is None else "on other days and elsewhere",
        "promise": "whose promise was kept",
        "gap": "comparable persons",
    }.get(row["kind"], "comparable persons at the same moment")
    within = f" within {_within(row['within_seconds'])}" if row["within_seconds"] else ""
    share = f"{count(row['went_on_count'])} of {count(persons)} ({percent(row['rate'])}) {done}{within}"
    return f"{share}; of {compared}{others} {percent(row['expected_rate'])} did"


def _within(seconds: float) -> str:
    """Return a time such as ``30 days`` or ``1 d 9 h``."""
    days = round(seconds / 86_400, 3)
    return numbered(int(days), "day") if days >= 1 and days == int(days) else duration(seconds)


def _costs(row: Row, name: Name, *, is_full: bool) -> list[str]:
    if row["lost_count"] is None:
        return []
    costs = [f"about {count(row['lost_count'])} lost by it ({count(row['lost_low'])} to {count(row['lost_high'])})"]
    if row["lost_low"] == row["lost_high"] == row["dropped_count"]:
        # The estimate is higher: whoever did not go on then did so another time.
        costs = [f"at most {count(row['lost_count'])} lost by it (all who dropped out there)"]
    # Where all who go on reach the goal it would be said twice.
    if is_full and row["goal_lost_count"] is not None and row["goal_lost_count"] < row["lost_count"]:
        costs.append(f"about {count(row['goal_lost_count'])} conversions")
    if _is_only_felt(row):
        costs = ["no order is known to be lost"]
    if row["refunded_count"] and (is_full or _is_only_felt(row)):
        costs.append(f"{count(row['refunded_count'])} refunded")
    if row["worth_amount"] is not None:
        has_ends = is_full and row["worth_low"] != row["worth_high"]
        ends = f" ({_amount(row['worth_low'])} to {_amount(row['worth_high'])})" if has_ends else ""
        return [", ".join([*costs, f"{_amount(row['worth_amount'])} {name(row['currency'])}{ends}"])]
    return [", ".join([*costs, "ranked by persons and drop in sentiment" if _is_only_felt(row) else "no money known"])]


def _is_only_felt(row: Row) -> bool:
    """Say whether a broken promise is known to hurt by what people answer, and not by what they buy."""
    effect = row["sentiment_effect"]
    return row["kind"] == "promise" and not row["lost_high"] and effect is not None and bool(effect < 0)


def _known(row: Row) -> str:
    if row["grade"] != "association" and (row["persona"] != "all" or row["period"] != "all"):
        return "tested over all personas and months together"
    if row["grade"] == "incident":
        return f"{'other stages' if row['slice'] is None else 'others'} did not fall in those days"
    if row["grade"] == "matched":
        if row["e_value"] is None or _is_only_felt(row):
            return "compared with similar persons"
        strength = next(words for least, words in STRENGTHS if row["e_value"] >= least)
        return f"only {strength} unseen cause could explain it otherwise (E-value {row['e_value']:.1f})"
    if row["kind"] == "friction" and row["expected_rate"] is None:
        return "configured as friction"
    return "an association, which another cause may explain"


def _persons(number: int) -> str:
    return f"{count(number)} person" + ("" if number == 1 else "s")


def _amount(value: Decimal) -> str:
    return f"{value:,.0f}"


def _shortener(length: int) -> Name:
    def short(value: object) -> str:
        shown = "".join(character if character.isprintable() else " " for character in str(value)[: 4 * length])
        text = " ".join(shown.split())
        return text if len(text) <= length else text[: length - 1].rstrip() + "…"

    return short
