"""Section `audiences`: lists of persons to write to, who has agreed to it, and what the lists show of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import is_property
from journeyflow.config.remedies import Lifecycle

FolderName = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
"""A name that is a folder too: small letters, digits, `_` and `-`, the first a letter or digit."""
TraitField = Annotated[
    str, StringConstraints(strict=True, pattern=r"^trait\.[^\s/\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,99}$")
]
"""A trait of `people:`, as `trait.<name>`."""
Form = Literal["csv", "mailchimp", "hubspot"]


def _consent(raw: str) -> str:
    if (raw.startswith("trait.") and raw != "trait.") or is_property(raw):
        return raw
    raise PydanticCustomError("consent", "is not a field", {"allowed": "trait.<name>, properties.<key>"})


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
    consent: Annotated[Text, AfterValidator(_consent)]
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
