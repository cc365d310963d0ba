"""Why an event is in its stage, and why a person counts as dropped: read from what the last run built."""

from __future__ import annotations

from journeyflow.explain.events import ExplainedEvent, Verdict, explain_event
from journeyflow.explain.persons import ExplainedAttempt, ExplainedPerson, Reach, explain_person
from journeyflow.explain.timeline import TimelineEvent

__all__ = [
    "ExplainedAttempt",
    "ExplainedEvent",
    "ExplainedPerson",
    "Reach",
    "TimelineEvent",
    "Verdict",
    "explain_event",
    "explain_person",
]
