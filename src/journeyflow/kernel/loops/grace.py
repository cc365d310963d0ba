"""An attempt of a funnel where a step may precede the one before it by a little."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Bools, FunnelRule, Int32s, Int64s, Log, Scratch


@compiled
def spread_with_grace(log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, limit: int) -> int:
    """Try the chains from `opener` where a step may precede the one before by the grace; return the depth.

    A depth-first search. Where no event matches two steps, how a chain came to (step, rank) does not matter for what
    follows, so each such state is entered once; else every chain is tried. Fills `earliest`, `last_rank`, `last_at`
    as `spread` does, and `places` with the deepest chain, the earliest among equals.
    """
    at, rank, steps = log.at, log.rank, rule.steps
    first = opener
    while first > lo and at[opener] - at[first - 1] <= rule.grace:
        first -= 1
    stop = opener + 1
    while stop < hi and at[stop] <= at[opener] + rule.window and rank[stop] <= limit:
        stop += 1
    is_entered = np.zeros((steps, rank[stop - 1] - rank[opener] + 1), np.bool_)
    chain = np.full(steps, -1, np.int64)
    # The place whose time and rank each step takes: its own, or a later one before it in the chain.
    taken = np.full(steps, -1, np.int64)
    best = np.full(steps, -1, np.int64)
    cursor = np.full(steps + 1, first, np.int64)
    scratch.earliest[:] = -1
    scratch.last_rank[:] = -1
    scratch.places[:] = -1
    chain[0] = taken[0] = opener
    depth = 0
    level = 0
    place = opener
    while level >= 0:
        # `chain[:level]` stands and `place` has just been tried for `level`; -1 means that nothing is left there.
        if place >= 0:
            chain[level] = place
            taken[level] = place
            if level > 0 and rank[taken[level - 1]] > rank[place]:
                taken[level] = taken[level - 1]
            _note(log, scratch, level, taken[level])
            level += 1
            if level > depth or (level == depth and _is_before(rank, taken, chain, best, scratch.places, level)):
                depth = level
                for s in range(level):
                    best[s] = taken[s]
                    scratch.places[s] = chain[s]
            cursor[level] = first
        else:
            level -= 1
        if level == 0:
            break
        place = -1
        if level < steps:
            place = _next_link(log, rule, chain, taken, cursor, is_entered, level, stop)
    return depth


@compiled
def _next_link(
    log: Log, rule: FunnelRule, chain: Int64s, taken: Int64s, cursor: Int64s, is_entered: Bools, level: int, stop: int
) -> int:
    """Return the next event, from `cursor` on, that can be step `level` of the chain, or -1."""
    last = taken[level - 1]
    while cursor[level] < stop:
        place: int = cursor[level]
        cursor[level] += 1
        if not (log.mask[place] >> level) & 1 or log.at[place] < log.at[last] - rule.grace:
            continue
        if log.at[place] - log.at[last] > rule.within[level]:
            continue
        is_used = False
        for s in range(level):
            is_used = is_used or chain[s] == place
        rank = max(log.rank[place], log.rank[last]) - log.rank[chain[0]]
        if is_used or (rule.is_disjoint and is_entered[level, rank]):
            continue
        is_entered[level, rank] = True
        return place
    return -1


@compiled
def _note(log: Log, scratch: Scratch, step: int, place: int) -> None:
    """Note that `step` can be reached at the time of `place`."""
    if scratch.earliest[step] < 0 or log.rank[place] < scratch.earliest[step]:
        scratch.earliest[step] = log.rank[place]
    if log.rank[place] > scratch.last_rank[step]:
        scratch.last_rank[step] = log.rank[place]
        scratch.last_at[step] = log.at[place]


@compiled
def _is_before(rank: Int32s, taken: Int64s, chain: Int64s, best_taken: Int64s, best: Int64s, length: int) -> bool:
    """Is a chain earlier than the best one so far: by the ranks it takes, then by places."""
    for s in range(length):
        if rank[taken[s]] != rank[best_taken[s]]:
            return bool(rank[taken[s]] < rank[best_taken[s]])
    for s in range(length):
        if chain[s] != best[s]:
            return bool(chain[s] < best[s])
    return False
