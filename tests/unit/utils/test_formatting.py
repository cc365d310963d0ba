from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyflow.utils.formatting import cell, count, duration, escaped, percent


@given(st.text())
def test_no_text_keeps_a_control_or_direction_character(text: str) -> None:
    shown = escaped(text)
    assert not any(
        ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202a\u202b\u202d\u202e\u2066\u2067\u2028\u2029" for c in shown
    )


@given(st.text())
def test_escaping_twice_changes_nothing(text: str) -> None:
    assert escaped(escaped(text)) == escaped(text)


def test_lines_of_a_message_stay_lines() -> None:
    assert escaped("a\nb\x1b", keep_lines=True) == "a\nb\\x1b"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (0.1 + 0.2, "0.3"),
        (Decimal("1.50"), "1.50"),
        (datetime(2026, 3, 1, 2, 3, 4), "2026-03-01 02:03:04"),
        (datetime(2026, 3, 1, 2, 3, 4, 5), "2026-03-01 02:03:04.000005"),
        (date(2026, 3, 1), "2026-03-01"),
        ("[red]x[/red]", "[red]x[/red]"),
        ("a\tb", "a\\tb"),
    ],
)
def test_cell(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0, "0 s"), (59.6, "1 min"), (3661, "1 h 1 min"), (86400 * 3 + 5, "3 d 5 s"), (-3600, "-1 h")],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_missing_figures_are_dashes() -> None:
    assert (count(None), percent(None)) == ("-", "-")
