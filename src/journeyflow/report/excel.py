"""The map as a workbook in which no cell can act as a formula."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from journeyflow.compile.map_figures import Unit
from journeyflow.errors import InputError
from journeyflow.report.formatting import cell_lines, display_text
from journeyflow.report.view_model import ALL, Figure, FunnelStep, Item, JourneyMap, Persona, ReportData, Value
from journeyflow.utils.formatting import HIDDEN_FORMULA_START

if TYPE_CHECKING:
    import polars as pl
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from journeyflow.publish.reader import Manifest


LONGEST_CELL: Final = 32_000
"""Excel refuses texts of more than 32,767 characters."""
LONGEST_NAME: Final = 31
_FORBIDDEN_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\]")
_HIDDEN_FORMULA: Final = re.compile(HIDDEN_FORMULA_START)
_RESERVED_NAME: Final = "history"
_LABEL_WIDTH: Final = 24
_STAGE_WIDTH: Final = 46
_OPTIONS: Final = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}
_COUNT_FORMAT: Final = "#,##0"
_NUMBER_FORMATS: Final[dict[Unit, str]] = {
    "rate": "0.0%",
    "ratio": "0.00",
    "score": "0.00",
    "sentiment": "+0.00;-0.00;0.00",
    "amount": "#,##0.00",
    "seconds": "#,##0",
    "probability": "0.0000",
    "instant": "yyyy-mm-dd hh:mm",
}
"""Number formats of the units that are no counts."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is no figure, such as an end of an interval."""

    value: Value
    unit: Unit


CellValue = str | int | Figure | Number | None
Row = list[CellValue]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list: its title and its width in characters."""

    title: str
    width: float


_MAP_KEYS: Final = (Column("model", 16), Column("persona", 18), Column("period", 14))
_BLIND_SPOTS: Final = (
    Column("severity", 11), Column("what", 26), Column("subject", 34), Column("items", 10), Column("share", 9),
    Column("detail", 80),
)  # fmt: skip
_BRIEFING: Final = (
    Column("part", 18),
    Column("what to know", 110), Column("since the run before", 14), Column("people lost then", 12), Column("kind", 14),
    Column("model or funnel", 18), Column("persona", 18), Column("owner", 18), Column("suggested", 60),
    Column("SQL of the row", 80),
)  # fmt: skip
_OPPORTUNITIES: Final = (
    *_MAP_KEYS, Column("rank", 7), Column("what to fix", 80), Column("subject", 30), Column("stage", 18),
    Column("kind", 18), Column("grade", 22), Column("slice", 24), Column("days", 24), Column("people", 10),
    Column("people lost", 12), Column("low", 9), Column("high", 9), Column("worth", 12), Column("low", 11),
    Column("high", 11), Column("of it beyond the rows above", 14), Column("currency", 10), Column("owner", 18),
    Column("suggested", 60), Column("what if", 60),
)  # fmt: skip
_DROP_OFFS: Final = (
    Column("funnel", 18), *_MAP_KEYS[1:], Column("step", 7), Column("name", 20), Column("what", 18),
    Column("touchpoint or action", 44), Column("people", 10), Column("share", 9), Column("of those who went on", 11),
    Column("lift", 8),
)  # fmt: skip
_FIGURES: Final = (
    *_MAP_KEYS, Column("stage", 18), Column("row", 22), Column("entry", 40), Column("figure", 22), Column("value", 14),
    Column("low", 12), Column("high", 12), Column("n", 10), Column("unit", 11), Column("evidence", 11),
    Column("SQL over the published tables", 100),
)  # fmt: skip


def render_workbook(report_data: ReportData) -> bytes:
    """Return the report data as an XLSX file without a formula or link; the same data gives the same bytes.

    Its sheets: briefing, opportunities, drop-offs, one for each persona with its maps, all figures with their SQL,
    blind spots, and about.
    """
    book = Book(report_data.run.published_at, f"Journey maps of {report_data.run.project}")
    book.write_list("Briefing", _BRIEFING, _briefing(report_data), "Nobody was seen in a stage.")
    book.write_list("Opportunities", _OPPORTUNITIES, _opportunities(report_data), "No opportunity was found.")
    book.write_list("Drop-offs", _DROP_OFFS, _drop_offs(report_data), "Nobody dropped off.")
    for persona in report_data.personas:
        _write_persona(book, report_data, persona)
    book.write_list("Figures", _FIGURES, _figures(report_data), "There is no map.")
    book.write_list("Blind spots", _BLIND_SPOTS, _blind_spots(report_data), "No blind spot was found.")
    _write_about(book, report_data)
    return book.close()


def render_tables(tables: Mapping[str, pl.DataFrame], manifest: Manifest) -> bytes:
    """Return tables as an XLSX file with a sheet each, in which no cell is a formula or a link.

    Raises
    ------
    InputError
        When a table has more rows than a sheet.
    """
    for name, table in tables.items():
        if table.height >= MOST_ROWS:
            raise InputError(
                f"The table {name} has {table.height:,} rows and a sheet of Excel takes {MOST_ROWS - 1:,}: "
                "choose --format csv or parquet, or name smaller tables with --table."
            )
    book = Book(manifest.published_at, f"Tables of {manifest.project}")
    for name, table in tables.items():
        columns = [Column(column, max(10, min(len(column) + 2, 40))) for column in table.columns]
        rows = ([_plain_cell(value) for value in row] for row in table.iter_rows())
        book.write_list(name, columns, rows, "No rows.")
    return book.close()


MOST_ROWS: Final = 1 << 20
"""Rows of a sheet, its titles included."""


def _plain_cell(value: object) -> CellValue:
    """Return a value of a published table as a cell that keeps it: numbers and times as such, all else as text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        # Excel keeps fifteen digits.
        return value if abs(value) < 10**15 else str(value)
    if isinstance(value, float):
        return Number(value, "probability") if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return Number(value, "amount")
    return Number(value, "instant") if isinstance(value, datetime) else str(value)


def _write_about(book: Book, report_data: ReportData) -> None:
    sheet = book.add_sheet("About")
    sheet.set_column(0, 0, _LABEL_WIDTH + 8, book.bold)
    sheet.set_column(1, 1, 110, book.wrapped)
    run = report_data.run
    lines: list[tuple[str, CellValue]] = [
        ("Events read", run.events),
        ("People", run.persons),
        ("First event, UTC", run.first_event_at),
        ("Events up to, UTC", Number(run.high_water_at, "instant")),
        ("Published, UTC", Number(run.published_at, "instant")),
        ("Run", run.run_id),
        ("Version", run.version),
        ("Hash of the configuration", run.config_hash),
        *((text.title, text.text) for text in (*report_data.reading, *report_data.definitions)),
    ]
    book.write(sheet, 0, 0, f"Journey maps of {run.project}", book.title)
    for at, (title, value) in enumerate(lines, start=2):
        book.write(sheet, at, 0, title, book.bold)
        book.write(sheet, at, 1, value)


def _briefing(report_data: ReportData) -> Iterator[Row]:
    briefing = report_data.briefing
    for title, text in (("Who", briefing.people), ("Where", briefing.stages)):
        if text:
            yield [title, text]
    for part in briefing.parts:
        for line in part.lines:
            persona = "everybody" if line.persona == ALL else line.persona
            keys = (display_text(line.model), display_text(persona))
            about = (line.change, line.previous_count, line.kind, *keys, line.owner, line.action, line.sql)
            yield [part.title, line.headline, *about]
    if briefing.blind_spots:
        yield ["What cannot be seen", briefing.blind_spots]


def _blind_spots(report_data: ReportData) -> Iterator[Row]:
    for spot in report_data.blind_spots:
        yield [spot.severity, spot.kind_label, spot.subject, spot.items, spot.share, spot.detail]


def _opportunities(report_data: ReportData) -> Iterator[Row]:
    for journey_map in report_data.maps:
        for found in journey_map.opportunities:
            lost, worth = found.lost, found.worth
            yield [
                *_map_labels(report_data, journey_map), found.rank, found.headline, found.subject, found.stage_label,
                found.kind, found.grade, found.slice, found.days, found.people, lost, *_ends(lost), worth,
                *_ends(worth), found.alone, worth.currency or "", found.owner, found.remedy,
                found.what_if,
            ]  # fmt: skip


def _drop_offs(report_data: ReportData) -> Iterator[Row]:
    personas, periods = _labels(report_data)
    for funnel in (*(found.funnel for found in report_data.maps), *report_data.funnels):
        for step in funnel.steps:
            labels: Row = [funnel.label, personas[funnel.persona], periods.get(funnel.period, funnel.period)]
            for what, item in _drop_off_items(step):
                shares = (item.figure("share_rate"), item.figure("expected_rate"), item.figure("lift"))
                yield [*labels, step.index, step.label, what, item.text, item.figure("drop_off_count"), *shares]


def _drop_off_items(step: FunnelStep) -> Iterator[tuple[str, Item]]:
    yield from (("last touchpoint", item) for item in step.last_touchpoints)
    yield from (("did next", item) for item in step.next_actions)


def _write_persona(book: Book, report_data: ReportData, persona: Persona) -> None:
    sheet = book.add_sheet(persona.label)
    sheet.set_column(0, 0, _LABEL_WIDTH, book.bold)
    sheet.set_column(1, max((len(model.stages) for model in report_data.models), default=1), _STAGE_WIDTH, book.wrapped)
    sheet.freeze_panes(1, 1)
    about = persona.description or persona.rule
    book.write(sheet, 0, 0, f"{persona.label}{': ' if about else ''}{about}", book.title)
    row = 2
    for journey_map in report_data.maps:
        if journey_map.persona == persona.key:
            row = _write_map(book, sheet, row, report_data, journey_map)


def _write_map(book: Book, sheet: Worksheet, row: int, report_data: ReportData, journey_map: JourneyMap) -> int:
    """Write one map from `row` on and return the row after it."""
    model, _, period = _map_labels(report_data, journey_map)
    book.write(sheet, row, 0, f"{model}, {period}", book.title)
    stages = next(known.stages for known in report_data.models if known.key == journey_map.model)
    for at, title in enumerate(("", *(stage.label for stage in stages))):
        book.write(sheet, row + 1, at, title, book.head)
    for down, map_row in enumerate(journey_map.rows, start=row + 2):
        book.write(sheet, down, 0, map_row.label, book.bold)
        for across, cell in enumerate(map_row.cells, start=1):
            book.write(sheet, down, across, "\n".join(cell_lines(cell)))
    return row + len(journey_map.rows) + 3


def _figures(report_data: ReportData) -> Iterator[Row]:
    stages = {(model.key, stage.key): stage.label for model in report_data.models for stage in model.stages}
    for journey_map in report_data.maps:
        labels = _map_labels(report_data, journey_map)
        for map_row in journey_map.rows:
            for cell in map_row.cells:
                for item in cell.items:
                    for figure in item.figures:
                        yield [
                            *labels, stages[journey_map.model, cell.stage], map_row.label, item.text, figure.label,
                            figure, *_ends(figure), figure.n, figure.currency or figure.unit, figure.evidence,
                            figure.sql,
                        ]  # fmt: skip


def _map_labels(report_data: ReportData, journey_map: JourneyMap) -> Row:
    personas, periods = _labels(report_data)
    model = next(known.label for known in report_data.models if known.key == journey_map.model)
    return [model, personas[journey_map.persona], periods[journey_map.period]]


def _labels(report_data: ReportData) -> tuple[dict[str, str], dict[str, str]]:
    personas = {persona.key: persona.label for persona in report_data.personas}
    return personas, {period.key: period.label for period in report_data.periods} | {ALL: "the whole time"}


def _ends(figure: Figure) -> tuple[Number, Number]:
    return Number(figure.low, figure.unit), Number(figure.high, figure.unit)


class Book:
    """A workbook being written; `created_at` and `title` go into the properties of the file."""

    def __init__(self, created_at: datetime, title: str) -> None:
        from xlsxwriter import Workbook

        self._buffer = io.BytesIO()
        self._book = Workbook(self._buffer, _OPTIONS)
        self._book.set_properties({"title": title[:200], "created": created_at})
        self._name = sheet_namer()
        self._numbers: dict[str, Format] = {}
        top = {"valign": "top"}
        self.plain = self._book.add_format(top)
        self.wrapped = self._book.add_format(top | {"text_wrap": True})
        self.bold = self._book.add_format(top | {"bold": True, "text_wrap": True})
        self.title = self._book.add_format({"bold": True, "font_size": 14})
        self.head = self._book.add_format(
            top | {"bold": True, "text_wrap": True, "bg_color": "#E7EBF0", "bottom": 1, "font_color": "#111111"}
        )

    def add_sheet(self, name: str) -> Worksheet:
        """Add a sheet whose name is as close to `name` as Excel allows; it prints in landscape, one page wide."""
        sheet = self._book.add_worksheet(self._name(name))
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        return sheet

    def write_list(
        self, name: str, columns: Sequence[Column], rows: Iterable[Sequence[CellValue]], otherwise: str
    ) -> None:
        """Add a sheet with a list that has filters and fixed titles; `otherwise` is written when it is empty."""
        sheet = self.add_sheet(name)
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width, self.plain)
            self.write(sheet, 0, at, column.title, self.head)
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        count = 0
        for count, row in enumerate(rows, start=1):
            for at, value in enumerate(row):
                self.write(sheet, count, at, value)
        if count:
            sheet.autofilter(0, 0, count, len(columns) - 1)
        else:
            self.write(sheet, 1, 0, otherwise, self.plain)

    def write(self, sheet: Worksheet, row: int, column: int, value: CellValue, form: Format | None = None) -> None:
        """Write one cell: a figure in its unit, a number, or a text as a text.

        A text that hides the sign of a formula gets an apostrophe, because other programs may not keep it a text.
        """
        if isinstance(value, str):
            value = f"'{value}" if _HIDDEN_FORMULA.match(value) else value
            sheet.write_string(row, column, value[:LONGEST_CELL], form or self.wrapped)
        elif isinstance(value, Figure | Number):
            self._write_number(sheet, row, column, value.value, value.unit)
        else:
            self._write_number(sheet, row, column, value, "items")

    def _write_number(self, sheet: Worksheet, row: int, column: int, value: Value, unit: Unit) -> None:
        form = self._number_format(_NUMBER_FORMATS.get(unit, _COUNT_FORMAT))
        if isinstance(value, datetime):
            sheet.write_datetime(row, column, value, form)
        elif value is None:
            sheet.write_blank(row, column, None, self.plain)
        else:
            sheet.write_number(row, column, float(value) if isinstance(value, Decimal) else value, form)

    def _number_format(self, code: str) -> Format:
        if code not in self._numbers:
            self._numbers[code] = self._book.add_format({"num_format": code, "valign": "top"})
        return self._numbers[code]

    def close(self) -> bytes:
        """Return the file."""
        self._book.close()
        return self._buffer.getvalue()


def sheet_namer() -> Callable[[str], str]:
    """Return a function that makes valid sheet names, each different from all before, whatever their case.

    >>> name = sheet_namer()
    >>> name("a/b"), name("A:B"), name("''")
    ('a_b', 'A_B (2)', 'sheet')
    """
    used = {_RESERVED_NAME}

    def valid(name: str) -> str:
        wanted = _FORBIDDEN_IN_NAMES.sub("_", name).strip("' ")[:LONGEST_NAME].rstrip("' ") or "sheet"
        found, number = wanted, 1
        while found.lower() in used:
            number += 1
            suffix = f" ({number})"
            found = wanted[: LONGEST_NAME - len(suffix)].rstrip() + suffix
        used.add(found.lower())
        return found

    return valid
