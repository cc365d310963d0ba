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
    at, rank = log.at, log.rank
    scratch.earliest[:] = -1
    scratch.last_rank[:] = -1
    _note(scratch, 0, rank[opener], at[opener])
    end = at[opener] + rule.window
    start = tie_start(rank, opener, lo)
    stop = tie_stop(rank, opener, hi)
    if not is_later and stop - start > 1:
        scratch.used[opener] = True
        run = run_length(scratch, log.mask, start, stop, 1, rule.steps, False)
        scratch.used[opener] = False
        for s in range(1, 1 + run):
            _note(scratch, s, rank[opener], at[opener])
    while stop < hi and at[stop] <= end and rank[stop] <= limit and scratch.earliest[rule.steps - 1] < 0:
        start = stop
        stop = tie_stop(rank, start, hi)
        reached, is_alive = _reached_in(log, rule, scratch, start, stop, is_later)
        if not is_alive:
            break
        for s in range(1, rule.steps):
            if (reached >> s) & 1:
                _note(scratch, s, rank[start], at[start])
    depth = 0
    while depth < rule.steps and scratch.earliest[depth] >= 0:
        depth += 1
    return depth


@compiled
def _note(scratch: Scratch, step: int, rank: int, at: int) -> None:
    """Note that `step` can be reached at this rank."""
    if scratch.earliest[step] < 0:
        scratch.earliest[step] = rank
    scratch.last_rank[step] = rank
    scratch.last_at[step] = at


@compiled
def _reached_in(
    log: Log, rule: FunnelRule, scratch: Scratch, start: int, stop: int, is_later: bool
) -> tuple[int, bool]:
    """Return the set of steps that the tie `[start, stop)` lets chains reach, and whether chains can still go on."""
    reached = 0
    is_alive = not rule.is_strict
    for s in range(1, rule.steps):
        if scratch.last_rank[s - 1] < 0:
            break
        if rule.is_strict:
            if scratch.last_rank[s - 1] != log.rank[start] - 1:
                continue
            is_alive = True
        if log.at[start] - scratch.last_at[s - 1] > rule.within[s]:
            continue
        run = run_length(scratch, log.mask, start, stop, s, rule.steps, is_later)
        reached |= ((1 << run) - 1) << s
    return reached, is_alive
