from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from journeyflow.cli import output
from journeyflow.cli.output import Format, defused, write_frame
from journeyflow.errors import JourneyflowError

ROWS = pl.DataFrame(
    {
        "name": ["=cmd()", "+1", "-1", "@a", "\tx", "plain", None],
        "amount": [-1.0, 2.0, 3.0, 4.0, 5.0, 6.0, None],
        "at": [datetime(2026, 1, 1)] * 7,
    }
)


def test_formulas_are_defused_and_numbers_are_not() -> None:
    shown = defused(ROWS)
    assert shown["name"].to_list() == ["'=cmd()", "'+1", "'-1", "'@a", "'\tx", "plain", None]
    assert shown["amount"].to_list() == ROWS["amount"].to_list()


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\u2212"])
@pytest.mark.parametrize("before", ["", "\u200b", "\ufeff", "\u2060\u200d", " ", "\xa0", "\x00", "\u202e"])
def test_signs_of_formulas_are_found_behind_invisible_characters(before: str, sign: str) -> None:
    hidden = f"{before}{sign}1+1"
    assert defused(pl.DataFrame({"text": [hidden]}))["text"].to_list() == [f"'{hidden}"]


def test_other_texts_of_full_width_and_invisible_characters_stay() -> None:
    texts = ["\u200bname", "\uff11\uff1d\uff12", "caf\u00e9", "\u200b", ""]
    assert defused(pl.DataFrame({"text": texts}))["text"].to_list() == texts


def test_csv_file(tmp_path: Path) -> None:
    write_frame(ROWS, Format.CSV, tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines()[:2] == [
        "name,amount,at",
        "'=cmd(),-1.0,2026-01-01T00:00:00.000000",
    ]


def test_json_file(tmp_path: Path) -> None:
    write_frame(ROWS, Format.JSON, tmp_path / "rows.json")
    assert json.loads((tmp_path / "rows.json").read_text())[0]["name"] == "=cmd()"


def test_parquet_file(tmp_path: Path) -> None:
    write_frame(ROWS, Format.PARQUET, tmp_path / "rows.parquet")
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(ROWS)


FAR = [
    ("date", pl.Series("far", [2_932_897], pl.Int64).cast(pl.Date)),
    ("time", pl.Series("far", [2**62], pl.Int64).cast(pl.Datetime("us"))),
    ("infinite", pl.Series("far", [-(2**63) + 1], pl.Int64).cast(pl.Datetime("us"))),
    ("list", pl.Series("far", [[2_932_897]], pl.List(pl.Int64)).cast(pl.List(pl.Date))),
    ("struct", pl.DataFrame({"x": pl.Series([-719_163], dtype=pl.Int64).cast(pl.Date)}).to_struct("far")),
]


@pytest.mark.parametrize("form", [Format.JSON, Format.CSV, Format.TABLE])
@pytest.mark.parametrize("far", [column for _, column in FAR], ids=[name for name, _ in FAR])
def test_times_that_have_no_text_are_refused_by_name(far: pl.Series, form: Format, tmp_path: Path) -> None:
    frame = pl.DataFrame([far])
    with pytest.raises(JourneyflowError, match=r"beyond the years 1 to 9999, as of far\. Cast to varchar"):
        write_frame(frame, form, None)
    write_frame(frame, Format.PARQUET, tmp_path / "rows.parquet")
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(frame)


def test_the_first_and_the_last_time_of_a_calendar_are_written(tmp_path: Path) -> None:
    frame = pl.DataFrame({"at": [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), None]})
    write_frame(frame, Format.JSON, tmp_path / "rows.json")
    assert [row["at"] for row in json.loads((tmp_path / "rows.json").read_text())][2] is None


def test_table_in_a_file_is_not_cut(tmp_path: Path) -> None:
    write_frame(pl.DataFrame({"x": ["y" * 500]}), Format.TABLE, tmp_path / "rows.txt")
    assert "y" * 500 in (tmp_path / "rows.txt").read_text()


def _screen(monkeypatch: pytest.MonkeyPatch, width: int, frame: pl.DataFrame, limit: int | None = None) -> str:
    text = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=text, width=width, highlight=False))
    output.print_rows(output._columns(frame), frame.rows(), limit)
    return text.getvalue()


def test_a_narrow_terminal_shows_records(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = pl.DataFrame({f"column_{n}": ["value"] for n in range(20)})
    assert "column_19" in _screen(monkeypatch, 60, wide)
    assert "row 1" in _screen(monkeypatch, 60, wide)
    assert "row 1" not in _screen(monkeypatch, 600, wide)


def test_a_cut_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "2 of 7 rows" in _screen(monkeypatch, 100, ROWS, 2)


def test_markup_and_control_characters_in_data_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _screen(monkeypatch, 100, pl.DataFrame({"[b]x\x1b": ["[red]a\x07[/red]"]}))
    assert "[red]a\\x07[/red]" in shown
    assert "[b]x\\x1b" in shown


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JourneyflowError, match="Cannot write"):
        write_frame(ROWS, Format.CSV, tmp_path / "no" / "rows.csv")
