"""Sheets of a workbook in which nothing from outside can act: texts are texts, names are made fit."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from journeyflow.report.atlas import Figure, Unit, Value

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

LONGEST_CELL: Final = 32_000
"""Excel refuses texts of more than 32,767 characters."""
LONGEST_NAME: Final = 31
_FORBIDDEN_IN_NAMES: Final = re.compile(r"[\[\]:*?/\\]")
_RESERVED_NAME: Final = "history"
_OPTIONS: Final = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
    "nan_inf_to_errors": True,
}
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
"""How numbers of a unit look; counts where there is none."""
_COUNT_FORMAT: Final = "#,##0"


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is no figure of its own, such as an end of an interval."""

    value: Value
    unit: Unit


CellValue = str | int | Figure | Number | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list: its title and its width in characters."""

    title: str
    width: float


class Book:
    """A workbook being written.

    Parameters
    ----------
    created_at : datetime
        Told in the file's properties; the same atlas gives the same bytes.
    title : str
        Told in the file's properties.
    """

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

    def sheet(self, name: str) -> Worksheet:
        """Add a sheet named as much like `name` as Excel allows; printed in landscape, one page wide."""
        sheet = self._book.add_worksheet(self._name(name))
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        return sheet

    def write(self, sheet: Worksheet, row: int, column: int, value: CellValue, form: Format | None = None) -> None:
        """Write one cell: a figure in its unit, a number, or a text as a text."""
        if isinstance(value, str):
            sheet.write_string(row, column, value[:LONGEST_CELL], form or self.wrapped)
        elif isinstance(value, Figure | Number):
            self._write_number(sheet, row, column, value.value, value.unit)
        else:
            self._write_number(sheet, row, column, value, "items")

    def write_list(
        self, name: str, columns: Sequence[Column], rows: Iterable[Sequence[CellValue]], otherwise: str
    ) -> None:
        """Add a sheet with a list that can be filtered, its titles frozen; `otherwise` is told when it is empty."""
        sheet = self.sheet(name)
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

    def done(self) -> bytes:
        """Return the file."""
        self._book.close()
        return self._buffer.getvalue()

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


def ends(figure: Figure) -> tuple[Number, Number]:
    """Return low and high of a figure in its unit."""
    return Number(figure.low, figure.unit), Number(figure.high, figure.unit)


def sheet_namer() -> Callable[[str], str]:
    """Return a function that makes names fit for sheets, each unlike all before, whatever their case.

    Examples
    --------
    >>> name = sheet_namer()
    >>> name("a/b"), name("A:B"), name("''")
    ('a_b', 'A_B (2)', 'sheet')
    """
    taken = {_RESERVED_NAME}

    def fit(name: str) -> str:
        wanted = _FORBIDDEN_IN_NAMES.sub("_", name).strip("' ")[:LONGEST_NAME].rstrip("' ") or "sheet"
        found, number = wanted, 1
        while found.lower() in taken:
            number += 1
            mark = f" ({number})"
            found = wanted[: LONGEST_NAME - len(mark)].rstrip() + mark
        taken.add(found.lower())
        return found

    return fit
