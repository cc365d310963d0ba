from __future__ import annotations

import io

import polars as pl
import pytest
from rich.console import Console

from journeyflow.cli.query import print_drop_offs, print_funnel

STEP = {
    "funnel": "checkout", "persona": "all", "period": "all", "unit": "person", "is_small": False,
    "is_outcome_based": False,
    "drop_off_rate_low": 0.5, "drop_off_rate_high": 0.7, "p50_seconds_to_next": 3600.0,
}  # fmt: skip
STEPS = pl.DataFrame(
    [
        STEP | {"step_index": 1, "step": "cart", "person_count": 100, "converted_count": 30, "pending_count": 10,
                "drop_off_count": 60, "drop_off_rate": 0.6667, "matured_count": 90, "conversion_rate": 1.0},
        STEP | {"step_index": 2, "step": "paid", "person_count": 30, "converted_count": 30, "pending_count": None,
                "drop_off_count": None, "drop_off_rate": None, "matured_count": 30, "conversion_rate": 0.3333},
    ]
)  # fmt: skip


def _screen(frame: pl.DataFrame, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    print_funnel(frame, Console(file=text, width=160, highlight=False))
    text.flush()
    return raw.getvalue().decode(encoding)


def test_bars_are_as_long_as_the_shares() -> None:
    first, last = [line for line in _screen(STEPS).splitlines() if "█" in line][:2]
    assert (first.count("█"), first.count("▒"), first.count("░")) == (9, 3, 18)
    assert (last.count("█"), last.count("▒"), last.count("░")) == (9, 0, 0)


def test_the_headline_says_who_and_how_many() -> None:
    assert _screen(STEPS).splitlines()[0] == (
        "checkout, all persons: 30 of 100 persons reached paid; of the 90 whose window is over 33.3 %"
    )
    one = STEPS.with_columns(persona=pl.lit("student"), period=pl.lit("2026-03"))
    assert "checkout, persona student, entered in 2026-03: " in _screen(one)


def test_bars_are_plain_where_the_terminal_is() -> None:
    first = next(line for line in _screen(STEPS, "ascii").splitlines() if "1 cart" in line)
    assert "#########~~~.................." in first


@pytest.mark.parametrize(("column", "note"), [("is_small", "min_count"), ("is_outcome_based", "outcome")])
def test_doubtful_figures_have_a_note(column: str, note: str) -> None:
    assert note not in _screen(STEPS)
    assert note in _screen(STEPS.with_columns(pl.lit(True).alias(column)))


def test_a_funnel_without_persons_is_shown() -> None:
    empty = STEPS.with_columns(pl.col("person_count", "converted_count", "pending_count", "drop_off_count") * 0)
    assert "0 of 0 persons" in _screen(empty)


def test_drop_offs_name_touchpoints_and_next_actions() -> None:
    touchpoints = pl.DataFrame(
        {
            "step_index": [1],
            "last_touchpoint": ["web: [b]pay"],
            "drop_off_count": [60],
            "share_rate": [1.0],
            "expected_rate": [0.5],
            "lift": [2.0],
        }
    )
    next_actions = pl.DataFrame(
        {"step_index": [1], "next_action": ["none"], "drop_off_count": [60], "share_rate": [1.0]}
    )
    text = io.StringIO()
    out = Console(file=text, width=160, highlight=False)
    print_drop_offs(STEPS.to_dicts()[0], touchpoints, next_actions, top=5, out=out)
    shown = text.getvalue()
    assert "Left at cart: 60" in shown
    assert "web: [b]pay" in shown
    assert "2.00" in shown
    assert "none" in shown


@pytest.mark.parametrize("width", [70, 80, 100, 110, 120, 200])
def test_a_funnel_fits_the_terminal_without_cutting_a_figure(width: int) -> None:
    text = io.StringIO()
    print_funnel(STEPS, Console(file=text, width=width, highlight=False))
    first = next(line for line in text.getvalue().splitlines() if "1 cart" in line)
    assert "…" not in text.getvalue()
    assert all(figure in first for figure in ("100", "30", "10", "60"))
    assert ("100.0 %" in first) == (width >= 70)
    assert ("66.7 % of 90" in first) == (width > 80)
    assert ("50.0 to 70.0 %" in first) == (width > 120)
    assert ("Too wide for this terminal: " in text.getvalue()) == (width <= 120)
