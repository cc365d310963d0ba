"""The map as a picture: SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from journeyflow.report.canvas import (
    FAMILY,
    MARK,
    STRONG,
    THEMES,
    Box,
    Canvas,
    Pen,
    Style,
    define_patterns,
    draw_mark,
    font_files,
    is_lettered,
    style_of,
    text_width,
    wrap,
)
from journeyflow.report.formatting import written
from journeyflow.report.image_cells import (
    CURVE_HEIGHT,
    draw_curve,
    draw_entries,
    draw_people,
    entries_height,
    entries_of,
    fills,
    number,
    people_height,
)
from journeyflow.report.view_model import Evidence, JourneyMap, MapRow, Reach, ReportData, RowKey, Stage

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


def heading(journey_map: JourneyMap, report_data: ReportData) -> tuple[str, str]:
    """Return title and subtitle of a map."""
    persona = next((found for found in report_data.personas if found.key == journey_map.persona), None)
    model = next((found.label for found in report_data.models if found.key == journey_map.model), "")
    period = next((found.label for found in report_data.periods if found.key == journey_map.period), "")
    about = persona.description if persona else ""
    parts = (f"Model {model}", f"Entered: {period}", about)
    return f"Journey map: {persona.label if persona else ''}", " · ".join(part for part in parts if part)


def foot(journey_map: JourneyMap, report_data: ReportData) -> tuple[str, str, str]:
    """Return the facts of the run, how to read the picture, and a warning where something cannot be seen."""
    facts, stages = report_data.facts, journey_map.reached
    reached = f"n = {written(stages[0].reached)} people" if stages else ""
    covered = (
        f"Events from {written(facts.first_event_at)} to {facts.high_water_at:%Y-%m-%d %H:%M} UTC (high-water mark)"
    )
    events = f"{written(facts.events)} events of {written(facts.persons)} people"
    critical = sum(spot.severity == "critical" for spot in report_data.blind_spots)
    persona = next((found for found in report_data.personas if found.key == journey_map.persona), None)
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


ORDER: Final[tuple[RowKey, ...]] = ("people", "touchpoints", "emotion", "pain_points", "promises", "owner")
"""The rows that a slide has room for."""
_LABELS: Final = 112.0
_STAGES: Final = 42.0
_PADDING: Final = 8.0
_LOWEST_CURVE: Final = 110.0
_TALLEST_CURVE: Final = 0.28
"""Of the height of all rows."""
_WIDEST_LIST: Final = 560.0
_LISTS: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "promises", "owner")
_GROWING: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "touchpoints", "promises")
"""Which lists get one more item in turn, as long as there is room."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Heights of the rows, and how many items the cells of a list show."""

    heights: dict[RowKey, float]
    limits: dict[RowKey, int]


def draw_grid(canvas: Canvas, box: Box, journey_map: JourneyMap, stages: Sequence[Stage], style: Style) -> None:
    """Draw stages and rows into the box."""
    across = Box(box.x + _LABELS, box.y, box.width - _LABELS, _STAGES)
    columns = [
        across.part(index * across.width / len(stages), across.width / len(stages)) for index in range(len(stages))
    ]
    draw_stages(canvas, columns, stages, style)
    reaches = _reaches(journey_map, stages)
    plan = _planned(journey_map, reaches, columns, box.height - _STAGES, style)
    top = _STAGES
    for key in ORDER:
        height = plan.heights[key]
        row = journey_map.row(key)
        place = box.line(top, height)
        draw_row(canvas, place, row.label, _LABELS, style)
        cells = [Box(column.x, place.y, column.width - 3, height).inset(_PADDING, _PADDING) for column in columns]
        _draw_cells(canvas, cells, row, reaches, plan, style)
        top += height


def _draw_cells(
    canvas: Canvas, boxes: Sequence[Box], row: MapRow, reaches: Sequence[Reach | None], plan: _Plan, style: Style
) -> None:
    if row.key == "emotion":
        draw_curve(canvas, boxes, row.cells, style)
        return
    widest = max((number(reach.reached) or 0 for reach in reaches if reach), default=0)
    for whole, cell, reach in zip(boxes, row.cells, reaches, strict=True):
        with canvas.cell(whole.part(0, min(whole.width, _WIDEST_LIST))) as box:
            if row.key == "people":
                draw_people(canvas, box, reach, widest, style)
            else:
                draw_entries(canvas, box, entries_of(cell, plan.limits[row.key]), style)


def _planned(
    journey_map: JourneyMap, reaches: list[Reach | None], columns: Sequence[Box], height: float, style: Style
) -> _Plan:
    """Return the plan that shows most; the room that is left goes to the emotion curve first."""
    width = min(columns[0].width - 3 - 2 * _PADDING, _WIDEST_LIST)
    fixed: dict[RowKey, float] = {
        "people": people_height(reaches, width, style) + 2 * _PADDING,
        "emotion": CURVE_HEIGHT,
    }
    limits = dict.fromkeys(_LISTS, 1)
    rows = {key: journey_map.row(key) for key in _LISTS}
    lists = {key: _list_height(rows[key], 1, width, style) for key in _LISTS}
    growing = list(_GROWING)
    while growing:
        key = growing.pop(0)
        most = max(len(cell.items) for cell in rows[key].cells)
        taller = _list_height(rows[key], limits[key] + 1, width, style)
        if limits[key] < most and sum((fixed | lists | {key: taller}).values()) <= height:
            limits[key] += 1
            lists[key] = taller
            growing.append(key)
    return _Plan(_shared(fixed | lists, height), limits)


def _shared(needed: dict[RowKey, float], height: float) -> dict[RowKey, float]:
    """Return the heights, grown or shrunk to fill the page: first the curve, then all lists alike."""
    spare = height - sum(needed.values())
    curve = max(_LOWEST_CURVE, min(needed["emotion"] + spare, _TALLEST_CURVE * height))
    each = (spare - (curve - needed["emotion"])) / len(_LISTS)
    return needed | {"emotion": curve} | {key: needed[key] + each for key in _LISTS}


def _list_height(row: MapRow, limit: int, width: float, style: Style) -> float:
    """Return what the fullest cell of a row and its name need."""
    fullest = max(entries_height(entries_of(cell, limit), width, style) for cell in row.cells)
    return max(fullest + 2 * _PADDING, row_height(row.label, _LABELS, style))


def _reaches(journey_map: JourneyMap, stages: Sequence[Stage]) -> list[Reach | None]:
    """Return who reached each of the stages."""
    by_stage = {reach.key: reach for reach in journey_map.reached}
    return [by_stage.get(stage.key) for stage in stages]


WIDTH: Final = 1600.0
HEIGHT: Final = 900.0
PNG_WIDTH: Final = 1920
_MOST_STAGES: Final = 9
"""More than these make the letters smaller, so that columns keep a width that can be read."""
_MARGIN: Final = 26.0
_HEADING: Final = 74.0
_FOOT: Final = 46.0


def render_svg(journey_map: JourneyMap, report_data: ReportData, theme: Literal["light", "dark"] = "light") -> str:
    """Draw a map as an SVG that needs nothing else: no script, no picture, no font from elsewhere.

    Parameters
    ----------
    journey_map : JourneyMap
        One of the maps of `atlas`.
    atlas : Atlas
        For names, the run's facts and its blind spots.
    theme : {'light', 'dark'}
        Dark letters on white, or the other way round.

    Returns
    -------
    str
        A picture of 1600 by 900. Every figure is one of the atlas; what has no room is counted as "and … more".
    """
    stages = next((model.stages for model in report_data.models if model.key == journey_map.model), ())
    style = style_of(THEMES[theme], len(stages))
    words = heading(journey_map, report_data)
    scale = max(1.0, len(stages) / _MOST_STAGES)
    page = Box(0, 0, WIDTH * scale, HEIGHT * scale)
    canvas = Canvas(page, *words, width=WIDTH, height=HEIGHT)
    define_patterns(canvas, style.theme)
    canvas.rect(page, style.theme.ground)
    inner = page.inset(_MARGIN, 16)
    draw_heading(canvas, inner.line(0, _HEADING), words, style)
    draw_foot(canvas, Box(inner.x, inner.bottom - _FOOT, inner.width, _FOOT), foot(journey_map, report_data), style)
    draw_grid(canvas, inner.below(_HEADING).line(0, inner.height - _HEADING - _FOOT - 6), journey_map, stages, style)
    return canvas.svg()


def render_png(svg: str, width: int = PNG_WIDTH) -> bytes:
    """Return a picture of `render_svg` as a PNG.

    Parameters
    ----------
    svg : str
        The picture.
    width : int
        Its width in pixels.

    Returns
    -------
    bytes
        The file. Letters that the packaged font lacks are looked up in the fonts of the machine, else shown as a box.
    """
    import resvg_py

    letters = "".join(ElementTree.fromstring(svg).itertext())
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        width=width,
        skip_system_fonts=is_lettered(letters),
        font_files=font_files(),
        font_family=FAMILY,
        sans_serif_family=FAMILY,
    )
