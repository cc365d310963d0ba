"""What `journeyflow explain` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from journeyflow.text import cell, escaped

if TYPE_CHECKING:
    from rich.console import Console

    from journeyflow.explain import ExplainedAttempt, ExplainedEvent, ExplainedPerson, Verdict

COLOURS = {"converted": "green", "pending": "yellow", "dropped": "red"}


def as_text(explained: ExplainedPerson | Sequence[ExplainedEvent]) -> str:
    """Return an explanation, or a list of them, as JSON."""
    content = [asdict(each) for each in explained] if isinstance(explained, Sequence) else asdict(explained)
    return json.dumps(content, indent=2, default=str, ensure_ascii=False)


def print_events(events: Sequence[ExplainedEvent], out: Console) -> None:
    """Print each event with the stage that every model gives it."""
    from rich.text import Text

    for event in events:
        out.print(
            Text(f"{escaped(event.event_name)} at {cell(event.occurred_at)} UTC, {escaped(event.touchpoint)}"),
            style="bold",
        )
        if event.left_out:
            out.print(Text(f"  Left out of every count: it is {event.left_out}."), style="yellow")
        else:
            out.print(Text(f"  person {escaped(event.person_id)}, journey {event.journey_index}"))
        for verdict in event.verdicts:
            _print_verdict(verdict, out)


def _print_verdict(verdict: Verdict, out: Console) -> None:
    from rich.text import Text

    out.print(Text(f"\n  {escaped(verdict.model)}: {escaped(verdict.stage)}"), style="bold")
    if verdict.rule_id is None:
        out.print(Text("    No rule matches it."))
    else:
        out.print(Text(f"    by the rule {escaped(verdict.rule_id)}: {escaped(verdict.rule)}"))
    if verdict.history:
        out.print(Text(f"    because {escaped(verdict.history)}"))
    for rule in verdict.passed_over:
        out.print(Text(f"    passed over, for want of history: {escaped(rule)}"), style="dim")


def print_person(person: ExplainedPerson, out: Console) -> None:
    """Print each counted attempt of a person with what ended it."""
    from rich.text import Text

    out.print(Text(f"person {escaped(person.person_id)} in {escaped(person.funnel)}"), style="bold")
    if person.note:
        out.print(Text(f"  {person.note}"))
    for attempt in person.attempts:
        _print_attempt(attempt, out)


def _print_attempt(attempt: ExplainedAttempt, out: Console) -> None:
    from rich.text import Text

    out.print(Text(f"\n  {attempt.outcome}: {escaped(attempt.reason)}"), style=COLOURS[attempt.outcome])
    for reach in attempt.reaches:
        when = f"{cell(reach.reached_at)} UTC" if reach.reached_at else "not reached"
        out.print(Text(f"    {reach.step_index} {escaped(reach.step):<20} {when}"))
    if attempt.timeline:
        out.print(Text("  From the first step to the end of the attempt:"))
    for event in attempt.timeline:
        matches = f"   <- {', '.join(map(escaped, event.matches))}" if event.matches else ""
        name = f"{escaped(event.event_name):<20} {escaped(event.touchpoint)}"
        out.print(Text(f"    {cell(event.occurred_at)}  {name}{matches}"), style=None if event.matches else "dim")
