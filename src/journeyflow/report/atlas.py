"""What every form of the report shows: the maps of one generation, each figure with its base and its SQL.

The page, the workbook, the message and the picture are drawn from these alone, so they show the same numbers.
Every text here is fit to be shown: control and direction characters are visible codes, long texts end in ``…``. It
still has to be escaped for the form it goes into. Raw names, for comparing, are the fields called `key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from journeyflow.report.figures import Evidence, Figure, Item, Unit, Value
from journeyflow.report.flows import Flow, FlowLink, Funnel, FunnelStep

__all__ = [
    "ALL", "Atlas", "BlindSpot", "Cell", "Evidence", "Facts", "Figure", "Flow", "FlowLink", "Funnel", "FunnelStep",
    "Item", "JourneyMap", "MapRow", "Model", "Opportunity", "Period", "Persona", "Reach", "RowKey", "Stage", "Text",
    "Unit", "Value",
]  # fmt: skip

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
class Model:
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
class Atlas:
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
    models: tuple[Model, ...]
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
