"""The map as a picture (SVG and PNG, laid out by Typst), a PDF to print, and slides to edit."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC
from decimal import Decimal
from functools import partial
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from xml.sax.saxutils import escape

from journeyflow.compile.map_figures import RowKey
from journeyflow.errors import JourneyflowError
from journeyflow.report.formatting import CHANGES, UNKNOWN, figure_text, range_text, unknown_text, value_text
from journeyflow.report.view_model import (
    ALL,
    NO_CAUSE,
    BriefingLine,
    Cell,
    Figure,
    Item,
    JourneyMap,
    Opportunity,
    Persona,
    ReportData,
    StageReach,
)
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.slide import Slide


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


TEMPLATE: Final = TEMPLATES / "map.typ"
MAX_MAPS: Final = 24
MAX_FINDINGS: Final = 6
_SLIDE_INCHES: Final = (13.333, 7.5)
_PICTURE_PIXELS: Final = 2400


@dataclass(frozen=True)
class Finding:
    """One line of a document: what was found, and what is said beside it in small letters."""

    text: str
    note: str


@dataclass(frozen=True)
class Part:
    """A heading with its lines, numbered from `start` on."""

    title: str
    start: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class MapPage:
    """A map with its findings; `text` says what the picture shows, for those who do not see it.

    `picture` is that of `image.picture_of`.
    """

    title: str
    subtitle: str
    text: str
    picture: dict[str, Any]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Document:
    """What both forms hold: the briefing, then a map of each persona."""

    title: str
    run: str
    people: str
    stages: str
    parts: tuple[Part, ...]
    blind_spots: str
    maps: tuple[MapPage, ...]
    left_out: str


def render_pdf(report_data: ReportData) -> bytes:
    """Return the briefing and the maps as a PDF in A3, one page each, with text that can be searched and read aloud.

    It shows the maps of the first model over the whole time, or else the first period.
    """
    from typst import TypstError

    timestamp = report_data.run.published_at.replace(microsecond=0, tzinfo=UTC)
    draw = partial(compiled, TEMPLATE, asdict(_document(report_data)), format="pdf", timestamp=timestamp)
    try:
        return draw(pdf_standards=["ua-1"])
    except TypstError:
        # The standard for screen readers refuses letters that no font of the machine has. They show as boxes then.
        return draw()


def render_pptx(report_data: ReportData) -> bytes:
    """Return the briefing and the maps as slides for PowerPoint: text to edit, each map as a picture with its text.

    It shows what `render_pdf` shows. Needs the extra `documents`.
    """
    pptx = _extra("pptx")
    document = _document(report_data)
    deck = pptx.Presentation()
    deck.slide_width, deck.slide_height = map(_extra("pptx.util").Inches, _SLIDE_INCHES)
    deck.core_properties.title, deck.core_properties.author = document.title, "journeyflow"
    lines = [Finding(f"Who: {document.people}", ""), Finding(f"Where: {document.stages}", "")]
    lines = lines if document.people else []
    for part in document.parts:
        lines += [Finding(f"{part.title}:", ""), *part.findings]
    _text_slide(deck, document.title, tuple(lines), document.run)
    for page in document.maps:
        _picture_slide(deck, page)
        if page.findings:
            _text_slide(deck, page.title, page.findings, page.subtitle)
    closing = [Finding(text, "") for text in (document.blind_spots, document.left_out) if text]
    if closing:
        _text_slide(deck, "What the figures cannot see", tuple(closing), document.run)
    written = io.BytesIO()
    deck.save(written)
    return written.getvalue()


def _extra(name: str) -> Any:  # noqa: ANN401 - libraries without types
    try:
        return import_module(name)
    except ImportError as error:
        raise JourneyflowError("Slides need an extra: pip install 'journeyflow[documents]'.") from error


def _document(report_data: ReportData) -> Document:
    run, briefing = report_data.run, report_data.briefing
    maps = list(_shown_maps(report_data))
    rest = len(maps) - MAX_MAPS
    first = value_text(run.first_event_at.value, "instant")[:10]
    return Document(
        title=f"{run.project}: journey maps",
        run=f"{figure_text(run.events)} events of {figure_text(run.persons)} people, {first} to "
        f"{run.high_water_at:%Y-%m-%d}. Run {run.run_id}.",
        people=briefing.people,
        stages=briefing.stages,
        parts=tuple(
            Part(part.title, part.start, tuple(map(_briefed, part.lines)) or (Finding(NO_CAUSE, ""),))
            for part in briefing.parts
        ),
        blind_spots=briefing.blind_spots,
        maps=tuple(maps[:MAX_MAPS]),
        left_out=f"{rest} more maps are on the page." if rest > 0 else "",
    )


def _briefed(line: BriefingLine) -> Finding:
    suggested = f"Suggested: {line.action}" if line.action else ""
    return Finding(line.headline, "; ".join(filter(None, (CHANGES.get(line.change), suggested))))


def _shown_maps(report_data: ReportData) -> Iterator[MapPage]:
    """Yield the map of each persona: of the first model, over the whole time or else in the first period."""
    if not report_data.models or not report_data.periods:
        return
    model = report_data.models[0]
    period = next((period for period in report_data.periods if period.key == ALL), report_data.periods[0])
    for persona in report_data.personas:
        found = report_data.map_of(model.key, persona.key, period.key)
        if found:
            title, subtitle = heading_texts(found, report_data)
            reached = ", ".join(f"{stage.label} {figure_text(stage.reached)}" for stage in found.reached)
            findings = tuple(map(_finding, found.opportunities[:MAX_FINDINGS]))
            text = f"{title}. People reached: {reached}."
            yield MapPage(title, subtitle, text, picture_of(found, report_data), findings)


def _finding(opportunity: Opportunity) -> Finding:
    worth = opportunity.worth
    ends = range_text(worth)
    notes = (
        f"worth {figure_text(worth)}" + (f" ({ends})" if ends else "") if worth.value is not None else "",
        opportunity.grade,
        f"owner {opportunity.owner}" if opportunity.owner else "",
    )
    return Finding(opportunity.headline, "; ".join(filter(None, notes)))


def _text_slide(deck: Presentation, title: str, findings: tuple[Finding, ...], foot: str) -> None:
    from pptx.util import Pt

    slide = _slide(deck, title)
    frame = _box(slide, 1.35, 5.35)
    for finding in findings:
        paragraph = frame.paragraphs[0] if not frame.text else frame.add_paragraph()
        paragraph.text, paragraph.font.size, paragraph.space_after = finding.text, Pt(16), Pt(2 if finding.note else 9)
        if finding.note:
            note = frame.add_paragraph()
            note.text, note.font.size, note.font.italic, note.space_after = finding.note, Pt(12), True, Pt(9)
    foot_frame = _box(slide, 6.85, 0.4)
    foot_frame.text = foot
    foot_frame.paragraphs[0].font.size = Pt(11)


def _picture_slide(deck: Presentation, page: MapPage) -> None:
    """Add a slide that the picture fills: both are 16 to 9. Its title stands beyond the edge, for screen readers."""
    from pptx.util import Inches

    slide = _slide(deck, page.title)
    if slide.shapes.title is not None:
        slide.shapes.title.top = Inches(-1.5)
    picture = io.BytesIO(render_png(page.picture, _PICTURE_PIXELS))
    shown: Any = slide.shapes.add_picture(picture, Inches(0), Inches(0), width=deck.slide_width)
    shown._element.nvPicPr.cNvPr.set("descr", page.text)
    notes: Any = slide.notes_slide.notes_text_frame
    notes.text = page.text


def _slide(deck: Presentation, title: str) -> Slide:
    from pptx.util import Inches, Pt

    slide: Slide = deck.slides.add_slide(deck.slide_layouts[5])  # "Title only"
    heading: Any = slide.shapes.title
    heading.left, heading.top, heading.width, heading.height = (Inches(side) for side in (0.6, 0.35, 12.1, 0.9))
    heading.text_frame.text = title
    heading.text_frame.word_wrap = True
    heading.text_frame.paragraphs[0].font.size = Pt(28)
    return slide


def _box(slide: Slide, top: float, height: float) -> Any:  # noqa: ANN401 - python-pptx has no types
    from pptx.enum.text import MSO_AUTO_SIZE
    from pptx.util import Inches

    frame = slide.shapes.add_textbox(Inches(0.6), Inches(top), Inches(12.1), Inches(height)).text_frame
    frame.word_wrap, frame.auto_size = True, MSO_AUTO_SIZE.TEXT_TO_FIT_SHAPE
    return frame
