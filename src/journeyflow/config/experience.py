"""Sections `promises`, `surveys`, `friction`, `actions`, `map`, `privacy`, `remedies`, `audiences` and `referrals`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import FilePath, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import ConditionField, is_property
from journeyflow.config.models_and_funnels import Day
from journeyflow.utils.files import read_yaml
from journeyflow.utils.formatting import label

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


Kind = Literal["incident", "gap", "exposure", "friction", "promise", "loss", "message", "promise_due"]
Lifecycle = Literal["lapsed", "repeat_buyer", "buyer", "engaged", "first_time"]

_WORD = re.compile(r"[^\W_]+")
_BLANK = re.compile(r"\{(subject|stage|place|slice|whose|since)\}")


class Remedy(Section):
    """A suggestion, and where it fits; a condition that is not given always holds."""

    id: Name
    """Name of the entry; an entry of your own replaces the built-in one of the same name."""
    kind: tuple[Kind, ...] = ()
    """Kinds of pain, `loss` where no cause stands out; for audiences `message` or `promise_due`."""
    stage: tuple[Text, ...] = ()
    """Words of the name of the stage or step, or its place: `first`, `middle`, `last`."""
    touchpoint: tuple[Text, ...] = ()
    """Words of what was met, or of the promise."""
    lifecycle: tuple[Lifecycle, ...] = ()
    """Lifecycle of an audience."""
    suggest: Text
    """The suggestion; `{subject}`, `{stage}`, `{place}`, `{slice}`, `{whose}` and `{since}` in it are filled in."""


class Remedies(Section):
    """The catalogue of remedies: suggestions beside opportunities, losses and audiences."""

    builtin: StrictBool = True
    """Whether the built-in entries follow your own."""
    add: tuple[Remedy, ...] = ()
    """Entries of your own, tried first in their order."""

    @property
    def entries(self) -> tuple[Remedy, ...]:
        """Every entry in the order in which they are tried."""
        own = {entry.id for entry in self.add}
        shipped = builtin_remedies() if self.builtin else ()
        return (*self.add, *(entry for entry in shipped if entry.id not in own))


@cache
def builtin_remedies() -> tuple[Remedy, ...]:
    """Return the entries of the built-in catalogue in its order."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "remedies.yml").read_bytes()).content
    return TypeAdapter(tuple[Remedy, ...]).validate_python(content)


def suggestion(
    entries: Sequence[Remedy],
    kind: str,
    stage: str = "",
    stages: Sequence[str] = (),
    subject: str = "",
    lifecycle: str = "",
    blanks: Mapping[str, str] | None = None,
) -> str | None:
    """Return the text of the first entry whose conditions hold, filled in; None where none does.

    `stages` are all stages or steps in their order, for the place of `stage` among them. `blanks` are what is filled
    in beside `stage` and `subject`; nothing of them is read as a blank again.

    Examples
    --------
    >>> suggestion(builtin_remedies(), "promise", subject="Paid back in 3 days")
    'Keep the promise Paid back in 3 days, or promise less; tell those who wait before it is broken.'
    """
    words = {"stage": _words(stage) | _place(stage, stages), "touchpoint": _words(subject)}
    filled = {"subject": subject, "stage": label(stage), "place": label(stage)} | dict(blanks or {})
    for entry in entries:
        if (
            (not entry.kind or kind in entry.kind)
            and (not entry.lifecycle or lifecycle in entry.lifecycle)
            and (not entry.stage or words["stage"] & {word.lower() for word in entry.stage})
            and (not entry.touchpoint or words["touchpoint"] & {word.lower() for word in entry.touchpoint})
        ):
            return _BLANK.sub(lambda found: filled.get(found[1], ""), entry.suggest)
    return None


def _words(name: str) -> set[str]:
    return {name.lower(), *_WORD.findall(name.lower())}


def _place(stage: str, stages: Sequence[str]) -> set[str]:
    if stage not in stages:
        return set()
    position = stages.index(stage)
    return {"first" if position == 0 else "last" if position == len(stages) - 1 else "middle"}


FolderName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A name that is a folder too: small letters, digits, `_` and `-`, the first a letter or digit."""
TraitField = Annotated[
    str, StringConstraints(strict=True, pattern=r"^trait\.[^\s/\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,99}$")
]
"""A trait of `people:`, as `trait.<name>`."""
Form = Literal["csv", "mailchimp", "hubspot"]


def _trait_or_property(raw: str) -> str:
    if (raw.startswith("trait.") and raw != "trait.") or is_property(raw):
        return raw
    raise PydanticCustomError("trait_or_property", "is not a field", {"allowed": "trait.<name>, properties.<key>"})


CONSENT = ("true", "yes", "y", "1")
KINDS = ("dropped_at", "pending", "stage", "promise_due", "persona")
"""The keys of `who` of which there is at most one, beside `lifecycle`."""


class DroppedAt(Section):
    """Persons who reached a step of a funnel and can no longer go on."""

    funnel: Name
    """A funnel that counts persons, or a journey model for its stage funnel."""
    step: Name
    """The step or stage that they left from; not the last."""


class Pending(Section):
    """Persons who are in a funnel and may still go on."""

    funnel: Name
    """A funnel that counts persons, or a journey model for its stage funnel."""
    step: Name | None = None
    """The last step that they reached. Default: any."""
    within: PositiveDuration | None = None
    """Only those whose time is up within this after the high-water mark."""


class PromiseDue(Section):
    """Persons with a promise that is still open."""

    promise: Name
    """A promise with `within`."""
    within: PositiveDuration | None = None
    """Only promises that break within this after the high-water mark unless they are kept."""


class StandsAt(Section):
    """Persons whose furthest journey came to a stage and not beyond it."""

    model: Name
    """The journey model."""
    stage: Name
    """The stage."""


class Who(Section):
    """The persons of an audience: one of the keys but `lifecycle`, which narrows any of them or stands alone."""

    dropped_at: DroppedAt | None = None
    """Who left a funnel at a step."""
    pending: Pending | None = None
    """Who may still go on in a funnel."""
    stage: StandsAt | None = None
    """Who came to a stage and not beyond it."""
    promise_due: PromiseDue | None = None
    """Persons with a promise that is open."""
    persona: Name | None = None
    """Whose latest journey has this persona."""
    lifecycle: Lifecycle | None = None
    """Whose state of life is this as of the run: `first_time`, `engaged`, `buyer`, `repeat_buyer`, `lapsed`."""

    @property
    def kind(self) -> str:
        """The key that says who, `lifecycle` where it stands alone."""
        return next((kind for kind in KINDS if getattr(self, kind) is not None), "lifecycle")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) > 1 or not (given or self.lifecycle):
            allowed = f"one of {', '.join(KINDS)}, or lifecycle alone"
            raise PydanticCustomError("who", "does not say who", {"allowed": allowed})
        return self


class Audience(Section):
    """A list of persons to write to. Who has not agreed is never in it."""

    name: FolderName
    """Name of the audience and of its folder in `state/audiences`."""
    who: Who
    """The persons it is of."""
    consent: Annotated[Text, AfterValidator(_trait_or_property)]
    """`trait.<name>`, or `properties.<key>` of events with a user id: whether the person has agreed. The latest value
    counts; without one there is no consent.
    """
    consent_is: Annotated[tuple[Text, ...], Field(min_length=1)] = CONSENT
    """Values that are a consent, in any case."""
    email: TraitField | None = None
    """Trait with the address; the formats of Mailchimp and HubSpot need it. Persons without one are not listed."""
    columns: tuple[TraitField, ...] = ()
    """Further traits to write into the lists."""
    format: Annotated[tuple[Form, ...], Field(min_length=1)] = ("csv",)
    """Formats of the lists."""

    @model_validator(mode="after")
    def _address(self) -> Self:
        if self.email is None and set(self.format) - {"csv"}:
            raise PydanticCustomError(
                "audience_email", "has a format that needs an address", {"allowed": "email: trait.<name>"}
            )
        return self

    @property
    def consent_trait(self) -> str | None:
        """Name of the trait that says so; None where a property does."""
        return None if is_property(self.consent) else self.consent.removeprefix("trait.")

    @property
    def consent_property(self) -> str | None:
        """Key of the property that says so; None where a trait does."""
        return self.consent.removeprefix("properties.") if is_property(self.consent) else None

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the traits in the lists, that of the address first where there is one."""
        named = ((self.email,) if self.email else ()) + self.columns
        return tuple(dict.fromkeys(field.removeprefix("trait.") for field in named))


class Referrals(Section):
    """Where the data say who brought a person."""

    referred_by: Annotated[Text, AfterValidator(_trait_or_property)]
    """`trait.<name>`, or `properties.<key>` of events of the person who was brought: a user_id or anonymous_id of the
    person who brought them.
    """
    within: PositiveDuration = timedelta(days=90)
    """How long after their first event a person has to bring others. Who has not had so long is in no rate yet."""

    @property
    def trait(self) -> str | None:
        """Name of the trait that says so; None where a property does."""
        return None if is_property(self.referred_by) else self.referred_by.removeprefix("trait.")

    @property
    def property(self) -> str | None:
        """Key of the property that says so; None where a trait does."""
        return self.referred_by.removeprefix("properties.") if is_property(self.referred_by) else None
