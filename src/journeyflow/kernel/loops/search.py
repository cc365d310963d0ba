"""Binary search; numba's own takes seconds to compile for the sake of types that are not used here."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Int64s


@compiled
def first_above(values: Int64s, lo: int, hi: int, limit: int) -> int:
    """Return the first place in `[lo, hi)` of the ascending `values` that is above `limit`, else `hi`."""
    while lo < hi:
        middle = (lo + hi) // 2
        if values[middle] > limit:
            hi = middle
        else:
            lo = middle + 1
    return lo
