"""The map as one self-contained HTML page."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from journeyflow.compile.map_figures import Unit
from journeyflow.errors import JourneyflowError
from journeyflow.publish.reader import PublishedTables
from journeyflow.report.formatting import CHANGES, value_text
from journeyflow.report.reader import read_report_data
from journeyflow.report.view_model import (
    NO_CAUSE,
    BlindSpot,
    Cell,
    Difference,
    Differences,
    Figure,
    FlowLink,
    Funnel,
    FunnelStep,
    Item,
    JourneyMap,
    Key,
    Opportunity,
    Persona,
    ReportData,
    RunInfo,
    Value,
    equality,
)

PAGE: Final = "map.html"
"""Name of the page in the folder of a generation."""
TEMPLATES: Final = Path(__file__).parent / "templates"
STYLES: Final = ("page.css", "map.css", "print.css")
SCRIPTS: Final = (
    *("dom.js", "data.js", "words.js", "tip.js", "map.js", "cards.js"),
    *("curve.js", "flow.js", "tables.js", "analyses.js", "page.js"),
)
DIGITS: Final[dict[Unit, int]] = {"sentiment": 2, "ratio": 2, "score": 2, "probability": 3}
# JSON is not read as markup inside a script element, but these could end the element, open a comment or break a line.
_ESCAPED: Final = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
Row = list[Any]


def draw_page(generation: Path) -> dict[str, bytes]:
    """Return the page of a generation's folder, by its file name; an error holds no value of a row."""
    try:
        with PublishedTables(generation) as published:
            return {PAGE: render_page(read_report_data(published)).encode()}
    except JourneyflowError:
        raise
    except Exception as error:  # Whatever the cause, a run must end with a message that names the next step.
        raise JourneyflowError(
            f"The journey map could not be drawn from the new tables ({type(error).__name__}); nothing was published, "
            "and the last published version stays available. Run again with --debug for the traceback, and report it."
        ) from error


def render_page(report_data: ReportData) -> str:
    """Return an HTML document with its styles, script and data inside.

    Its content security policy allows these by their hash (``hash-source``, W3C level 3), and no other origin.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    style, script = _joined(STYLES), '"use strict";\n' + _joined(SCRIPTS)
    return environment.get_template("page.html.j2").render(
        report_data=report_data,
        changes=CHANGES,
        no_cause=NO_CAUSE,
        policy=content_policy(style, script),
        # These three are the page's own files and JSON made safe for its place; everything else is escaped.
        style=Markup(style),
        script=Markup(script),
        data=Markup(page_json(report_data)),
    )


def _joined(names: tuple[str, ...]) -> str:
    return "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def content_policy(style: str, script: str) -> str:
    """Return the content security policy that allows one style sheet and one script.

    >>> content_policy("", "")[:75]
    "default-src 'none'; script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG"
    """
    rules = {
        "default-src": "'none'",
        "script-src": _hash_source(script),
        "style-src": _hash_source(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def page_json(report_data: ReportData) -> str:
    """Return the report data as JSON in ASCII that is safe inside a script element."""
    return json.dumps(_Packer(report_data.meanings).pack(report_data), separators=(",", ":")).translate(_ESCAPED)


class _Packer:
    """Packs the view model into rows; texts, kinds of figure and conditions become positions in dictionaries.

    The dictionaries are named as in the JSON, which `templates/data.js` reads back.
    """

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self.meanings = meanings
        self.texts: dict[str, int] = {}
        self.shapes: list[Row] = []
        self.shape_positions: dict[tuple[Any, ...], int] = {}
        self.kinds: dict[tuple[int, ...], int] = {}
        self.manners: dict[tuple[int, int], int] = {}
        self.conditions: dict[tuple[int, int], int] = {}
        self.condition_positions: dict[tuple[tuple[str, Key], ...], int] = {}
        self.last_where: tuple[tuple[str, Key], ...] = ()
        self.last_condition = 0

    def pack(self, report_data: ReportData) -> dict[str, Any]:
        """Return the data of the whole page."""
        packed = {
            "facts": self.run_info(report_data.run),
            "models": [
                [model.key, model.label, [[s.key, s.label, s.owner, int(s.is_repeat)] for s in model.stages]]
                for model in report_data.models
            ],
            "personas": [self.persona(persona) for persona in report_data.personas],
            "periods": [[period.key, period.label] for period in report_data.periods],
            "rows": [[row.key, row.label, row.hint] for row in report_data.maps[0].rows] if report_data.maps else [],
            "maps": [self.map(found) for found in report_data.maps],
            "funnels": [self.funnel(funnel) for funnel in report_data.funnels],
            "flows": [
                [*self.positions(flow.model, flow.persona), [self.link(link) for link in flow.links]]
                for flow in report_data.flows
            ],
            "spots": [self.blind_spot(spot) for spot in report_data.blind_spots],
            "analyses": {
                each.key: [
                    [self.positions(*entry.key), self.positions(*entry.texts), *self.figures(entry.figures)]
                    for entry in each.entries
                ]
                for each in report_data.analyses
            },
            "differences": [self.differences(each) for each in report_data.differences],
        }
        return packed | {
            "texts": list(self.texts),
            "shapes": self.shapes,
            "kinds": list(self.kinds),
            "manners": list(self.manners),
            # How far back the condition is that each goes on from: small numbers, for the page's sake.
            "conditions": [
                part for position, (before, text) in enumerate(self.conditions, 1) for part in (position - before, text)
            ],
        }

    def run_info(self, run: RunInfo) -> dict[str, Any]:
        """Return the fields by name."""
        return {field.name: self.run_value(getattr(run, field.name)) for field in fields(run)}

    def run_value(self, value: Figure | datetime | str) -> Row | str:
        """Return a figure as packed, an instant as text."""
        if isinstance(value, Figure):
            return self.figures((value,))
        return value_text(value, "instant") if isinstance(value, datetime) else value

    def persona(self, persona: Persona) -> Row:
        """Return ``[key, label, description, rule, is outcome based, is trait undated, people]``."""
        flags = [int(persona.is_outcome_based), int(persona.is_trait_undated)]
        texts = [persona.key, persona.label, persona.description, persona.rule]
        return [*texts, *flags, self.figures((persona.person_count,))]

    def map(self, found: JourneyMap) -> Row:
        """Return ``[model, persona, period, cells by row, funnel, opportunities, rest]``."""
        keys = self.positions(found.model, found.persona, found.period)
        cells = [[self.cell(cell) for cell in row.cells] for row in found.rows]
        opportunities = [self.opportunity(opportunity) for opportunity in found.opportunities]
        return [*keys, cells, self.funnel(found.funnel), opportunities, found.opportunity_rest_count]

    def cell(self, cell: Cell) -> Row:
        """Return ``[evidence, items, rest, note]`` without what is empty at its end; of an unknown cell ``[note]``."""
        if cell.evidence == "unknown":
            return [self.position(cell.note)]
        rest = [cell.rest_count] if cell.rest_count or cell.note else []
        note = [self.position(cell.note)] if cell.note else []
        return [self.position(cell.evidence), [self.item(item) for item in cell.items], *rest, *note]

    def item(self, item: Item) -> Row:
        """Return ``[text, manner, figures]``; the manner is evidence and note."""
        manner = (self.position(item.evidence), self.position(item.note))
        position = self.manners.setdefault(manner, len(self.manners))
        return [self.position(item.text), position, *self.figures(item.figures)]

    def funnel(self, funnel: Funnel) -> Row:
        """Return ``[key, label, persona, period, unit, is outcome based, steps]``."""
        texts = self.positions(funnel.key, funnel.label, funnel.persona, funnel.period, funnel.unit)
        return [*texts, int(funnel.is_outcome_based), [self.step(step) for step in funnel.steps]]

    def step(self, step: FunnelStep) -> Row:
        """Return ``[label, seven figures, last touchpoints, rest, next actions, rest]``."""
        figures = (
            step.reached, step.advanced, step.dropped, step.pending, step.drop_off, step.median, step.value_at_stake,
        )  # fmt: skip
        touchpoints = [self.item(item) for item in step.last_touchpoints]
        actions = [self.item(item) for item in step.next_actions]
        label = self.position(step.label)
        return [label, self.figures(figures), touchpoints, step.last_rest_count, actions, step.next_rest_count]

    def differences(self, found: Differences) -> Row:
        """Return ``[model, two personas and periods, figures compared, beyond chance, [text, unit, numbers …] …]``."""
        sides = self.positions(found.model, *found.start, *found.end)
        return [*sides, found.compared_count, found.beyond_count, [self.difference(row) for row in found.rows]]

    def difference(self, row: Difference) -> Row:
        """Return ``[text, is rate, value, n, value, n, difference, low, high]``."""
        rates = ("first", "first_count", "second", "second_count", "difference", "low", "high")
        unit: Unit = "rate" if row.is_rate else "sentiment"
        numbers = [_number(getattr(row, name), "people" if name.endswith("count") else unit) for name in rates]
        return [self.position(row.text), int(row.is_rate), *numbers]

    def link(self, link: FlowLink) -> Row:
        """Return ``[start, end, their labels, is backward, figures]``."""
        texts = self.positions(link.start, link.end, link.start_label, link.end_label)
        return [*texts, int(link.is_backward), self.figures((link.count, link.rate, link.median))]

    def opportunity(self, found: Opportunity) -> Row:
        """Return ``[rank, stage, kind, grade, subject, slice, days, headline, owner, remedy, what if, figures]``."""
        texts = self.positions(
            found.stage_label,
            found.kind,
            found.grade,
            found.subject,
            found.slice,
            found.days,
            found.headline,
            found.owner,
            found.remedy,
            found.what_if,
        )
        return [found.rank, *texts, self.figures((found.people, found.lost, found.worth, found.alone))]

    def blind_spot(self, spot: BlindSpot) -> Row:
        """Return ``[severity, kind, subject, detail, figures]``."""
        texts = self.positions(spot.severity, spot.kind_label, spot.subject, spot.detail)
        return [*texts, self.figures((spot.items, spot.share))]

    def figures(self, figures: Iterable[Figure | None]) -> Row:
        """Return ``[kind, condition, value or [value, n, low, high], …]``; most are of one row and condition."""
        found = tuple(figures)
        sources = [(0, 0) if figure is None else self.shape(figure) for figure in found]
        conditions = [condition for figure, (_, condition) in zip(found, sources, strict=True) if figure]
        is_one = len(set(conditions)) <= 1
        kind = tuple(shape for shape, _ in sources)
        position = self.kinds.setdefault(kind, len(self.kinds))
        values = [_figure_values(figure) for figure in found]
        return [position, (conditions or [0])[0] if is_one else [condition for _, condition in sources], *values]

    def shape(self, figure: Figure) -> tuple[int, int]:
        """Return the position, from 1, of what figures of one sort share, and the position of the condition."""
        source = figure.source
        is_row = bool(source.where) and not source.query
        origin = source.table + source.relation if is_row else source.sql
        texts = (figure.label, figure.unit, figure.evidence, figure.currency or "", figure.range_label)
        shape = (origin, source.columns, texts, figure.is_small)
        position = self.shape_positions.get(shape)
        # The SQL and the meaning are made only for a new shape: most figures share one that is known.
        if position is None:
            sql = f"{source.select} where " if is_row else source.sql
            meaning = self.meanings.get(f"{source.table}.{figure.key}", "")
            self.shapes.append([*self.positions(figure.key, *texts, meaning, sql), int(figure.is_small)])
            position = self.shape_positions[shape] = len(self.shapes)
        return position, self.condition(source.where) if is_row else 0

    def condition(self, where: tuple[tuple[str, Key], ...]) -> int:
        """Return the position of the condition of a row, from 1."""
        # The figures of an entry have one tuple: the last one is asked for again and again.
        if where is not self.last_where:
            self.last_where = where
            if where not in self.condition_positions:
                self.condition_positions[where] = self.new_condition(where)
            self.last_condition = self.condition_positions[where]
        return self.last_condition

    def new_condition(self, where: tuple[tuple[str, Key], ...]) -> int:
        """Return the position of a condition, that of the row before it with one equality more."""
        condition = 0
        for name_and_value in where:
            step = (condition, self.position(equality(*name_and_value)))
            condition = self.conditions.setdefault(step, len(self.conditions)) + 1
        return condition

    def positions(self, *texts: str) -> list[int]:
        """Return the positions of texts."""
        return [self.position(text) for text in texts]

    def position(self, text: str) -> int:
        """Return the position of a text."""
        return self.texts.setdefault(text, len(self.texts))


def _figure_values(figure: Figure | None) -> Row | float | int | str | None:
    """Return ``[value, n, low, high]`` without the nulls at its end; the value alone where there is no more."""
    if figure is None:
        return None
    value = _number(figure.value, figure.unit)
    if figure.n is None and figure.low is None and figure.high is None:
        return value
    low, high = _number(figure.low, figure.unit), _number(figure.high, figure.unit)
    row = [value, figure.n, low, high]
    while row and row[-1] is None:
        row.pop()
    return row if len(row) > 1 else value


def _number(value: Value, unit: Unit) -> float | int | str | None:
    """Return a value with just the digits that `value_text` writes, so that the page shows the same text."""
    if value is None or value != value:
        return None
    if isinstance(value, datetime):
        return value_text(value, unit)
    if unit in ("rate", "points"):
        return _rounded(round(float(value) * 100, 1) / 100, 4)
    return _rounded(float(value), DIGITS.get(unit, 0))


def _rounded(value: float, digits: int) -> float | int:
    rounded = round(value, digits)
    return int(rounded) if rounded.is_integer() else rounded
