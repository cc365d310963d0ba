"""What `journeyflow funnel` and `journeyflow drop-offs` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from journeyflow.cli.frames import WIDE
from journeyflow.text import count, duration, escaped, percent

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

COUNTS = ("", "reached", "went on", "pending", "dropped")
FIGURES = ("drop-off", "median to next", "95 % of drop-off")
LAYOUTS = ((30, 3), (16, 3), (16, 2), (16, 1), (8, 1), (8, 0))
"""Width of the bar and number of figures beside the counts, the widest first."""
OUTCOMES = (
    ("converted_count", "█", "#", "green"),
    ("pending_count", "▒", "~", "yellow"),
    ("drop_off_count", "░", ".", "red"),
)
"""Column, sign, sign in plain ASCII, colour: who went on, who still may, who left."""


def print_funnel(steps: pl.DataFrame, out: Console) -> None:
    """Print one funnel of one persona and period.

    Parameters
    ----------
    steps : polars.DataFrame
        Rows of `funnel_steps`: one per step, in order.
    out : rich.console.Console
        Where to print.
    """
    from rich.text import Text

    rows = steps.to_dicts()
    first, last = rows[0], rows[-1]
    out.print(Text(_headline(first, last)), style="bold")
    out.print(_fitting_table(rows, out))
    out.print(_legend(_is_ascii(out)))
    for note in _notes(rows):
        out.print(Text(note), style="dim")


def _headline(first: dict[str, Any], last: dict[str, Any]) -> str:
    who = "everybody" if first["persona"] == "all" else f"persona {escaped(first['persona'])}"
    when = "" if first["period"] == "all" else f", entered in {escaped(first['period'])}"
    reached = f"{count(last['person_count'])} of {count(first['person_count'])} {escaped(first['unit'])}s"
    return f"{escaped(first['funnel'])} ({who}{when}): {reached} reached {escaped(last['step'])}"


def _fitting_table(rows: list[dict[str, Any]], out: Console) -> Table:
    """Return the widest of the layouts that the terminal has room for."""
    tables = (_funnel_table(rows, width, figures, is_ascii=_is_ascii(out)) for width, figures in LAYOUTS)
    wide = out.options.update(width=WIDE)
    for table in tables:
        if out.measure(table, options=wide).maximum <= out.width:
            break
    return table


def _funnel_table(rows: list[dict[str, Any]], bar_width: int, figures: int, *, is_ascii: bool) -> Table:
    """Return a row per step: a bar of `bar_width` signs, the counts, and the first `figures` of `FIGURES`."""
    from rich.text import Text

    table = _plain_table("step", *COUNTS, *FIGURES[:figures])
    table.columns[1].justify = "left"
    entered = rows[0]["person_count"] or 1
    for row in rows:
        counts = (count(row["person_count"]), *(_outcome(row, column) for column, *_ in OUTCOMES))
        bar = _bar(row, entered, bar_width, is_ascii=is_ascii)
        table.add_row(Text(f"{row['step_index']} {escaped(row['step'])}"), bar, *counts, *_rates(row)[:figures])
    return table


def _outcome(row: dict[str, Any], column: str) -> str:
    """Return a count of what became of a step's people; the last step has no next one, so nothing becomes of them."""
    return "" if row["drop_off_count"] is None else count(row[column])


def _rates(row: dict[str, Any]) -> tuple[str, str, str]:
    if row["drop_off_count"] is None:
        return "", "", ""
    time = duration(row["p50_seconds_to_next"])
    if row["drop_off_rate"] is None:
        return "-", time, "-"
    interval = f"{row['drop_off_rate_low'] * 100:.1f} to {row['drop_off_rate_high'] * 100:.1f} %"
    return percent(row["drop_off_rate"]) + (" *" if row["is_small"] else ""), time, interval


def _bar(row: dict[str, Any], entered: int, width: int, *, is_ascii: bool) -> Text:
    """Return a bar as long as the step's share of those who entered, divided by what became of them."""
    from rich.text import Text

    bar = Text()
    cells = done = 0
    for column, sign, plain, colour in OUTCOMES:
        done += row[column] or 0
        upto = round(done / entered * width)
        bar.append((plain if is_ascii else sign) * (upto - cells), style=colour)
        cells = upto
    return bar


def _legend(is_ascii: bool) -> Text:
    from rich.text import Text

    legend = Text()
    for (_, sign, plain, colour), meaning in zip(OUTCOMES, ("went on", "pending: still may", "dropped"), strict=True):
        legend.append(plain if is_ascii else sign, style=colour)
        legend.append(f" {meaning}   ")
    return legend


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = ["Counts are of everybody; rates and times are of those whose window is over."]
    if any(row["is_small"] for row in rows):
        notes.append("* fewer people than min_count: read with care.")
    if any(row["is_outcome_based"] for row in rows):
        notes.append("This persona is defined by an outcome: it is not a cause of its own conversion.")
    return notes


def _is_ascii(out: Console) -> bool:
    return not out.encoding.lower().startswith("utf")


def print_drop_offs(
    step: dict[str, Any], touchpoints: pl.DataFrame, next_actions: pl.DataFrame, *, top: int, out: Console
) -> None:
    """Print where people of one step left from and what they did next.

    Parameters
    ----------
    step : dict
        The row of `funnel_steps` of the step left from.
    touchpoints, next_actions : polars.DataFrame
        Rows of `drop_offs` and `drop_off_next` of the same funnel, persona and period, of all steps.
    top : int
        Most rows of each.
    out : rich.console.Console
        Where to print.
    """
    from rich.columns import Columns
    from rich.text import Text

    out.print(Text(f"\nLeft at {escaped(step['step'])}: {count(step['drop_off_count'])}"), style="bold")
    if step["drop_off_count"]:
        of_step = [_of_step(rows, step["step_index"], top) for rows in (touchpoints, next_actions)]
        out.print(Columns([_touchpoint_table(of_step[0]), _next_table(of_step[1])], padding=(0, 4)))


def _of_step(rows: pl.DataFrame, step_index: int, top: int) -> pl.DataFrame:
    import polars as pl

    chosen = rows.filter(pl.col("step_index") == step_index)
    return chosen.sort("drop_off_count", descending=True, maintain_order=True).head(top)


def print_personas(personas: pl.DataFrame, out: Console) -> None:
    """Print a funnel by persona: rows of `marts.personas_of`."""
    table = _plain_table("persona", "entered", f"reached {escaped(personas['step'][0])}", "conversion rate")
    for row in personas.to_dicts():
        mark = " (by definition)" if row["is_outcome_based"] else " *" if row["is_small"] else ""
        rate = percent(row["conversion_rate"]) + mark
        table.add_row(_text(row["persona"]), count(row["entered_count"]), count(row["person_count"]), rate)
    out.print(table)


def _touchpoint_table(touchpoints: pl.DataFrame) -> Table:
    table = _plain_table("last touchpoint", "people", "share", "of those who went on", "lift")
    for row in touchpoints.to_dicts():
        lift = "-" if row["lift"] is None else f"{row['lift']:.2f}"
        table.add_row(
            _text(row["last_touchpoint"]),
            count(row["drop_off_count"]),
            percent(row["share_rate"]),
            percent(row["expected_rate"]),
            lift,
        )
    return table


def _next_table(next_actions: pl.DataFrame) -> Table:
    table = _plain_table("what they did next", "people", "share")
    for row in next_actions.to_dicts():
        table.add_row(_text(row["next_action"]), count(row["drop_off_count"]), percent(row["share_rate"]))
    return table


def _plain_table(first: str, *others: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _text(value: str) -> Text:
    from rich.text import Text

    return Text(escaped(value))
