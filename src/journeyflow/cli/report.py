"""`report`: the map as a page, workbook, message or picture."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, PublishedOption, examples

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables
    from journeyflow.report.view_model import ReportData


ALL = "all"


class ReportFormat(StrEnum):
    """What the map is written as; also the end of the file's name."""

    HTML = "html"
    XLSX = "xlsx"
    MD = "md"
    SVG = "svg"
    PNG = "png"


PICTURES = (ReportFormat.SVG, ReportFormat.PNG)


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command(
        epilog=examples(
            "journeyflow report --open",
            "journeyflow report --format xlsx --output maps.xlsx",
            "journeyflow report --format md --model shop",
            "journeyflow report --format png --persona student --period 2026-03",
        )
    )(report)


def report(
    form: Annotated[ReportFormat, typer.Option("--format", "-f", help="What to write.")] = ReportFormat.HTML,
    persona: Annotated[
        str | None, typer.Option("--persona", help="One persona; 'all' is the total. A picture shows one, else all.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="One journey model. A picture shows one, else the first.")
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(
            "--period", help="A month of entry such as 2026-03, or 'all', which is what all but the page show."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, else journey-map with the format's ending; md is printed."),
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Light letters on dark ground, for pictures.")] = False,
    is_opened: Annotated[bool, typer.Option("--open", help="Open the written file.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    published: PublishedOption = None,
) -> None:
    """Write the journey map: what people met, felt, suffered and were promised, stage by stage."""
    from journeyflow.cli.output import write_file
    from journeyflow.cli.query import open_marts

    if is_opened and form is ReportFormat.MD and output is None:
        raise typer.BadParameter("--open needs a file: add --output summary.md")
    _require_ending(output, form)
    with open_marts(config, published) as marts:
        content = _render(_atlas(marts, form, model, persona, period), form, is_dark=dark)
    if form is ReportFormat.MD and output is None:
        typer.echo(content.decode(), nl=False)
        return
    path = output or Path(f"journey-map.{form}")
    write_file(path, content)
    typer.echo(f"Written: {path}")
    if is_opened:
        typer.launch(str(path))


def _require_ending(output: Path | None, form: ReportFormat) -> None:
    """Let no name promise another form than the file has: the program that opens it would find it broken."""
    ending = output.suffix.lower().lstrip(".") if output else ""
    if ending != form and ending in set(ReportFormat):
        raise typer.BadParameter(f"{output} ends as {ending}, and {form} is to be written: add --format {ending}")


def _atlas(
    marts: PublishedTables, form: ReportFormat, model: str | None, persona: str | None, period: str | None
) -> ReportData:
    from journeyflow.cli.query import require_known
    from journeyflow.errors import NotFoundError
    from journeyflow.report.reader import keys_of, read_report_data

    known = keys_of(marts)
    for what, wanted, names in zip(("model", "persona", "period"), (model, persona, period), known, strict=True):
        if wanted is not None:
            require_known(what, wanted, names)
    if form in PICTURES:
        model, persona = model or next(iter(known[0]), None), persona or ALL
    if form is not ReportFormat.HTML:
        period = period or ALL
    report_data = read_report_data(marts, models=_only(model), personas=_only(persona), periods=_only(period))
    if not report_data.maps and (model or form in PICTURES):
        raise NotFoundError(
            "There is no journey map of these: nobody of the persona entered the model in the period. Choose another "
            "--persona or --period; `journeyflow report` shows all there are."
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
        from journeyflow.report.markdown import render_summary

        return render_summary(report_data).encode()
    from journeyflow.report.image import render_png, render_svg

    picture = render_svg(report_data.maps[0], report_data, "dark" if is_dark else "light")
    return render_png(picture) if form is ReportFormat.PNG else picture.encode()
