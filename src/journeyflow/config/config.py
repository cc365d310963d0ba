"""The validated configuration as one frozen value."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PrivateAttr, StrictBool, StrictInt

from journeyflow.config.base import Duration, FilePath, Label, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import (
    PERSONA_FIELDS,
    Any_,
    Condition,
    ConditionField,
    PersonaCondition,
    TrafficCondition,
    leaves,
)
from journeyflow.config.experience import (
    Action,
    Audience,
    Friction,
    MapSection,
    Privacy,
    Promise,
    Referrals,
    Remedies,
    Survey,
)
from journeyflow.config.models_and_funnels import (
    Attribution,
    CohortSection,
    Currency,
    Funnel,
    Goal,
    JourneyModel,
    ModelField,
    ModelSection,
    default_funnels,
    default_goals,
    resolve_models,
)
from journeyflow.config.sources import Limits, People, Retention, Source, Spark, Spend, Targets

OFFLINE_CHANNELS = ("store", "call_centre", "crm", "delivery", "survey", "email")


class Sessions(Section):
    """How sessions are cut."""

    timeout: PositiveDuration = timedelta(minutes=30)
    """A longer gap between two events starts a new session."""
    max_duration: PositiveDuration = timedelta(hours=24)
    """The first event later than this after the session's start opens a new session."""
    offline_channels: tuple[Text, ...] = OFFLINE_CHANNELS
    """Channels whose events belong to no session."""


class Journeys(Section):
    """How journeys are cut, and how long the stage funnel follows one."""

    timeout: PositiveDuration = timedelta(days=30)
    """A longer gap between two events of a person starts a new journey."""
    window: PositiveDuration = timedelta(days=30)
    """How long after its first event the stage funnel follows a journey."""


class Touchpoint(Section):
    """A label for a surface: the part of a touchpoint after the channel."""

    label: Label
    """Label of the surface; the touchpoint is `channel: label`."""
    when: ConditionField
    """Events that get this label."""


NOTHING: Condition = Any_(())
"""A condition that never holds."""


def _bots(raw: object) -> object:
    return {"builtin": raw == "builtin"} if raw in ("builtin", "none") else raw


class Bots(Section):
    """Detection of bots: a built-in list of user agents and a user-defined condition."""

    builtin: bool = True
    """Whether the built-in list of user agents is used."""
    when: TrafficCondition = NOTHING
    """Further events that count as those of bots."""


class ExcludeTraffic(Section):
    """Traffic that is flagged and excluded from the published tables."""

    bots: Annotated[Bots, BeforeValidator(_bots)] = Bots()
    """`builtin`, `none`, or a mapping with `builtin` and `when`."""
    internal: TrafficCondition = NOTHING
    """Events of your own staff."""


FILE_NAME = "journeyflow.yml"
NOT_FIGURES = {"project", "state", "publish", "retention", "limits", "targets", "engine", "spark"}
"""Keys that change no published figure, and so are not part of the hash."""


class Config(Section):
    """The validated configuration: keys of `journeyflow.yml` as attributes, durations as `timedelta`, absolute paths.

    Create one with `load_config`, which also checks the rules between sections.
    """

    project: Name = "journeyflow"
    """Name of the project in reports and runs."""
    timezone: Text = "UTC"
    """IANA time zone of reporting days and months. Stored times are UTC."""
    state: FilePath = Field(default=Path("state"), validate_default=True)
    """Folder of the warehouse, the file registry and the last build; private to the pipeline."""
    publish: FilePath = Field(default=Path("published"), validate_default=True)
    """Folder of the published tables, for BI tools. Projects must not share it."""
    sources: Annotated[dict[Name, Source], Field(min_length=1)]
    """Event sources by name; at least one."""
    people: tuple[People, ...] = ()
    """Files with traits of persons, for personas."""
    clock_skew: Duration = timedelta(hours=1)
    """How far a client's clock may be ahead. An event that is later than its arrival by more is quarantined."""
    null_ids: tuple[Text, ...] = ()
    """Texts that are no identifier, in any case, beside the known ones: `null`, `none`, `undefined`, `nan`, `0`, `-1`,
    `[object Object]`, `(not set)`, `anonymous` and the zero UUID.
    """
    sessions: Sessions = Sessions()
    """How sessions are cut."""
    journeys: Journeys = Journeys()
    """How journeys are cut."""
    touchpoints: tuple[Touchpoint, ...] = ()
    """Labels of surfaces; the first match wins. Without a match the surface is the event's name."""
    labels: dict[Text, Label] = Field(default_factory=dict)
    """What people read in place of an event's name, on the page and in headlines. Tables keep the name."""
    exclude_traffic: ExcludeTraffic = ExcludeTraffic()
    """Traffic that is flagged and excluded from the published tables."""
    models: dict[Name, ModelField] = Field(
        default={"four_stage": ModelSection(builtin=True)},
        min_length=1,
        json_schema_extra={"default": {"four_stage": "builtin"}},
    )
    """Journey models by name: `builtin` (for `four_stage` and `value_journey`), or user-defined stages."""
    personas: tuple[Persona, ...] = ()
    """Personas; the first match wins. Without a match a journey is `unassigned`."""
    discover_personas: StrictBool = False
    """Whether personas are also discovered: latent classes of what is known after a person's first visit, in tables
    `discovered_persona…` beside the configured ones. Off by default: the first fit takes seconds.
    """
    goals: dict[Name, Goal] = Field(default_factory=default_goals)
    """Conversions by name. Default: `order`, a `purchase` with its `revenue_amount`."""
    funnels: dict[Name, Funnel] = Field(default_factory=lambda data: default_funnels(data.get("goals", ())))
    """Funnels by name, which must differ from those of journey models. Default: `cart_abandonment` (add_to_cart,
    checkout_started, purchase), in runs where all three events occur.
    """
    cohorts: CohortSection = CohortSection()
    """Cohorts: from which event on persons are followed, and what counts as coming back."""
    referrals: Referrals | None = None
    """Where the data say who brought a person, for the table `referrals`."""
    attribution: Attribution = Attribution()
    """Which channels led to the goals."""
    currency: Currency = Currency()
    """Report currency, and exchange rates into it."""
    min_count: Annotated[StrictInt, Field(ge=1)] = 30
    """Rates of fewer persons are flagged `is_small`."""
    promises: tuple[Promise, ...] = ()
    """Promises of the company, for the journey map."""
    surveys: dict[Name, Survey] = Field(default_factory=dict)
    """Surveys by name, for the journey map."""
    friction: tuple[Friction, ...] = ()
    """Events that are pain points by definition, for the journey map."""
    actions: tuple[Action, ...] = ()
    """What was done about a step, and since when; the table `action_effects` says what changed."""
    spend: Spend | None = None
    """Advertising spend, for the costs and returns of `attribution`."""
    map: MapSection = MapSection()
    """User-supplied contents of the journey map."""
    remedies: Remedies = Remedies()
    """Suggestions beside opportunities, losses and audiences: your own before the built-in ones, or instead of them."""
    audiences: tuple[Audience, ...] = ()
    """Lists of persons to write to, as private files in the state folder."""
    privacy: Privacy = Field(default={}, validate_default=True)
    """Protection of personal data."""
    retention: Retention = Retention()
    """Retention of archived input files and of published generations."""
    slices: tuple[Text, ...] = ()
    """Columns or properties with few values, such as device or browser, along which pain points are searched."""
    targets: Targets = Targets()
    """Where the published tables are copied to, beside the folder `publish`."""
    limits: Limits = Limits()
    """Limits for one input file; a file beyond them is refused."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """Where relations of persons and events are built: in DuckDB, or on the Spark Connect server of `spark`."""
    spark: Spark | None = None
    """The Spark Connect server of `engine: spark`."""
    _folder: Path = PrivateAttr(default=Path())
    _path: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path:
        """Base of relative paths."""
        return self._folder

    @property
    def path(self) -> Path | None:
        """The configuration file; None for a mapping."""
        return self._path

    def placed(self, folder: Path, path: Path | None) -> Config:
        """Return a copy with `folder` and `path` set."""
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
        """Journey models with what they inherit, in the order of the configuration."""
        return resolve_models(self.models)

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of reporting days."""
        return ZoneInfo(self.timezone)

    @property
    def repeat_goal(self) -> str | None:
        """Goal whose repeats are followed; None without goals."""
        return self.cohorts.repeat or ("order" if "order" in self.goals else next(iter(self.goals), None))

    def journey_model(self, name: str) -> JourneyModel:
        """Return the journey model `name`; KeyError when there is none."""
        for model in self.journey_models:
            if model.model == name:
                return model
        raise KeyError(name)


RESERVED_PERSONAS = ("all", "unassigned")
UNASSIGNED = "unassigned"


class Persona(Section):
    """A persona: a rule on facts about the person of a journey."""

    name: Name
    """Name of the persona; not `all` or `unassigned`."""
    label: Label | None = None
    """What people read in place of the name, on the page and in headlines. Tables keep the name."""
    description: Text | None = None
    """Description, published in the table `personas`."""
    as_of: Literal["entry", "now"] = "entry"
    """When the rule is evaluated: at the journey's entry, or at the high-water mark. Rules on outcomes need `now`."""
    when: PersonaCondition
    """Persons whose journeys belong to it."""

    @property
    def is_outcome_based(self) -> bool:
        """Whether the rule reads what the person did after the journey's entry: counts, sessions, absence."""
        return any(leaf.field.startswith("count.") or leaf.field in PERSONA_FIELDS for leaf in leaves(self.when))

    @property
    def traits(self) -> tuple[str, ...]:
        """Names of the traits that the rule reads."""
        found = (leaf.field.removeprefix("trait.") for leaf in leaves(self.when) if leaf.field.startswith("trait."))
        return tuple(dict.fromkeys(found))

    @property
    def counted_events(self) -> tuple[str, ...]:
        """Names of the events that the rule counts."""
        found = (leaf.field.removeprefix("count.") for leaf in leaves(self.when) if leaf.field.startswith("count."))
        return tuple(dict.fromkeys(found))
