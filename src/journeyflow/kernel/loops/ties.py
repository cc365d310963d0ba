"""Ties: the places of a unit that share a rank."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Int32s


@compiled
def tie_stop(rank: Int32s, place: int, hi: int) -> int:
    """Return the end of the tie that holds `place`."""
    stop = place + 1
    while stop < hi and rank[stop] == rank[place]:
        stop += 1
    return stop


@compiled
def tie_start(rank: Int32s, place: int, lo: int) -> int:
    """Return the start of the tie that holds `place`."""
    start = place
    while start > lo and rank[start - 1] == rank[place]:
        start -= 1
    return start


@compiled
def has_tied_steps(rank: Int32s, mask: Int32s, lo: int, hi: int) -> bool:
    """Do two events of the unit that match steps tie."""
    last = -1
    for place in range(lo, hi):
        if mask[place]:
            if rank[place] == last:
                return True
            last = rank[place]
    return False
