"""What a unit did last in the session of a step, and next after it, by looking at every event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reference.log import Event

Row = dict[str, Any]


@dataclass(frozen=True)
class Read:
    """An event with all that was found about it: `position` in the log from 1, labels as (stage, rule) by model."""

    event: Event
    position: int
    person: int
    session: int | None
    journey: int
    labels: tuple[tuple[int, int], ...]


def leaving(reads: list[Read], place: int, places: list[int]) -> Row:
    """Find the last event before leaving and the next action; `places` are those before the attempt is left."""
    session = reads[place].session
    members = [i for i, read in enumerate(reads) if session is not None and read.session == session] or [place]
    last = max(i for i in members if i == place or (i > place and i in places))
    following = next((i for i in range(members[-1] + 1, len(reads)) if i in places), None)
    return {
        "last_event_type_ix": reads[last].event.kind, "last_at": reads[last].event.at,
        "next_event_type_ix": None if following is None else reads[following].event.kind,
    }  # fmt: skip


def after_session(life: list[Read], left: Read, closes_at: int) -> Row:
    """Find the next action of a session, which holds nothing after itself: the person's first event after it."""
    last = max(i for i, read in enumerate(life) if read.session == left.session)
    following = life[last + 1 : last + 2]
    is_open = bool(following) and following[0].event.at <= closes_at
    return {"next_event_type_ix": following[0].event.kind if is_open else None}


def inside(reads: list[Read], next_place: int | None, closed_by: int | None, closes_at: int) -> list[int]:
    """Return the places before the attempt is left: by the next step, or by the close."""
    if next_place is not None:
        return [i for i in range(len(reads)) if i < next_place]
    return [i for i in range(len(reads)) if reads[i].event.at <= closes_at and (closed_by is None or i < closed_by)]
