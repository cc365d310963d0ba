"""The journey maps as a spreadsheet: one sheet a persona, lists of what leads, and every figure with its SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from journeyflow.report.atlas import ALL, Atlas, FunnelStep, Item, JourneyMap, Persona
from journeyflow.report.lines import cell_lines
from journeyflow.report.sheets import Book, CellValue, Column, Number, ends

if TYPE_CHECKING:
    from xlsxwriter.worksheet import Worksheet

Row = list[CellValue]
_WHERE: Final = (Column("model", 16), Column("persona", 18), Column("period", 14))
_SPOTS: Final = (
    Column("severity", 11), Column("what", 26), Column("subject", 34), Column("items", 10), Column("share", 9),
    Column("detail", 80),
)  # fmt: skip
_OPPORTUNITIES: Final = (
    *_WHERE, Column("rank", 7), Column("subject", 40), Column("stage", 18), Column("origin", 12), Column("kind", 18),
    Column("people", 10), Column("conversions lost", 12), Column("low", 9), Column("high", 9), Column("worth", 12),
    Column("low", 11), Column("high", 11), Column("currency", 10), Column("owner", 18),
)  # fmt: skip
_DROP_OFFS: Final = (
    Column("funnel", 18), *_WHERE[1:], Column("step", 7), Column("name", 20), Column("what", 18),
    Column("touchpoint or action", 44), Column("people", 10), Column("share", 9), Column("of those who went on", 11),
    Column("lift", 8),
)  # fmt: skip
_FIGURES: Final = (
    *_WHERE, Column("stage", 18), Column("row", 22), Column("entry", 40), Column("figure", 22), Column("value", 14),
    Column("low", 12), Column("high", 12), Column("n", 10), Column("unit", 11), Column("evidence", 11),
    Column("SQL over the published tables", 100),
)  # fmt: skip
_LABEL_WIDTH: Final = 24
_STAGE_WIDTH: Final = 46


def render_workbook(atlas: Atlas) -> bytes:
    """Return the atlas as an XLSX file without a single formula or link.

    Parameters
    ----------
    atlas : Atlas
        Read it with fewer personas or one period to get a smaller file.

    Returns
    -------
    bytes
        Sheets: what it is, blind spots, opportunities, drop-offs, one for each persona (a section for each map), and
        all figures of the maps with their SQL.
    """
    book = Book(atlas.facts.published_at, f"Journey maps of {atlas.facts.project}")
    _write_about(book, atlas)
    book.write_list("Blind spots", _SPOTS, _spots(atlas), "No blind spot was found.")
    book.write_list("Opportunities", _OPPORTUNITIES, _opportunities(atlas), "No opportunity was found.")
    book.write_list("Drop-offs", _DROP_OFFS, _drop_offs(atlas), "Nobody dropped off.")
    for persona in atlas.personas:
        _write_persona(book, atlas, persona)
    book.write_list("Figures", _FIGURES, _figures(atlas), "There is no map.")
    return book.done()


def _write_about(book: Book, atlas: Atlas) -> None:
    sheet = book.sheet("About")
    sheet.set_column(0, 0, _LABEL_WIDTH + 8, book.bold)
    sheet.set_column(1, 1, 110, book.wrapped)
    facts = atlas.facts
    lines: list[tuple[str, CellValue]] = [
        ("Events read", facts.events),
        ("People", facts.persons),
        ("First event, UTC", facts.first_event_at),
        ("Events up to, UTC", Number(facts.high_water_at, "instant")),
        ("Published, UTC", Number(facts.published_at, "instant")),
        ("Run", facts.run_id),
        ("Version", facts.version),
        ("Hash of the configuration", facts.config_hash),
        *((text.title, text.text) for text in (*atlas.reading, *atlas.definitions)),
    ]
    book.write(sheet, 0, 0, f"Journey maps of {facts.project}", book.title)
    for at, (title, value) in enumerate(lines, start=2):
        book.write(sheet, at, 0, title, book.bold)
        book.write(sheet, at, 1, value)


def _spots(atlas: Atlas) -> Iterator[Row]:
    for spot in atlas.blind_spots:
        yield [spot.severity, spot.kind_label, spot.subject, spot.items, spot.share, spot.detail]


def _opportunities(atlas: Atlas) -> Iterator[Row]:
    for found in atlas.maps:
        for told in found.opportunities:
            lost, worth = told.lost, told.worth
            yield [
                *_where(atlas, found), told.rank, told.subject, told.stage_label, told.origin, told.kind, told.people,
                lost, *ends(lost), worth, *ends(worth), worth.currency or "", told.owner,
            ]  # fmt: skip


def _drop_offs(atlas: Atlas) -> Iterator[Row]:
    personas, periods = _labels(atlas)
    for funnel in (*(found.funnel for found in atlas.maps), *atlas.funnels):
        for step in funnel.steps:
            where: Row = [funnel.label, personas[funnel.persona], periods.get(funnel.period, funnel.period)]
            for what, item in _places(step):
                shares = (item.figure("share_rate"), item.figure("expected_rate"), item.figure("lift"))
                yield [*where, step.index, step.label, what, item.text, item.figure("drop_off_count"), *shares]


def _places(step: FunnelStep) -> Iterator[tuple[str, Item]]:
    yield from (("last touchpoint", item) for item in step.last_touchpoints)
    yield from (("did next", item) for item in step.next_actions)


def _write_persona(book: Book, atlas: Atlas, persona: Persona) -> None:
    sheet = book.sheet(persona.label)
    sheet.set_column(0, 0, _LABEL_WIDTH, book.bold)
    sheet.set_column(1, max((len(model.stages) for model in atlas.models), default=1), _STAGE_WIDTH, book.wrapped)
    sheet.freeze_panes(1, 1)
    about = persona.description or persona.rule
    book.write(sheet, 0, 0, f"{persona.label}{': ' if about else ''}{about}", book.title)
    row = 2
    for found in atlas.maps:
        if found.persona == persona.key:
            row = _write_map(book, sheet, row, atlas, found)


def _write_map(book: Book, sheet: Worksheet, row: int, atlas: Atlas, found: JourneyMap) -> int:
    """Write one map from `row` on and return the row after it."""
    model, _, period = _where(atlas, found)
    book.write(sheet, row, 0, f"{model}, {period}", book.title)
    stages = next(known.stages for known in atlas.models if known.key == found.model)
    for at, title in enumerate(("", *(stage.label for stage in stages))):
        book.write(sheet, row + 1, at, title, book.head)
    for down, of_map in enumerate(found.rows, start=row + 2):
        book.write(sheet, down, 0, of_map.label, book.bold)
        for across, cell in enumerate(of_map.cells, start=1):
            book.write(sheet, down, across, "\n".join(cell_lines(cell)))
    return row + len(found.rows) + 3


def _figures(atlas: Atlas) -> Iterator[Row]:
    stages = {(model.key, stage.key): stage.label for model in atlas.models for stage in model.stages}
    for found in atlas.maps:
        where = _where(atlas, found)
        for of_map in found.rows:
            for cell in of_map.cells:
                for item in cell.items:
                    for figure in item.figures:
                        yield [
                            *where, stages[found.model, cell.stage], of_map.label, item.text, figure.label, figure,
                            *ends(figure), figure.n, figure.currency or figure.unit, figure.evidence, figure.sql,
                        ]  # fmt: skip


def _labels(atlas: Atlas) -> tuple[dict[str, str], dict[str, str]]:
    personas = {persona.key: persona.label for persona in atlas.personas}
    return personas, {period.key: period.label for period in atlas.periods} | {ALL: "the whole time"}


def _where(atlas: Atlas, found: JourneyMap) -> Row:
    personas, periods = _labels(atlas)
    model = next(known.label for known in atlas.models if known.key == found.model)
    return [model, personas[found.persona], periods[found.period]]
