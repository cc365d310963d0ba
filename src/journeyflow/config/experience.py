"""Sections `promises`, `surveys`, `friction`, `actions`, `map` and `privacy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import FilePath, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import ConditionField, is_property
from journeyflow.config.funnels import Day

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class Target(Section):
    """Target of a survey's mean score."""

    at_least: Number | None = None
    """Lowest value that meets the target."""
    at_most: Number | None = None
    """Highest value that meets the target."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise PydanticCustomError("target", "needs exactly one bound", {"allowed": "one of at_least, at_most"})
        return self


class Promise(Section):
    """A promise of the company: event `to` within a time after event `from`, or a survey score against a target."""

    name: Name
    """Name of the promise."""
    stage: Name
    """Stage that the promise belongs to."""
    from_: ConditionField | None = Field(default=None, alias="from")
    """Event that starts the promise."""
    to: ConditionField | None = None
    """Event that fulfils the promise."""
    within: PositiveDuration | None = None
    """Longest time from `from` to `to`."""
    match: Text | None = None
    """Property that links the two events, such as an order number."""
    measure: Name | None = None
    """Survey that measures the promise."""
    target: Target | None = None
    """Target of the survey's mean score."""

    @property
    def is_measured(self) -> bool:
        """Whether a survey measures the promise, instead of a second event."""
        return self.measure is not None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        timed = [self.from_ is not None, self.to is not None, self.within is not None]
        measured = [self.measure is not None, self.target is not None]
        is_timed = all(timed) and not any(measured)
        is_measured = all(measured) and not any(timed) and self.match is None
        if not (is_timed or is_measured):
            allowed = "from, to, within and optionally match; or measure and target"
            raise PydanticCustomError("promise", "is neither timed nor measured", {"allowed": allowed})
        return self


def _score(raw: str) -> str:
    if is_property(raw):
        return raw
    raise PydanticCustomError("survey_field", "is not a property", {"allowed": "properties.<key>"})


SurveyField = Annotated[Text, AfterValidator(_score)]


class Survey(Section):
    """A survey: the event of an answer, and the properties with its score and text."""

    event: Text
    """Name of the event of an answer."""
    score: SurveyField | None = None
    """`properties.<key>` of the score."""
    text: SurveyField | None = None
    """`properties.<key>` of the free text."""
    scale: tuple[Number, Number] | None = None
    """Lowest and highest score."""
    kind: Literal["score", "nps", "ces"] = "score"
    """Plain score, recommendation (`nps`) or effort (`ces`)."""
    good: Literal["high", "low"] | None = None
    """Good end of the scale. Default: `low` for `ces`, because effort is bad; else `high`."""

    @property
    def is_low_good(self) -> bool:
        """Whether the lowest score is the best."""
        return self.good == "low" if self.good else self.kind == "ces"

    @model_validator(mode="after")
    def _score_has_scale(self) -> Self:
        if self.score is None and self.text is None:
            raise PydanticCustomError(
                "survey", "has neither a score nor a text", {"allowed": "score and scale, text, or both"}
            )
        if (self.score is None) != (self.scale is None):
            raise PydanticCustomError("survey", "needs score and scale together", {"allowed": "score and scale"})
        if self.scale and self.scale[0] >= self.scale[1]:
            raise PydanticCustomError(
                "survey", "has a scale that does not rise", {"allowed": "scale: [lowest, highest]"}
            )
        if self.kind == "nps" and self.is_low_good:
            raise PydanticCustomError(
                "survey", "is a recommendation whose low end is good", {"allowed": "good: high, or another kind"}
            )
        return self


class Friction(Section):
    """A pain point that is an event."""

    name: Name
    """Name of the pain point."""
    when: ConditionField
    """Events that count."""


class ActionSubject(Section):
    """A step of a funnel, and of which units."""

    funnel: Name
    """A funnel or a journey model."""
    step: Name
    """The step, or stage, that more units are to reach; not the first one."""
    persona: Name | None = None
    """Only units of this persona; the others are what it is compared with."""
    channel: Text | None = None
    """Only units whose journey began in this channel; the other channels are what it is compared with."""

    @model_validator(mode="after")
    def _one_slice(self) -> Self:
        if self.persona is not None and self.channel is not None:
            raise PydanticCustomError("action", "names two slices", {"allowed": "a persona or a channel"})
        return self


class Action(Section):
    """Something that was done about a step, and since when."""

    name: Name
    """Name of the action."""
    subject: ActionSubject
    """What it was to change."""
    from_: Day = Field(alias="from")
    """First day on which it was in effect, in the project's time zone."""


class Desired(Section):
    """Targets of a stage."""

    reach_rate: Share | None = None
    """Target share of persons who reach the stage."""
    p50_time: PositiveDuration | None = None
    """Target median time in the stage."""
    sentiment: Annotated[float, Field(strict=True, ge=-1, le=1)] | None = None
    """Target sentiment, from -1 to 1."""


class PersonaMap(Section):
    """User-supplied contents of the map for one persona, by stage."""

    goals: dict[Name, Text] = Field(default_factory=dict)
    """Stage → what the persona wants to achieve."""
    needs: dict[Name, Text] = Field(default_factory=dict)
    """Stage → what the persona needs."""
    quotes: dict[Name, Text] = Field(default_factory=dict)
    """Stage → a quote of a customer."""
    desired: dict[Name, Desired] = Field(default_factory=dict)
    """Stage → its targets."""


class MapSection(Section):
    """User-supplied contents of the journey map, marked as such beside the measured figures."""

    owners: dict[Name, Text] = Field(default_factory=dict)
    """Stage → the team or person responsible."""
    personas: dict[Name, PersonaMap] = Field(default_factory=dict)
    """Persona → its contents."""


class Privacy(Section):
    """Protection of personal data."""

    person_id: Literal["pseudonymous", "clear"] = "pseudonymous"
    """Whether a published `person_id` is a keyed hash or the plain id."""
    key_file: FilePath = Field(default=Path("state/pseudonym.key"), validate_default=True)
    """File with the key of the hashes, created by the first run. A different key changes all ids."""
    keep_query_params: tuple[Text, ...] = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    """Query parameters of page addresses that are stored, as columns or properties; all others are removed."""
