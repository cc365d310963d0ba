"""The map as a Markdown message."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from journeyflow.report.formatting import figure_line, item_line, value_text, written
from journeyflow.report.view_model import ALL, Item, JourneyMap, Opportunity, Reach, ReportData

MOST_SPOTS: Final = 5
MOST_EACH: Final = 3
MOST_PERSONAS: Final = 12
_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_ACTIVE: Final = re.compile(r"[&<>]|[\\`*_\[\]#|~@$]|:(?=\S)|(?<=www)\.", re.IGNORECASE)
"""What a reader of Markdown or HTML would act on: marks, links, mentions and bare addresses."""


def render_summary(report_data: ReportData) -> str:
    """Return a short message in Markdown.

    Parameters
    ----------
    atlas : Atlas
        Of its models the first is told, of its periods the whole time or else the first.

    Returns
    -------
    str
        Blind spots, critical ones first; then for each persona the stage funnel, the first pain points, the promises
        that were broken most often, and the first opportunities. Every name in it is text: no mark, link, mention or
        markup of its own.
    """
    return "\n".join(_lines(report_data)) + "\n"


def escape_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is.

    Examples
    --------
    >>> escape_markdown("[a](http://b) <i> *c*")
    '\\[a\\](http\\://b) &lt;i&gt; \\*c\\*'
    """
    return _ACTIVE.sub(lambda found: _ENTITIES.get(found[0]) or f"\\{found[0]}", text)


def _lines(report_data: ReportData) -> Iterator[str]:
    facts = report_data.facts
    first = value_text(facts.first_event_at.value, "instant")[:10]
    yield f"# {escape_markdown(facts.project)}: journey maps"
    yield ""
    yield (
        f"{written(facts.events)} events of {written(facts.persons)} people, {first} to "
        f"{facts.high_water_at:%Y-%m-%d}. Run {escape_markdown(facts.run_id)}."
    )
    yield from _blind_spots(report_data)
    if not report_data.models or not report_data.periods:
        yield from ("", "No journey was seen in any stage, so there is no map.")
        return
    model, period = (
        report_data.models[0],
        next((one for one in report_data.periods if one.key == ALL), report_data.periods[0]),
    )
    yield from ("", f"## {escape_markdown(model.label)}, {escape_markdown(period.label)}")
    for persona in report_data.personas[:MOST_PERSONAS]:
        found = report_data.map_of(model.key, persona.key, period.key)
        if found:
            yield from ("", f"### {escape_markdown(persona.label)}", "", *_persona_lines(found))
    yield from _left_out(report_data)


def _blind_spots(report_data: ReportData) -> Iterator[str]:
    yield from ("", "## What the figures cannot see", "")
    for spot in report_data.blind_spots[:MOST_SPOTS]:
        subject = f": {escape_markdown(spot.subject)}" if spot.subject else ""
        yield f"- **{spot.severity}** {escape_markdown(spot.kind_label)}{subject}. {escape_markdown(spot.detail)}"
    rest = len(report_data.blind_spots) - MOST_SPOTS
    if rest > 0:
        yield f"- and {rest} more"
    if not report_data.blind_spots:
        yield "No blind spot was found."


def _persona_lines(found: JourneyMap) -> Iterator[str]:
    yield f"Reached: {' → '.join(_reach(stage) for stage in found.reached)}"
    stages = {stage.key: stage.label for stage in found.reached}
    pains = [(item, stages[cell.stage]) for cell in found.row("pain_points").cells for item in cell.items]
    lost = sorted(pains, key=lambda pain: -_lost(pain[0]))[:MOST_EACH]
    broken = [
        (item, stages[cell.stage]) for cell in found.row("promises").cells for item in cell.items if _broken(item)
    ]
    worst = sorted(broken, key=lambda promise: -_broken(promise[0]))[:MOST_EACH]
    if lost or worst or found.opportunities:
        yield ""
    yield from (f"- Pain point in {escape_markdown(f'{stage}: {item_line(item, 1)}')}" for item, stage in lost)
    yield from (f"- Promise in {escape_markdown(f'{stage}: {_promise(item)}')}" for item, stage in worst)
    yield from (f"- Opportunity: {_opportunity(told)}" for told in found.opportunities[:MOST_EACH])


def _reach(stage: Reach) -> str:
    left = f" ({written(stage.drop_off)} drop off)" if stage.drop_off else ""
    return f"{escape_markdown(stage.label)} {written(stage.reached)}{left}"


def _lost(item: Item) -> float:
    figure = item.figure("lost_count")
    return float(figure.value) if figure and isinstance(figure.value, int | float) else -1.0


def _broken(item: Item) -> int:
    """Return how many were broken; none for a promise to few, whose rate is withheld."""
    rate, figure = item.figure("kept_rate"), item.figure("broken_count")
    is_told = rate is not None and rate.value is not None
    return figure.value if is_told and figure and isinstance(figure.value, int) else 0


def _promise(item: Item) -> str:
    told = (item.figure(key) for key in ("kept_rate", "broken_count", "due_count"))
    return f"{item.text}: {'; '.join(figure_line(figure) for figure in told if figure)}"


def _opportunity(told: Opportunity) -> str:
    figure = next((known for known in (told.worth, told.lost) if known.value is not None), told.people)
    owner = f", owner {told.owner}" if told.owner else ""
    return escape_markdown(f"{told.subject} in {told.stage_label}: {figure_line(figure)}{owner}")


def _left_out(report_data: ReportData) -> Iterator[str]:
    others: Sequence[str] = [model.label for model in report_data.models[1:]]
    rest = len(report_data.personas) - MOST_PERSONAS
    if others or rest > 0:
        yield ""
    if rest > 0:
        yield f"{rest} more personas are on the page."
    if others:
        yield f"Other models on the page: {escape_markdown(', '.join(others))}."
