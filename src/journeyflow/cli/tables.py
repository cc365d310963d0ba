"""`tables`, `describe` and `export`, and the lists `paths`, `personas`, `touchpoints`, `trend` and `compare`."""

from __future__ import annotations

import json
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    Format,
    FunnelArgument,
    JsonOption,
    Listing,
    ModelOption,
    PeriodOption,
    PersonaOption,
    PublishedOption,
    in_columns,
    text_column,
    unit_of,
    when_text,
    who_text,
)
from journeyflow.errors import InputError, require_known
from journeyflow.utils.formatting import numbered

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from journeyflow.publish.reader import PublishedTables


def tables(marts: PublishedTables) -> Listing:
    """List the published tables: their rows, and what a row is."""
    import polars as pl

    rows = marts.sql(_TABLES)
    counts = [marts.manifest.tables[name].row_count for name in rows["table"].to_list()]
    found = rows.with_columns(row_count=pl.Series(counts, dtype=pl.Int64)).select(
        "table", "row_count", "summary", "meaning"
    )
    show = in_columns(table="table", row_count="rows", summary="what it holds")
    return Listing(found, note="The columns of one: journeyflow describe TABLE", show=show)


_TABLES = """
    select
        table_name as "table",
        rtrim(string_split(split_part(comment, ' One row per ', 1), '. ')[1], '.') as summary,
        comment as meaning
    from duckdb_tables() order by table_name
"""


def describe(marts: PublishedTables, table: Annotated[str, typer.Argument(help="A published table.")]) -> Listing:
    """Describe a published table: what a row is, and the type, unit and meaning of each column."""
    marts.require(table)
    rows = marts.sql(_COLUMNS, [table])
    (comment,) = marts.sql("select comment from duckdb_tables() where table_name = $1", [table])["comment"]
    title = f"{table}, {numbered(marts.manifest.tables[table].row_count, 'row')}. {comment or ''}"
    show = in_columns(column="column", type="type", unit="unit", meaning="meaning")
    return Listing(rows, title, f'The rows: journeyflow query "from {table}"', show)


_COLUMNS = """
    select column_name as "column", data_type as type,
        coalesce(regexp_extract(comment, ' \\[([^\\]]+)\\]$', 1), '') as unit,
        coalesce(regexp_replace(comment, ' \\[[^\\]]+\\]$', ''), '') as meaning
    from duckdb_columns() where table_name = $1 order by column_index
"""


def paths(marts: PublishedTables, model: ModelOption = None, persona: PersonaOption = "all") -> Listing:
    """List the most frequent paths through the stages, and how many of their journeys reached a goal."""
    rows = marts.sql(_PATHS, [model, persona])
    show = in_columns(
        path_rank="rank", path="path", journey_count="journeys", share_rate="share", converted_count="reached a goal",
        conversion_rate="of them",
    )  # fmt: skip
    title = f"{model}, {who_text(persona)}: {numbered(int(rows['journey_count'].sum()), 'journey')}"
    note = "A person with several journeys counts in each; rare paths are summed in `other`."
    empty = "No journey of this persona reached a stage. Personas: journeyflow personas"
    return Listing(rows, title, note, show, empty=empty)


_PATHS = """
    select path_rank, path, person_count as journey_count, share_rate, converted_count,
        converted_count / nullif(person_count, 0) as conversion_rate
    from paths where model = $1 and persona = $2 order by path_rank
"""


def personas(
    marts: PublishedTables,
    discovered: Annotated[
        bool, typer.Option("--discovered", help="Those found in the data instead, by what is known early.")
    ] = False,
) -> Listing:
    """List the personas: how many persons, their share of all, and the rule that makes one.

    With `--discovered`, latent classes of what is known after a first visit; the key `discover_personas` turns them on.
    """
    if discovered:
        return _discovered(marts)
    rows = marts.sql(_PERSONAS)
    show = in_columns(persona="persona", person_count="persons", share_rate="share", rule="rule", _note="note")
    return Listing(rows, "", _LATEST, show)


_LATEST = (
    "Each person counts once, by the latest journey. A funnel takes the persona of the journey that holds the attempt, "
    "so that its numbers of persons differ a little."
)


def _discovered(marts: PublishedTables) -> Listing:
    from journeyflow.report.reader import DISCOVERED

    marts.require("discovered_personas")
    rows = marts.sql(DISCOVERED)
    if rows.is_empty():
        title = "No persona is discovered: set `discover_personas: true` in the configuration, and run"
        return Listing(rows, title, show=in_columns(discovered_persona="discovered persona"))
    show = in_columns(
        discovered_persona="discovered persona", person_count="persons", share_rate="share",
        certainty_rate="certainty", stability="stability", _mark="", conversion_rate="reached the goal",
        matured_count="of", pending_count="pending", likest_persona="most like", description="what marks it",
    )  # fmt: skip
    note = (
        "Beside the configured personas, never instead of them. Features are of the first visit, none is an outcome. "
        "Unstable: another sample would give another class. Unclear: no class has a chance of 70 %."
    )
    marked = rows.with_columns(rows["is_unstable"].map_elements(lambda each: "unstable" if each else "").alias("_mark"))
    return Listing(marked, "", note, show)


_PERSONAS = """
    select *, concat_ws(', ', case when is_outcome_based then 'defined by an outcome' end,
            case when is_trait_undated then 'traits of today' end) as _note
    from personas order by persona <> 'all', persona = 'unassigned', person_count desc, persona
"""


def touchpoints(
    marts: PublishedTables,
    model: ModelOption = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    stage: Annotated[str | None, typer.Option("--stage", help="Only touchpoints of this stage.")] = None,
) -> Listing:
    """List the touchpoints of every stage: how many persons they reach, and who went on with and without them."""
    rows = marts.sql(_TOUCHPOINTS, [model, persona, period])
    if stage is not None:
        stages = marts.sql("select distinct stage, stage_index from map_stages where model = $1 order by 2", [model])
        require_known("stage", stage, stages["stage"].to_list())
        rows = rows.filter(rows["stage"] == stage)
    show = in_columns(
        stage="stage", touchpoint="touchpoint", person_count="persons", reach_rate="of the stage",
        next_stage_rate="went on with", next_stage_rate_without="without", lift="lift", _interval="95 %",
        q_value="q", _mark="",
    )  # fmt: skip
    note = "* beyond chance: q up to 0.05. Lift is an association, not a cause: who means to go on meets other things."
    empty = "Nobody met a touchpoint here. Choose another --stage, --persona or --period, or leave them out."
    return Listing(rows, f"{model}, {who_text(persona)}, {when_text(period)}", note, show, empty=empty)


_TOUCHPOINTS = """
    select t.*, coalesce(printf('%.2f to %.2f', t.lift_low, t.lift_high), '-') as _interval,
        case when t.q_value <= 0.05 then '*' else '' end as _mark
    from touchpoints as t
    inner join map_stages as s
        on s.model = t.model and s.persona = t.persona and s.period = t.period and s.stage = t.stage
    where t.model = $1 and t.persona = $2 and t.period = $3
    order by s.stage_index, t.person_count desc, t.touchpoint
"""


class Step(StrEnum):
    """Lengths of time of `trend`."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def trend(
    marts: PublishedTables,
    funnel: FunnelArgument = None,
    persona: PersonaOption = "all",
    by: Annotated[Step, typer.Option("--by", help="Length of time of a row.")] = Step.WEEK,
) -> Listing:
    """Show a funnel over time: who entered in each week, and how many of them reached the last step."""
    from journeyflow.report.analyses import TREND
    from journeyflow.report.reader import first_model

    name = funnel or first_model(marts)
    require_known("funnel", name, marts.sql("select distinct funnel from funnel_trend order by 1")["funnel"].to_list())
    columns = "first_day, entered_count, reached_count, matured_count, conversion_rate"
    weeks = TREND.format(step=by.value)
    query = f"select {columns} from ({weeks}) where funnel = $1 and persona = $2 order by first_day"
    rows = marts.sql(query, [name, persona])
    show = in_columns(
        _begin="month" if by is Step.MONTH else "from", entered_count="entered", reached_count="reached the end",
        matured_count="entered, matured", conversion_rate="conversion", bar="",
    )  # fmt: skip
    texts = {
        "bar": _bars(rows["conversion_rate"].to_list()),
        "_begin": [f"{day:%Y-%m}" if by is Step.MONTH else str(day) for day in rows["first_day"]],
    }
    title = (
        f"{name}, {who_text(persona)}, by {by.value} of entry: {unit_of(marts, name)}s, once on each day they enter; "
        "rates of days whose window is over"
    )
    note = "Who entered on several days counts on each, so that the rate is lower than that of `journeyflow funnel`."
    empty = "Nobody of this persona entered it. Another funnel: journeyflow funnel; another persona: --persona"

    def print_bars(shown: pl.DataFrame, out: Console) -> None:
        show(shown.with_columns(**{name: text_column(text[: shown.height]) for name, text in texts.items()}), out)

    return Listing(rows, title, note, print_bars, empty=empty)


_BAR = 24


def _bars(rates: list[float | None]) -> list[str]:
    highest = max((rate for rate in rates if rate is not None), default=0.0)
    return ["" if not rate else "#" * max(1, round(rate / highest * _BAR)) for rate in rates]


def compare(
    marts: PublishedTables,
    context: typer.Context,
    first: Annotated[
        str | None, typer.Argument(help="A persona, or a month such as 2026-03.", show_default=False)
    ] = None,
    second: Annotated[
        str | None, typer.Argument(help="Another; 'everybody' is all other persons.", show_default=False)
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", help="Compare the days before this day with it and those after.")
    ] = None,
    days: Annotated[int, typer.Option("--days", help="With --day: how many on each side.", min=5, max=36_500)] = 28,
    model: ModelOption = None,
    persona: Annotated[str, typer.Option("--persona", help="Of two months or a day: the persons.")] = "all",
    period: Annotated[str, typer.Option("--period", help="Of two personas: the month of entry.")] = "all",
    all_figures: Annotated[bool, typer.Option("--all", help="Figures that do not differ beyond chance too.")] = False,
) -> Listing:
    """Compare two personas, two months, or the time before and after a day; the most surprising difference first.

    Each difference has a 95 % interval. Listed are those that differ beyond chance: of these, one in twenty is expected
    to be false, however many figures are compared.
    """
    from journeyflow.report.compare import are_months, compare_days, compare_maps

    if (day is None) == (first is None) or (first is None) != (second is None):
        raise typer.BadParameter(
            "name two personas or two months, such as `student family` or `2026-02 2026-03`, or a day: --day 2026-03-15"
        )
    if day is not None:
        _refuse(context, "a comparison of days", "model", "period")
        found = compare_days(marts, _day(day, days), days, persona)
    else:
        assert first is not None
        assert second is not None
        try:
            what, refused = ("months", "period") if are_months(marts, (first, second)) else ("personas", "persona")
        except InputError as error:
            raise typer.BadParameter(error.message.rstrip(".")) from error
        _refuse(context, f"a comparison of two {what}", refused, "days")
        found = compare_maps(marts, (first, second), model=str(model), persona=persona, period=period)
    beyond = found.rows.filter(found.rows["is_beyond_chance"])
    counts = f"{beyond.height} of {found.rows.height} figures differ beyond chance"
    show = in_columns(
        figure="figure", place="where", subject="of what", rate_a=found.first, rate_b=found.second,
        difference="difference", interval="95 % interval", q_value="q", mark="",
    )  # fmt: skip
    return Listing(
        found.rows if all_figures else beyond,
        f"{found.title}: {counts}",
        f"{'' if beyond.height else 'All figures: --all. '}{found.note}"
        "Differences are second less first, and associations: something else may differ too.",
        lambda rows, out: show(found.for_people(rows), out),
        empty=f"No figure differs beyond chance. All figures: --all. {found.note}",
    )


def _refuse(context: typer.Context, what: str, *names: str) -> None:
    """Refuse options that the user gave and that `what` would ignore."""
    sources = {name: context.get_parameter_source(name) for name in names}
    if given := [f"--{name}" for name, source in sources.items() if source and source.name == "COMMANDLINE"]:
        raise typer.BadParameter(f"{' and '.join(given)} cannot be combined with {what}.")


def _day(text: str, days: int) -> date:
    """Return a day that has as many days before it and after."""
    try:
        day = date.fromisoformat(text)
        day - timedelta(days), day + timedelta(days)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("--day is a day such as 2026-03-15") from error
    return day


class ExportFormat(StrEnum):
    """Formats of exported tables."""

    CSV = "csv"
    PARQUET = "parquet"
    XLSX = "xlsx"


WORKBOOK = "tables.xlsx"


def export(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it is made where it is missing.")] = Path(
        "export"
    ),
    form: Annotated[
        ExportFormat, typer.Option("--format", "-f", help="A file per table; xlsx is one workbook with a sheet each.")
    ] = ExportFormat.CSV,
    chosen: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table; may be repeated.", metavar="TABLE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files of an earlier export.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Write all published tables to a folder, as CSV, Parquet or an Excel workbook.

    In CSV and Excel a text that a spreadsheet would run as a formula gets a leading apostrophe. The tables hold one row
    per person (`person_stages`), under a pseudonym.
    """
    from journeyflow.cli.output import make_folder, open_marts, write_file, write_frame

    with open_marts(config, published) as marts:
        for name in chosen or ():
            marts.require(name)
        names = sorted(set(chosen)) if chosen else list(marts.tables)
        targets = [WORKBOOK] if form is ExportFormat.XLSX else [f"{name}.{form}" for name in names]
        _require_free(folder, targets, force=force)
        make_folder(folder)
        if form is ExportFormat.XLSX:
            from journeyflow.report.excel import render_tables

            write_file(folder / WORKBOOK, render_tables({name: marts.table(name) for name in names}, marts.manifest))
        else:
            for name, target in zip(names, targets, strict=True):
                write_frame(marts.table(name), Format(form.value), folder / target)
        rows = {name: marts.manifest.tables[name].row_count for name in names}
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "files": targets, "row_counts": rows}, indent=2))
    else:
        typer.echo(f"Written: {numbered(len(names), 'table')}, {numbered(sum(rows.values()), 'row')}, in {folder}/")


def _require_free(folder: Path, targets: list[str], *, force: bool) -> None:
    """Refuse to replace a file, so that an export never overwrites what it did not write."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder.")
    found = [name for name in targets if (folder / name).exists()]
    if found and not force:
        raise InputError(
            f"{folder} already holds {found[0]}" + (f" and {len(found) - 1} more" if found[1:] else "")
            + ". Name another folder, or replace the files with --force."
        )  # fmt: skip
