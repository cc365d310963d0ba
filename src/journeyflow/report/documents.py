"""The map as documents: a PDF to print, and slides to edit."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from journeyflow.errors import JourneyflowError
from journeyflow.report.formatting import CHANGES, figure_text, range_text, value_text
from journeyflow.report.image import TEMPLATES, compiled, heading_texts, picture_of, render_png
from journeyflow.report.view_model import ALL, NO_CAUSE, BriefingLine, Opportunity, ReportData

if TYPE_CHECKING:
    from pptx.presentation import Presentation
    from pptx.slide import Slide

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
