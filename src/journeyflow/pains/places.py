"""The places where persons can be lost: stages, with every moment of persons there and whether they went on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeyflow.pains.stream import DAY_US, Bools, Ints, Stream, changes

if TYPE_CHECKING:
    from journeyflow.engines import Engine

SHORT_HISTORY = 2
"""A history shorter than so many windows is judged after the time in which nearly all go on, not after the window."""
NEARLY_ALL = 0.95
CONTACTS = frozenset({"support_call", "support_chat", "complaint"})
"""Events that a model may place after its goal, that come before it too, and that may make a person leave then."""
RESPONSES = frozenset({"csat_answer", "nps_answer", "ces_answer", "share"})
"""The same of events that nobody leaves for."""
MOSTLY_BEFORE = 0.5
"""A contact of which fewer follow a goal of their person is met before it; of the others goals may be older than the
data."""
SHUFFLED = 0.3


@dataclass(frozen=True)
class Place:
    """A stage, and the events at which a person had come as far as it and no further; one entry per event of `rows`.

    A person is at a stage from its first event of the stage until an event beyond it (a later stage, or the goal where
    the stage holds it). Whoever comes back to it after that is there again.

    Attributes
    ----------
    rows : numpy.ndarray of int64
        Events of the stream, ascending.
    is_first : numpy.ndarray of bool
        The journey had not been beyond the stage before.
    is_past : numpy.ndarray of bool
        The person had been beyond the stage in the same session: at no risk to be lost in it.
    visit : numpy.ndarray of int64
        Number of the stay at the stage, over all persons.
    beyond_us : numpy.ndarray of int64
        Time until the person next went beyond, in this journey or a later one; the largest integer where it never did.
    horizon : int
        Microseconds within which going on counts.
    level : numpy.ndarray of int64
        Per event of the stream twice the stage, one more for a goal, 0 where it is at none.
    is_aside : numpy.ndarray of bool, optional
        A contact about a goal that was reached before, or a response: no cause of what the person does here.
    """

    model_index: int
    stage_index: int
    rows: Ints
    is_first: Bools
    is_past: Bools
    visit: Ints
    beyond_us: Ints
    horizon: int
    settled_until: int
    at: Ints
    level_of_kind: Ints
    level: Ints
    is_ordered: bool = True
    is_aside: Bools | None = None

    @cached_property
    def went_on(self) -> Bools:
        """Whether the person went on within the horizon."""
        return self.beyond_us <= self.horizon

    @cached_property
    def is_settled(self) -> Bools:
        """Whether the horizon is over at the high-water mark: only then is it known who went on."""
        return self.at <= self.settled_until


NEVER = np.iinfo(np.int64).max


def read_levels(engine: Engine, stream: Stream) -> dict[int, Ints]:
    """Return by model the level of each kind: twice its stage, one more for the goal's events, 0 without a stage."""
    rows = pl.DataFrame(engine.rows("select classification_key, model_index, stage_index from kernel.classifications"))
    levels = {}
    for (model,), part in sorted(rows.group_by("model_index")):
        found = stream.kinds.select("classification_key", "is_goal").join(part, on="classification_key", how="left")
        stage = found["stage_index"].fill_null(0).to_numpy().astype(np.int64)
        levels[int(model)] = np.where(stage > 0, 2 * stage + found["is_goal"].to_numpy(), 0)
    return levels


def places(stream: Stream, model_index: int, level_of_kind: Ints) -> Iterator[Place]:
    """Yield the stages of a model that have a next one, in order; a stage where nobody was is left out."""
    level, is_aside = _levels(stream, level_of_kind)
    number = np.arange(len(level))
    start = stream.journey_starts[stream.journey]
    is_ordered = _is_ordered(stream, level)
    for stage in range(1, int(level_of_kind.max(initial=0)) // 2 + 1):
        is_beyond = level > 2 * stage
        if not is_beyond.any():
            continue
        last_beyond = np.maximum(np.maximum.accumulate(np.where(is_beyond, number, -1)), start - 1)
        last_here = np.maximum.accumulate(np.where(level == 2 * stage, number, -1))
        rows = np.flatnonzero(last_here > last_beyond)
        if not len(rows):
            continue
        following = np.append(np.minimum.accumulate(np.where(is_beyond, number, len(level))[::-1])[::-1], len(level))
        after = following[rows + 1]
        is_same = after < len(level)
        is_same[is_same] = stream.person[after[is_same]] == stream.person[rows[is_same]]
        beyond_us = np.where(is_same, stream.at[np.minimum(after, len(level) - 1)] - stream.at[rows], NEVER)
        is_past = (stream.session[rows] >= 0) & (last_beyond[rows] >= start[rows])
        is_past &= stream.session[np.maximum(last_beyond[rows], 0)] == stream.session[rows]
        if is_ordered:
            is_past[:] = False
        # Whoever went beyond in a session went on in it, whatever the order.
        beyond_us[is_past] = 0
        horizon = _horizon(stream, beyond_us)
        yield Place(
            model_index=model_index,
            stage_index=stage,
            rows=rows,
            is_past=is_past,
            is_first=last_beyond[rows] < start[rows],
            visit=np.cumsum(np.append(True, np.diff(last_beyond[rows]) != 0)) - 1,
            beyond_us=beyond_us,
            horizon=horizon,
            settled_until=stream.high_water - horizon,
            at=stream.at[rows],
            level_of_kind=level_of_kind,
            level=level,
            is_ordered=is_ordered,
            is_aside=is_aside[rows],
        )


def _levels(stream: Stream, level_of_kind: Ints) -> tuple[Ints, Bools]:
    """Return the level of each event, and which are neither a step on nor a cause: contacts about an earlier goal.

    A contact is no step beyond the goal where the journey has not reached one, and no more is a response.
    """
    level = level_of_kind[stream.kind]
    is_goal = stream.kinds["is_goal"].to_numpy()
    name = stream.kinds["event_name"]
    is_contact = name.is_in(CONTACTS).to_numpy()
    is_later = level_of_kind > level_of_kind[is_goal].max(initial=0)
    goals = np.append(0, np.cumsum(is_goal[stream.kind]))
    first = np.flatnonzero(changes(stream.person))
    of_person = goals[:-1] > goals[first][stream.person]
    of_journey = goals[:-1] > goals[stream.start]
    is_aside = np.zeros(len(level), np.bool_)
    for kind in np.flatnonzero(is_later & (is_contact | name.is_in(RESPONSES).to_numpy())) if is_goal.any() else ():
        rows = np.flatnonzero(stream.kind == kind)
        is_cause = bool(is_contact[kind]) and of_person[rows].mean() < MOSTLY_BEFORE
        rows = rows[~of_journey[rows]]
        level[rows] = 0
        is_aside[rows] = of_person[rows] | (not is_cause)
    return level, is_aside


def _is_ordered(stream: Stream, level: Ints) -> bool:
    """Say whether the order of events within sessions means something.

    Some collectors shuffle it: then events of the stage before the goal often come after the goal in the same session.
    """
    is_goal = (level % 2 == 1) & (stream.session >= 0)
    if not is_goal.any():
        return True
    stage = int(np.bincount(level[is_goal]).argmax()) // 2
    before = 2 * stage if (level == 2 * stage).any() else 2 * stage - 2
    number = np.arange(len(level))
    last_goal = np.maximum.accumulate(np.where(is_goal, number, -1))
    is_late = (level == before) & (last_goal >= 0) & (stream.session >= 0)
    is_late &= stream.session[np.maximum(last_goal, 0)] == stream.session
    sessions = len(np.unique(stream.session[is_goal]))
    return len(np.unique(stream.session[is_late])) <= SHUFFLED * sessions


def _horizon(stream: Stream, beyond_us: Ints) -> int:
    """Return the window of journeys, or in a short history the time in which nearly all of those who go on do."""
    went_on = beyond_us[beyond_us <= stream.window]
    history = int(stream.at.max()) - int(stream.at.min())
    if history >= SHORT_HISTORY * stream.window or not len(went_on):
        return stream.window
    return int(min(stream.window, max(np.quantile(went_on, NEARLY_ALL), DAY_US)))
