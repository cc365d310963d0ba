"""One attempt of a funnel with grace, and one of an any-order funnel."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.chains import NEVER, group_start, group_stop
from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.matching import augment


@compiled
def spread_with_grace(
    lo, hi, opener, limit, at, rank, mask, steps, window, grace, within, is_disjoint,
    earliest, last_rank, last_at, places,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Try the chains from `opener` where a step may precede the one before by at most `grace`; return the depth.

    A depth-first search, the earliest links first. Where no event matches two steps, how a chain came to (step, rank)
    does not matter for what follows, so each such state is entered once; else every chain is tried. Fills `earliest`,
    `last_rank`, `last_at` as `spread` does, and `places` with the deepest chain.
    """
    first = opener
    while first > lo and at[opener] - at[first - 1] <= grace:
        first -= 1
    end = at[opener] + window
    stop = opener + 1
    while stop < hi and at[stop] <= end and rank[stop] <= limit:
        stop += 1
    width = rank[stop - 1] - rank[opener] + 1
    is_entered = np.zeros((steps, width), np.bool_)
    chain = np.full(steps, -1, np.int64)
    chain_rank = np.zeros(steps, np.int64)
    chain_at = np.zeros(steps, np.int64)
    best_rank = np.zeros(steps, np.int64)
    cursor = np.zeros(steps + 1, np.int64)
    earliest[:] = -1
    last_rank[:] = -1
    places[:] = -1
    chain[0] = places[0] = opener
    chain_rank[0] = best_rank[0] = earliest[0] = last_rank[0] = rank[opener]
    chain_at[0] = last_at[0] = at[opener]
    depth = 1
    level = 1
    cursor[1] = first
    while level > 0:
        if level == steps or cursor[level] >= stop:
            level -= 1
            continue
        place = cursor[level]
        cursor[level] += 1
        if not (mask[place] >> level) & 1 or at[place] < chain_at[level - 1] - grace:
            continue
        to_rank = max(rank[place], chain_rank[level - 1])
        to_at = max(at[place], chain_at[level - 1])
        if to_at - chain_at[level - 1] > within[level]:
            continue
        is_used = False
        for s in range(level):
            is_used = is_used or chain[s] == place
        if is_used or (is_disjoint and is_entered[level, to_rank - rank[opener]]):
            continue
        is_entered[level, to_rank - rank[opener]] = True
        chain[level] = place
        chain_rank[level] = to_rank
        chain_at[level] = to_at
        if earliest[level] < 0 or to_rank < earliest[level]:
            earliest[level] = to_rank
        if to_rank > last_rank[level]:
            last_rank[level] = to_rank
            last_at[level] = to_at
        level += 1
        if level > depth or (level == depth and _is_before(chain_rank, chain, best_rank, places, level)):
            depth = level
            best_rank[:level] = chain_rank[:level]
            places[:level] = chain[:level]
        if level < steps:
            cursor[level] = first
    return depth


@compiled
def _is_before(ranks, chain, best_ranks, best, length):  # type: ignore[no-untyped-def]
    """Is a chain earlier than the best one so far: by ranks, then by places."""
    for s in range(length):
        if ranks[s] != best_ranks[s]:
            return ranks[s] < best_ranks[s]
    for s in range(length):
        if chain[s] != best[s]:
            return chain[s] < best[s]
    return False


@compiled
def assign(
    lo, hi, opener, at, rank, mask, steps, window, is_later, node_mask, match, parent, queue, places,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Write to `places` the event with which each level of an any-order attempt is first reached; return the level.

    With `is_later` the events of one tie are one node: they can take one step between them.
    """
    everything = (np.int64(1) << steps) - 1
    match[:] = -1
    places[:] = -1
    places[0] = opener
    node_mask[opener] = mask[opener]
    augment(opener, everything, steps, node_mask, match, parent, queue)
    level = 1
    start = group_stop(opener, hi, rank) if is_later else group_start(opener, lo, rank)
    end = at[opener] + window
    node = -1
    is_taken = False
    for place in range(start, hi):
        if level == steps or at[place] > end:
            break
        if place == opener or mask[place] == 0:
            continue
        if not is_later or node < 0 or rank[node] != rank[place]:
            node = place
            node_mask[node] = 0
            is_taken = False
        node_mask[node] |= mask[place]
        if not is_taken and augment(node, everything, steps, node_mask, match, parent, queue):
            is_taken = True
            places[level] = place
            level += 1
    return level


@compiled
def latest_end(depth, steps, window_end, last_at, within):  # type: ignore[no-untyped-def]
    """Return when an unfinished attempt must end: its window, or the deadline of its next step."""
    if within[depth] >= NEVER:
        return window_end
    return min(window_end, last_at[depth - 1] + within[depth])
