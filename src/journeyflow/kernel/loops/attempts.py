"""All attempts of all units of a funnel: which count, how they end, the best of each day."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.bounds import bound_depths
from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.judging import is_pending, judge
from journeyflow.kernel.loops.ties import has_tied_steps
from journeyflow.kernel.loops.tracing import trace_plain
from journeyflow.kernel.loops.values import NEVER, FunnelRule, Int64s, Log, Scratch, Verdict

UNIT, OPENER, DEPTH, CLOSES_AT, CLOSED_BY, PENDING, TIE = range(7)
DAY_UNIT, DAY_OPENER, DAY_DEPTH, DAY_PENDING = range(4)


@compiled
def judge_units(log: Log, rule: FunnelRule, scratch: Scratch, day_start: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Judge every attempt of every unit.

    Returns
    -------
    counted : array
        A row for each attempt that counts: unit, opener, depth, closes at, closed by, is pending, is tie decided.
    reached : array
        The places of its steps, -1 where not reached.
    days : array
        The best attempt of each unit and day of entry: unit, opener, depth, is pending.
    """
    counted = np.empty((1024, 7), np.int64)
    reached = np.empty((1024, rule.steps), np.int64)
    days = np.empty((1024, 4), np.int64)
    count = 0
    day_count = 0
    for unit in range(len(log.start) - 1):
        lo, hi = log.start[unit], log.start[unit + 1]
        first = next_opener(log, rule, lo, hi)
        if first < 0:
            continue
        bound_depths(log, rule, scratch, lo, hi)
        has_ties = has_tied_steps(log.rank, log.mask, lo, hi)
        is_exact = rule.is_plain == 1 and not has_ties
        days, day_count, opener = _best_by_day(log, rule, scratch, day_start, unit, first, is_exact, days, day_count)
        if rule.is_attempts:
            opener = first
        while opener >= 0:
            verdict = _judge_traced(log, rule, scratch, lo, hi, opener, is_exact)
            if not verdict.is_void:
                if count == len(counted):
                    counted = np.concatenate((counted, np.empty_like(counted)))
                    reached = np.concatenate((reached, np.empty_like(reached)))
                _write(counted, reached, count, unit, opener, rule, scratch, verdict)
            following = -1
            if rule.is_attempts:
                following = _opener_after(log, rule, scratch, opener, hi, verdict)
            if not verdict.is_void:
                if has_ties and rule.grace == 0:
                    counted[count, TIE] = verdict.depth != _other_depth(log, rule, scratch, lo, hi, opener)
                count += 1
            opener = following
    return counted[:count], reached[:count], days[:day_count]


@compiled
def next_opener(log: Log, rule: FunnelRule, place: int, hi: int) -> int:
    """Return the first place from `place` on that may open an attempt, or -1."""
    while place < hi and log.at[place] < rule.entered_from:
        place += 1
    opening = NEVER if rule.is_any_order else 1
    while place < hi and log.at[place] < rule.entered_to:
        if log.mask[place] & opening:
            return place
        place += 1
    return -1


@compiled
def _best_by_day(
    log: Log, rule: FunnelRule, scratch: Scratch, day_start: Int64s, unit: int, first: int, is_exact: bool,
    days: Int64s, day_count: int,
) -> tuple[Int64s, int, int]:  # fmt: skip
    """Add the best attempt of each day of a unit to `days`; return them, their number, and the best opener of all.

    An attempt that cannot be deeper than the best one of its day is not tried.
    """
    lo, hi = log.start[unit], log.start[unit + 1]
    best = -1
    best_depth = 0
    day = -1
    day_end = -NEVER
    day_best = 0
    opener = first
    while opener >= 0:
        at = log.at[opener]
        if at >= day_end:
            day = np.searchsorted(day_start, at, side="right")
            day_end = day_start[day] if day < len(day_start) else NEVER
            day_best = 0
        if scratch.bound[opener] > day_best:
            if is_exact:
                depth = scratch.bound[opener]
                verdict = Verdict(depth, at + rule.window, -1, 0)
            else:
                verdict = judge(log, rule, scratch, lo, hi, opener, rule.is_later == 1, False)
            if verdict.depth > day_best and not verdict.is_void:
                if day_best == 0:
                    day_count += 1
                    if day_count > len(days):
                        days = np.concatenate((days, np.empty_like(days)))
                day_best = verdict.depth
                days[day_count - 1, DAY_UNIT] = unit
                days[day_count - 1, DAY_OPENER] = opener
                days[day_count - 1, DAY_DEPTH] = day_best
                days[day_count - 1, DAY_PENDING] = is_pending(rule, verdict)
                if day_best > best_depth:
                    best = opener
                    best_depth = day_best
        opener = next_opener(log, rule, opener + 1, hi)
    return days, day_count, best


@compiled
def _judge_traced(
    log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, is_exact: bool
) -> Verdict:
    if not is_exact:
        return judge(log, rule, scratch, lo, hi, opener, rule.is_later == 1, True)
    depth = scratch.bound[opener]
    trace_plain(log, scratch, opener, depth)
    is_done = depth == rule.steps
    return Verdict(depth, log.at[scratch.places[depth - 1]] if is_done else log.at[opener] + rule.window, -1, 0)


@compiled
def _write(
    counted: Int64s,
    reached: Int64s,
    row: int,
    unit: int,
    opener: int,
    rule: FunnelRule,
    scratch: Scratch,
    verdict: Verdict,
) -> None:
    counted[row, UNIT] = unit
    counted[row, OPENER] = opener
    counted[row, DEPTH] = verdict.depth
    counted[row, CLOSES_AT] = verdict.closes_at
    counted[row, CLOSED_BY] = verdict.closed_by
    counted[row, PENDING] = is_pending(rule, verdict)
    counted[row, TIE] = 0
    for s in range(rule.steps):
        reached[row, s] = scratch.places[s] if s < verdict.depth else -1


@compiled
def _opener_after(log: Log, rule: FunnelRule, scratch: Scratch, opener: int, hi: int, verdict: Verdict) -> int:
    """Return the first event after the end of an attempt that may open the next, or -1."""
    after = NEVER
    if verdict.depth == rule.steps:
        after = -1
        for s in range(rule.steps):
            after = max(after, log.rank[scratch.places[s]])
    elif verdict.closed_by >= 0:
        after = log.rank[verdict.closed_by]
    place = next_opener(log, rule, opener + 1, hi)
    while place >= 0:
        if log.rank[place] > after or (verdict.depth < rule.steps and log.at[place] > verdict.closes_at):
            return place
        place = next_opener(log, rule, place + 1, hi)
    return -1


@compiled
def _other_depth(log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int) -> int:
    """Return the depth under the other setting of ties: of the unit's best attempt, or of this one when all count.

    0 when there is none that is not void.
    """
    is_later = rule.is_later == 0
    best = 0
    place = opener if rule.is_attempts else next_opener(log, rule, lo, hi)
    while place >= 0 and best < rule.steps:
        if scratch.bound[place] > best:
            verdict = judge(log, rule, scratch, lo, hi, place, is_later, False)
            if not verdict.is_void:
                best = max(best, verdict.depth)
        if rule.is_attempts:
            break
        place = next_opener(log, rule, place + 1, hi)
    return best
