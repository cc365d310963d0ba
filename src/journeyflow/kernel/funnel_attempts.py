"""Funnel attempts: which count, how each ends, and the best of each day (compiled)."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.funnel_chains import (
    assign_any_order,
    depth_with_grace,
    find_chain,
    find_plain_chain,
    has_tied_steps,
    max_depth,
    tie_start,
)
from journeyflow.kernel.jit import (
    NEVER,
    AttemptOutcome,
    EventColumns,
    FunnelSettings,
    Int8s,
    Int32s,
    Int64s,
    Workspace,
    compiled,
    first_above,
)


@compiled
def depth_upper_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, chain: Int64s, lo: int, hi: int, steps: int, window: int,
    to_second: int, is_later: bool,
) -> bool:  # fmt: skip
    """Write to `bound` for each event of a unit a depth that no attempt which it opens can pass.

    The bound is the depth itself in a plain funnel, unless tied events have to share out steps that one of them could
    take alone. Return whether events that match steps tie. `chain[s]` are the times of the nearest steps s, s + 1, …
    from here on; without `is_later` tied events serve any run of steps that each of them, or several, match.
    `to_second` is the longest time from step 1 to step 2: if the nearest event is too late, all are.
    """
    chain[:] = NEVER
    has_ties = False
    stop = hi
    while stop > lo:
        start = stop - 1
        union = mask[start]
        matching = 1 if union else 0
        while start > lo and rank[start - 1] == rank[start]:
            start -= 1
            union |= mask[start]
            matching += 1 if mask[start] else 0
        if union:
            has_ties = has_ties or matching > 1
            # Steps ascend, so that a chain is made from the ones of before.
            for s in range(steps):
                if not (union >> s) & 1:
                    continue
                run = 1
                while matching > 1 and not is_later and s + run < steps and (union >> (s + run)) & 1:
                    run += 1
                for k in range(steps - s):
                    chain[s, k] = at[start] if k < run else chain[s + run, k - run]
            depth = 1
            end = at[start] + (window if steps == 1 or chain[0, 1] <= at[start] + to_second else -1)
            while depth < steps and chain[0, depth] <= end:
                depth += 1
            if union & 1:
                bound[start:stop] = depth
        stop = start
    return has_ties


@compiled
def run_upper_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, runs: Int64s, lo: int, hi: int, steps: int, window: int,
    to_second: int,
) -> bool:  # fmt: skip
    """Write to `bound` for each event of a strict funnel the longest run of steps that its successors could take.

    That is the depth itself in a plain funnel where nothing ties. Return whether events tie, of steps or not. `runs` is
    scratch: how many steps from s on the instants from here on take, when tied events may serve any steps of theirs.
    """
    if rank[hi - 1] - rank[lo] == hi - 1 - lo:
        for place in range(lo, hi):
            if mask[place] & 1:
                depth = 1
                end = at[place] + min(window, to_second)
                while depth < steps and place + depth < hi and (mask[place + depth] >> depth) & 1:
                    if at[place + depth] > end:
                        break
                    depth += 1
                    end = at[place] + window
                bound[place] = depth
        return False
    runs[0] = 0
    stop = hi
    while stop > lo:
        start = stop - 1
        union = mask[start]
        while start > lo and rank[start - 1] == rank[start]:
            start -= 1
            union |= mask[start]
        for s in range(steps):
            longest = 0
            taken = 0
            while s + taken < steps and (union >> (s + taken)) & 1 and taken < stop - start:
                taken += 1
                longest = max(longest, taken + (runs[0, s + taken] if s + taken < steps else 0))
            runs[1, s] = longest
        for s in range(steps):
            runs[0, s] = runs[1, s]
        if union & 1:
            bound[start:stop] = runs[0, 0]
        stop = start
    return True


@compiled
def level_upper_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, nearest: Int64s, lo: int, hi: int, steps: int, window: int
) -> bool:
    """Write to `bound` for each event of an any-order funnel how many steps have an event inside its window.

    That is the level itself where no event matches two steps and ties convert, and nowhere less than it. Return
    whether events that match steps tie; `nearest` is scratch by step.
    """
    nearest[:] = NEVER
    has_ties = False
    stop = hi
    while stop > lo:
        start = stop - 1
        union = mask[start]
        matching = 1 if union else 0
        while start > lo and rank[start - 1] == rank[start]:
            start -= 1
            union |= mask[start]
            matching += 1 if mask[start] else 0
        if union:
            has_ties = has_ties or matching > 1
            level = 0
            for s in range(steps):
                if (union >> s) & 1:
                    nearest[s] = at[start]
                level += 1 if nearest[s] <= at[start] + window else 0
            bound[start:stop] = level
        stop = start
    return has_ties


@compiled
def evaluate_attempt(
    log: EventColumns,
    rule: FunnelSettings,
    scratch: Workspace,
    lo: int,
    hi: int,
    opener: int,
    is_later: bool,
    is_traced: bool,
) -> AttemptOutcome:
    """Judge the attempt that `opener` begins; fills `scratch.places` when `is_traced`."""
    if rule.is_any_order:
        depth = assign_any_order(log, rule, scratch, lo, hi, opener, is_later)
        return AttemptOutcome(depth, _end_of(log, rule, scratch, opener, depth, -1), -1, 0)
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
        find_chain(log, rule, scratch, lo, hi, opener, depth, limit, is_later)
    return AttemptOutcome(depth, _end_of(log, rule, scratch, opener, depth, closed_by), closed_by, is_void)


@compiled
def is_pending(rule: FunnelSettings, verdict: AttemptOutcome) -> bool:
    """May the attempt still go on: neither finished nor closed, and its end lies beyond the high-water mark."""
    return verdict.depth < rule.steps and verdict.closed_by < 0 and verdict.closes_at > rule.high_water


@compiled
def _spread(
    log: EventColumns,
    rule: FunnelSettings,
    scratch: Workspace,
    lo: int,
    hi: int,
    opener: int,
    limit: int,
    is_later: bool,
) -> int:
    if rule.grace > 0:
        return depth_with_grace(log, rule, scratch, lo, hi, opener, limit)
    return max_depth(log, rule, scratch, lo, hi, opener, limit, is_later)


@compiled
def _end_of(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, opener: int, depth: int, closed_by: int
) -> int:
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
def _find_closing(log: EventColumns, rule: FunnelSettings, scratch: Workspace, hi: int, opener: int) -> tuple[int, int]:
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


UNIT, OPENER, DEPTH, CLOSES_AT, CLOSED_BY, PENDING, TIE = range(7)
NO_BOUND, BY_ORDER, BY_LEVEL, BY_RUN = range(4)
DAY_UNIT, DAY_OPENER, DAY_DEPTH, DAY_UNTIL = range(4)


@compiled
def evaluate_units(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, day_start: Int64s
) -> tuple[Int64s, Int64s, Int64s]:
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
            verdict = evaluate_attempt(log, rule, scratch, lo, hi, opener, rule.is_later == 1, True)
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
        return depth_upper_bounds(at, rank, mask, bound, chain, lo, hi, steps, window, to_second, is_later)
    if way == BY_LEVEL:
        return level_upper_bounds(at, rank, mask, bound, chain[0], lo, hi, steps, window)
    if way == BY_RUN:
        return run_upper_bounds(at, rank, mask, bound, chain, lo, hi, steps, window, to_second)
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
def _next(log: EventColumns, rule: FunnelSettings, place: int, hi: int) -> int:
    return next_opener(log.at, log.mask, place, hi, rule.opening, rule.entered_from, rule.entered_to)


@compiled
def _best_plain(
    at: Int64s, mask: Int32s, bound: Int8s, rule: FunnelSettings, day_start: Int64s, unit: int, lo: int, hi: int,
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
def _deepest(at: Int64s, mask: Int32s, bound: Int8s, rule: FunnelSettings, place: int, hi: int) -> int:
    """Return the greatest bound of the events from `place` on that may open an attempt."""
    deepest = 0
    for each in range(place, hi):
        if mask[each] & rule.opening and rule.entered_from <= at[each] < rule.entered_to:
            deepest = max(deepest, bound[each])
    return deepest


@compiled
def _best_by_day(
    log: EventColumns,
    rule: FunnelSettings,
    scratch: Workspace,
    day_start: Int64s,
    unit: int,
    first: int,
    days: Int64s,
    day_count: int,
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
            verdict = evaluate_attempt(log, rule, scratch, lo, hi, opener, rule.is_later == 1, False)
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
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, rule: FunnelSettings, unit: int, lo: int, opener: int,
    counted: Int64s, reached: Int64s, row: int,
) -> None:  # fmt: skip
    """Write the counted attempt of a unit where the bound is the depth."""
    depth = bound[opener]
    reached[row, :] = -1
    find_plain_chain(rank, mask, lo, opener, depth, rule.is_later == 1, reached[row])
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
    rule: FunnelSettings,
    scratch: Workspace,
    verdict: AttemptOutcome,
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
def _opener_after(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, opener: int, hi: int, verdict: AttemptOutcome
) -> int:
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
def _other_depth(log: EventColumns, rule: FunnelSettings, scratch: Workspace, lo: int, hi: int, opener: int) -> int:
    """Return the depth under the other setting of ties: of the unit's best attempt, or of this one when all count.

    0 when there is none that is not void.
    """
    is_later = rule.is_later == 0
    best = 0
    place = opener if rule.is_attempts else _next(log, rule, lo, hi)
    while place >= 0 and best < rule.steps:
        if scratch.bound[place] > best:
            verdict = evaluate_attempt(log, rule, scratch, lo, hi, place, is_later, False)
            if not verdict.is_void:
                best = max(best, verdict.depth)
        if rule.is_attempts:
            break
        place = _next(log, rule, place + 1, hi)
    return best
