"""Fixed texts of the report, the text form of values, figures, items and cells, and the map as a Markdown message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from journeyflow.compile.map_figures import RowKey, Unit
from journeyflow.report.view_model import (
    ALL,
    NO_CAUSE,
    Briefing,
    BriefingLine,
    Cell,
    Figure,
    Item,
    JourneyMap,
    Opportunity,
    ReportData,
    StageReach,
    Value,
)
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
    "referrals": "statements about who brought a person",
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


MAX_BLIND_SPOTS: Final = 5
MAX_FINDINGS: Final = 3
"""Of pain points, promises and opportunities each, for one persona."""
MAX_PERSONAS: Final = 12
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ACTIVE: Final = re.compile(r"[&<>]|[\\`*_\[\]#|~@$]|:(?=\S)|(?<=www)\.", re.IGNORECASE)
"""What a reader of Markdown or HTML would act on: markup, links, mentions and bare addresses."""


def render_summary(report_data: ReportData) -> str:
    """Return a short message in Markdown: the briefing, then for each persona the stage funnel and the main findings.

    It covers the first model, and the whole time or else the first period. Untrusted names are escaped.
    """
    return "\n".join(_lines(report_data)) + "\n"


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    >>> escape_markdown("[a](http://b) <i> *c*")
    '\\[a\\](http\\://b) &lt;i&gt; \\*c\\*'
    """
    return _ACTIVE.sub(lambda found: _ENTITIES.get(found[0]) or f"\\{found[0]}", text)


def _lines(report_data: ReportData) -> Iterator[str]:
    run = report_data.run
    first = value_text(run.first_event_at.value, "instant")[:10]
    yield f"# {escape_markdown(run.project)}: journey maps"
    yield ""
    yield (
        f"{figure_text(run.events)} events of {figure_text(run.persons)} people, {first} to "
        f"{run.high_water_at:%Y-%m-%d}. Run {escape_markdown(run.run_id)}."
    )
    yield from briefing_lines(report_data.briefing)
    if report_data.models and report_data.models[0].label != report_data.briefing.model:
        yield from ("", f"*The briefing is of the model {escape_markdown(report_data.briefing.model)}.*")
    if not report_data.models or not report_data.periods:
        yield from ("", "No journey was seen in any stage, so there is no map.")
        return
    model = report_data.models[0]
    period = next((period for period in report_data.periods if period.key == ALL), report_data.periods[0])
    yield from ("", f"## {escape_markdown(model.label)}, {escape_markdown(period.label)}")
    for persona in report_data.personas[:MAX_PERSONAS]:
        found = report_data.map_of(model.key, persona.key, period.key)
        if found:
            yield from ("", f"### {escape_markdown(persona.label)}", "", *_persona_lines(found))
    yield from _rest_lines(report_data)
    yield from _blind_spot_lines(report_data)


def briefing_lines(briefing: Briefing) -> Iterator[str]:
    """Yield the first screen: who there is, where they leave, the findings by rank, what cannot be seen."""
    yield ""
    if briefing.people:
        yield f"**Who:** {escape_markdown(briefing.people)}"
        yield ""
    if briefing.stages:
        yield f"**Where:** {escape_markdown(briefing.stages)}"
        yield ""
    for part in briefing.parts:
        yield from (f"**{part.title}:**", "")
        yield from (f"{at}. {_briefing_text(line)}" for at, line in enumerate(part.lines, part.start))
        yield from ("",) if part.lines else (NO_CAUSE, "")
    if briefing.blind_spots:
        yield escape_markdown(briefing.blind_spots)


def _briefing_text(line: BriefingLine) -> str:
    notes = (
        CHANGES.get(line.change, ""),
        f"owner {line.owner}" if line.owner and line.owner not in line.headline else "",
    )
    note = "; ".join(part for part in notes if part)
    action = f" Suggested: {line.action}" if line.action else ""
    return escape_markdown(line.headline + (f" ({note})" if note else "") + action)


def _blind_spot_lines(report_data: ReportData) -> Iterator[str]:
    """Yield what a person should look into; notes are in the table."""
    spots = [spot for spot in report_data.blind_spots if spot.severity != "note"]
    if not spots:
        return
    yield from ("", "## What the figures cannot see", "")
    for spot in spots[:MAX_BLIND_SPOTS]:
        subject = f": {escape_markdown(spot.subject)}" if spot.subject else ""
        yield f"- **{spot.severity}** {escape_markdown(spot.kind_label)}{subject}. {escape_markdown(spot.detail)}"
    if len(spots) > MAX_BLIND_SPOTS:
        yield f"- and {len(spots) - MAX_BLIND_SPOTS} more"


def _persona_lines(found: JourneyMap) -> Iterator[str]:
    yield f"Reached: {' → '.join(_reach_text(stage) for stage in found.reached)}"
    stages = {stage.key: stage.label for stage in found.reached}
    pains = [(item, stages[cell.stage]) for cell in found.row("pain_points").cells for item in cell.items]
    most_lost = sorted(pains, key=lambda pain: -_lost_count(pain[0]))[:MAX_FINDINGS]
    promises = [(item, stages[cell.stage]) for cell in found.row("promises").cells for item in cell.items]
    broken = [(item, stage) for item, stage in promises if _broken_count(item)]
    most_broken = sorted(broken, key=lambda promise: -_broken_count(promise[0]))[:MAX_FINDINGS]
    if most_lost or most_broken or found.opportunities:
        yield ""
    yield from (f"- Pain point in {escape_markdown(f'{stage}: {item_line(item, 1)}')}" for item, stage in most_lost)
    yield from (f"- Promise in {escape_markdown(f'{stage}: {_promise_text(item)}')}" for item, stage in most_broken)
    yield from (f"- Opportunity: {_opportunity_text(best)}" for best in found.opportunities[:MAX_FINDINGS])


def _reach_text(stage: StageReach) -> str:
    dropped = f" ({figure_text(stage.drop_off)} drop off)" if stage.drop_off else ""
    return f"{escape_markdown(stage.label)} {figure_text(stage.reached)}{dropped}"


def _lost_count(item: Item) -> float:
    figure = item.figure("lost_count")
    return float(figure.value) if figure and isinstance(figure.value, int | float) else -1.0


def _broken_count(item: Item) -> int:
    """Return how many were broken; 0 for a promise to few people, whose rate is suppressed."""
    rate, figure = item.figure("kept_rate"), item.figure("broken_count")
    has_rate = rate is not None and rate.value is not None
    return figure.value if has_rate and figure and isinstance(figure.value, int) else 0


def _promise_text(item: Item) -> str:
    figures = (item.figure(key) for key in ("kept_rate", "broken_count", "due_count"))
    return f"{item.text}: {'; '.join(figure_line(figure) for figure in figures if figure)}"


def _opportunity_text(found: Opportunity) -> str:
    figure = next((known for known in (found.worth, found.lost) if known.value is not None), found.people)
    where = ", ".join(part for part in (found.slice, found.days) if part)
    about = f"{found.subject} in {found.stage_label}{f' ({where})' if where else ''}"
    owner = f", owner {found.owner}" if found.owner else ""
    return escape_markdown(f"{about}: {figure_line(figure)}, {found.grade}{owner}")


def _rest_lines(report_data: ReportData) -> Iterator[str]:
    others = [model.label for model in report_data.models[1:]]
    rest = len(report_data.personas) - MAX_PERSONAS
    if others or rest > 0:
        yield ""
    if rest > 0:
        yield f"{rest} more personas are on the page."
    if others:
        yield f"Other models on the page: {escape_markdown(', '.join(others))}."
