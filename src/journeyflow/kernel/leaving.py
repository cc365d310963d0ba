"""What a unit did last in the session of a step, and next after it: the facts behind drop-off tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from journeyflow.kernel.compiled import compiled


def link_sessions(
    start: npt.NDArray[np.int64], session: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return for each place the unit's next place in the same session (-1 none) and its last one.

    An event of no session is alone.
    """
    return _link(start, session, int(session.max(initial=-1)) + 1)  # type: ignore[no-any-return]


@compiled
def _link(start, session, session_count):  # type: ignore[no-untyped-def]
    n = len(session)
    following = np.full(n, -1, np.int32)
    last = np.empty(n, np.int32)
    seen = np.full(session_count, -1, np.int32)
    for u in range(len(start) - 1):
        for place in range(start[u + 1] - 1, start[u] - 1, -1):
            s = session[place]
            last[place] = place
            if s < 0:
                continue
            # A place of an earlier unit is smaller than all places of this one, of a later unit greater: told apart by bounds.
            if seen[s] >= start[u] and seen[s] < start[u + 1]:
                following[place] = seen[s]
                last[place] = last[seen[s]]
            seen[s] = place
    return following, last


@compiled
def find_leaving(hi, place, limit, following, session_last):  # type: ignore[no-untyped-def]
    """Return the last place of the step's session before `limit`, and the first place after that session (-1 none)."""
    last = place
    while following[last] >= 0 and following[last] < limit:
        last = following[last]
    after = session_last[place] + 1
    if after >= limit or after >= hi:
        after = -1
    return last, after


@compiled
def first_later(place, hi, at, closes_at):  # type: ignore[no-untyped-def]
    """Return the first place after the time `closes_at`."""
    while place < hi and at[place] <= closes_at:
        place += 1
    return place


@compiled
def leave_steps(start, at, unit, reached, depth, closes_at, closed_by, following, session_last):  # type: ignore[no-untyped-def]
    """Return for each attempt and step the places of the last event before leaving and of the next action, -1 none.

    Leaving is the next step for those who went on, else the attempt's close.
    """
    last = np.full(reached.shape, -1, np.int64)
    after = np.full(reached.shape, -1, np.int64)
    for a in range(len(unit)):
        hi = start[unit[a] + 1]
        for s in range(depth[a]):
            place = reached[a, s]
            if s + 1 < depth[a]:
                limit = reached[a, s + 1]
            else:
                limit = first_later(place, hi, at, closes_at[a])
                if closed_by[a] >= 0:
                    limit = min(limit, closed_by[a])
            last[a, s], after[a, s] = find_leaving(hi, place, limit, following, session_last)
    return last, after
