"""Exits from funnel steps: the unit's last event in the session, and its next action (compiled)."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.jit import Int32s, Int64s, compiled, first_above


@compiled
def link_sessions(start: Int64s, session: Int32s, session_count: int) -> tuple[Int32s, Int32s]:
    """Return for each place the unit's next place in the same session (-1 none) and its last one.

    An event of no session (-1) is alone.
    """
    n = len(session)
    following = np.full(n, -1, np.int32)
    last = np.empty(n, np.int32)
    seen = np.full(session_count, -1, np.int32)
    for unit in range(len(start) - 1):
        lo, hi = start[unit], start[unit + 1]
        for place in range(hi - 1, lo - 1, -1):
            last[place] = place
            s = session[place]
            if s < 0:
                continue
            # A session may hold events of several units.
            if lo <= seen[s] < hi:
                following[place] = seen[s]
                last[place] = last[seen[s]]
            seen[s] = place
    return following, last


@compiled
def find_exits(
    start: Int64s, at: Int64s, unit: Int64s, reached: Int64s, depth: Int64s, closes_at: Int64s, closed_by: Int64s,
    following: Int32s, session_last: Int32s,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """Return for each attempt and step the place of the last event before the exit, and of the next action (-1 none).

    The exit is the next step of attempts that reached it, else the attempt's close.
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
                limit = first_above(at, place, hi, closes_at[a])
                if closed_by[a] >= 0:
                    limit = min(limit, closed_by[a])
            last[a, s] = place
            while following[last[a, s]] >= 0 and following[last[a, s]] < limit:
                last[a, s] = following[last[a, s]]
            next_place = session_last[place] + 1
            if next_place < limit and next_place < hi:
                after[a, s] = next_place
    return last, after
