"""The one place where configuration becomes SQL text; every value is quoted by sqlglot."""

from __future__ import annotations

from journeyflow.compile.events import goal_value, source_filter, staging_events, unit_properties
from journeyflow.compile.kinds import kind_truths
from journeyflow.compile.people import personas
from journeyflow.compile.surveys import survey_answers

__all__ = [
    "goal_value",
    "kind_truths",
    "personas",
    "source_filter",
    "staging_events",
    "survey_answers",
    "unit_properties",
]
