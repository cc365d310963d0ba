"""Sections `promises`, `surveys`, `friction`, `map` and `privacy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import FilePath, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import ConditionField, is_property

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]


class Target(Section):
    """What a measure should be."""

    at_least: Number | None = None
    """Least good value."""
    at_most: Number | None = None
    """Greatest good value."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise PydanticCustomError("target", "needs exactly one bound", {"allowed": "one of at_least, at_most"})
        return self


class Promise(Section):
    """Event `to` within a time of event `from`, matched by a key; or a survey's measure against a target."""

    name: Name
    """Name of the promise."""
    stage: Name
    """Stage that it belongs to."""
    from_: ConditionField | None = Field(default=None, alias="from")
    """Event that makes the promise due."""
    to: ConditionField | None = None
    """Event that keeps it."""
    within: PositiveDuration | None = None
    """How long it may take."""
    match: Text | None = None
    """Property that both events share, such as an order's number."""
    measure: Name | None = None
    """Survey that measures it."""
    target: Target | None = None
    """What the measure should be."""

    @property
    def is_measured(self) -> bool:
        """Tell whether a survey judges the promise, not a second event."""
        return self.measure is not None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        timed = [self.from_ is not None, self.to is not None, self.within is not None]
        measured = [self.measure is not None, self.target is not None]
        is_timed = all(timed) and not any(measured)
        is_measured = all(measured) and not any(timed) and self.match is None
        if not (is_timed or is_measured):
            allowed = "from, to, within and perhaps match; or measure and target"
            raise PydanticCustomError("promise", "is neither timed nor measured", {"allowed": allowed})
        return self


def _score(raw: str) -> str:
    if is_property(raw):
        return raw
    raise PydanticCustomError("survey_field", "is not a property", {"allowed": "properties.<key>"})


SurveyField = Annotated[Text, AfterValidator(_score)]


class Survey(Section):
    """Answers that people gave: which event, which property holds the score, on which scale."""

    event: Text
    """Name of the event that is an answer."""
    score: SurveyField | None = None
    """`properties.<key>` of the score."""
    text: SurveyField | None = None
    """`properties.<key>` of the free text."""
    scale: tuple[Number, Number] | None = None
    """Least and greatest score."""
    kind: Literal["score", "nps", "ces"] = "score"
    """A plain score, recommendation (NPS) or effort (CES)."""
    good: Literal["high", "low"] | None = None
    """Good end of the scale. Where the key is left out: `low` for `ces`, for much effort is bad; else `high`."""

    @property
    def is_low_good(self) -> bool:
        """Tell whether the least score is the best."""
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
            raise PydanticCustomError("survey", "has a scale that does not rise", {"allowed": "scale: [least, most]"})
        if self.kind == "nps" and self.is_low_good:
            raise PydanticCustomError(
                "survey", "is a recommendation whose low end is good", {"allowed": "good: high, or another kind"}
            )
        return self


class Friction(Section):
    """An event that is pain in itself."""

    name: Name
    """Name of the pain."""
    when: ConditionField
    """Events that are it."""


class Desired(Section):
    """What a stage should measure."""

    reach_rate: Share | None = None
    """Share of people who should reach the stage."""
    p50_time: PositiveDuration | None = None
    """Median time that it should take."""
    sentiment: Annotated[float, Field(strict=True, ge=-1, le=1)] | None = None
    """Sentiment that it should have, from -1 to 1."""


class PersonaMap(Section):
    """What people know of a persona, by stage."""

    goals: dict[Name, Text] = Field(default_factory=dict)
    """Stage → what people want there."""
    needs: dict[Name, Text] = Field(default_factory=dict)
    """Stage → what they need there."""
    quotes: dict[Name, Text] = Field(default_factory=dict)
    """Stage → what somebody said."""
    desired: dict[Name, Desired] = Field(default_factory=dict)
    """Stage → what it should measure."""


class MapSection(Section):
    """What people supply to the map; shown as such, beside what is measured."""

    owners: dict[Name, Text] = Field(default_factory=dict)
    """Stage → who answers for it."""
    personas: dict[Name, PersonaMap] = Field(default_factory=dict)
    """Persona → what is known of it."""


class Privacy(Section):
    """How personal data is kept."""

    person_id: Literal["pseudonymous", "clear"] = "pseudonymous"
    """Whether a published `person_id` is a keyed hash or the id itself."""
    key_file: FilePath = Field(default=Path("state/pseudonym.key"), validate_default=True)
    """Key of the hashes; made by the first run. Another key gives other ids."""
    keep_query_params: tuple[Text, ...] = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
    """Parameters of page addresses that are kept, as columns or properties; all others are cut off."""
