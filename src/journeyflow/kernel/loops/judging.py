"""What became of one attempt."""

from __future__ import annotations

from journeyflow.kernel.loops.assigning import assign
from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.grace import spread_with_grace
from journeyflow.kernel.loops.spreading import spread
from journeyflow.kernel.loops.tracing import trace
from journeyflow.kernel.loops.values import NEVER, FunnelRule, Log, Scratch, Verdict


@compiled
def judge(
    log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, is_later: bool, is_traced: bool
) -> Verdict:
    """Judge the attempt that `opener` begins; fills `scratch.places` when `is_traced`."""
    if rule.is_any_order:
        depth = assign(log, rule, scratch, lo, hi, opener, is_later)
        return Verdict(depth, _end_of(log, rule, scratch, opener, depth, -1), -1, 0)
    limit = NEVER
    closed_by = -1
    is_void = 0
    depth = _spread(log, rule, scratch, lo, hi, opener, limit, is_later)
    if len(rule.exclusions):
        closed_by, is_void = _find_closing(log, rule, scratch, hi, opener)
        if closed_by >= 0:
            limit = log.rank[closed_by]
            depth = _spread(log, rule, scratch, lo, hi, opener, limit, is_later)
    if is_traced and rule.grace == 0:
        # The end of an attempt reads `last_at`, which tracing leaves alone.
        trace(log, rule, scratch, lo, hi, opener, depth, limit, is_later)
    return Verdict(depth, _end_of(log, rule, scratch, opener, depth, closed_by), closed_by, is_void)


@compiled
def is_pending(rule: FunnelRule, verdict: Verdict) -> bool:
    """May the attempt still go on: neither finished nor closed, and its end lies beyond the high-water mark."""
    return verdict.depth < rule.steps and verdict.closed_by < 0 and verdict.closes_at > rule.high_water


@compiled
def _spread(
    log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, limit: int, is_later: bool
) -> int:
    if rule.grace > 0:
        return spread_with_grace(log, rule, scratch, lo, hi, opener, limit)
    return spread(log, rule, scratch, lo, hi, opener, limit, is_later)


@compiled
def _end_of(log: Log, rule: FunnelRule, scratch: Scratch, opener: int, depth: int, closed_by: int) -> int:
    """Return when an attempt ends: its last step (where traced), else its window, deadline or exclusion."""
    if depth == rule.steps:
        end: int = log.at[opener]
        for s in range(depth):
            if scratch.places[s] >= 0:
                end = max(end, log.at[scratch.places[s]])
        return end
    end = log.at[opener] + rule.window
    if rule.within[depth] < NEVER:
        end = min(end, scratch.last_at[depth - 1] + rule.within[depth])
    if closed_by >= 0:
        end = min(end, log.at[closed_by])
    return end


@compiled
def _find_closing(log: Log, rule: FunnelRule, scratch: Scratch, hi: int, opener: int) -> tuple[int, int]:
    """Return the place of the excluded event that closes the attempt (-1 none), and whether it voids it.

    Reads `scratch.earliest` of an attempt that nothing has closed. Among tied ones a voiding event comes first.
    """
    closed_by = -1
    is_void = 0
    window_end = log.at[opener] + rule.window
    for x in range(len(rule.exclusions)):
        after = scratch.earliest[rule.exclusions[x, 0]]
        before = scratch.earliest[rule.exclusions[x, 1]]
        if after < 0:
            continue
        for place in range(opener, hi):
            if log.rank[place] >= before if before >= 0 else log.at[place] >= window_end:
                break
            if log.rank[place] <= after or not (log.excluded[place] >> x) & 1:
                continue
            voids = rule.exclusions[x, 2]
            is_first = closed_by < 0 or log.rank[place] < log.rank[closed_by]
            if not is_first and log.rank[place] == log.rank[closed_by]:
                is_first = voids > is_void or (voids == is_void and place < closed_by)
            if is_first:
                closed_by = place
                is_void = voids
            break
    return closed_by, is_void
