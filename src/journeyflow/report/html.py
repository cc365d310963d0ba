"""The map as one self-contained HTML page."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from journeyflow.engines.base import word
from journeyflow.errors import JourneyflowError
from journeyflow.publish.reader import PublishedTables
from journeyflow.report.formatting import value_text
from journeyflow.report.reader import read_report_data
from journeyflow.report.view_model import (
    BlindSpot,
    Cell,
    Facts,
    Figure,
    FigureSource,
    FlowLink,
    Funnel,
    FunnelStep,
    Item,
    JourneyMap,
    Opportunity,
    Persona,
    ReportData,
    Unit,
    Value,
    conjunction,
)

DIGITS: dict[Unit, int] = {"sentiment": 2, "ratio": 2, "score": 2, "probability": 3}
Row = list[Any]
# JSON is not read as markup inside a script element, but these could end the element, open a comment or break a line.
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def page_json(report_data: ReportData) -> str:
    """Return the atlas as JSON that is safe inside a script element.

    Returns
    -------
    str
        An object: `texts` and the other dictionaries, then what refers to them by position. ASCII only.
    """
    return json.dumps(_Packer(report_data.meanings).pack(report_data), separators=(",", ":")).translate(_ESCAPED)


class _Packer:
    """Packs dataclasses into rows; texts, kinds of figure and conditions become positions in a dictionary."""

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self.meanings = meanings
        self.texts: dict[str, int] = {}
        self.shapes: list[Row] = []
        self.known: dict[tuple[Any, ...], int] = {}
        self.rows: dict[tuple[tuple[str, str | int | None], ...], int] = {}
        self.kinds: dict[tuple[int, ...], int] = {}
        self.manners: dict[tuple[int, int], int] = {}
        self.conditions: dict[tuple[int, int], int] = {}

    def pack(self, report_data: ReportData) -> dict[str, Any]:
        """Return the whole page's data."""
        packed = {
            "facts": self.facts(report_data.facts),
            "models": [
                [model.key, model.label, [[s.key, s.label, s.owner] for s in model.stages]]
                for model in report_data.models
            ],
            "personas": [self.persona(persona) for persona in report_data.personas],
            "periods": [[period.key, period.label] for period in report_data.periods],
            "rows": [[row.key, row.label, row.hint] for row in report_data.maps[0].rows] if report_data.maps else [],
            "maps": [self.map(found) for found in report_data.maps],
            "funnels": [self.funnel(funnel) for funnel in report_data.funnels],
            "flows": [
                [self.text(f.model), self.text(f.persona), [self.link(x) for x in f.links]] for f in report_data.flows
            ],
            "spots": [self.spot(spot) for spot in report_data.blind_spots],
        }
        return packed | {
            "texts": list(self.texts),
            "shapes": self.shapes,
            "kinds": list(self.kinds),
            "manners": list(self.manners),
            "conditions": list(self.conditions),
        }

    def text(self, text: str) -> int:
        """Return the position of a text."""
        return self.texts.setdefault(text, len(self.texts))

    def figures(self, figures: Iterable[Figure | None]) -> Row:
        """Return ``[kind, condition, value or [value, n, low, high], …]``; most are of one row."""
        found = tuple(figures)
        sources = [(0, 0) if figure is None else self.shape(figure) for figure in found]
        conditions = [condition for figure, (_, condition) in zip(found, sources, strict=True) if figure]
        is_one = len(set(conditions)) <= 1
        kind = tuple(shape for shape, _ in sources)
        position = self.kinds.setdefault(kind, len(self.kinds))
        values = [_figure_values(figure) for figure in found]
        return [position, (conditions or [0])[0] if is_one else [condition for _, condition in sources], *values]

    def shape(self, figure: Figure) -> tuple[int, int]:
        """Return what figures of one sort share, as a position from 1, and the position of the condition."""
        source = figure.source
        is_row = bool(source.where) and not source.query
        start = (source.table, source.columns) if is_row else source.sql
        told = (figure.label, figure.unit, figure.evidence, figure.currency or "", figure.range_label)
        shape = (start, *told, figure.is_small)
        if shape not in self.known:
            # Looked up as it is first: most figures are of a sort that was seen before.
            sql = f"select {', '.join(source.columns)} from {word(source.table)} where " if is_row else source.sql
            meaning = self.meanings.get(f"{source.table}.{figure.key}", "")
            texts = (figure.key, *told, meaning, sql)
            self.shapes.append([*(self.text(part) for part in texts), int(figure.is_small)])
            self.known[shape] = len(self.shapes)
        return self.known[shape], self.condition(source) if is_row else 0

    def condition(self, source: FigureSource) -> int:
        """Return the position of the condition of a row, from 1."""
        if source.where not in self.rows:
            condition = 0
            for equality in source.where:
                step = (condition, self.text(conjunction((equality,))))
                condition = self.conditions.setdefault(step, len(self.conditions)) + 1
            self.rows[source.where] = condition
        return self.rows[source.where]

    def item(self, item: Item) -> Row:
        """Return ``[text, manner, figures]``; the manner is evidence and note."""
        manner = (self.text(item.evidence), self.text(item.note))
        position = self.manners.setdefault(manner, len(self.manners))
        return [self.text(item.text), position, *self.figures(item.figures)]

    def cell(self, cell: Cell) -> Row:
        """Return ``[evidence, items, rest, note]`` without what is empty at its end; of an unknown cell ``[note]``."""
        if cell.evidence == "unknown":
            return [self.text(cell.note)]
        rest = [cell.rest_count] if cell.rest_count or cell.note else []
        note = [self.text(cell.note)] if cell.note else []
        return [self.text(cell.evidence), [self.item(item) for item in cell.items], *rest, *note]

    def map(self, found: JourneyMap) -> Row:
        """Return ``[model, persona, period, cells by row, funnel, opportunities, rest]``."""
        keys = [self.text(key) for key in (found.model, found.persona, found.period)]
        cells = [[self.cell(cell) for cell in row.cells] for row in found.rows]
        chances = [self.opportunity(opportunity) for opportunity in found.opportunities]
        return [*keys, cells, self.funnel(found.funnel), chances, found.opportunity_rest_count]

    def funnel(self, funnel: Funnel) -> Row:
        """Return ``[key, label, persona, period, unit, is outcome based, steps]``."""
        told = (funnel.key, funnel.label, funnel.persona, funnel.period, funnel.unit)
        return [*map(self.text, told), int(funnel.is_outcome_based), [self.step(step) for step in funnel.steps]]

    def step(self, step: FunnelStep) -> Row:
        """Return ``[label, seven figures, last touchpoints, rest, next actions, rest]``."""
        measured = (step.reached, step.went_on, step.dropped, step.pending, step.drop_off, step.median, step.at_stake)
        last, following = ([self.item(item) for item in items] for items in (step.last_touchpoints, step.next_actions))
        return [
            self.text(step.label),
            self.figures(measured),
            last,
            step.last_rest_count,
            following,
            step.next_rest_count,
        ]

    def link(self, link: FlowLink) -> Row:
        """Return ``[start, end, their labels, is backward, count, rate, median]``."""
        told = [self.text(text) for text in (link.start, link.end, link.start_label, link.end_label)]
        return [*told, int(link.is_backward), self.figures((link.count, link.rate, link.median))]

    def opportunity(self, found: Opportunity) -> Row:
        """Return ``[rank, stage, origin, kind, subject, owner, people, lost, worth]``."""
        told = (found.stage_label, found.origin, found.kind, found.subject, found.owner)
        return [found.rank, *map(self.text, told), self.figures((found.people, found.lost, found.worth))]

    def spot(self, spot: BlindSpot) -> Row:
        """Return ``[severity, kind, subject, detail, items, share]``."""
        told = (spot.severity, spot.kind_label, spot.subject, spot.detail)
        return [*map(self.text, told), self.figures((spot.items, spot.share))]

    def persona(self, persona: Persona) -> Row:
        """Return ``[key, label, description, rule, warnings, people]``."""
        told: Sequence[str] = (persona.key, persona.label, persona.description, persona.rule)
        return [
            *told,
            int(persona.is_outcome_based),
            int(persona.is_trait_undated),
            self.figures((persona.person_count,)),
        ]

    def facts(self, facts: Facts) -> dict[str, Any]:
        """Return the run's facts by name."""
        named = ((field.name, getattr(facts, field.name)) for field in fields(facts))
        return {name: self.figures((v,)) if isinstance(v, Figure) else _told(v) for name, v in named}


def _told(value: str | datetime) -> str:
    return value_text(value, "instant") if isinstance(value, datetime) else value


def _figure_values(figure: Figure | None) -> Row | float | int | str | None:
    """Return ``[value, n, low, high]`` without the nulls at its end; the value alone where there is no more."""
    if figure is None:
        return None
    value, low, high = (_number(value, figure.unit) for value in (figure.value, figure.low, figure.high))
    row = _trimmed([value, figure.n, low, high])
    return row if len(row) > 1 else value


def _trimmed(row: Row) -> Row:
    while row and row[-1] is None:
        row.pop()
    return row


def _number(value: Value, unit: Unit) -> float | int | str | None:
    """Return a value as exactly as it is written and no more: the page then shows what `words.written` says."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value_text(value, unit)
    digits = DIGITS.get(unit, 0)
    return _short(round(float(value) * 100, 1) / 100, 4) if unit == "rate" else _short(float(value), digits)


def _short(value: float, digits: int) -> float | int:
    rounded = round(value, digits)
    return int(rounded) if rounded.is_integer() else rounded


TEMPLATES: Final = Path(__file__).parent / "templates"
STYLES: Final = ("page.css", "map.css", "print.css")
SCRIPTS: Final = ("dom.js", "data.js", "words.js", "tip.js", "map.js", "curve.js", "flow.js", "tables.js", "page.js")


def render_page(report_data: ReportData) -> str:
    """Return the page of an atlas.

    Parameters
    ----------
    atlas : Atlas
        Of one generation.

    Returns
    -------
    str
        An HTML document with its styles, its script and its data inside. Its content-security policy allows these by
        their hash, and nothing from anywhere else.

    References
    ----------
    Content Security Policy Level 3, W3C: ``hash-source``.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    style, script = _joined(STYLES), '"use strict";\n' + _joined(SCRIPTS)
    return environment.get_template("page.html.j2").render(
        report_data=report_data,
        policy=content_policy(style, script),
        # These three are the page's own files and JSON made safe for its place; everything else is escaped.
        style=Markup(style),
        script=Markup(script),
        data=Markup(page_json(report_data)),
    )


def content_policy(style: str, script: str) -> str:
    """Return the content-security policy that allows one style sheet and one script.

    Examples
    --------
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


def _joined(names: tuple[str, ...]) -> str:
    return "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


PAGE = "map.html"
"""Name of the page in the folder of a generation."""


def draw_page(generation: Path) -> dict[str, bytes]:
    """Return the page of a generation, by its file name.

    Parameters
    ----------
    generation : Path
        The folder of a generation whose tables can be read.

    Raises
    ------
    JourneyflowError
        When it cannot be drawn. No value of a row is in the message.
    """

    try:
        with PublishedTables(generation) as published:
            return {PAGE: render_page(read_report_data(published)).encode()}
    except JourneyflowError:
        raise
    except Exception as error:  # Whatever it is, the night must end with a word that somebody can act on.
        raise JourneyflowError(
            f"The journey map could not be drawn from the new tables ({type(error).__name__}); nothing was published, "
            "and what was published before is untouched. Run again with --debug for the place, and report it."
        ) from error
