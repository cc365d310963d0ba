"""How deep an attempt of an ordered or strict funnel can go."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.matching import run_length
from journeyflow.kernel.loops.ties import tie_start, tie_stop
from journeyflow.kernel.loops.values import FunnelRule, Log, Scratch


@compiled
def spread(
    log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, limit: int, is_later: bool
) -> int:
    """Find all steps that chains from `opener` can reach with events of rank `limit` at most; return the depth.

    Fills `earliest`, `last_rank`, `last_at`. The latest usable event of a step is all that later steps need to know.
    """
    at, rank, mask, steps, within = log.at, log.rank, log.mask, rule.steps, rule.within
    earliest, last_rank, last_at = scratch.earliest, scratch.last_rank, scratch.last_at
    earliest[:] = -1
    last_rank[:] = -1
    end = at[opener] + rule.window
    start = tie_start(rank, opener, lo)
    stop = tie_stop(rank, opener, hi)
    reached = 1
    if not is_later and stop - start > 1:
        scratch.used[opener] = True
        run = run_length(scratch, mask, start, stop, 1, steps, False)
        scratch.used[opener] = False
        reached |= ((1 << run) - 1) << 1
    is_alive = True
    while is_alive:
        for s in range(steps):
            if (reached >> s) & 1:
                last_rank[s] = rank[start]
                last_at[s] = at[start]
                if earliest[s] < 0:
                    earliest[s] = rank[start]
        start = stop
        while rule.is_strict == 0 and start < hi and mask[start] == 0:
            start += 1
        if start >= hi or at[start] > end or rank[start] > limit or earliest[steps - 1] >= 0:
            break
        stop = tie_stop(rank, start, hi)
        reached = 0
        is_alive = rule.is_strict == 0
        for s in range(1, steps):
            if last_rank[s - 1] < 0:
                break
            if rule.is_strict and last_rank[s - 1] != rank[start] - 1:
                continue
            is_alive = True
            if at[start] - last_at[s - 1] > within[s]:
                continue
            if stop - start == 1:
                reached |= mask[start] & (1 << s)
            else:
                run = run_length(scratch, mask, start, stop, s, steps, is_later)
                reached |= ((1 << run) - 1) << s
    depth = 0
    while depth < steps and earliest[depth] >= 0:
        depth += 1
    return depth
