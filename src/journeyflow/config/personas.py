"""Section `personas`."""

from __future__ import annotations

from typing import Literal

from journeyflow.config.base import Name, Section, Text
from journeyflow.config.conditions import PERSONA_FIELDS, PersonaCondition, leaves

RESERVED_PERSONAS = ("all", "unassigned")
UNASSIGNED = "unassigned"


class Persona(Section):
    """A persona: a rule on facts about the person of a journey."""

    name: Name
    """Name of the persona; not `all` or `unassigned`."""
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
