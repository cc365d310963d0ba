"""Section `personas`: ordered rules, the first match wins."""

from __future__ import annotations

from typing import Literal

from journeyflow.config.base import Name, Section, Text
from journeyflow.config.conditions import PERSONA_FIELDS, PersonaCondition, leaves

RESERVED_PERSONAS = ("all", "unassigned")
UNASSIGNED = "unassigned"


class Persona(Section):
    """A persona: whose journeys it holds, judged at the journey's entry or as of now."""

    name: Name
    """Name of the persona; not `all` or `unassigned`."""
    description: Text | None = None
    """What it means, for readers of `personas`."""
    as_of: Literal["entry", "now"] = "entry"
    """When the rule is judged: at the journey's entry, or at the high-water mark. What reads an outcome needs `now`."""
    when: PersonaCondition
    """Whose journeys it holds."""

    @property
    def is_outcome_based(self) -> bool:
        """Tell whether the rule reads what the person did later: counts, sessions, absence."""
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
