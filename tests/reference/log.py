"""A log as plain values: events, and units of events with their ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from journeyflow.kernel.events import NO_SEQUENCE, EventArrays


@dataclass(frozen=True)
class Event:
    """One event; absent keys are None."""

    ix: int
    component: int
    device: int | None
    person: int
    is_undecided: bool
    user: int | None
    session_key: int | None
    source: int
    sequence: int | None
    at: int
    event_type: int
    is_offline: bool


def events_of(arrays: EventArrays) -> list[Event]:
    """Return the events of `arrays` in their order."""
    return [
        Event(
            ix=int(arrays.event_ix[i]),
            component=int(arrays.component_key[i]),
            device=int(arrays.device_key[i]) or None,
            person=int(arrays.person_key[i]),
            is_undecided=bool(arrays.is_undecided[i]),
            user=int(arrays.user_key[i]) or None,
            session_key=int(arrays.session_key[i]) or None,
            source=int(arrays.source_ix[i]),
            sequence=None if arrays.sequence[i] == NO_SEQUENCE else int(arrays.sequence[i]),
            at=int(arrays.occurred_us[i]),
            event_type=int(arrays.event_type_ix[i]),
            is_offline=bool(arrays.is_offline[i]),
        )
        for i in range(len(arrays))
    ]


def ranks_of(events: Sequence[Event]) -> list[int]:
    """Return the rank of each event of one unit: tied events share one, later events have a greater one.

    Within an instant the sequence orders events when all have one and come from one source; else all of them tie.
    """
    ranks: list[int] = []
    for _, instant in groupby(events, key=lambda event: event.at):
        together = list(instant)
        is_ordered = all(e.sequence is not None for e in together) and len({e.source for e in together}) == 1
        last = ranks[-1] if ranks else -1
        if is_ordered:
            sequences = sorted({e.sequence for e in together if e.sequence is not None})
            ranks += [last + 1 + sequences.index(e.sequence) for e in together if e.sequence is not None]
        else:
            ranks += [last + 1] * len(together)
    return ranks
