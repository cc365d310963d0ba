"""All attempts of all units of a funnel: which count, how they end, the best of each day."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.bounds import bound_depths, bound_levels, bound_runs
from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.judging import is_pending, judge
from journeyflow.kernel.loops.search import first_above
from journeyflow.kernel.loops.ties import has_tied_steps, tie_start
from journeyflow.kernel.loops.tracing import trace_plain
from journeyflow.kernel.loops.values import NEVER, FunnelRule, Int8s, Int32s, Int64s, Log, Scratch, Verdict

UNIT, OPENER, DEPTH, CLOSES_AT, CLOSED_BY, PENDING, TIE = range(7)
NO_BOUND, BY_ORDER, BY_LEVEL, BY_RUN = range(4)
DAY_UNIT, DAY_OPENER, DAY_DEPTH, DAY_UNTIL = range(4)


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
        The best attempt of each unit and day of entry: unit, opener, depth, pending until (0 where it is not).
    """
    at, rank, mask, bound, chain, start = log.at, log.rank, log.mask, scratch.bound, scratch.chain, log.start
    steps, window, to_second = rule.steps, rule.window, rule.to_second
    way = NO_BOUND if rule.grace > 0 else BY_LEVEL if rule.is_any_order else BY_RUN if rule.is_strict else BY_ORDER
    # Whether the bound is the depth. With `later` tied events never share out steps, but then only the setting's own
    # bound is exact; elsewhere the bound has to hold for both settings of ties.
    is_later = rule.is_later == 1
    can_be_exact = rule.is_plain == 1 and rule.is_strict == 0 and (rule.is_disjoint == 1 or is_later)
    is_exact_level = rule.is_any_order == 1 and rule.is_disjoint == 1 and not is_later
    openers = _count_openers(at, mask, rule.opening, rule.entered_from, rule.entered_to)
    counted = np.empty((openers, 7), np.int64)
    reached = np.empty((openers, rule.steps), np.int64)
    days = np.empty((openers, 4), np.int64)
    count = 0
    day_count = 0
    for unit in range(len(start) - 1):
        lo, hi = start[unit], start[unit + 1]
        first = next_opener(at, mask, lo, hi, rule.opening, rule.entered_from, rule.entered_to)
        if first < 0:
            continue
        begin = tie_start(rank, first, lo)
        # Nothing excluded is in sight of most units.
        is_free = not _has_any(log.excluded, lo, hi)
        is_exact = can_be_exact and is_free
        later = is_exact and is_later
        has_ties = _bound(at, rank, mask, bound, chain, begin, hi, steps, window, to_second, way, later)
        is_plain = is_exact or (rule.is_plain == 1 and is_free and not has_ties)
        if is_plain or is_exact_level:
            day_count, best = _best_plain(at, mask, bound, rule, day_start, unit, lo, hi, first, days, day_count)
        else:
            day_count, best = _best_by_day(log, rule, scratch, day_start, unit, first, days, day_count)
        if is_plain and not rule.is_attempts:
            _write_plain(at, rank, mask, bound, rule, unit, lo, best, counted, reached, count)
            if has_ties:
                _bound(at, rank, mask, bound, chain, begin, hi, steps, window, to_second, way, not is_later)
                counted[count, TIE] = counted[count, DEPTH] != _deepest(at, mask, bound, rule, first, hi)
            count += 1
            continue
        opener = first if rule.is_attempts else best
        while opener >= 0:
            verdict = judge(log, rule, scratch, lo, hi, opener, rule.is_later == 1, True)
            following = _opener_after(log, rule, scratch, opener, hi, verdict) if rule.is_attempts else -1
            if not verdict.is_void:
                _write(counted, reached, count, unit, opener, rule, scratch, verdict)
                if has_ties and rule.grace == 0:
                    counted[count, TIE] = verdict.depth != _other_depth(log, rule, scratch, lo, hi, opener)
                count += 1
            opener = following
    return counted[:count], reached[:count], days[:day_count]


@compiled
def _bound(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, chain: Int64s, lo: int, hi: int, steps: int, window: int,
    to_second: int, way: int, is_later: bool,
) -> bool:  # fmt: skip
    """Write to `bound` depths that the attempts of a unit cannot pass; return whether events that match steps tie."""
    if way == BY_ORDER:
        return bound_depths(at, rank, mask, bound, chain, lo, hi, steps, window, to_second, is_later)
    if way == BY_LEVEL:
        return bound_levels(at, rank, mask, bound, chain[0], lo, hi, steps, window)
    if way == BY_RUN:
        return bound_runs(at, rank, mask, bound, chain, lo, hi, steps, window, to_second)
    bound[lo:hi] = steps
    return has_tied_steps(rank, mask, lo, hi)


@compiled
def _has_any(excluded: Int64s, lo: int, hi: int) -> bool:
    if len(excluded):
        for place in range(lo, hi):
            if excluded[place]:
                return True
    return False


@compiled
def _plain_end(at: int, depth: int, window: int, to_second: int) -> int:
    """Return when an unfinished attempt of a plain funnel ends: in step 1 its second step may have a deadline."""
    return at + (min(window, to_second) if depth == 1 else window)


@compiled
def _count_openers(at: Int64s, mask: Int32s, opening: int, entered_from: int, entered_to: int) -> int:
    count = 0
    for place in range(len(at)):
        if mask[place] & opening and entered_from <= at[place] < entered_to:
            count += 1
    return count


@compiled
def next_opener(at: Int64s, mask: Int32s, place: int, hi: int, opening: int, entered_from: int, entered_to: int) -> int:
    """Return the first place from `place` on that may open an attempt, or -1."""
    while place < hi:
        if mask[place] & opening and entered_from <= at[place] < entered_to:
            return place
        place += 1
    return -1


@compiled
def _next(log: Log, rule: FunnelRule, place: int, hi: int) -> int:
    return next_opener(log.at, log.mask, place, hi, rule.opening, rule.entered_from, rule.entered_to)


@compiled
def _best_plain(
    at: Int64s, mask: Int32s, bound: Int8s, rule: FunnelRule, day_start: Int64s, unit: int, lo: int, hi: int,
    first: int, days: Int64s, day_count: int,
) -> tuple[int, int]:  # fmt: skip
    """Do what `_best_by_day` does where the bound is the depth."""
    opening, entered_from, entered_to, steps = rule.opening, rule.entered_from, rule.entered_to, rule.steps
    window, to_second, high_water = rule.window, rule.to_second, rule.high_water
    best = first
    day_end = -NEVER
    place = first
    while place >= 0:
        if at[place] >= day_end:
            day = first_above(day_start, 0, len(day_start), at[place])
            day_end = day_start[day] if day < len(day_start) else NEVER
            days[day_count, DAY_DEPTH] = 0
            day_count += 1
        depth = bound[place]
        if depth > days[day_count - 1, DAY_DEPTH]:
            days[day_count - 1, DAY_UNIT] = unit
            days[day_count - 1, DAY_OPENER] = place
            days[day_count - 1, DAY_DEPTH] = depth
            end = _plain_end(at[place], depth, window, to_second)
            days[day_count - 1, DAY_UNTIL] = end if depth < steps and end > high_water else 0
            if depth > bound[best]:
                best = place
        place = next_opener(at, mask, place + 1, hi, opening, entered_from, entered_to)
    return day_count, best


@compiled
def _deepest(at: Int64s, mask: Int32s, bound: Int8s, rule: FunnelRule, place: int, hi: int) -> int:
    """Return the greatest bound of the events from `place` on that may open an attempt."""
    deepest = 0
    for each in range(place, hi):
        if mask[each] & rule.opening and rule.entered_from <= at[each] < rule.entered_to:
            deepest = max(deepest, bound[each])
    return deepest


@compiled
def _best_by_day(
    log: Log, rule: FunnelRule, scratch: Scratch, day_start: Int64s, unit: int, first: int, days: Int64s, day_count: int
) -> tuple[int, int]:
    """Add the best attempt of each day of a unit to `days`; return the number of rows, and the best opener of all.

    An attempt that cannot be deeper than the best one of its day is not tried.
    """
    lo, hi = log.start[unit], log.start[unit + 1]
    best = -1
    best_depth = 0
    day_end = -NEVER
    day_best = 0
    opener = first
    while opener >= 0:
        at = log.at[opener]
        if at >= day_end:
            day = first_above(day_start, 0, len(day_start), at)
            day_end = day_start[day] if day < len(day_start) else NEVER
            day_best = 0
        if scratch.bound[opener] > day_best:
            verdict = judge(log, rule, scratch, lo, hi, opener, rule.is_later == 1, False)
            if verdict.depth > day_best and not verdict.is_void:
                day_count += 1 if day_best == 0 else 0
                day_best = verdict.depth
                days[day_count - 1, DAY_UNIT] = unit
                days[day_count - 1, DAY_OPENER] = opener
                days[day_count - 1, DAY_DEPTH] = day_best
                days[day_count - 1, DAY_UNTIL] = verdict.closes_at if is_pending(rule, verdict) else 0
                if day_best > best_depth:
                    best = opener
                    best_depth = day_best
        opener = _next(log, rule, opener + 1, hi)
    return day_count, best


@compiled
def _write_plain(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, rule: FunnelRule, unit: int, lo: int, opener: int,
    counted: Int64s, reached: Int64s, row: int,
) -> None:  # fmt: skip
    """Write the counted attempt of a unit where the bound is the depth."""
    depth = bound[opener]
    reached[row, :] = -1
    trace_plain(rank, mask, lo, opener, depth, rule.is_later == 1, reached[row])
    is_done = depth == rule.steps
    counted[row, UNIT] = unit
    counted[row, OPENER] = opener
    counted[row, DEPTH] = depth
    end = at[reached[row, depth - 1]] if is_done else _plain_end(at[opener], depth, rule.window, rule.to_second)
    counted[row, CLOSES_AT] = end
    counted[row, CLOSED_BY] = -1
    counted[row, PENDING] = not is_done and end > rule.high_water
    counted[row, TIE] = 0


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
    place = _next(log, rule, opener + 1, hi)
    while place >= 0:
        if log.rank[place] > after or (verdict.depth < rule.steps and log.at[place] > verdict.closes_at):
            return place
        place = _next(log, rule, place + 1, hi)
    return -1


@compiled
def _other_depth(log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int) -> int:
    """Return the depth under the other setting of ties: of the unit's best attempt, or of this one when all count.

    0 when there is none that is not void.
    """
    is_later = rule.is_later == 0
    best = 0
    place = opener if rule.is_attempts else _next(log, rule, lo, hi)
    while place >= 0 and best < rule.steps:
        if scratch.bound[place] > best:
            verdict = judge(log, rule, scratch, lo, hi, place, is_later, False)
            if not verdict.is_void:
                best = max(best, verdict.depth)
        if rule.is_attempts:
            break
        place = _next(log, rule, place + 1, hi)
    return best
