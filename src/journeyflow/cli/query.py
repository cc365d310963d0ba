"""`query`, `funnel`, `drop-offs` and `explain`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import (
    DEFAULT_CONFIG,
    MOST,
    ConfigOption,
    Format,
    FormatOption,
    JsonOption,
    LimitOption,
    Listing,
    ModelOption,
    OutputOption,
    PeriodOption,
    PersonaOption,
    PublishedOption,
    RowsJsonOption,
    in_columns,
    known_names,
    open_marts,
    parse_instant,
    print_rows,
    print_whole,
    rows_format,
    text_column,
    when_text,
    who_text,
    width_of,
    write_listing,
)
from journeyflow.errors import EngineError, NotFoundError, require_known
from journeyflow.utils.formatting import cell, count, duration, escaped, percent

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from journeyflow.operations.explain import ExplainedAttempt, ExplainedEvent, ExplainedPerson, Verdict
    from journeyflow.publish.reader import PublishedTables


def funnel(
    name: Annotated[
        str | None, typer.Argument(help="A funnel or a journey model; without one they are listed.", show_default=False)
    ] = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    form: FormatOption = Format.TABLE,
    as_json: RowsJsonOption = False,
    output: OutputOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Show a funnel step by step: who converted, who is pending, who dropped off. Without a name, list all funnels."""
    form = rows_format(form, as_json=as_json)
    with open_marts(config, published) as marts:
        names = known_names(marts, {"persona": persona, "period": period})
        if name is None:
            found = _funnels(marts, **names)
        else:
            steps = steps_of(marts, name, **names)
            found = Listing(steps, show=print_funnel)
    write_listing(found, form, output, None, None)


def _funnels(marts: PublishedTables, persona: str, period: str) -> Listing:
    rows = marts.sql(_FUNNELS, [persona, period])
    show = in_columns(
        label="funnel", entered_count="entered", converted_count="converted", conversion_rate="rate",
        worst="most leave at", worst_drop_off_rate="drop-off",
    )  # fmt: skip
    title = (
        f"Funnels, {who_text(persona)}, {when_text(period)}: persons, or the unit in brackets; "
        "rates of those whose window is over"
    )
    note = "Step by step: journeyflow funnel NAME"
    labels = [row["funnel"] + (f" ({row['unit']})" if row["unit"] != "person" else "") for row in rows.to_dicts()]
    return Listing(
        rows,
        title,
        note,
        lambda shown, out: show(shown.with_columns(label=text_column(labels[: shown.height])), out),
    )


_FUNNELS = """
    select
        funnel, kind, unit,
        max(step_index) as step_count,
        min_by(person_count, step_index) as entered_count,
        max_by(person_count, step_index) as converted_count,
        max_by(conversion_rate, step_index) as conversion_rate,
        arg_max(step, drop_off_count) as worst,
        arg_max(drop_off_rate, drop_off_count) as worst_drop_off_rate
    from funnel_steps where persona = $1 and period = $2
    group by funnel, kind, unit order by kind desc, funnel
"""


def drop_offs(
    name: Annotated[str, typer.Argument(metavar="FUNNEL", help="A funnel or a journey model.")],
    step: Annotated[str | None, typer.Option("--step", help="Only drop-offs at this step.")] = None,
    top: Annotated[int, typer.Option("--top", help="Most rows per step on the terminal.", min=1, max=MOST)] = 8,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    form: FormatOption = Format.TABLE,
    as_json: RowsJsonOption = False,
    output: OutputOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Show where persons left a funnel, from which touchpoint, and what they did next.

    A program gets one row per step and touchpoint (`what` is `last_touchpoint`) or action (`next_action`).
    """
    form = rows_format(form, as_json=as_json)
    with open_marts(config, published) as marts:
        names = known_names(marts, {"persona": persona, "period": period})
        steps = steps_of(marts, name, **names).head(-1)
        if step is not None:
            require_known("step with drop-off", step, steps["step"].to_list())
            steps = steps.filter(steps["step"] == step)
        tables = [matching(marts, table, name, **names) for table in ("drop_offs", "drop_off_next")]
        rows = marts.sql(_DROP_OFFS, [name, *names.values(), step])

    def show(_: pl.DataFrame, out: Console) -> None:
        for row in steps.to_dicts():
            print_drop_offs(row, *tables, top=top, out=out)

    write_listing(Listing(rows, show=show if steps.height else None), form, output, None, None)


_DROP_OFFS = """
    select f.step_index, f.step, left_at.* exclude (step_index, part)
    from funnel_steps as f
    inner join (
        select 1 as part, funnel, persona, period, step_index, 'last_touchpoint' as what, last_touchpoint as name,
            drop_off_count, share_rate, expected_rate, lift
        from drop_offs
        union all
        select 2, funnel, persona, period, step_index, 'next_action', next_action,
            drop_off_count, share_rate, null, null
        from drop_off_next
    ) as left_at using (funnel, persona, period, step_index)
    where funnel = $1 and persona = $2 and period = $3 and ($4 is null or f.step = $4)
    order by f.step_index, part, drop_off_count desc, name
"""


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over the published tables.")],
    form: FormatOption = Format.TABLE,
    as_json: RowsJsonOption = False,
    output: OutputOption = None,
    limit: LimitOption = None,
    build: Annotated[
        bool, typer.Option("--build", help="Query all models of the last run, such as kernel.journeys.")
    ] = False,
    selected: Annotated[
        bool, typer.Option("--selected", help="Query the models of the last `run --select`, such as marts.paths.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Query the published tables in SQL. Read-only."""
    form = rows_format(form, as_json=as_json)
    if build and selected:
        raise typer.BadParameter("--build and --selected exclude each other.")
    if build or selected:
        rows = _built_rows(config, sql, is_selected=selected)
    else:
        with open_marts(config, published) as marts, _naming_the_lists():
            marts.require_one(sql)
            if form is Format.TABLE and output is None:
                columns, shown = marts.rows(sql)
                if all(map(_PLAIN.fullmatch, columns.values())):
                    print_rows(_are_numbers(columns), shown, MOST_ROWS if limit is None else limit)
                    return
            rows = marts.sql(sql)
    write_listing(Listing(rows), form, output, limit, MOST_ROWS)


@contextmanager
def _naming_the_lists() -> Iterator[None]:
    """Say where the names of tables and columns are, when a query fails."""
    try:
        yield
    except EngineError as error:
        if not error.message.startswith("A query failed"):
            raise
        end = "" if error.message.endswith("?") else "."
        end += " See: journeyflow tables, journeyflow describe TABLE"
        if re.search(r"there is no table \w+\.\w", error.message):
            end += "; models that are not published: journeyflow query --build"
        raise EngineError(f"{error.message.rstrip('.')}{end}") from error


MOST_ROWS = 50
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)")
_PLAIN = re.compile(rf"{_NUMBER.pattern}|VARCHAR|BOOLEAN|DATE|TIMESTAMP")
"""Types whose values print alike as a tuple and in a data frame, which takes longer to import."""


def _are_numbers(columns: Mapping[str, str]) -> dict[str, bool]:
    return {name: _NUMBER.fullmatch(kind) is not None for name, kind in columns.items()}


def _built_rows(config: Path, sql: str, *, is_selected: bool) -> pl.DataFrame:
    from journeyflow.config import load_config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.publish.reader import frame_of
    from journeyflow.state.paths import SELECTED, open_build

    settings = load_config(config)
    path = settings.state / SELECTED
    if is_selected and not path.exists():
        raise NotFoundError("No models were selected yet. Run `journeyflow run --select MODEL` first.")
    with DuckDBEngine(path, read_only=True) if is_selected else open_build(settings) as engine:
        return frame_of(engine.rows(sql))


def events(
    name: Annotated[str | None, typer.Option("--name", help="Only events of this name.")] = None,
    touchpoint: Annotated[str | None, typer.Option("--touchpoint", help="Only at this touchpoint.")] = None,
    channel: Annotated[str | None, typer.Option("--channel", help="Only in this channel.")] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Only in this stage of the model.")] = None,
    person: Annotated[
        str | None, typer.Option("--person", help="Only of this person_id, user_id or anonymous_id.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Not before this day or time, UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before this day or time, UTC.")] = None,
    model: ModelOption = None,
    limit: Annotated[int, typer.Option("--limit", help="Most events; the newest are listed.", min=1, max=MOST)] = 20,
    form: FormatOption = Format.TABLE,
    as_json: RowsJsonOption = False,
    output: OutputOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """List events with their ids, to explain one: the newest that match. They are those of the last run."""
    from journeyflow.config import load_config
    from journeyflow.operations.explain import EventFilter, find_events
    from journeyflow.publish.reader import frame_of

    form = rows_format(form, as_json=as_json)
    times = parse_instant(since, "--since"), parse_instant(until, "--until")
    wanted = EventFilter(name, touchpoint, channel, stage, person, *times)
    rows = frame_of(find_events(load_config(config), model, wanted, limit))
    note = "Times are UTC. Why: journeyflow explain event EVENT_ID, journeyflow explain person PERSON_ID"
    empty = "No event matches all of this. Leave out an option, or widen --since and --until."
    write_listing(Listing(rows, note=note, empty=empty), form, output, None, None)


def event(
    event_id: Annotated[str, typer.Argument(help="The id of the event in its source.")],
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Explain the stage of an event in every journey model."""
    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.operations.explain import explain_event

    explained = explain_event(load_config(config), event_id)
    if as_json:
        typer.echo(as_text(explained))
    else:
        print_events(explained, console())


def person(
    person_id: Annotated[str, typer.Argument(help="A published person_id, a user_id or an anonymous_id.")],
    funnel: Annotated[
        str | None,
        typer.Option("--funnel", help="A funnel or a journey model; by default the first that the person entered."),
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Explain how far a person came in a funnel, and why it ended there."""
    from journeyflow.cli.output import console
    from journeyflow.config import load_config
    from journeyflow.operations.explain import explain_person

    explained = explain_person(load_config(config), person_id, funnel)
    if as_json:
        typer.echo(as_text(explained))
    else:
        print_person(explained, console())


def matching(marts: PublishedTables, table: str, funnel: str, persona: str, period: str) -> pl.DataFrame:
    """Return the rows of `table` of one funnel, persona and period, by step."""
    import polars as pl

    is_wanted = (pl.col("funnel") == funnel) & (pl.col("persona") == persona) & (pl.col("period") == period)
    return marts.table(table).filter(is_wanted).sort("step_index", maintain_order=True)


def steps_of(marts: PublishedTables, funnel: str, persona: str, period: str) -> pl.DataFrame:
    """Return the steps of one funnel in order, from `funnel_steps`; names what is unknown where there are none."""
    steps = matching(marts, "funnel_steps", funnel, persona, period)
    if steps.is_empty():
        known = marts.table("funnel_steps")
        for column, value in (("funnel", funnel), ("persona", persona), ("period", period)):
            require_known(column, value, known[column].unique().sort().to_list())
        raise NotFoundError("No person of this persona entered this funnel in this period.")
    return steps


def personas_of(marts: PublishedTables, funnel: str) -> pl.DataFrame:
    """Return one row per persona of a funnel: entered, converted, matured rate; most persons first."""
    import polars as pl

    steps = marts.table("funnel_steps").filter((pl.col("funnel") == funnel) & (pl.col("period") == "all"))
    is_last = pl.col("step_index") == pl.col("step_index").max().over("persona")
    entered = steps.filter(pl.col("step_index") == 1).select("persona", entered_count="person_count")
    reached = steps.filter(is_last).select(
        "persona", "step", "person_count", "conversion_rate", "is_small", "is_outcome_based"
    )
    return entered.join(reached, on="persona").sort("entered_count", "persona", descending=[True, False])


_COUNTS = ("", "reached", "went on", "pending", "dropped")
_FIGURES = ("conversion", "drop-off", "median to next", "95 % of drop-off")
_LAYOUTS = ((30, 4), (16, 4), (8, 4), (16, 3), (8, 3), (8, 2), (8, 1), (8, 0))
"""Width of the bar and number of figures beside the counts, widest first."""
_OUTCOMES = (
    ("converted_count", "█", "#", "green"),
    ("pending_count", "▒", "~", "yellow"),
    ("drop_off_count", "░", ".", "red"),
)
"""Column, character, its substitute in ASCII, colour: converted, pending, dropped."""


def print_funnel(steps: pl.DataFrame, out: Console) -> None:
    """Print the rows of `funnel_steps` of one funnel, persona and period, in order."""
    from rich.text import Text

    rows = steps.to_dicts()
    first, last = rows[0], rows[-1]
    out.print(Text(_headline(first, last)), style="bold")
    table, hidden = _fitting_table(rows, out)
    out.print(table)
    out.print(_legend(_is_ascii(out)))
    too_wide = [f"Too wide for this terminal: {', '.join(hidden)}. All columns: --format csv"] if hidden else []
    for note in (*too_wide, *_notes(rows)):
        out.print(Text(note), style="dim")


def _headline(first: dict[str, Any], last: dict[str, Any]) -> str:
    when = "" if first["period"] == "all" else f", entered in {first['period']}"
    reached = f"{count(last['person_count'])} of {count(first['person_count'])} {first['unit']}s reached {last['step']}"
    rate = f"of the {count(first['matured_count'])} whose window is over {percent(last['conversion_rate'])}"
    return escaped(f"{first['funnel']}, {who_text(first['persona'])}{when}: {reached}; {rate}")


def _fitting_table(rows: list[dict[str, Any]], out: Console) -> tuple[Table, tuple[str, ...]]:
    """Return the widest of the layouts that fits the terminal, and the figures that it has no place for."""
    for width, figures in _LAYOUTS:
        table = _funnel_table(rows, width, figures, is_ascii=_is_ascii(out))
        if width_of(table, out) <= out.width:
            break
    return table, _FIGURES[figures:]


def _funnel_table(rows: list[dict[str, Any]], bar_width: int, figures: int, *, is_ascii: bool) -> Table:
    """Return a row per step: a bar of `bar_width` characters, the counts, and the first `figures` of `_FIGURES`."""
    from rich.text import Text

    table = _plain_table("step", *_COUNTS, *_FIGURES[:figures])
    table.columns[1].justify = "left"
    entered = rows[0]["person_count"] or 1
    for row in rows:
        counts = (count(row["person_count"]), *(_outcome(row, column) for column, *_ in _OUTCOMES))
        bar = _bar(row, entered, bar_width, is_ascii=is_ascii)
        table.add_row(Text(f"{row['step_index']} {escaped(row['step'])}"), bar, *counts, *_rates(row)[:figures])
    return table


def _outcome(row: dict[str, Any], column: str) -> str:
    """Return the count of an outcome; empty for the last step, which has none."""
    return "" if row["drop_off_count"] is None else count(row[column])


def _rates(row: dict[str, Any]) -> tuple[str, str, str, str]:
    conversion = percent(row["conversion_rate"])
    if row["drop_off_count"] is None:
        return conversion, "", "", ""
    time = duration(row["p50_seconds_to_next"])
    if row["drop_off_rate"] is None:
        return conversion, "-", time, "-"
    interval = f"{row['drop_off_rate_low'] * 100:.1f} to {row['drop_off_rate_high'] * 100:.1f} %"
    drop_off = f"{percent(row['drop_off_rate'])} of {count(row['matured_count'])}{' *' if row['is_small'] else ''}"
    return conversion, drop_off, time, interval


def _bar(row: dict[str, Any], entered: int, width: int, *, is_ascii: bool) -> Text:
    """Return a bar as long as the step's share of the entered persons, divided by outcome."""
    from rich.text import Text

    bar = Text()
    cells = done = 0
    for column, sign, plain, colour in _OUTCOMES:
        done += row[column] or 0
        upto = round(done / entered * width)
        bar.append((plain if is_ascii else sign) * (upto - cells), style=colour)
        cells = upto
    return bar


def _legend(is_ascii: bool) -> Text:
    from rich.text import Text

    legend = Text()
    for (_, sign, plain, colour), meaning in zip(_OUTCOMES, ("went on", "pending: still may", "dropped"), strict=True):
        legend.append(plain if is_ascii else sign, style=colour)
        legend.append(f" {meaning}   ")
    return legend


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = [
        "Counts include all persons; rates and times only those whose window is over. Conversion: of all who entered.",
        "Each counts once, by the furthest attempt; in a funnel with `count: attempts` each attempt does.",
    ]
    if rows[0]["persona"] != "all":
        notes.append("Persona of the journey that holds the attempt; the page and `personas` count by the latest one.")
    if any(row["is_small"] for row in rows):
        notes.append("* fewer persons than min_count: interpret with care.")
    if any(row["is_outcome_based"] for row in rows):
        notes.append("This persona is defined by an outcome: its conversion rate is not evidence of a cause.")
    return notes


def _is_ascii(out: Console) -> bool:
    return not out.encoding.lower().startswith("utf")


def print_drop_offs(
    step: dict[str, Any], touchpoints: pl.DataFrame, next_actions: pl.DataFrame, *, top: int, out: Console
) -> None:
    """Print where persons left one step and what they did next.

    `step` is a row of `funnel_steps`; `touchpoints` and `next_actions` are rows of `drop_offs` and `drop_off_next` of
    the same funnel, persona and period; at most `top` rows of each are printed.
    """
    from rich.columns import Columns
    from rich.text import Text

    out.print(Text(f"\nLeft at {escaped(step['step'])}: {count(step['drop_off_count'])}"), style="bold")
    if step["drop_off_count"]:
        of_step = [_of_step(rows, step["step_index"], top) for rows in (touchpoints, next_actions)]
        tables = [_touchpoint_table(of_step[0]), _next_table(of_step[1])]
        if max(width_of(table, out) for table in tables) <= out.width:
            out.print(Columns(tables, padding=(0, 4)))
        else:
            for table in tables:
                print_whole(table, out)


def _of_step(rows: pl.DataFrame, step_index: int, top: int) -> pl.DataFrame:
    import polars as pl

    chosen = rows.filter(pl.col("step_index") == step_index)
    return chosen.sort("drop_off_count", descending=True, maintain_order=True).head(top)


def print_personas(personas: pl.DataFrame, out: Console) -> None:
    """Print the rows of `personas_of`."""
    from rich.text import Text

    table = _plain_table("persona", "entered", f"reached {escaped(personas['step'][0])}", "conversion rate")
    for row in personas.to_dicts():
        note = " (by definition)" if row["is_outcome_based"] else " *" if row["is_small"] else ""
        rate = percent(row["conversion_rate"]) + note
        table.add_row(_text(row["persona"]), count(row["entered_count"]), count(row["person_count"]), rate)
    print_whole(table, out)
    out.print(Text("Persona of the journey that holds the attempt, which need not be a person's latest."), style="dim")


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


_COLOURS = {"converted": "green", "pending": "yellow", "dropped": "red"}


def as_text(explained: ExplainedPerson | Sequence[ExplainedEvent]) -> str:
    """Return an explanation, or a list of them, as JSON."""
    content = [asdict(each) for each in explained] if isinstance(explained, Sequence) else asdict(explained)
    return json.dumps(content, indent=2, default=str, ensure_ascii=False)


def print_events(events: Sequence[ExplainedEvent], out: Console) -> None:
    """Print each event with its stage in every journey model."""
    from rich.text import Text

    for event in events:
        out.print(
            Text(f"{escaped(event.event_name)} at {cell(event.occurred_at)} UTC, {escaped(event.touchpoint)}"),
            style="bold",
        )
        if event.left_out:
            out.print(Text(f"  Excluded from every count: it is {event.left_out}."), style="yellow")
        else:
            out.print(Text(f"  person {escaped(event.person_id)}, journey {event.journey_index}"))
        for verdict in event.verdicts:
            _print_verdict(verdict, out)


def _print_verdict(verdict: Verdict, out: Console) -> None:
    from rich.text import Text

    out.print(Text(f"\n  {escaped(verdict.model)}: {escaped(verdict.stage)}"), style="bold")
    if verdict.rule_id is None:
        out.print(Text("    No rule matches it."))
    else:
        out.print(Text(f"    by the rule {escaped(verdict.rule_id)}: {escaped(verdict.rule)}"))
    if verdict.history:
        out.print(Text(f"    because {escaped(verdict.history)}"))
    for rule in verdict.passed_over:
        out.print(Text(f"    skipped, because its history is missing: {escaped(rule)}"), style="dim")


def print_person(person: ExplainedPerson, out: Console) -> None:
    """Print each counted attempt of a person with the reason of its end."""
    from rich.text import Text

    out.print(Text(f"person {escaped(person.person_id)} in {escaped(person.funnel)}"), style="bold")
    if person.note:
        out.print(Text(f"  {person.note}"))
    for attempt in person.attempts:
        _print_attempt(attempt, out)
    if person.other_funnels:
        names = ", ".join(map(escaped, person.other_funnels))
        out.print(Text(f"\n  Also in: {names}; choose one with --funnel."), style="dim")


def _print_attempt(attempt: ExplainedAttempt, out: Console) -> None:
    from rich.text import Text

    out.print(Text(f"\n  {attempt.outcome}: {escaped(attempt.reason)}"), style=_COLOURS[attempt.outcome])
    for reach in attempt.reaches:
        when = f"{cell(reach.reached_at)} UTC" if reach.reached_at else "not reached"
        out.print(Text(f"    {reach.step_index} {escaped(reach.step):<20} {when}"))
    if attempt.timeline:
        out.print(Text("  From the first step to the end of the attempt:"))
    for event in attempt.timeline:
        matches = f"   <- {', '.join(map(escaped, event.matches))}" if event.matches else ""
        name = f"{escaped(event.event_name):<20} {escaped(event.touchpoint)}"
        out.print(Text(f"    {cell(event.occurred_at)}  {name}{matches}"), style=None if event.matches else "dim")
