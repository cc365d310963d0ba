"""Fixed texts of the report, and the text form of values, figures, items and cells."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from journeyflow.config.map_rows import RowKey, Unit
from journeyflow.report.view_model import Cell, Figure, Item, Value
from journeyflow.utils.formatting import count, duration, escaped, label, percent

NAME_LENGTH = 80
TEXT_LENGTH = 300
UNKNOWN = "unknown"
_FIGURES_PER_LINE: dict[RowKey, int] = {"people": 5, "promises": 5}
_FIGURES_PER_LINE_ELSE = 3

PAIN_KINDS = {
    "incident": "incident",
    "gap": "lasting gap",
    "exposure": "met before leaving",
    "promise": "broken promise",
    "friction": "friction",
}
GRADES = {
    "incident": "a break in time that others did not have",
    "matched": "compared with their like",
    "association": "an association, no cause",
}
CHANGES = {"new": "new", "larger": "larger", "smaller": "smaller", "gone": "gone"}
"""What is said of a finding of the briefing against the run before; of one that has not changed nothing is."""
MEASURES = {
    "reach_rate": "reach the stage",
    "p50_time": "median time to the next stage",
    "sentiment": "sentiment",
}
BLIND_SPOT_KINDS = {
    "unclassified": "events in no stage",
    "missing_stage": "stage never seen",
    "silent_source": "source gone silent",
    "new_event": "new event",
    "vanished_event": "vanished event",
    "idle_rule": "rule that never fires",
    "no_persona": "people in no persona",
    "unstitched_devices": "devices never stitched",
    "placeholder_ids": "ids that name nobody",
    "session_visitors": "sessions that stand for persons",
    "implausible_ids": "ids of too many devices",
    "shortened_names": "names that were shortened",
    "late": "late events",
    "quarantined": "quarantined records",
    "bots": "robots left out",
    "internal": "internal traffic left out",
    "unstaged_journeys": "journeys without a stage",
    "tied_stages": "stages without an order",
    "missing_rate": "missing exchange rate",
    "unreadable_text": "text in another language",
    "empty_input": "input that gave nothing",
    "jumped_share": "share that jumped",
}
COUNTED_ONCE = "as in the funnel: each person once, in the month of the furthest journey"
"""The note on figures of a month that are counted by the funnel and not by the map."""
ENDS = {"exit": "exit: the journey ended", "open": "open: may still go on", "entry": "the journey began"}
NEXT_ACTIONS = {"none": "nothing more", "other": "something rarer"}

READING = (
    (
        "What this is",
        "A map of what people did, drawn from their events by each run: stages as columns, one map per journey model, "
        "persona and month of entry.",
    ),
    (
        "How a cell is known",
        "Observed: counted in events or answers. Inferred: concluded by the method named beside it. Supplied: written "
        "by a person in the configuration. Unknown: nothing says; it is left open rather than guessed.",
    ),
    (
        "Counts and rates",
        "Counts are of all persons. Rates, intervals and times are of those whose window is over (matured), so that "
        "the young ones, who may still go on (pending), do not look lost.",
    ),
    (
        "Months",
        "The map of a month is of the journeys begun in it, so it counts a person in each month in which they began "
        "one; the funnel counts a person only once, in the month of the furthest journey of all, so its months add up. "
        "Answers and promises count in the month in which they were given.",
    ),
    ("Intervals", "The 95 % interval beside a rate is the range of true rates that the count would not surprise."),
    (
        "Small groups",
        "Figures on fewer people than min_count are marked, and suppressed where they would mislead.",
    ),
    (
        "Touchpoints",
        "Lift compares those who met a touchpoint with those who did not. It is an association, not a cause. "
        "q is the chance of a false alarm among the findings of one map.",
    ),
    (
        "Pain points",
        "People who met it are compared with their like who did not, or with their own days before and after. Grade: "
        "incident, a break in time that others did not have; matched, like against like; association, anything weaker, "
        "which is no opportunity. People lost are an estimate; the E-value says how strong an unseen cause would have "
        "to be to explain it.",
    ),
    ("Blind spots", "What is not recorded looks like a drop-off: read the blind spots first."),
)


def display_text(value: object, limit: int = NAME_LENGTH) -> str:
    r"""Return untrusted text with escapes for invisible characters, cut at `limit`; the output format still escapes it.

    >>> display_text("a\u202eb")
    'a\\u202eb'
    >>> display_text("abcdef", 4)
    'abc…'
    """
    raw = str(value)
    text = escaped(raw[: limit + 1]).strip()
    return text if len(text) <= limit and len(raw) <= limit else text[: limit - 1].rstrip() + "…"


def label_text(name: str) -> str:
    """Return an untrusted name of the configuration as a label; see `label`."""
    return label(display_text(name))


def figure_text(figure: Figure) -> str:
    """Return the value of a figure, such as ``42.0 %``, ``1 d 2 h``, ``1,234 EUR`` or ``unknown``."""
    return value_text(figure.value, figure.unit, figure.currency)


def range_text(figure: Figure) -> str:
    """Return low and high of a figure, empty where there are none."""
    if figure.low is None or figure.high is None:
        return ""
    ends = (value_text(end, figure.unit, figure.currency) for end in (figure.low, figure.high))
    return " to ".join(ends)


def value_text(value: Value, unit: Unit, currency: str | None = None) -> str:
    """Return one value in its unit."""
    if value is None:
        return UNKNOWN
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    if unit == "amount":
        return f"{value:,.0f}" + (f" {currency}" if currency else "")
    if isinstance(value, Decimal):
        value = float(value)
    return _number_text(value, unit)


def _number_text(value: float, unit: Unit) -> str:
    if unit == "rate":
        return percent(value)
    if unit == "points":
        return f"{100 * value:+.1f}".replace("-0.0", "+0.0") + " points"
    if unit == "seconds":
        return duration(value)
    if unit == "sentiment":
        signed = f"{value:+.2f}"
        return "+0.00" if signed == "-0.00" else signed
    if unit in ("ratio", "score"):
        return f"{value:.2f}"
    if unit == "probability":
        return "< 0.001" if 0 <= value < 0.001 else f"{value:.3f}"
    return count(round(value))


def cell_lines(cell: Cell) -> list[str]:
    """Return a cell as lines; an unknown one gives the reason where there is one."""
    if cell.evidence == "unknown":
        return [unknown_text(cell)]
    figure_count = _FIGURES_PER_LINE.get(cell.row, _FIGURES_PER_LINE_ELSE)
    rest = [f"and {cell.rest_count:,} more"] if cell.rest_count else []
    note = [cell.note] if cell.note else []
    return [*(item_line(item, figure_count) for item in cell.items), *rest, *note, f"({cell.evidence})"]


def unknown_text(cell: Cell) -> str:
    """Return that nothing is known of a cell, and why."""
    return f"{UNKNOWN}: {cell.note}" if cell.note else UNKNOWN


def item_line(item: Item, figure_count: int | None = None) -> str:
    """Return an item with its first figures in one line."""
    note = f"[{item.note}]" if item.note else ""
    heading = " ".join(part for part in (item.text, note) if part)
    figures = "; ".join(figure_line(figure) for figure in item.figures[:figure_count])
    return ": ".join(part for part in (heading, figures) if part)


def figure_line(figure: Figure) -> str:
    """Return a figure with its range and its base: ``lift 1.25 (1.10 to 1.42, n 380)``."""
    base = "" if figure.n is None else f"n {figure.n:,}"
    warning = "small group" if figure.is_small else ""
    details = ", ".join(part for part in (range_text(figure), base, warning) if part)
    return f"{figure.label} {figure_text(figure)}" + (f" ({details})" if details else "")
