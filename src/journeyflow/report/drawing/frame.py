"""What surrounds the map: title, marks, stages, names of the rows, and the foot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from journeyflow.report.atlas import Atlas, Evidence, JourneyMap, Stage
from journeyflow.report.drawing.canvas import Box, Canvas, Pen
from journeyflow.report.drawing.lettering import STRONG, text_width, wrap
from journeyflow.report.drawing.people import fills
from journeyflow.report.drawing.style import MARK, Style, draw_mark
from journeyflow.report.words import written

LEGEND: Final = 540.0
_MARKS: Final[tuple[Evidence, ...]] = ("observed", "inferred", "supplied", "unknown")
_POINT: Final = 14.0
_ROW: Final = (4.0, 8.0)
_SIGN: Final = 28.0
_GAP: Final = 16.0
_AGAINST: Final = "people, against the first stage"
_HOW: Final = (
    "How to read: counts are of everybody, rates only of those whose time to go on is over; [low to high] is a 95 % "
    "interval. Lift: those who met it against those who did not, an association. Emotion: -1 to +1; a broken line "
    "rests on inferred points."
)


def heading(journey_map: JourneyMap, atlas: Atlas) -> tuple[str, str]:
    """Return title and subtitle of a map."""
    persona = next((found for found in atlas.personas if found.key == journey_map.persona), None)
    model = next((found.label for found in atlas.models if found.key == journey_map.model), "")
    period = next((found.label for found in atlas.periods if found.key == journey_map.period), "")
    about = persona.description if persona else ""
    parts = (f"Model {model}", f"Entered: {period}", about)
    return f"Journey map: {persona.label if persona else ''}", " · ".join(part for part in parts if part)


def foot(journey_map: JourneyMap, atlas: Atlas) -> tuple[str, str, str]:
    """Return the facts of the run, how to read the picture, and a warning where something cannot be seen."""
    facts, stages = atlas.facts, journey_map.reached
    reached = f"n = {written(stages[0].reached)} people" if stages else ""
    covered = (
        f"Events from {written(facts.first_event_at)} to {facts.high_water_at:%Y-%m-%d %H:%M} UTC (high-water mark)"
    )
    events = f"{written(facts.events)} events of {written(facts.persons)} people"
    critical = sum(spot.severity == "critical" for spot in atlas.blind_spots)
    persona = next((found for found in atlas.personas if found.key == journey_map.persona), None)
    warnings = (
        f"{critical} critical blind spot{'s' if critical > 1 else ''}: see the page" if critical else "",
        "the persona is chosen by its outcome" if persona and persona.is_outcome_based else "",
    )
    parts = (reached, covered, events, facts.project, f"run {facts.run_id}")
    return " · ".join(filter(None, parts)), _HOW, " · ".join(filter(None, warnings))


def draw_heading(canvas: Canvas, box: Box, words: tuple[str, str], style: Style) -> None:
    """Draw title and subtitle at the left, what the marks mean at the right."""
    title, subtitle = words
    with canvas.cell(box.part(0, box.width - LEGEND - 20)) as place:
        canvas.text(place, title, Pen(32, style.theme.ink, STRONG))
        canvas.text(place.below(42), subtitle, Pen(16, style.theme.soft))
    with canvas.cell(box.part(box.width - LEGEND, LEGEND)) as place:
        _draw_legend(canvas, place, style)


def draw_stages(canvas: Canvas, columns: Sequence[Box], stages: Sequence[Stage], style: Style) -> None:
    """Draw the stages as arrows that point to the next."""
    pen = Pen(style.body.size + 2, style.theme.on_head, STRONG)
    for box, stage in zip(columns, stages, strict=True):
        left, right, middle = box.x, box.right - 3, box.y + box.height / 2
        notch = [(left + _POINT, middle)] if stage.index > 1 else []
        tip = [(right - _POINT, box.y), (right, middle), (right - _POINT, box.bottom)]
        canvas.shape([(left, box.y), *tip, (left, box.bottom), *notch], style.theme.head)
        words = box.inset(_POINT + 6, (box.height - pen.height) / 2)
        with canvas.cell(words):
            canvas.text(words, f"{stage.index}  {stage.label}", pen)


def draw_row(canvas: Canvas, box: Box, label: str, width: float, style: Style) -> None:
    """Draw the name of a row at the left, and a line under the row."""
    canvas.line([(box.x, box.bottom), (box.right, box.bottom)], style.theme.rule)
    with canvas.cell(box.part(0, width).inset(*_ROW)) as place:
        canvas.lines(place, _row_lines(label, width, style), style.label)


def row_height(label: str, width: float, style: Style) -> float:
    """Return what the name of a row needs."""
    return len(_row_lines(label, width, style)) * style.label.height + 2 * _ROW[1]


def _row_lines(label: str, width: float, style: Style) -> list[str]:
    return wrap(label, width - 2 * _ROW[0], style.label.size, style.label.weight, 3)


def draw_foot(canvas: Canvas, box: Box, words: tuple[str, str, str], style: Style) -> None:
    """Draw the foot in three lines at most."""
    facts, how, warning = words
    pen = Pen(12, style.theme.soft)
    strong = Pen(pen.size, style.theme.ink, STRONG)
    with canvas.cell(box):
        wide = canvas.text(box, warning, strong) + 14 if warning else 0.0
        canvas.text(box.part(wide, box.width - wide), facts, pen)
        canvas.lines(box.below(pen.height), wrap(how, box.width, pen.size, line_count=2), pen)


def _draw_legend(canvas: Canvas, box: Box, style: Style) -> None:
    """Draw the marks in one line and the bars in the next, at the right."""
    theme, pen = style.theme, Pen(13, style.theme.soft)
    marks, bars = box.line(12, pen.height), box.line(38, pen.height)
    left = _start(marks, [str(mark) for mark in _MARKS], pen)
    for evidence in _MARKS:
        draw_mark(canvas, left + MARK + 12, marks.y + pen.height / 2, evidence, theme)
        left += _SIGN + canvas.text(Box(left + _SIGN, marks.y, box.width, pen.height), evidence, pen) + _GAP
    signs = {_AGAINST: theme.ink} | fills(theme)
    left = _start(bars, list(signs), pen)
    for words, fill in signs.items():
        height = 4 if words == _AGAINST else 11
        swatch = Box(left + 1, bars.y + (pen.height - height) / 2, 22, height)
        canvas.rect(swatch, fill, 1, "none" if words == _AGAINST else theme.soft)
        left += _SIGN + canvas.text(Box(left + _SIGN, bars.y, box.width, pen.height), words, pen) + _GAP


def _start(box: Box, words: Sequence[str], pen: Pen) -> float:
    """Return where a line of signs with words begins that is to end at the right edge."""
    return box.right - sum(_SIGN + text_width(word, pen.size) + _GAP for word in words) + _GAP
