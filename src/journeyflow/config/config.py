"""The validated configuration as one frozen value."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PrivateAttr, StrictInt

from journeyflow.config.base import Duration, FilePath, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import Any_, Condition, ConditionField, TrafficCondition
from journeyflow.config.experience import Friction, MapSection, Privacy, Promise, Survey
from journeyflow.config.funnels import Currency, Funnel, Goal, default_funnels, default_goals
from journeyflow.config.journey_models import JourneyModel, ModelField, ModelSection, resolve_models
from journeyflow.config.personas import Persona
from journeyflow.config.sources import Limits, People, Retention, Source, Spend

OFFLINE_CHANNELS = ("store", "call_centre", "crm", "delivery", "survey", "email")


class Sessions(Section):
    """When a session ends."""

    timeout: PositiveDuration = timedelta(minutes=30)
    """A gap greater than this starts the next session."""
    max_duration: PositiveDuration = timedelta(hours=24)
    """An event that would first exceed this since the session's start opens a new one."""
    offline_channels: tuple[Text, ...] = OFFLINE_CHANNELS
    """Channels whose events belong to no session."""


class Journeys(Section):
    """When a journey ends (`timeout`) and how long its stages are read (`window`)."""

    timeout: PositiveDuration = timedelta(days=30)
    """A gap greater than this between a person's events starts the next journey."""
    window: PositiveDuration = timedelta(days=30)
    """How long after a journey's first event the stage funnel reads it."""


class Touchpoint(Section):
    """A label for a surface."""

    label: Name
    """Name of the surface; the touchpoint is `channel: label`."""
    when: ConditionField
    """Events that have it."""


NOTHING: Condition = Any_(())
"""A condition that never holds."""


def _bots(raw: object) -> object:
    return {"builtin": raw == "builtin"} if raw in ("builtin", "none") else raw


class Bots(Section):
    """What counts as a bot: the built-in list of user agents, and a condition of one's own beside it."""

    builtin: bool = True
    """Whether the built-in list of user agents counts."""
    when: TrafficCondition = NOTHING
    """Further events of bots."""


class ExcludeTraffic(Section):
    """Traffic that is flagged and left out of the published tables."""

    bots: Annotated[Bots, BeforeValidator(_bots)] = Bots()
    """`builtin`, `none`, or a mapping with `builtin` and `when`."""
    internal: TrafficCondition = NOTHING
    """Events of one's own people."""


FILE_NAME = "journeyflow.yml"
NOT_FIGURES = {"project", "state", "publish", "spend", "retention", "limits"}
"""Keys that change no published figure of a run, and so not the hash."""


class Config(Section):
    """A configuration: the keys of `journeyflow.yml` as attributes, durations as `timedelta`, absolute paths.

    Notes
    -----
    Build one with `load_config`: it checks the rules across sections too.
    """

    project: Name = "journeyflow"
    """Name of the project, as reports and runs show it."""
    timezone: Text = "UTC"
    """Zone of reporting days and months, by IANA name. Stored times are UTC."""
    state: FilePath = Field(default=Path("state"), validate_default=True)
    """Folder of the warehouse, the ledger of files and the last build: private to the pipeline."""
    publish: FilePath = Field(default=Path("published"), validate_default=True)
    """Folder of the published tables, which BI tools read. Two projects never share one."""
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    """Sources of events, by name; at least one."""
    people: tuple[People, ...] = ()
    """Files of traits of people, for personas."""
    clock_skew: Duration = timedelta(hours=1)
    """How far a client's clock may be ahead. An event later than its arrival plus this is quarantined as future."""
    sessions: Sessions = Sessions()
    """When a session ends."""
    journeys: Journeys = Journeys()
    """When a journey ends."""
    touchpoints: tuple[Touchpoint, ...] = ()
    """Labels of surfaces; the first that matches wins, else the surface is the event's name."""
    exclude_traffic: ExcludeTraffic = ExcludeTraffic()
    """Traffic that is flagged and left out of the published tables."""
    models: dict[Name, ModelField] = Field(
        default={"four_stage": ModelSection(builtin=True)},
        min_length=1,
        json_schema_extra={"default": {"four_stage": "builtin"}},
    )
    """Journey models, by name: `builtin` (for `four_stage` and `value_journey`), or stages of one's own."""
    personas: tuple[Persona, ...] = ()
    """Personas in order: the first rule that matches wins; everybody else is `unassigned`."""
    goals: dict[Name, Goal] = Field(default_factory=default_goals)
    """Conversions, by name. Where the key is left out: `order`, a `purchase` and its `revenue_amount`."""
    funnels: dict[Name, Funnel] = Field(default_factory=lambda data: default_funnels(data.get("goals", ())))
    """Funnels, by name, none like a journey model's. Where the key is left out: `cart_abandonment` (add_to_cart,
    checkout_started, purchase), in runs where all three occur.
    """
    currency: Currency = Currency()
    """Currency of reports, and rates into it."""
    min_count: Annotated[StrictInt, Field(ge=1)] = 30
    """Rates of fewer people than this are flagged `is_small`."""
    promises: tuple[Promise, ...] = ()
    """What the company promises, for the journey map."""
    surveys: dict[Name, Survey] = Field(default_factory=dict)
    """What people answered, by name, for the journey map."""
    friction: tuple[Friction, ...] = ()
    """Events that are pain in themselves, for the journey map."""
    spend: Spend | None = None
    """Advertising spend, for attribution."""
    map: MapSection = MapSection()
    """What people supply to the journey map."""
    privacy: Privacy = Field(default={}, validate_default=True)
    """How personal data is kept."""
    retention: Retention = Retention()
    """How long copies of the files that were read are kept, and how many generations."""
    limits: Limits = Limits()
    """What one input file may cost before it is refused."""
    _folder: Path = PrivateAttr(default=Path())
    _path: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return self._folder

    @property
    def path(self) -> Path | None:
        """The file that the configuration was read from; None for a mapping."""
        return self._path

    def placed(self, folder: Path, path: Path | None) -> Config:
        """Return the configuration as one that was read from `path` in `folder`."""
        copy = self.model_copy()
        copy._folder, copy._path = folder, path
        return copy

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything in the configuration that changes a published figure, built-in stage rules included."""
        content = self.model_dump(mode="json", by_alias=True, exclude=NOT_FIGURES, context={"folder": self.folder})
        # Of sources and goals the order counts too: it decides between events at one instant, and which goal has worth.
        content["orders"] = [list(self.sources), list(self.goals)]
        content["privacy"] = self.privacy.model_dump(mode="json", exclude={"key_file"})
        content["models"] = [
            [
                model.model,
                [stage.name for stage in model.stages],
                [rule.rule.model_dump(mode="json") | {"stage": rule.stage} for rule in model.rules],
            ]
            for model in self.journey_models
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def journey_models(self) -> tuple[JourneyModel, ...]:
        """The models with all that they inherit, in the order of the configuration."""
        return resolve_models(self.models)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of reporting days."""
        return ZoneInfo(self.timezone)

    def journey_model(self, name: str) -> JourneyModel:
        """Return the model `name`; KeyError when there is none."""
        for model in self.journey_models:
            if model.model == name:
                return model
        raise KeyError(name)
