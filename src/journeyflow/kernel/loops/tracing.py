"""The deepest chain of an attempt of an ordered or strict funnel, event by event."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.matching import place_run, run_length
from journeyflow.kernel.loops.ties import tie_start, tie_stop
from journeyflow.kernel.loops.values import FunnelRule, Int32s, Int64s, Log, Scratch


@compiled
def trace_plain(rank: Int32s, mask: Int32s, lo: int, opener: int, depth: int, is_later: bool, places: Int64s) -> None:
    """Write to `places` the chain of an attempt whose steps ask for order alone: the next event of each step.

    Tied events must not have to share out steps: none of them matches two, or ties do not convert.
    """
    places[0] = opener
    place = opener
    for s in range(1, depth):
        last = place
        if is_later:
            while rank[place] == rank[last]:
                place += 1
        else:
            while place > lo and rank[place - 1] == rank[last]:
                place -= 1
        while place == last or not (mask[place] >> s) & 1:
            place += 1
        places[s] = place


@compiled
def trace(
    log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, depth: int, limit: int, is_later: bool
) -> None:
    """Write to `places` the deepest chain: the earliest at steps 2, 3, …, then the first events in order.

    A backward pass notes at each tie which steps can be entered there and still lead to `depth`. The forward pass then
    takes as many steps as it can as soon as it can.
    """
    end = log.at[opener] + rule.window
    start = tie_start(log.rank, opener, lo)
    stop = tie_stop(log.rank, opener, hi)
    last = stop
    while last < hi and log.at[last] <= end and log.rank[last] <= limit:
        last += 1
    _note_entries(log, rule, scratch, stop, last, depth, is_later)
    scratch.places[:] = -1
    scratch.places[0] = opener
    scratch.used[opener] = True
    run = 0
    if not is_later and stop - start > 1:
        run = run_length(scratch, log.mask, start, stop, 1, depth, False)
    while run > 0 and not _leads_on(log, rule, scratch, stop, last, start, 1 + run, depth):
        run -= 1
    place_run(scratch, log.mask, start, stop, 1, run, depth)
    scratch.used[opener] = False
    step = 1 + run
    while step < depth:
        start = stop
        stop = tie_stop(log.rank, start, hi)
        if not (scratch.node_mask[start] >> step) & 1:
            continue
        run = run_length(scratch, log.mask, start, stop, step, depth, is_later)
        while run > 1 and not _leads_on(log, rule, scratch, stop, last, start, step + run, depth):
            run -= 1
        place_run(scratch, log.mask, start, stop, step, run, depth)
        step += run


@compiled
def _note_entries(
    log: Log, rule: FunnelRule, scratch: Scratch, first: int, last: int, depth: int, is_later: bool
) -> None:
    """Write to `node_mask`, at the first place of each tie in `[first, last)`, the steps to enter there."""
    entry = np.full(depth + 1, -1, np.int64)
    stop = last
    while stop > first:
        start = tie_start(log.rank, stop - 1, first)
        enter = 0
        for s in range(1, depth):
            run = run_length(scratch, log.mask, start, stop, s, depth, is_later)
            for length in range(1, run + 1):
                following = entry[s + length]
                if s + length == depth or (following >= 0 and _may_follow(log, rule, start, following, s + length)):
                    enter |= 1 << s
        scratch.node_mask[start] = enter
        for s in range(1, depth):
            if (enter >> s) & 1:
                entry[s] = start
        stop = start


@compiled
def _may_follow(log: Log, rule: FunnelRule, start: int, following: int, step: int) -> bool:
    """May a chain that stands at the tie `start` enter `step` at the tie `following`."""
    if log.at[following] - log.at[start] > rule.within[step]:
        return False
    return not rule.is_strict or log.rank[following] == log.rank[start] + 1


@compiled
def _leads_on(
    log: Log, rule: FunnelRule, scratch: Scratch, stop: int, last: int, start: int, step: int, depth: int
) -> bool:
    """Can a chain that stands at the tie `[start, stop)` before `step` be finished by the next tie to enter."""
    if step == depth:
        return True
    following = stop
    while following < last:
        if (scratch.node_mask[following] >> step) & 1:
            return _may_follow(log, rule, start, following, step)
        following = tie_stop(log.rank, following, last)
    return False
