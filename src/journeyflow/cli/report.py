"""`report`: the journey map as a page, workbook, summary or picture."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, PublishedOption

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables
    from journeyflow.report.view_model import ReportData


class ReportFormat(StrEnum):
    """Formats of the map; also the suffix of the file."""

    HTML = "html"
    XLSX = "xlsx"
    MD = "md"
    SVG = "svg"
    PNG = "png"


_PICTURES = (ReportFormat.SVG, ReportFormat.PNG)
_ALL = "all"


def report(
    form: Annotated[
        ReportFormat, typer.Option("--format", "-f", help="What to write: page, workbook, Markdown summary or picture.")
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
    from journeyflow.cli.output import write_file
    from journeyflow.cli.query import open_marts

    if is_opened and form is ReportFormat.MD and output is None:
        raise typer.BadParameter("--open needs a file: add --output summary.md")
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
    from journeyflow.cli.query import require_known
    from journeyflow.errors import NotFoundError
    from journeyflow.report.reader import keys_of, read_report_data

    known = keys_of(marts)
    for what, wanted, names in zip(("model", "persona", "period"), (model, persona, period), known, strict=True):
        if wanted is not None:
            require_known(what, wanted, names)
    if form in _PICTURES:
        model, persona = model or next(iter(known[0]), None), persona or _ALL
    if form is not ReportFormat.HTML:
        period = period or _ALL
    report_data = read_report_data(marts, models=_only(model), personas=_only(persona), periods=_only(period))
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
        from journeyflow.report.markdown import render_summary

        return render_summary(report_data).encode()
    from journeyflow.report.image import render_png, render_svg

    picture = render_svg(report_data.maps[0], report_data, "dark" if is_dark else "light")
    return render_png(picture) if form is ReportFormat.PNG else picture.encode()
