"""`report`, `opportunities`, `pain-points` and the explanation of their rows."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    Listing,
    ModelOption,
    PeriodOption,
    PersonaOption,
    PublishedOption,
)

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

    from journeyflow.operations.explain import ExplainedFinding, FindingTable
    from journeyflow.publish.reader import PublishedTables
    from journeyflow.report.view_model import Figure, ReportData


class ReportFormat(StrEnum):
    """Formats of the map; also the suffix of the file."""

    HTML = "html"
    XLSX = "xlsx"
    MD = "md"
    SVG = "svg"
    PNG = "png"
    PDF = "pdf"
    PPTX = "pptx"


_PICTURES = (ReportFormat.SVG, ReportFormat.PNG)
_ALL = "all"


def report(
    form: Annotated[
        ReportFormat,
        typer.Option("--format", "-f", help="Page, workbook, message, picture, PDF or slides."),
    ] = ReportFormat.HTML,
    persona: Annotated[
        str | None,
        typer.Option("--persona", help="One persona; 'all' is the total. A picture shows one, by default the total."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="One journey model. A picture shows one, by default the first.")
    ] = None,
    period: Annotated[
        str | None,
        typer.Option("--period", help="A month of entry such as 2026-03, or 'all', the default of all but the page."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write, by default journey-map with the format's suffix; md is printed."
        ),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light text on a dark background, for pictures.")] = False,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the written file.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Write the journey map: touchpoints, sentiment, pain points and promises of every stage."""
    from journeyflow.cli.output import open_marts, write_file

    if is_opened and form is ReportFormat.MD and output is None:
        raise typer.BadParameter("--open needs a file: add --output summary.md")
    if dark and form not in (ReportFormat.SVG, ReportFormat.PNG):
        raise typer.BadParameter(f"--dark is for svg and png, not for {form}")
    _require_suffix(output, form)
    with open_marts(config, published) as marts:
        content = _render(_read_map(marts, form, model, persona, period), form, is_dark=dark)
    if form is ReportFormat.MD and output is None:
        typer.echo(content.decode(), nl=False)
        return
    path = output or Path(f"journey-map.{form}")
    write_file(path, content)
    typer.echo(f"Written: {path}")
    if is_opened:
        typer.launch(str(path))


def _require_suffix(output: Path | None, form: ReportFormat) -> None:
    """Refuse a file name whose suffix is that of another format."""
    suffix = output.suffix.lower().lstrip(".") if output else ""
    if suffix != form and suffix in set(ReportFormat):
        raise typer.BadParameter(
            f"{output} has the suffix of {suffix}, but the format is {form}: add --format {suffix}"
        )


def _read_map(
    marts: PublishedTables, form: ReportFormat, model: str | None, persona: str | None, period: str | None
) -> ReportData:
    from journeyflow.cli.output import EVERYBODY
    from journeyflow.errors import NotFoundError, require_known
    from journeyflow.report.reader import keys_of, read_report_data

    known = keys_of(marts)
    if persona == EVERYBODY and EVERYBODY not in known[1]:
        persona = _ALL
    for what, wanted, names in zip(("model", "persona", "period"), (model, persona, period), known, strict=True):
        if wanted is not None:
            require_known(what, wanted, names)
    if form in _PICTURES:
        model, persona = model or next(iter(known[0]), None), persona or _ALL
    if form is not ReportFormat.HTML:
        period = period or _ALL
    report_data = read_report_data(
        marts,
        models=_only(model),
        personas=_only(persona),
        periods=_only(period),
        with_analyses=form is ReportFormat.HTML,
    )
    if not report_data.maps and (model or form in _PICTURES):
        raise NotFoundError(
            "There is no such journey map: no person of the persona entered the model in the period. Choose another "
            "--persona or --period; `journeyflow report` shows all that exist."
        )
    return report_data


def _only(name: str | None) -> Collection[str] | None:
    return None if name is None else (name,)


def _render(report_data: ReportData, form: ReportFormat, *, is_dark: bool) -> bytes:
    if form is ReportFormat.HTML:
        from journeyflow.report.html import render_page

        return render_page(report_data).encode()
    if form is ReportFormat.XLSX:
        from journeyflow.report.excel import render_workbook

        return render_workbook(report_data)
    if form is ReportFormat.MD:
        from journeyflow.report.formatting import render_summary

        return render_summary(report_data).encode()
    if form in (ReportFormat.PDF, ReportFormat.PPTX):
        from journeyflow.report.documents import render_pdf, render_pptx

        return render_pdf(report_data) if form is ReportFormat.PDF else render_pptx(report_data)
    from journeyflow.report.documents import picture_of, render_png, render_svg

    picture = picture_of(report_data.maps[0], report_data, "dark" if is_dark else "light")
    return render_png(picture) if form is ReportFormat.PNG else render_svg(picture).encode()


RankArgument = Annotated[int, typer.Argument(metavar="RANK", help="The number in the list.", min=1)]
_RANKS = {"opportunities": "opportunity_rank", "pain_points": "pain_rank"}


def opportunities(
    marts: PublishedTables, model: ModelOption = None, persona: PersonaOption = "all", period: PeriodOption = "all"
) -> Listing:
    """List what to fix first: causes that cost persons, by the lower end of what they are worth."""
    return _findings("opportunities", marts, str(model), persona, period)


def pain_points(
    marts: PublishedTables, model: ModelOption = None, persona: PersonaOption = "all", period: PeriodOption = "all"
) -> Listing:
    """List where persons are lost for a cause, associations too, with grade, slice and days."""
    return _findings("pain_points", marts, str(model), persona, period)


def _findings(table: str, marts: PublishedTables, model: str, persona: str, period: str) -> Listing:
    rows = _findings_of(marts, table, model, persona, period)

    def show(shown: pl.DataFrame, out: Console) -> None:
        print_findings(table, (model, persona, period), shown, rows.height, out)

    return Listing(rows, show=show)


def explain_opportunity(
    rank: RankArgument,
    model: ModelOption = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Explain a row of `journeyflow opportunities`: the persons compared, the rates, the grade, and the SQL."""
    _explain_finding("opportunities", rank, model, persona, period, config, published, as_json=as_json)


def explain_pain_point(
    rank: RankArgument,
    model: ModelOption = None,
    persona: PersonaOption = "all",
    period: PeriodOption = "all",
    as_json: JsonOption = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Explain a row of `journeyflow pain-points`: the persons compared, the rates, the grade, and the SQL."""
    _explain_finding("pain_points", rank, model, persona, period, config, published, as_json=as_json)


def _explain_finding(
    table: FindingTable,
    rank: int,
    model: str | None,
    persona: str,
    period: str,
    config: Path,
    published: Path | None,
    *,
    as_json: bool,
) -> None:
    from journeyflow.cli.output import console, known_names, open_marts
    from journeyflow.operations.explain import explain_finding

    with open_marts(config, published) as marts:
        names = known_names(marts, {"model": model, "persona": persona, "period": period})
        explained = explain_finding(marts, table, (names["model"], names["persona"], names["period"]), rank)
    if as_json:
        typer.echo(json.dumps(asdict(explained), indent=2))
    else:
        print_finding(explained, console())


def ui(
    port: Annotated[int, typer.Option("--port", help="The port; 0 is a free one.", min=0, max=65535)] = 8321,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Browse the kept maps, tables and runs, and query in SQL, on this machine only. Read-only."""
    from journeyflow.operations.viewer import serve
    from journeyflow.state.paths import folders_of

    def started(address: str) -> None:
        typer.echo(f"Open {address} and stop with Ctrl-C. It is read-only, and for this machine only.")

    folders = folders_of(config)
    if not (folders.publish / "current").exists():
        typer.echo("Nothing is published yet: the viewer is empty until `journeyflow run`.", err=True)
    serve(folders, port, started, opens_browser=not no_browser)


def _findings_of(marts: PublishedTables, table: str, model: str, persona: str, period: str) -> pl.DataFrame:
    """Return the rows of one map by rank; an association is no opportunity."""
    import polars as pl

    rows = marts.table(table).filter(
        (pl.col("model") == model) & (pl.col("persona") == persona) & (pl.col("period") == period)
    )
    if table == "opportunities":
        rows = rows.filter(pl.col("grade") != "association")
    return rows.sort(_RANKS[table])


def print_findings(table: str, keys: tuple[str, str, str], rows: pl.DataFrame, row_count: int, out: Console) -> None:
    """Print rows of `opportunities` or `pain_points`, a sentence each with its figures below it."""
    from rich.text import Text

    from journeyflow.cli.output import print_hanging
    from journeyflow.report.formatting import display_text

    model, persona, period = keys
    who = "all persons" if persona == _ALL else f"persona {display_text(persona)}"
    when = "the whole time" if period == _ALL else period
    what = table.replace("_", " ")
    if rows.is_empty():
        out.print(Text(f"{display_text(model)}, {who}, {when}: no {what}; no cause stands out."), style="bold")
        out.print(Text(f"Where persons leave: journeyflow drop-offs {display_text(model)}", style="dim"))
        return
    out.print(Text(f"{display_text(model)}, {who}, {when}: {row_count} {what}"), style="bold")
    for values in rows.iter_rows(named=True):
        rank = str(values[_RANKS[table]])
        print_hanging(rank, Text(display_text(values["headline"], 600), style="bold"), out, width=2)
        print_hanging("", Text(_figures_line(table, values), style="dim"), out, width=2)
        if values.get("remedy"):
            print_hanging("", Text(f"Suggested: {display_text(values['remedy'], 600)}"), out, width=2)
    first = rows[_RANKS[table]][0]
    command = "opportunity" if table == "opportunities" else "pain-point"
    out.print(Text(f"Why: journeyflow explain {command} {first}", style="dim"))


def _figures_line(table: str, values: dict[str, Any]) -> str:
    """Return the figures of a row in one line: stage, people lost, worth, grade, slice, days, owner."""
    from journeyflow.report import cells
    from journeyflow.report.cells import Row
    from journeyflow.report.formatting import display_text

    row = Row(table, values)
    people, lost, worth = cells.opportunity_figures(row)[:3]
    parts = [
        f"at {display_text(row.text('stage'))}",
        f"lost {_with_range(lost)} of {_with_range(people)}"
        if lost.value is not None
        else f"met by {_with_range(people)}",
        f"worth {_with_range(worth)}" if worth.value is not None else "",
        cells.pain_kind(row)
        if row.text("grade") == row.text("kind")
        else f"{cells.pain_kind(row)} ({row.text('grade')})",
        display_text(row.text("slice")),
        cells.days_text(row),
        f"owner {display_text(row.text('owner'))}" if row.text("owner") else "",
    ]
    return " · ".join(part for part in parts if part)


def _with_range(figure: Figure) -> str:
    from journeyflow.report.formatting import figure_text, range_text

    ends = range_text(figure)
    return f"{figure_text(figure)} ({ends})" if ends else figure_text(figure)


def print_finding(explained: ExplainedFinding, out: Console) -> None:
    """Print the explanation of an opportunity or a pain point."""
    from rich.text import Text

    from journeyflow.cli.output import print_hanging

    out.print(Text(explained.headline), style="bold")
    for name, sentence in explained.facts:
        print_hanging(name, Text(sentence), out, width=len("compared"))
    for title, sql in explained.queries:
        out.print(Text(f"\n{title}", style="dim"))
        out.print(Text(f"  {sql}"), soft_wrap=True)
