"""Compilation with numba, and the array types and tuples that compiled functions share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a loop over arrays.

    Numba keeps compiled code beside the module, or else in the user's cache folder. Where neither can be written (a
    read-only image without a home) the code is compiled anew in each process.
    """
    try:
        dispatcher = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return cast(F, numba.njit(nogil=True)(function))
    _stamp(dispatcher)
    return cast(F, dispatcher)


def _stamp(dispatcher: Any) -> None:  # noqa: ANN401 - a numba dispatcher has no public type
    """Let cached code go stale when any file of this folder changes.

    Numba looks at the function's own file only, yet the code holds that of the functions it calls. The stamp is of the
    sources as they were imported, so a long process cannot leave code of an older version behind for a newer one.
    """
    kept = getattr(dispatcher._cache, "_cache_file", None)
    if kept is not None and hasattr(kept, "_source_stamp"):
        kept._source_stamp = (*kept._source_stamp, _sources())


@cache
def _sources() -> str:
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


Bools = npt.NDArray[np.bool_]
Int8s = npt.NDArray[np.int8]
Int16s = npt.NDArray[np.int16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

NEVER = np.iinfo(np.int64).max // 2
"""A time, rank or duration beyond all others; adding two of them does not overflow."""


class EventColumns(NamedTuple):
    """The events of units by place: time, rank, and one bit a matching step and a matching exclusion.

    `excluded` is empty when there are no exclusions.
    """

    start: Int64s
    at: Int64s
    rank: Int32s
    mask: Int32s
    excluded: Int64s


class FunnelSettings(NamedTuple):
    """The settings of a funnel as integers; `within` by step (0-based, the first is not read).

    `exclusions` has the rows (from step, to step, is_void). `is_disjoint`: no event can match two steps. `is_plain`:
    nothing but order and exclusions is asked beside the window and the time from step 1 to step 2, `to_second`.
    `opening` is the set of steps whose events may open an attempt.
    """

    steps: int
    window: int
    is_strict: int
    is_any_order: int
    is_later: int
    grace: int
    is_disjoint: int
    is_plain: int
    is_attempts: int
    high_water: int
    opening: int
    to_second: int
    entered_from: int
    entered_to: int
    within: Int64s
    exclusions: Int64s


class Workspace(NamedTuple):
    """Room to work in: `used`, `node_mask`, `bound` by place, the others by step.

    `earliest` and `last_rank` are the ranks (-1 none) at which a step was first reached and of the latest usable event,
    `last_at` the latter's time; `places` is the deepest chain.
    """

    used: Bools
    node_mask: Int32s
    bound: Int8s
    match: Int64s
    parent: Int64s
    queue: Int64s
    earliest: Int64s
    last_rank: Int64s
    last_at: Int64s
    places: Int64s
    chain: Int64s


class AttemptOutcome(NamedTuple):
    """What became of an attempt; `closed_by` is the place of the excluded event that closed it, -1 for none."""

    depth: int
    closes_at: int
    closed_by: int
    is_void: int


def workspace_for(places: int, steps: int) -> Workspace:
    """Return room for a log of `places` events and a funnel of `steps`."""

    def by_step() -> Int64s:
        return np.full(steps + 1, -1, np.int64)

    return Workspace(
        used=np.zeros(places, np.bool_),
        node_mask=np.zeros(places, np.int32),
        bound=np.zeros(places, np.int8),
        match=by_step(),
        parent=by_step(),
        queue=by_step(),
        earliest=by_step(),
        last_rank=by_step(),
        last_at=by_step(),
        places=by_step(),
        chain=np.full((steps + 1, steps + 1), NEVER, np.int64),
    )


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
