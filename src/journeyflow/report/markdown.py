"""The map as a Markdown message."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from journeyflow.report.formatting import CHANGES, figure_line, figure_text, item_line, value_text
from journeyflow.report.view_model import (
    ALL,
    NO_CAUSE,
    Briefing,
    BriefingLine,
    Item,
    JourneyMap,
    Opportunity,
    ReportData,
    StageReach,
)

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
