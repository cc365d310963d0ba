"""Exits from funnel steps: the unit's last event in the session and its next action, by looking at every event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.log import Event

Row = dict[str, Any]


@dataclass(frozen=True)
class ReadEvent:
    """An event with its results: `position` in the log from 1, classifications as (stage, rule) by model."""

    event: Event
    position: int
    person: int
    session: int | None
    journey: int
    classifications: tuple[tuple[int, int], ...]


def find_exit(reads: list[ReadEvent], place: int, places: list[int]) -> Row:
    """Return the last event before the exit and the next action; `places` are those before the exit of the attempt."""
    session = reads[place].session
    members = [i for i, read in enumerate(reads) if session is not None and read.session == session] or [place]
    last = max(i for i in members if i == place or (i > place and i in places))
    following = next((i for i in range(members[-1] + 1, len(reads)) if i in places), None)
    return {
        "last_event_type_ix": reads[last].event.event_type, "last_at": reads[last].event.at,
        "next_event_type_ix": None if following is None else reads[following].event.event_type,
    }  # fmt: skip


def after_session(of_person: list[ReadEvent], left: ReadEvent, closes_at: int) -> Row:
    """Return the next action after a session: the person's first event after it."""
    last = max(i for i, read in enumerate(of_person) if read.session == left.session)
    following = of_person[last + 1 : last + 2]
    is_open = bool(following) and following[0].event.at <= closes_at
    return {"next_event_type_ix": following[0].event.event_type if is_open else None}


def inside(reads: list[ReadEvent], next_place: int | None, closed_by: int | None, closes_at: int) -> list[int]:
    """Return the places before the exit of the attempt: the next step, or the close."""
    if next_place is not None:
        return [i for i in range(len(reads)) if i < next_place]
    return [i for i in range(len(reads)) if reads[i].event.at <= closes_at and (closed_by is None or i < closed_by)]
