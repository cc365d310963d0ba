"""Sessions, the persons of events on shared devices, and journeys."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from journeyflow.kernel.plan import KernelPlan
from reference.log import Event


@dataclass
class Session:
    """A session while it is read: the positions of its events in the log."""

    number: int
    index: int
    unit: tuple[str, int]
    user: int | None = None
    members: list[int] = field(default_factory=list)


def cut_sessions(log: list[Event], plan: KernelPlan) -> tuple[list[Session], list[int]]:
    """Return the sessions in the order they begin, and the person of each event."""
    sessions: list[Session] = []
    open_sessions: dict[tuple[tuple[str, int], int | None], Session] = {}
    counts: dict[tuple[str, int], int] = defaultdict(int)
    persons: list[int] = []
    for position, event in enumerate(log):
        if event.is_offline:
            persons.append(event.person)
            continue
        unit = ("device", event.device) if event.device is not None else ("person", event.person)
        session = open_sessions.get((unit, event.session_key))
        if session is None or _starts_another(session, event, log, plan):
            counts[unit] += 1
            session = Session(len(sessions), counts[unit], unit)
            sessions.append(session)
            open_sessions[unit, event.session_key] = session
        session.members.append(position)
        if event.user is not None:
            session.user = event.user
        is_adopted = event.is_undecided and session.user is not None
        persons.append(session.user if is_adopted and session.user is not None else event.person)
    return sessions, persons


def _starts_another(session: Session, event: Event, log: list[Event], plan: KernelPlan) -> bool:
    first, last = log[session.members[0]], log[session.members[-1]]
    if event.session_key is None and event.at - last.at > plan.session_timeout_us:
        return True
    if event.at - first.at > plan.session_max_us:
        return True
    return event.user is not None and session.user is not None and event.user != session.user


def cut_journeys(times: list[int], timeout_us: int) -> list[int]:
    """Return the 1-based journey of each of a person's event times."""
    journeys: list[int] = []
    for i, at in enumerate(times):
        is_new = i > 0 and at - times[i - 1] > timeout_us
        journeys.append(journeys[-1] + is_new if journeys else 1)
    return journeys
