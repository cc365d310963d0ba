"""One attempt of an ordered or strict funnel: how deep it can go, by when, and its deepest chain."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.matching import place_run, run_length

NEVER = np.iinfo(np.int64).max // 2


@compiled
def group_stop(place, hi, rank):  # type: ignore[no-untyped-def]
    """Return the end of the tie that holds `place`."""
    stop = place + 1
    while stop < hi and rank[stop] == rank[place]:
        stop += 1
    return stop


@compiled
def group_start(place, lo, rank):  # type: ignore[no-untyped-def]
    """Return the start of the tie that holds `place`."""
    start = place
    while start > lo and rank[start - 1] == rank[place]:
        start -= 1
    return start


@compiled
def spread(
    lo, hi, opener, limit, at, rank, mask, steps, window, is_strict, is_later, within,
    used, match, parent, queue, earliest, last_rank, last_at,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Find all steps that chains from `opener` can reach using events of rank `limit` at most; return the depth.

    Fills for each step the rank at which it is first reached, and the rank and time of the latest event usable for it.
    The latest usable event is all that later steps need to know of the past.
    """
    earliest[:] = -1
    last_rank[:] = -1
    earliest[0] = last_rank[0] = rank[opener]
    last_at[0] = at[opener]
    end = at[opener] + window
    start = group_start(opener, lo, rank)
    stop = group_stop(opener, hi, rank)
    if not is_later and stop - start > 1:
        used[opener] = True
        run = run_length(start, stop, 1, steps, False, mask, used, match, parent, queue)
        used[opener] = False
        for s in range(1, 1 + run):
            earliest[s] = last_rank[s] = rank[opener]
            last_at[s] = at[opener]
    while stop < hi and at[stop] <= end and rank[stop] <= limit and earliest[steps - 1] < 0:
        start = stop
        stop = group_stop(start, hi, rank)
        reached = np.int64(0)
        is_alive = False
        for s in range(1, steps):
            if last_rank[s - 1] < 0:
                break
            if is_strict and last_rank[s - 1] != rank[start] - 1:
                continue
            is_alive = True
            if at[start] - last_at[s - 1] > within[s]:
                continue
            if stop - start == 1:
                if (mask[start] >> s) & 1:
                    reached |= np.int64(1) << s
            else:
                run = run_length(start, stop, s, steps, is_later, mask, used, match, parent, queue)
                reached |= ((np.int64(1) << run) - 1) << s
        if is_strict and not is_alive:
            break
        for s in range(1, steps):
            if (reached >> s) & 1:
                if earliest[s] < 0:
                    earliest[s] = rank[start]
                last_rank[s] = rank[start]
                last_at[s] = at[start]
    depth = 0
    while depth < steps and earliest[depth] >= 0:
        depth += 1
    return depth


@compiled
def trace(
    lo, hi, opener, depth, limit, at, rank, mask, steps, window, is_strict, is_later, within,
    used, match, parent, queue, enter, places,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Write to `places` the deepest chain of an attempt: the earliest at steps 2, 3, …, then the first in order.

    A backward pass notes at each tie which steps can be entered there and still lead to `depth`; a forward pass then
    takes as many steps as it can as soon as it can.
    """
    end = at[opener] + window
    first = group_start(opener, lo, rank)
    after = group_stop(opener, hi, rank)
    last = after
    while last < hi and at[last] <= end and rank[last] <= limit:
        last += 1
    next_enter = np.full(depth + 1, -1, np.int64)
    stop = last
    while stop > after:
        start = group_start(stop - 1, lo, rank)
        enter[start] = 0
        union = np.int64(0)
        for place in range(start, stop):
            union |= mask[place]
        for s in range(1, depth):
            if not (union >> s) & 1:
                continue
            run = run_length(start, stop, s, depth, is_later, mask, used, match, parent, queue)
            for length in range(1, run + 1):
                if _goes_on(start, s + length, depth, next_enter, at, rank, is_strict, within):
                    enter[start] |= np.int64(1) << s
        for s in range(1, depth):
            if (enter[start] >> s) & 1:
                next_enter[s] = start
        stop = start
    places[:] = -1
    places[0] = opener
    start, stop = first, after
    step = 1
    used[opener] = True
    run = 0 if is_later else run_length(start, stop, 1, depth, False, mask, used, match, parent, queue)
    while run > 0 and not _leads_on(stop, last, start, 1 + run, depth, enter, at, rank, is_strict, within):
        run -= 1
    place_run(start, stop, 1, run, depth, mask, used, match, parent, queue, places)
    used[opener] = False
    step = 1 + run
    while step < depth:
        start = stop
        stop = group_stop(start, hi, rank)
        if not (enter[start] >> step) & 1:
            continue
        run = run_length(start, stop, step, depth, is_later, mask, used, match, parent, queue)
        while run > 1 and not _leads_on(stop, last, start, step + run, depth, enter, at, rank, is_strict, within):
            run -= 1
        place_run(start, stop, step, run, depth, mask, used, match, parent, queue, places)
        step += run


@compiled
def _goes_on(start, step, depth, next_enter, at, rank, is_strict, within):  # type: ignore[no-untyped-def]
    """Can a chain that stands at the tie `start` before `step` be finished, given the next tie to enter each step."""
    if step == depth:
        return True
    following = next_enter[step]
    if following < 0 or at[following] - at[start] > within[step]:
        return False
    return not is_strict or rank[following] == rank[start] + 1


@compiled
def _leads_on(stop, last, start, step, depth, enter, at, rank, is_strict, within):  # type: ignore[no-untyped-def]
    """Say the same by looking forward through the ties in `[stop, last)`."""
    if step == depth:
        return True
    following = stop
    while following < last:
        if (enter[following] >> step) & 1:
            is_next = not is_strict or rank[following] == rank[start] + 1
            return is_next and at[following] - at[start] <= within[step]
        following = group_stop(following, last, rank)
    return False
