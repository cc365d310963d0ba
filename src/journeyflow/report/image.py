"""The map as a picture: SVG and PNG, laid out by Typst."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

from journeyflow.config.map_rows import RowKey
from journeyflow.report.formatting import UNKNOWN, figure_text, range_text, unknown_text
from journeyflow.report.view_model import Cell, Figure, Item, JourneyMap, Persona, ReportData, StageReach
from journeyflow.utils.formatting import escaped

FAMILY: Final = "Source Sans Pro"
TEMPLATES: Final = Path(__file__).parent / "templates"
SIZE: Final = (1600.0, 900.0)
PNG_WIDTH: Final = 1920
_LISTS: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "promises", "owner")
_MOST_STAGES: Final = 9
"""More than these make the letters smaller, so that columns keep a readable width."""
_MOST_LETTERS: Final = 400
"""Longer texts are cut whatever their width."""
_HOW_TO_READ: Final = (
    "How to read: counts are of all persons, rates only of those whose time to go on is over; [low to high] is a 95 % "
    "interval. Lift: those who met it against those who did not, an association. Emotion: -1 to +1; a broken line "
    "rests on inferred points."
)
_LIGHT: Final = {
    "ground": "#ffffff", "band": "#f3f6f9", "rule": "#d3dbe3", "ink": "#16263a", "soft": "#52647a", "head": "#1f3b5c",
    "on_head": "#ffffff", "advanced": "#0072b2", "dropped": "#d55e00", "pending": "#8895a3", "curve": "#1f3b5c",
    "label": "#1f3b5c",
}  # fmt: skip
_DARK: Final = {
    "ground": "#111a26", "band": "#182434", "rule": "#33445a", "ink": "#eef3f8", "soft": "#a9b9ca", "head": "#2c5580",
    "on_head": "#ffffff", "advanced": "#56b4e9", "dropped": "#ef8a3c", "pending": "#8c9bac", "curve": "#9fd0f5",
    "label": "#eef3f8",
}  # fmt: skip
PICTURE: Final = b"""
#import "picture.typ": picture
#let data = json(bytes(sys.inputs.content))
#set page(width: data.page.at(0) * 1pt, height: data.page.at(1) * 1pt, margin: 0pt)
#picture(data)
"""


def render_png(picture: dict[str, Any], width: int = PNG_WIDTH) -> bytes:
    """Return a picture of `picture_of` as a PNG of `width` by 9/16 of it pixels.

    Letters that the packaged font lacks come from the fonts of the machine, else show as a box.
    """
    return compiled(PICTURE, picture, format="png", ppi=72 * width / picture["page"][0])


def render_svg(picture: dict[str, Any]) -> str:
    """Return a picture of `picture_of` as an SVG without script, image or font: letters are shapes.

    Screen readers read its title and description.
    """
    drawn = compiled(PICTURE, picture, format="svg").decode()
    title, subtitle = (escape(picture[key].replace(_BREAK, "")) for key in ("title", "subtitle"))
    words = f"<title>{title}</title><desc>{subtitle}</desc>"
    return re.sub(r"<svg\b[^>]*>", lambda head: f'{head[0][:-1]} role="img">{words}', drawn, count=1)


def compiled(source: bytes | Path, content: dict[str, Any], **form: Any) -> bytes:  # noqa: ANN401 - options of Typst
    """Return what Typst makes of a template; `content` is its data, and never part of its source."""
    import typst

    fonts = files("font_source_sans_pro").joinpath("files")
    inputs = {"content": json.dumps(content, ensure_ascii=False), "family": FAMILY}
    drawn: Any = typst.compile(source, root=TEMPLATES, font_paths=[str(fonts)], sys_inputs=inputs, **form)
    return bytes(drawn)


def picture_of(
    journey_map: JourneyMap, report_data: ReportData, theme: Literal["light", "dark"] = "light"
) -> dict[str, Any]:
    """Return what `picture.typ` draws of a map, in 16 to 9: texts, shares from 0 to 1, sentiments, colours and sizes.

    Items without room are counted there as "and … more".
    """
    stages = next((model.stages for model in report_data.models if model.key == journey_map.model), ())
    by_stage = {reach.key: reach for reach in journey_map.reached}
    reaches = [by_stage.get(stage.key) for stage in stages]
    widest = max((number(reach.reached) or 0 for reach in reaches if reach), default=0)
    title, subtitle = heading_texts(journey_map, report_data)
    run, warning = _foot_texts(journey_map, report_data)
    scale = max(1.0, len(stages) / _MOST_STAGES)
    rows = {key: journey_map.row(key) for key in (*_LISTS, "people", "emotion")}
    content = {
        "page": [side * scale for side in SIZE],
        "sizes": (15.5, 13.0, 28.0) if len(stages) <= 5 else (13.5, 12.0, 22.0),
        "colours": _DARK if theme == "dark" else _LIGHT,
        "family": FAMILY,
        "title": title,
        "subtitle": subtitle,
        "run": run,
        "warning": warning,
        "reading": _HOW_TO_READ,
        "stages": [f"{stage.index}  {stage.label}" for stage in stages],
        "labels": {key: rows[key].label for key in ("people", "emotion")},
        "people": [_people(reach, widest) for reach in reaches],
        "curve": [_point(cell) for cell in rows["emotion"].cells],
        "lists": {
            key: {"label": rows[key].label, "cells": [cell_entries(cell) for cell in rows[key].cells]} for key in _LISTS
        },
    }
    shown: dict[str, Any] = _visible(content)
    return shown


_BREAK = "\u200b"
"""Where a long word may break in the picture."""


def _visible(value: Any) -> Any:  # noqa: ANN401 - values of JSON
    """Return a value with its texts cut, invisible characters as escapes, and places where long words may break."""
    if isinstance(value, str):
        text = escaped(value[:_MOST_LETTERS].encode("utf-8", "backslashreplace").decode())
        return re.sub(r"(\S{16})(?=\S)", rf"\1{_BREAK}", text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff"))
    if isinstance(value, dict):
        return {key: _visible(each) for key, each in value.items()}
    return [_visible(each) for each in value] if isinstance(value, list | tuple) else value


def heading_texts(journey_map: JourneyMap, report_data: ReportData) -> tuple[str, str]:
    """Return title and subtitle of a map."""
    persona = _persona(journey_map, report_data)
    model = next((found.label for found in report_data.models if found.key == journey_map.model), "")
    period = next((found.label for found in report_data.periods if found.key == journey_map.period), "")
    parts = (f"Model {model}", f"Entered: {period}", persona.description if persona else "")
    return f"Journey map: {persona.label if persona else ''}", " · ".join(filter(None, parts))


def _persona(journey_map: JourneyMap, report_data: ReportData) -> Persona | None:
    return next((found for found in report_data.personas if found.key == journey_map.persona), None)


def _foot_texts(journey_map: JourneyMap, report_data: ReportData) -> tuple[str, str]:
    """Return the description of the run, and the warnings."""
    run, stages = report_data.run, journey_map.reached
    critical = sum(spot.severity == "critical" for spot in report_data.blind_spots)
    persona = _persona(journey_map, report_data)
    parts = (
        f"n = {figure_text(stages[0].reached)} people" if stages else "",
        f"Events from {figure_text(run.first_event_at)} to {run.high_water_at:%Y-%m-%d %H:%M} UTC (high-water mark)",
        f"{figure_text(run.events)} events of {figure_text(run.persons)} people",
        run.project,
        f"run {run.run_id}",
    )
    warnings = (
        f"{critical} critical blind spot{'s' if critical > 1 else ''}: see the page" if critical else "",
        "the persona is chosen by its outcome" if persona and persona.is_outcome_based else "",
    )
    return " · ".join(filter(None, parts)), " · ".join(filter(None, warnings))


def number(figure: Figure | None) -> float | None:
    """Return the value of a figure that is a number."""
    value = figure.value if figure else None
    return float(value) if isinstance(value, int | float | Decimal) else None


def _with_range(figure: Figure) -> str:
    """Return a figure with its interval in brackets, and a word if its base is small."""
    ends = range_text(figure)
    parts = (figure_text(figure), f"[{ends}]" if ends else "", "(few)" if figure.is_small else "")
    return " ".join(part for part in parts if part)


def _people(reach: StageReach | None, widest: float) -> dict[str, Any]:
    """Return who reached a stage: the share of `widest`, the drop-off in lines, and the outcomes but of the last."""
    if reach is None or number(reach.reached) is None:
        return _entry("unknown", UNKNOWN)
    rate, _, interval = _with_range(reach.drop_off).partition(" [") if reach.drop_off else ("", "", "")
    outcomes = [("went on", reach.advanced), ("dropped", reach.dropped), ("pending", reach.pending)]
    return {
        "reached": figure_text(reach.reached),
        "share": _ratio(number(reach.reached), widest),
        "drop_off": [*([f"{rate} drop off"] if rate else []), *([f"[{interval}"] if interval else [])],
        "outcomes": [
            {"label": label, "text": f"{label} {figure_text(figure)}"}
            | {"share": _ratio(number(figure), number(reach.reached))}
            for label, figure in outcomes
            if figure and reach.dropped
        ],
    }


def _ratio(part: float | None, whole: float | None) -> float:
    return min((part or 0) / whole, 1.0) if whole else 0.0


def _entry(
    evidence: str | None, text: str, aside: str = "", detail: tuple[str, ...] = (), share: float | None = None,
    lines: int = 3,
) -> dict[str, Any]:  # fmt: skip
    """Return an item: a mark, a text with a figure at its right, a bar from 0 to 1, and further figures in parts."""
    bar = None if share is None else max(0.0, min(share, 1.0))
    return {"evidence": evidence, "text": text, "aside": aside, "detail": detail, "share": bar, "lines": lines}


def cell_entries(cell: Cell) -> dict[str, Any]:
    """Return the entries of a cell, and how many more items the cell counts."""
    if not cell.items:
        text = unknown_text(cell) if cell.evidence == "unknown" else cell.note
        return {"entries": [_entry(cell.evidence, text)], "rest": cell.rest_count}
    return {"entries": [_item(cell.row, item) for item in cell.items], "rest": cell.rest_count}


def _item(row: RowKey, item: Item) -> dict[str, Any]:
    reach, rate = item.figure("reach_rate"), item.figure("kept_rate")
    parts: list[str] = []
    if row == "touchpoints" and (lift := item.figure("lift")) and lift.value is not None:
        parts.append(f"lift {_with_range(lift)}")
    if row == "pain_points":
        lost, people = item.figure("lost_count"), item.figure("person_count")
        parts += [f"≈ {_with_range(lost)} lost"] if lost and lost.value is not None else []
        parts += [f"of {figure_text(people)}"] if people else []
    if row == "promises":
        labels = (("due_count", "due"), ("broken_count", "broken"), ("pending_count", "pending"))
        parts += [f"kept {_with_range(rate)}"] if rate and rate.value is not None else []
        parts += [f"{word} {figure_text(figure)}" for key, word in labels if (figure := item.figure(key))]
    detail = (*parts, *filter(None, [item.note]))
    if row == "touchpoints":
        return _entry(item.evidence, item.text, figure_text(reach) if reach else "", detail, number(reach), 2)
    return _entry(item.evidence, item.text, detail=detail, lines=2)


def _point(cell: Cell) -> dict[str, Any]:
    """Return a point of the emotion curve; without a value the entry that says why."""
    figure = cell.items[0].figure("sentiment") if cell.items else None
    value = number(figure)
    if figure is None or value is None:
        return {"value": None, "entry": _entry("unknown", unknown_text(cell))}
    low, high = (end if isinstance(end, int | float) else value for end in (figure.low, figure.high))
    base = [f"n {figure.n:,}"] if figure.n is not None else []
    parts = [*base, *filter(None, [cell.items[0].note])]
    point = {"value": value, "low": low, "high": high, "evidence": figure.evidence}
    return point | {"text": figure_text(figure), "base": parts}
