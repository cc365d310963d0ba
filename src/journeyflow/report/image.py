"""The map as a picture: SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from journeyflow.config.map_rows import Evidence, RowKey
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
    has_glyphs,
    style_of,
    text_width,
    wrap,
)
from journeyflow.report.formatting import figure_text
from journeyflow.report.image_cells import (
    CURVE_HEIGHT,
    draw_curve,
    draw_entries,
    draw_people,
    entries_height,
    entries_of,
    number,
    outcome_fills,
    people_height,
)
from journeyflow.report.view_model import JourneyMap, MapRow, Persona, ReportData, Stage, StageReach

WIDTH: Final = 1600.0
HEIGHT: Final = 900.0
PNG_WIDTH: Final = 1920
ORDER: Final[tuple[RowKey, ...]] = ("people", "touchpoints", "emotion", "pain_points", "promises", "owner")
"""The rows that a slide has room for."""
_LISTS: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "promises", "owner")
_GROWING: Final[tuple[RowKey, ...]] = ("touchpoints", "pain_points", "touchpoints", "promises")
"""Which lists get one more item in turn, as long as there is room."""
_MOST_STAGES: Final = 9
"""More than these make the letters smaller, so that columns keep a readable width."""
_MARGIN: Final = 26.0
_HEADING: Final = 74.0
_FOOT: Final = 46.0
_LEGEND: Final = 540.0
_SIGN: Final = 28.0
_SIGN_GAP: Final = 16.0
_MARKS: Final[tuple[Evidence, ...]] = ("observed", "inferred", "supplied", "unknown")
_AGAINST_FIRST: Final = "people, against the first stage"
_STAGE_ROW: Final = 42.0
_ARROW: Final = 14.0
_ROW_LABELS: Final = 112.0
_ROW_INSET: Final = (4.0, 8.0)
_PADDING: Final = 8.0
_WIDEST_LIST: Final = 560.0
_LOWEST_CURVE: Final = 110.0
_TALLEST_CURVE: Final = 0.28
"""Of the height of all rows."""
_HOW_TO_READ: Final = (
    "How to read: counts are of all persons, rates only of those whose time to go on is over; [low to high] is a 95 % "
    "interval. Lift: those who met it against those who did not, an association. Emotion: -1 to +1; a broken line "
    "rests on inferred points."
)


def render_png(svg: str, width: int = PNG_WIDTH) -> bytes:
    """Return a picture of `render_svg` as a PNG of `width` pixels.

    Letters that the packaged font lacks come from the fonts of the machine, else show as a box.
    """
    import resvg_py

    letters = "".join(ElementTree.fromstring(svg).itertext())
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        width=width,
        skip_system_fonts=has_glyphs(letters),
        font_files=font_files(),
        font_family=FAMILY,
        sans_serif_family=FAMILY,
    )


def render_svg(journey_map: JourneyMap, report_data: ReportData, theme: Literal["light", "dark"] = "light") -> str:
    """Return a map of the report data as an SVG of 1600 by 900 without script, image or external font.

    Items without room are counted as "and … more".
    """
    stages = next((model.stages for model in report_data.models if model.key == journey_map.model), ())
    style = style_of(THEMES[theme], len(stages))
    heading = heading_texts(journey_map, report_data)
    scale = max(1.0, len(stages) / _MOST_STAGES)
    page = Box(0, 0, WIDTH * scale, HEIGHT * scale)
    canvas = Canvas(page, *heading, width=WIDTH, height=HEIGHT)
    define_patterns(canvas, style.theme)
    canvas.rect(page, style.theme.ground)
    inner = page.inset(_MARGIN, 16)
    _draw_heading(canvas, inner.line(0, _HEADING), heading, style)
    foot = Box(inner.x, inner.bottom - _FOOT, inner.width, _FOOT)
    _draw_foot(canvas, foot, _foot_texts(journey_map, report_data), style)
    _draw_grid(canvas, inner.below(_HEADING).line(0, inner.height - _HEADING - _FOOT - 6), journey_map, stages, style)
    return canvas.svg()


def heading_texts(journey_map: JourneyMap, report_data: ReportData) -> tuple[str, str]:
    """Return title and subtitle of a map."""
    persona = _persona(journey_map, report_data)
    model = next((found.label for found in report_data.models if found.key == journey_map.model), "")
    period = next((found.label for found in report_data.periods if found.key == journey_map.period), "")
    parts = (f"Model {model}", f"Entered: {period}", persona.description if persona else "")
    return f"Journey map: {persona.label if persona else ''}", " · ".join(filter(None, parts))


def _persona(journey_map: JourneyMap, report_data: ReportData) -> Persona | None:
    return next((found for found in report_data.personas if found.key == journey_map.persona), None)


def _draw_heading(canvas: Canvas, box: Box, texts: tuple[str, str], style: Style) -> None:
    """Draw title and subtitle at the left, the legend at the right."""
    title, subtitle = texts
    with canvas.cell(box.part(0, box.width - _LEGEND - 20)) as place:
        canvas.text(place, title, Pen(32, style.theme.ink, STRONG))
        canvas.text(place.below(42), subtitle, Pen(16, style.theme.soft))
    with canvas.cell(box.part(box.width - _LEGEND, _LEGEND)) as place:
        _draw_legend(canvas, place, style)


def _draw_legend(canvas: Canvas, box: Box, style: Style) -> None:
    """Draw the marks in one line and the bars in the next, at the right."""
    theme, pen = style.theme, Pen(13, style.theme.soft)
    marks, bars = box.line(12, pen.height), box.line(38, pen.height)
    left = _legend_start(marks, _MARKS, pen)
    for evidence in _MARKS:
        draw_mark(canvas, left + MARK + 12, marks.y + pen.height / 2, evidence, theme)
        left += _SIGN + canvas.text(Box(left + _SIGN, marks.y, box.width, pen.height), evidence, pen) + _SIGN_GAP
    fills = {_AGAINST_FIRST: theme.ink} | outcome_fills(theme)
    left = _legend_start(bars, list(fills), pen)
    for label, fill in fills.items():
        height = 4 if label == _AGAINST_FIRST else 11
        swatch = Box(left + 1, bars.y + (pen.height - height) / 2, 22, height)
        canvas.rect(swatch, fill, 1, "none" if label == _AGAINST_FIRST else theme.soft)
        left += _SIGN + canvas.text(Box(left + _SIGN, bars.y, box.width, pen.height), label, pen) + _SIGN_GAP


def _legend_start(box: Box, labels: Sequence[str], pen: Pen) -> float:
    """Return the left end of a line of signs and labels that is aligned to the right."""
    return box.right - sum(_SIGN + text_width(label, pen.size) + _SIGN_GAP for label in labels) + _SIGN_GAP


def _foot_texts(journey_map: JourneyMap, report_data: ReportData) -> tuple[str, str, str]:
    """Return the description of the run, how to read the picture, and the warnings."""
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
    return " · ".join(filter(None, parts)), _HOW_TO_READ, " · ".join(filter(None, warnings))


def _draw_foot(canvas: Canvas, box: Box, texts: tuple[str, str, str], style: Style) -> None:
    """Draw the foot in three lines at most."""
    run, how_to_read, warning = texts
    pen = Pen(12, style.theme.soft)
    strong = Pen(pen.size, style.theme.ink, STRONG)
    with canvas.cell(box):
        left = canvas.text(box, warning, strong) + 14 if warning else 0.0
        canvas.text(box.part(left, box.width - left), run, pen)
        canvas.lines(box.below(pen.height), wrap(how_to_read, box.width, pen.size, line_count=2), pen)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Heights of the rows, and how many items the cells of a list show."""

    heights: dict[RowKey, float]
    limits: dict[RowKey, int]


def _draw_grid(canvas: Canvas, box: Box, journey_map: JourneyMap, stages: Sequence[Stage], style: Style) -> None:
    """Draw stages and rows into the box."""
    head = Box(box.x + _ROW_LABELS, box.y, box.width - _ROW_LABELS, _STAGE_ROW)
    width = head.width / len(stages)
    columns = [head.part(index * head.width / len(stages), width) for index in range(len(stages))]
    _draw_stages(canvas, columns, stages, style)
    by_stage = {reach.key: reach for reach in journey_map.reached}
    reaches = [by_stage.get(stage.key) for stage in stages]
    plan = _plan(journey_map, reaches, columns, box.height - _STAGE_ROW, style)
    top = _STAGE_ROW
    for key in ORDER:
        height = plan.heights[key]
        row = journey_map.row(key)
        place = box.line(top, height)
        _draw_row_label(canvas, place, row.label, style)
        cells = [Box(column.x, place.y, column.width - 3, height).inset(_PADDING, _PADDING) for column in columns]
        _draw_cells(canvas, cells, row, reaches, plan, style)
        top += height


def _draw_stages(canvas: Canvas, columns: Sequence[Box], stages: Sequence[Stage], style: Style) -> None:
    """Draw the stages as arrows that point to the next."""
    pen = Pen(style.body.size + 2, style.theme.on_head, STRONG)
    for box, stage in zip(columns, stages, strict=True):
        left, right, middle = box.x, box.right - 3, box.y + box.height / 2
        notch = [(left + _ARROW, middle)] if stage.index > 1 else []
        tip = [(right - _ARROW, box.y), (right, middle), (right - _ARROW, box.bottom)]
        canvas.shape([(left, box.y), *tip, (left, box.bottom), *notch], style.theme.head)
        with canvas.cell(box.inset(_ARROW + 6, (box.height - pen.height) / 2)) as place:
            canvas.text(place, f"{stage.index}  {stage.label}", pen)


def _draw_row_label(canvas: Canvas, box: Box, label: str, style: Style) -> None:
    """Draw the label of a row at the left, and a line under the row."""
    canvas.line([(box.x, box.bottom), (box.right, box.bottom)], style.theme.rule)
    with canvas.cell(box.part(0, _ROW_LABELS).inset(*_ROW_INSET)) as place:
        canvas.lines(place, _row_label_lines(label, style), style.label)


def _row_label_lines(label: str, style: Style) -> list[str]:
    return wrap(label, _ROW_LABELS - 2 * _ROW_INSET[0], style.label.size, style.label.weight, 3)


def _draw_cells(
    canvas: Canvas, boxes: Sequence[Box], row: MapRow, reaches: Sequence[StageReach | None], plan: _Plan, style: Style
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


def _plan(
    journey_map: JourneyMap, reaches: list[StageReach | None], columns: Sequence[Box], height: float, style: Style
) -> _Plan:
    """Return the plan that shows most; spare room goes to the emotion curve first."""
    width = min(columns[0].width - 3 - 2 * _PADDING, _WIDEST_LIST)
    people = people_height(reaches, width, style) + 2 * _PADDING
    fixed: dict[RowKey, float] = {"people": people, "emotion": CURVE_HEIGHT}
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
    return _Plan(_fitted(fixed | lists, height), limits)


def _list_height(row: MapRow, limit: int, width: float, style: Style) -> float:
    """Return the height that the fullest cell of a row and its label need."""
    fullest = max(entries_height(entries_of(cell, limit), width, style) for cell in row.cells)
    label = len(_row_label_lines(row.label, style)) * style.label.height + 2 * _ROW_INSET[1]
    return max(fullest + 2 * _PADDING, label)


def _fitted(needed: dict[RowKey, float], height: float) -> dict[RowKey, float]:
    """Return the heights grown or shrunk to fill the page: first the curve, then all lists alike."""
    spare = height - sum(needed.values())
    curve = max(_LOWEST_CURVE, min(needed["emotion"] + spare, _TALLEST_CURVE * height))
    each = (spare - (curve - needed["emotion"])) / len(_LISTS)
    return needed | {"emotion": curve} | {key: needed[key] + each for key in _LISTS}
