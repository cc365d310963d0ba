"""View model of the report: maps, figures with their base, interval and SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from hashlib import md5
from typing import Literal

from journeyflow.engines.base import text, word

Key = str | int | None
"""A value of a row's key."""
LONGEST_LITERAL = 200
"""Longer values are compared by their MD5, so that the SQL can be read and copied."""


@dataclass(frozen=True, slots=True)
class FigureSource:
    """A row of a published table and the columns of a figure in it.

    Attributes
    ----------
    table : str
    where : tuple of (str, str or int or None)
        Column and value of the row's key.
    columns : tuple of str
        Of the value, then those of low, high and n that there are.
    query : str
        The SELECT, for the few figures that are no column of one row.
    """

    table: str
    where: tuple[tuple[str, Key], ...]
    columns: tuple[str, ...]
    query: str = ""

    @property
    def sql(self) -> str:
        """The SELECT in DuckDB's dialect; it holds no character that cannot be seen."""
        if self.query:
            return self.query
        condition = conjunction(self.where)
        columns = ", ".join(self.columns)
        return f"select {columns} from {word(self.table)}" + (f" where {condition}" if condition else "")


def conjunction(where: tuple[tuple[str, Key], ...]) -> str:
    """Return ``column = value and …`` with every value quoted."""
    return " and ".join(_equality(column, value) for column, value in where)


def _equality(column: str, value: Key) -> str:
    if value is None:
        return f"{column} is null"
    if isinstance(value, int):
        return f"{column} = {value}"
    if len(value) > LONGEST_LITERAL:
        return f"md5({column}) = '{md5(value.encode(), usedforsecurity=False).hexdigest()}'"
    return f"{column} = {literal(value)}"


def literal(value: str) -> str:
    r"""Return a string as an SQL expression in which hidden characters are written as ``chr(…)``.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    >>> literal("a\u202eb")
    "'a' || chr(8238) || 'b'"
    """
    if value.isprintable():
        return text(value)
    parts: list[str] = []
    run = ""
    for character in value:
        if character.isprintable():
            run += character
            continue
        parts += [text(run)] if run else []
        parts.append(f"chr({ord(character)})")
        run = ""
    parts += [text(run)] if run else []
    return " || ".join(parts)


Evidence = Literal["observed", "inferred", "supplied", "unknown"]
"""How a cell is known: counted, concluded by a method, told by a person in the configuration, or not at all."""
Unit = Literal[
    "people", "visits", "events", "answers", "cases", "items", "rate", "ratio", "seconds", "sentiment", "score",
    "amount", "probability", "instant",
]  # fmt: skip
"""What a value counts or measures. `rate` is a fraction to be shown as a percentage; `instant` is naive UTC."""
Value = int | float | Decimal | datetime | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with what is needed to trust it.

    Attributes
    ----------
    label : str
        What it is, in two or three words: ``reached``, ``lift``.
    value, low, high : int, float, Decimal, datetime or None
        The number and its range; a value of None is unknown or suppressed (see `is_small`).
    n : int or None
        What the number is based on: people, answers.
    unit : Unit
        How to read the value.
    evidence : Evidence
        How it is known.
    source : Source
        The row and columns of a published table it was read from; `sql` is the SELECT that returns it.
    currency : str or None
        ISO 4217 code, of amounts.
    is_small : bool
        The base is under `min_count`: read with care, or suppressed.
    range_label : str
        What lies from low to high: mostly the 95 % interval, of a median time the 10th to the 90th percentile.
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
        """The SELECT over the published tables that returns value, low, high and n; those it has, in that order."""
        return self.source.sql


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a cell: a touchpoint, a quote, a pain point.

    Attributes
    ----------
    text : str
        What it is; empty where the figures say all.
    figures : tuple of Figure
        The most telling first.
    note : str
        A few words beside it: kind and scope of a pain point, the method of a sentiment.
    evidence : Evidence
        How the entry is known.
    """

    text: str
    figures: tuple[Figure, ...] = ()
    note: str = ""
    evidence: Evidence = "observed"

    def figure(self, key: str) -> Figure | None:
        """Return the figure whose value is the column `key`."""
        return next((figure for figure in self.figures if figure.key == key), None)


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step of a funnel with where people left it from and what they did next.

    Attributes
    ----------
    key, label, index : str, str, int
        The step (in a stage funnel the stage), from 1.
    reached, went_on, dropped, pending : Figure
        Counts; the latter three have the value None on the last step.
    drop_off : Figure
        The matured drop-off rate with its interval.
    median : Figure
        Seconds to the next step, with the 10th and 90th percentile as `low` and `high`.
    at_stake : Figure
        Value at stake: an upper bound, never to be added up over steps.
    last_touchpoints, next_actions : tuple of Item
        Of those who dropped, the most frequent first.
    last_rest_count, next_rest_count : int
        Further rows of the two tables.
    """

    key: str
    label: str
    index: int
    reached: Figure
    went_on: Figure
    dropped: Figure
    pending: Figure
    drop_off: Figure
    median: Figure
    at_stake: Figure
    last_touchpoints: tuple[Item, ...] = ()
    next_actions: tuple[Item, ...] = ()
    last_rest_count: int = 0
    next_rest_count: int = 0


@dataclass(frozen=True, slots=True)
class Funnel:
    """A funnel of one persona and period; `kind` is ``stages`` or ``steps`` (a configured funnel)."""

    key: str
    label: str
    kind: Literal["stages", "steps"]
    persona: str
    period: str
    unit: str
    steps: tuple[FunnelStep, ...]
    is_outcome_based: bool = False


@dataclass(frozen=True, slots=True)
class FlowLink:
    """Stage visits that were followed by another stage, or by the end of the journey.

    Attributes
    ----------
    start, end : str
        Keys of stages; `end` may also be ``exit`` or ``open``, and `start` may be ``entry`` (the journey began there).
    start_label, end_label : str
    count : Figure
        Visits.
    rate : Figure or None
        Share of the from-stage's ended visits.
    median : Figure or None
        Seconds from the visit's begin to the next one's.
    is_backward : bool
        A return to an earlier stage.
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
class Flow:
    """How journeys of one persona went between the stages of a model, over the whole time.

    `links` are every transition that was seen: none is left out, so that the visits of a stage add up.
    """

    model: str
    persona: str
    links: tuple[FlowLink, ...]


RowKey = Literal[
    "people", "goals", "needs", "quotes", "touchpoints", "channels", "next", "time", "emotion", "pain_points",
    "promises", "desired", "opportunities", "owner",
]  # fmt: skip
"""The rows of a map, in the order in which they are shown."""
ALL = "all"
"""The key of the total persona and of the whole time."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a map says of one stage in one row.

    Attributes
    ----------
    row : RowKey
    stage : str
        Key of the stage.
    evidence : Evidence
        Without items `observed` where one was looked for and none was found, else `unknown`.
    items : tuple of Item
    rest_count : int
        Further entries that are in the table and not shown.
    note : str
        Why there is nothing, where that can be said; else what to mind, empty mostly.
    """

    row: RowKey
    stage: str
    evidence: Evidence = "unknown"
    items: tuple[Item, ...] = ()
    rest_count: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class MapRow:
    """One row of a map: a cell for every stage, in the order of the stages."""

    key: RowKey
    label: str
    hint: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a journey model; `index` is from 1."""

    key: str
    label: str
    index: int
    owner: str = ""


@dataclass(frozen=True, slots=True)
class MapModel:
    """A journey model and its stages in order."""

    key: str
    label: str
    stages: tuple[Stage, ...]


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
class Opportunity:
    """A pain point or broken promise by what mending it is worth.

    Attributes
    ----------
    rank : int
    stage, stage_label : str
    origin : str
        ``pain point`` or ``promise``.
    kind : str
        Kind of the pain point, in words.
    subject : str
    people, lost, worth : Figure
        Met by, conversions lost (with interval), worth (with interval).
    owner : str
        Who is to mend it; empty when nobody is named.
    """

    rank: int
    stage: str
    stage_label: str
    origin: str
    kind: str
    subject: str
    people: Figure
    lost: Figure
    worth: Figure
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Who reached a stage and what became of them; of the last stage, which nobody leaves, only how many."""

    key: str
    label: str
    reached: Figure
    went_on: Figure
    dropped: Figure | None
    pending: Figure | None
    drop_off: Figure | None


@dataclass(frozen=True, slots=True)
class JourneyMap:
    """The map of one model, persona and period.

    Attributes
    ----------
    model, persona, period : str
        Keys, as in `Atlas.models`, `Atlas.personas` and `Atlas.periods`.
    rows : tuple of MapRow
        Always all rows, in the order of `RowKey`.
    reached : tuple of Reach
        Who reached each stage, in order: the people of all rows.
    funnel : Funnel
        The stage funnel of the same model, persona and period; without steps where it counts nobody. It counts a
        person in one month only, the map in each month of a journey.
    opportunities : tuple of Opportunity
        Ranked.
    opportunity_rest_count : int
        Further ones in the table.
    """

    model: str
    persona: str
    period: str
    rows: tuple[MapRow, ...]
    reached: tuple[Reach, ...]
    funnel: Funnel
    opportunities: tuple[Opportunity, ...] = ()
    opportunity_rest_count: int = 0

    def row(self, key: RowKey) -> MapRow:
        """Return one row."""
        return next(row for row in self.rows if row.key == key)


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """Something the figures cannot see.

    Attributes
    ----------
    kind, kind_label : str
        As in the table, and in words.
    subject : str
    severity : {'critical', 'warning', 'note'}
    detail : str
        One sentence.
    items, share : Figure
        How many, and which share; their value may be None.
    """

    kind: str
    kind_label: str
    subject: str
    severity: Literal["critical", "warning", "note"]
    detail: str
    items: Figure
    share: Figure


@dataclass(frozen=True, slots=True)
class Text:
    """A titled paragraph."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The run that made the generation; times are naive UTC.

    Attributes
    ----------
    project, run_id, version, config_hash : str
    published_at, high_water_at : datetime
        When the tables were published; up to when events were read.
    first_event_at : Figure
        The first event of the generation; with `high_water_at` the period covered.
    events, persons : Figure
    """

    project: str
    run_id: str
    version: str
    config_hash: str
    published_at: datetime
    high_water_at: datetime
    first_event_at: Figure
    events: Figure
    persons: Figure


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows of one generation.

    Attributes
    ----------
    facts : Facts
    models, personas, periods : tuple
        In the order to offer them: a project's own models first; `all` first, then personas by people, months in time.
    maps : tuple of JourneyMap
        One per model, persona and period that somebody entered (`all` periods have one for every persona).
    funnels : tuple of Funnel
        The configured funnels, for every persona, over the whole time.
    flows : tuple of Flow
        One per model and persona.
    blind_spots : tuple of BlindSpot
        Critical ones first.
    definitions : tuple of Text
        What the words mean in this project: personas, stages, promises, methods.
    reading : tuple of Text
        How to read the map.
    meanings : mapping of str to str
        ``table.column`` of a figure's source → what the column says.
    """

    facts: Facts
    models: tuple[MapModel, ...]
    personas: tuple[Persona, ...]
    periods: tuple[Period, ...]
    maps: tuple[JourneyMap, ...]
    funnels: tuple[Funnel, ...]
    flows: tuple[Flow, ...]
    blind_spots: tuple[BlindSpot, ...]
    definitions: tuple[Text, ...]
    reading: tuple[Text, ...]
    meanings: Mapping[str, str]

    def map_of(self, model: str, persona: str = ALL, period: str = ALL) -> JourneyMap | None:
        """Return the map with these keys, None where nobody of the persona entered in the period."""
        wanted = (model, persona, period)
        return next((found for found in self.maps if (found.model, found.persona, found.period) == wanted), None)

    def flow_of(self, model: str, persona: str = ALL) -> Flow | None:
        """Return the flow of a model and persona."""
        return next((found for found in self.flows if (found.model, found.persona) == (model, persona)), None)
