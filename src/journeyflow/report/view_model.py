"""View model of the report: maps, figures with their base, interval and SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import md5
from itertools import groupby
from typing import Literal

from journeyflow.compile.map_figures import Evidence, RowKey, Unit
from journeyflow.engines.base import text, word

ALL = "all"
"""The key of the total persona and of the whole time."""
LONGEST_LITERAL = 200
"""Longer values are compared by their MD5, so that the SQL can be read and copied."""

CAUSES = "What hurts, and what to do"
NO_CAUSE = "No cause stands out."
BRIEFING_PARTS = {
    "Alert": ("rate",),
    CAUSES: ("incident", "gap", "exposure", "promise", "friction"),
    "Lost, and no cause known": ("loss",),
    "What changed": ("gone", "action"),
}
"""Headings of the briefing, in the order of its lines, with the kinds of line below each."""

Key = str | int | None
"""A value of a row's key."""
Value = int | float | Decimal | datetime | None
Severity = Literal["critical", "warning", "note"]


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows of one generation.

    The model of the briefing comes first, then a project's own models before the built-in ones; the key `all` comes
    first, then personas by size and months by date. `funnels` are the configured ones over the whole time; `meanings`
    describe the columns, by `table.column`.
    """

    run: RunInfo
    models: tuple[MapModel, ...]
    personas: tuple[Persona, ...]
    periods: tuple[Period, ...]
    briefing: Briefing
    maps: tuple[JourneyMap, ...]
    funnels: tuple[Funnel, ...]
    flows: tuple[Flow, ...]
    blind_spots: tuple[BlindSpot, ...]
    definitions: tuple[Paragraph, ...]
    reading: tuple[Paragraph, ...]
    meanings: Mapping[str, str]
    analyses: tuple[Analysis, ...] = ()
    differences: tuple[Differences, ...] = ()

    def map_of(self, model: str, persona: str = ALL, period: str = ALL) -> JourneyMap | None:
        """Return the map with these keys, None when nobody of the persona entered in the period."""
        wanted = (model, persona, period)
        return next((found for found in self.maps if (found.model, found.persona, found.period) == wanted), None)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The run that made the generation; times are naive UTC."""

    project: str
    run_id: str
    version: str
    config_hash: str
    published_at: datetime
    high_water_at: datetime
    first_event_at: Figure
    events: Figure
    persons: Figure


@dataclass(frozen=True, slots=True)
class Briefing:
    """The first screen: who there is, where they leave, what hurts and what to do.

    `people` counts the personas, `stages` the stage funnel of the first model, whose label is `model`; `blind_spots` is
    the line on what cannot be seen. Texts are empty where nothing is known.
    """

    people: str = ""
    model: str = ""
    stages: str = ""
    lines: tuple[BriefingLine, ...] = ()
    blind_spots: str = ""

    @property
    def parts(self) -> tuple[BriefingPart, ...]:
        """The lines under headings; only of causes an empty part is listed, since that none was found is news too."""
        found, start = [], 1
        for title, kinds in BRIEFING_PARTS.items():
            lines = tuple(line for line in self.lines if line.kind in kinds)
            if lines or title == CAUSES:
                found.append(BriefingPart(title, start, lines))
            start += len(lines)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class BriefingPart:
    """Lines of the briefing that belong together, numbered from `start` on."""

    title: str
    start: int
    lines: tuple[BriefingLine, ...]


@dataclass(frozen=True, slots=True)
class BriefingLine:
    """A sentence of the briefing with the row that it comes from.

    `change` is `new`, `larger`, `smaller`, `unchanged`, `gone`, or empty where there is no run before;
    `previous_count` are the persons lost then. `model` is the funnel of a loss. `rank` is that of the opportunity, or
    the index of the step. `sql` returns the row, empty where there is none. `action` is what the catalogue of remedies
    suggests; it is no measurement.
    """

    headline: str
    kind: str
    change: str
    previous_count: int | None
    table_name: str
    model: str
    persona: str
    rank: int | None
    owner: str
    sql: str
    action: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A titled paragraph."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class MapModel:
    """A journey model and its stages in order."""

    key: str
    label: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a journey model; `index` is from 1. `is_repeat`: it is reached by doing something again."""

    key: str
    label: str
    index: int
    owner: str = ""
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Persona:
    """A persona; the key `all` is the total of all of them.

    `person_count` counts people by their latest journey, and is None where the table does not name the persona.
    """

    key: str
    label: str
    description: str = ""
    rule: str = ""
    is_outcome_based: bool = False
    is_trait_undated: bool = False
    person_count: Figure | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A month of entry such as ``2026-03``, or ``all`` for the whole time."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class JourneyMap:
    """The map of one model, persona and period, with all rows in the order of `RowKey`.

    `funnel` is the stage funnel of the same keys, without steps where it counts nobody: it counts a person in one month
    only, the map in each month of a journey.
    """

    model: str
    persona: str
    period: str
    rows: tuple[MapRow, ...]
    reached: tuple[StageReach, ...]
    funnel: Funnel
    opportunities: tuple[Opportunity, ...] = ()
    opportunity_rest_count: int = 0

    def row(self, key: RowKey) -> MapRow:
        """Return one row."""
        return next(row for row in self.rows if row.key == key)


@dataclass(frozen=True, slots=True)
class MapRow:
    """One row of a map: a cell for every stage, in the order of the stages."""

    key: RowKey
    label: str
    hint: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One stage in one row of a map.

    A cell without items is `observed` where a search found nothing, else `unknown`; `note` then gives the reason.
    """

    row: RowKey
    stage: str
    evidence: Evidence = "unknown"
    items: tuple[Item, ...] = ()
    rest_count: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a cell, such as a touchpoint, a quote or a pain point, with its most important figure first.

    `text` is empty where the figures say all; `note` holds the kind of a pain point or the method of a sentiment.
    """

    text: str
    figures: tuple[Figure, ...] = ()
    note: str = ""
    evidence: Evidence = "observed"

    def figure(self, key: str) -> Figure | None:
        """Return the figure whose value is the column `key`."""
        return next((figure for figure in self.figures if figure.key == key), None)


@dataclass(frozen=True, slots=True)
class StageReach:
    """Who reached a stage and what became of them; for the last stage, which cannot be left, only how many."""

    key: str
    label: str
    reached: Figure
    advanced: Figure
    dropped: Figure | None
    pending: Figure | None
    drop_off: Figure | None


@dataclass(frozen=True, slots=True)
class Funnel:
    """A stage funnel or configured funnel of one persona and period."""

    key: str
    label: str
    persona: str
    period: str
    unit: str
    steps: tuple[FunnelStep, ...]
    is_outcome_based: bool = False


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step of a funnel with the last touchpoints and next actions of those who dropped, most frequent first.

    `index` is from 1. The last step has no value for `dropped`, `pending` and what follows. `drop_off` is the matured
    rate; `median` is in seconds to the next step, with the 10th and 90th percentile; `value_at_stake` is an upper bound
    and must not be added up over steps.
    """

    label: str
    index: int
    reached: Figure
    advanced: Figure
    dropped: Figure
    pending: Figure
    drop_off: Figure
    median: Figure
    value_at_stake: Figure
    last_touchpoints: tuple[Item, ...] = ()
    next_actions: tuple[Item, ...] = ()
    last_rest_count: int = 0
    next_rest_count: int = 0


@dataclass(frozen=True, slots=True)
class Flow:
    """All transitions between the stages of a model for one persona, over the whole time.

    `links` holds every transition, so that the visits of a stage add up.
    """

    model: str
    persona: str
    links: tuple[FlowLink, ...]


@dataclass(frozen=True, slots=True)
class FlowLink:
    """Stage visits that were followed by another stage, or by the end of the journey.

    `start` and `end` are keys of stages; `start` may also be ``entry``, `end` may be ``exit`` or ``open``. `rate` is
    the share of the ended visits to `start`; `median` is in seconds from the start of one visit to that of the next.
    """

    start: str
    end: str
    start_label: str
    end_label: str
    count: Figure
    rate: Figure | None = None
    median: Figure | None = None
    is_backward: bool = False


@dataclass(frozen=True, slots=True)
class Opportunity:
    """A pain point or broken promise, ranked by what fixing it is worth; `kind` and `grade` are in words.

    `slice` are the values that its persons share, `days` its span; empty where it has none. `alone` is what it is worth
    beyond the rows above it. `remedy` is suggested by the catalogue, and no measurement. `what_if` says what less
    leaving at the stage would bring, over the whole time; it is empty where nothing is known of that.
    """

    rank: int
    stage_label: str
    origin: str
    kind: str
    grade: str
    subject: str
    slice: str
    days: str
    headline: str
    people: Figure
    lost: Figure
    worth: Figure
    alone: Figure
    owner: str = ""
    remedy: str = ""
    what_if: str = ""


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Something the figures cannot see; the values of `items` and `share` may be None."""

    kind: str
    kind_label: str
    subject: str
    severity: Severity
    detail: str
    items: Figure
    share: Figure


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is shown of a table beside the map; `report.analyses` says which rows these are."""

    key: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of an analysis: raw names to choose it by, texts, and figures."""

    key: tuple[str, ...]
    texts: tuple[str, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """Two sides, each a persona and a period, compared: the most surprising of the differences beyond chance.

    Of `compared_count` figures `beyond_count` differ beyond chance. All persons beside a persona are all others.
    """

    model: str
    start: tuple[str, str]
    end: tuple[str, str]
    compared_count: int
    beyond_count: int
    rows: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both sides with the counts that it is of; the difference is the second less the first."""

    text: str
    is_rate: bool
    first: float
    first_count: int
    second: float
    second_count: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its unit, range, base and origin.

    A value of None is unknown or suppressed. `n` is the base: people or answers. `currency` is the ISO 4217 code of an
    amount. `is_small` says that the base is under `min_count`.
    """

    label: str
    value: Value
    unit: Unit
    source: FigureSource
    low: Value = None
    high: Value = None
    n: int | None = None
    evidence: Evidence = "observed"
    currency: str | None = None
    is_small: bool = False
    range_label: str = "95 % interval"

    @property
    def key(self) -> str:
        """The column of the value: a name for programs."""
        return self.source.columns[0]

    @property
    def sql(self) -> str:
        """The SELECT over the published tables that returns value, low, high and n, as far as the figure has them."""
        return self.source.sql


@dataclass(frozen=True, slots=True)
class FigureSource:
    """A row of a published table, by its key, and the columns of a figure: value, then low, high and n.

    `query` is the SELECT of the few figures that are no column of one row; `relation` is one that sums the table up.
    """

    table: str
    where: tuple[tuple[str, Key], ...]
    columns: tuple[str, ...]
    query: str = ""
    relation: str = ""

    @property
    def sql(self) -> str:
        """The SELECT in DuckDB's dialect, without invisible characters."""
        if self.query:
            return self.query
        condition = conjunction(self.where)
        return self.select + (f" where {condition}" if condition else "")

    @property
    def select(self) -> str:
        """The SELECT without its condition."""
        return f"select {', '.join(self.columns)} from " + (f"({self.relation})" if self.relation else word(self.table))


def conjunction(where: tuple[tuple[str, Key], ...]) -> str:
    """Return ``column = value and …`` with every value quoted."""
    return " and ".join(equality(column, value) for column, value in where)


@lru_cache(maxsize=10_000)
def equality(column: str, value: Key) -> str:
    """Return ``column = value`` with the value quoted."""
    if value is None:
        return f"{column} is null"
    if isinstance(value, int):
        return f"{column} = {value}"
    if len(value) > LONGEST_LITERAL:
        return f"md5({column}) = '{md5(value.encode(), usedforsecurity=False).hexdigest()}'"
    return f"{column} = {literal(value)}"


def literal(value: str) -> str:
    r"""Return a string as an SQL expression that writes invisible characters as ``chr(…)``.

    >>> literal("a\u202eb")
    "'a' || chr(8238) || 'b'"
    """
    if value.isprintable():
        return text(value)
    runs = groupby(value, key=str.isprintable)
    return " || ".join(
        part
        for is_printable, run in runs
        for part in ([text("".join(run))] if is_printable else [f"chr({ord(character)})" for character in run])
    )
