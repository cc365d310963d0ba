"""Funnel attempts: which count, how each ends, and the best of each day (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.funnel_chains import (
    EventColumns,
    Workspace,
    assign_any_order,
    depth_with_grace,
    find_chain,
    find_plain_chain,
    has_tied_steps,
    max_depth,
    tie_start,
)
from journeyflow.kernel.jit import NEVER, Int8s, Int32s, Int64s, compiled, first_above, inner
from journeyflow.kernel.plan import FunnelSettings

UNIT, OPENER, DEPTH, CLOSES_AT, CLOSED_BY, TIE = range(6)
NO_BOUND, BY_ORDER, BY_LEVEL, BY_RUN = range(4)
DAY_UNIT, DAY_OPENER, DAY_DEPTH, DAY_CLOSES_AT, DAY_IS_OPEN = range(5)


class AttemptOutcome(NamedTuple):
    """How an attempt ended; `closed_by` is the place of the excluded event that closed it, -1 for none."""

    depth: int
    closes_at: int
    closed_by: int
    is_void: int


@compiled
def evaluate_units(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, day_start: Int64s
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Evaluate the attempts of every unit.

    Returns
    -------
    counted : array
        A row for each attempt that counts: unit, opener, depth, closes at, closed by, is tie decided.
    reached : array
        The places of its steps, -1 where not reached.
    days : array
        The best attempt of each unit and day of entry: unit, opener, depth, closes at, can only time end it.
    day_reached : array
        The places of its steps, -1 where not reached.
    """
    at, rank, mask, bound, chain = events.at, events.rank, events.mask, workspace.bound, workspace.chain
    steps, window, to_second = settings.steps, settings.window, settings.to_second
    opening, entered_from, entered_to = settings.opening, settings.entered_from, settings.entered_to
    is_later = settings.is_later == 1
    not_strict = NO_BOUND if settings.grace > 0 else BY_LEVEL if settings.is_any_order else BY_ORDER
    way = BY_RUN if settings.is_strict else not_strict
    # Where tied events cannot compete for steps, bounds are depths: in a plain funnel with ties too, and in any order.
    # With `is_later` that is the bound under this setting only; all others must hold under both settings of ties.
    can_be_exact = settings.is_plain == 1 and settings.is_strict == 0 and (settings.is_disjoint == 1 or is_later)
    start, excluded, entry, within = events.start, events.excluded, workspace.entry, settings.within
    openers = _count_openers(mask, opening)
    counted, days = np.empty((openers, 6), np.int64), np.empty((openers, 5), np.int64)
    reached, day_reached = np.empty((openers, steps), np.int64), np.empty((openers, steps), np.int64)
    count = day_count = 0
    # Functions that run for every unit take arrays: a tuple of arrays as argument costs reference counts of each.
    for unit in range(len(start) - 1):
        lo, hi = start[unit], start[unit + 1]
        first = next_opener(at, mask, lo, hi, opening, entered_from, entered_to)
        if first < 0:
            continue
        begin = tie_start(rank, first, lo)
        is_free = not _has_any(excluded, lo, hi)
        is_exact = can_be_exact and is_free
        # Named first: a condition among the arguments would cost reference counts of the arrays before it.
        is_bound_later = is_exact and is_later
        has_ties = _write_bounds(
            at, rank, mask, bound, chain, entry, within, begin, hi, steps, window, to_second, way, is_bound_later
        )  # fmt: skip
        is_plain = is_exact or (settings.is_plain == 1 and is_free and not has_ties)
        if is_plain:
            day_count, best = _best_of_plain(
                at, rank, mask, bound, settings, day_start, unit, lo, hi, first, days, day_reached, day_count
            )
        else:
            day_count, best = _best_by_day(
                events, settings, workspace, day_start, unit, first, days, day_reached, day_count
            )
        opener = first if settings.is_attempts else best
        while opener >= 0:
            is_void = False
            if is_plain:
                _write_plain(at, rank, mask, bound, settings, unit, lo, opener, counted, reached, count)
            else:
                outcome = evaluate_attempt(events, settings, workspace, lo, hi, opener, is_later, True)
                _write(counted, reached, count, unit, opener, settings, workspace, outcome)
                is_void = outcome.is_void == 1
            following = -1
            if settings.is_attempts:
                following = _opener_after(at, rank, mask, settings, opener, hi, counted[count], reached[count])
            if not is_void:
                if has_ties and settings.grace == 0:
                    counted[count, TIE] = _is_tie_decided(
                        events, settings, workspace, lo, hi, first, opener, counted[count, DEPTH], is_exact, way
                    )
                count += 1
            opener = following
    return counted[:count], reached[:count], days[:day_count], day_reached[:day_count]


@inner
def _count_openers(mask: Int32s, opening: int) -> int:
    count = 0
    for each in mask:
        count += 1 if each & opening else 0
    return count


@inner
def next_opener(at: Int64s, mask: Int32s, place: int, hi: int, opening: int, entered_from: int, entered_to: int) -> int:
    """Return the first place from `place` on that may open an attempt, or -1."""
    while place < hi:
        if mask[place] & opening and entered_from <= at[place] < entered_to:
            return place
        place += 1
    return -1


@inner
def _next(events: EventColumns, settings: FunnelSettings, place: int, hi: int) -> int:
    opening, entered_from, entered_to = settings.opening, settings.entered_from, settings.entered_to
    return next_opener(events.at, events.mask, place, hi, opening, entered_from, entered_to)


@inner
def _has_any(excluded: Int64s, lo: int, hi: int) -> bool:
    if len(excluded):
        for place in range(lo, hi):
            if excluded[place]:
                return True
    return False


@inner
def _best_of_plain(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, settings: FunnelSettings, day_start: Int64s, unit: int,
    lo: int, hi: int, first: int, days: Int64s, day_reached: Int64s, day_count: int,
) -> tuple[int, int]:  # fmt: skip
    """Do as `_best_by_day` where the bound is the depth."""
    opening, entered_from, entered_to = settings.opening, settings.entered_from, settings.entered_to
    steps, window, to_second = settings.steps, settings.window, settings.to_second
    best = first
    day = 0
    place = first
    while place >= 0:
        # The days of a unit ascend, and most of its events are of one day or two.
        day = first_above(day_start, day, len(day_start), at[place])
        day_end = day_start[day] if day < len(day_start) else NEVER
        best_of_day = place
        while place >= 0 and at[place] < day_end:
            if bound[place] > bound[best_of_day]:
                best_of_day = place
            place = next_opener(at, mask, place + 1, hi, opening, entered_from, entered_to)
        depth = bound[best_of_day]
        if depth > bound[best]:
            best = best_of_day
        find_plain_chain(rank, mask, lo, best_of_day, depth, settings.is_later == 1, day_reached, day_count)
        end = _plain_end(at[best_of_day], depth, window, to_second)
        if depth == steps:
            end = at[day_reached[day_count, steps - 1]]
        days[day_count, DAY_UNIT] = unit
        days[day_count, DAY_OPENER] = best_of_day
        days[day_count, DAY_DEPTH] = depth
        days[day_count, DAY_CLOSES_AT] = end
        days[day_count, DAY_IS_OPEN] = 1 if depth < steps else 0
        day_count += 1
    return day_count, best


@inner
def _plain_end(at: int, depth: int, window: int, to_second: int) -> int:
    """Return when an unfinished attempt of a plain funnel ends: in step 1 its second step may have a deadline."""
    return at + (min(window, to_second) if depth == 1 else window)


@inner
def _best_by_day(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, day_start: Int64s, unit: int, first: int,
    days: Int64s, day_reached: Int64s, day_count: int,
) -> tuple[int, int]:  # fmt: skip
    """Add the best attempt of each day of a unit and its places; return the number of rows, and the best opener of all.

    An attempt that cannot be deeper than the best one of its day is not evaluated.
    """
    lo, hi = events.start[unit], events.start[unit + 1]
    best = -1
    best_depth = 0
    day_end = -NEVER
    day_best = 0
    opener = first
    while opener >= 0:
        at = events.at[opener]
        if at >= day_end:
            day = first_above(day_start, 0, len(day_start), at)
            day_end = day_start[day] if day < len(day_start) else NEVER
            day_best = 0
        if workspace.bound[opener] > day_best:
            outcome = evaluate_attempt(events, settings, workspace, lo, hi, opener, settings.is_later == 1, True)
            if outcome.depth > day_best and not outcome.is_void:
                day_count += 1 if day_best == 0 else 0
                day_best = outcome.depth
                days[day_count - 1, DAY_UNIT] = unit
                days[day_count - 1, DAY_OPENER] = opener
                days[day_count - 1, DAY_DEPTH] = day_best
                days[day_count - 1, DAY_CLOSES_AT] = outcome.closes_at
                days[day_count - 1, DAY_IS_OPEN] = 1 if day_best < settings.steps and outcome.closed_by < 0 else 0
                for s in range(settings.steps):
                    day_reached[day_count - 1, s] = workspace.places[s] if s < day_best else -1
                if day_best > best_depth:
                    best = opener
                    best_depth = day_best
        opener = _next(events, settings, opener + 1, hi)
    return day_count, best


@inner
def _write_plain(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, settings: FunnelSettings, unit: int, lo: int, opener: int,
    counted: Int64s, reached: Int64s, row: int,
) -> None:  # fmt: skip
    """Write an attempt whose bound is its depth."""
    depth = bound[opener]
    find_plain_chain(rank, mask, lo, opener, depth, settings.is_later == 1, reached, row)
    end = _plain_end(at[opener], depth, settings.window, settings.to_second)
    if depth == settings.steps:
        end = at[reached[row, depth - 1]]
    counted[row, UNIT] = unit
    counted[row, OPENER] = opener
    counted[row, DEPTH] = depth
    counted[row, CLOSES_AT] = end
    counted[row, CLOSED_BY] = -1
    counted[row, TIE] = 0


@inner
def _write(
    counted: Int64s, reached: Int64s, row: int, unit: int, opener: int, settings: FunnelSettings, workspace: Workspace,
    outcome: AttemptOutcome,
) -> None:  # fmt: skip
    counted[row, UNIT] = unit
    counted[row, OPENER] = opener
    counted[row, DEPTH] = outcome.depth
    counted[row, CLOSES_AT] = outcome.closes_at
    counted[row, CLOSED_BY] = outcome.closed_by
    counted[row, TIE] = 0
    for s in range(settings.steps):
        reached[row, s] = workspace.places[s] if s < outcome.depth else -1


@inner
def _opener_after(
    at: Int64s, rank: Int32s, mask: Int32s, settings: FunnelSettings, opener: int, hi: int, attempt: Int64s,
    places: Int64s,
) -> int:  # fmt: skip
    """Return the first event after the end of an attempt that may open the next, or -1."""
    opening, entered_from, entered_to = settings.opening, settings.entered_from, settings.entered_to
    is_done = attempt[DEPTH] == settings.steps
    after = NEVER
    if is_done:
        after = -1
        for place in places:
            after = max(after, rank[place])
    elif attempt[CLOSED_BY] >= 0:
        after = rank[attempt[CLOSED_BY]]
    place = next_opener(at, mask, opener + 1, hi, opening, entered_from, entered_to)
    while place >= 0:
        if rank[place] > after or (not is_done and at[place] > attempt[CLOSES_AT]):
            return place
        place = next_opener(at, mask, place + 1, hi, opening, entered_from, entered_to)
    return -1


@inner
def _is_tie_decided(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, lo: int, hi: int, first: int, opener: int,
    depth: int, is_exact: bool, way: int,
) -> bool:  # fmt: skip
    """Would the unit (or this attempt, when all count) be at another depth under the other setting of ties."""
    is_later = settings.is_later == 0
    if is_exact and not settings.is_attempts:
        begin = tie_start(events.rank, first, lo)
        _write_bounds(
            events.at, events.rank, events.mask, workspace.bound, workspace.chain, workspace.entry, settings.within,
            begin, hi, settings.steps, settings.window, settings.to_second, way, is_later,
        )  # fmt: skip
    other = 0
    place = opener if settings.is_attempts else first
    while place >= 0 and other < settings.steps:
        if is_exact and settings.is_disjoint == 1 and not settings.is_attempts:
            other = max(other, int(workspace.bound[place]))
        elif settings.is_attempts or workspace.bound[place] > other:
            outcome = evaluate_attempt(events, settings, workspace, lo, hi, place, is_later, False)
            if settings.is_attempts:
                return outcome.is_void == 1 or outcome.depth != depth
            if not outcome.is_void:
                other = max(other, outcome.depth)
        place = _next(events, settings, place + 1, hi)
    return other != depth


@inner
def evaluate_attempt(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, lo: int, hi: int, opener: int, is_later: bool,
    with_chain: bool,
) -> AttemptOutcome:  # fmt: skip
    """Evaluate the attempt that `opener` begins, in any funnel; fills `workspace.places` when `with_chain`."""
    if settings.is_any_order:
        depth = assign_any_order(events, settings, workspace, lo, hi, opener, is_later)
        return AttemptOutcome(depth, _end_of(events, settings, workspace, opener, depth, -1), -1, 0)
    limit = NEVER
    closed_by = -1
    is_void = 0
    while True:  # One call of each function: the compiler copies it to every place that calls it.
        depth = _max_depth(events, settings, workspace, lo, hi, opener, limit, is_later)
        if limit < NEVER or len(settings.exclusions) == 0:
            break
        closed_by, is_void = _find_closing(events, settings, workspace, hi, opener)
        if closed_by < 0:
            break
        limit = int(np.int64(events.rank[closed_by]))  # Of the type of the other limit, or all would be compiled twice.
    if with_chain and settings.grace == 0:
        # The end of an attempt reads `last_at`, which this leaves alone.
        find_chain(events, settings, workspace, lo, hi, opener, depth, is_later)
    end = _end_of(events, settings, workspace, opener, depth, closed_by)
    return AttemptOutcome(depth, end, closed_by, is_void)


@inner
def _max_depth(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, lo: int, hi: int, opener: int, limit: int,
    is_later: bool,
) -> int:  # fmt: skip
    if settings.grace > 0:
        return depth_with_grace(events, settings, workspace, lo, hi, opener, limit)
    return max_depth(events, settings, workspace, lo, hi, opener, limit, is_later)


@inner
def _end_of(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, opener: int, depth: int, closed_by: int
) -> int:
    """Return when an attempt ends: its last step (where there is a chain), else its window, deadline or exclusion."""
    if depth == settings.steps:
        end: int = events.at[opener]
        for s in range(depth):
            if workspace.places[s] >= 0:
                end = max(end, events.at[workspace.places[s]])
        return end
    end = events.at[opener] + settings.window
    if settings.within[depth] < NEVER:
        end = min(end, workspace.last_at[depth - 1] + settings.within[depth])
    if closed_by >= 0:
        end = min(end, events.at[closed_by])
    return end


@inner
def _find_closing(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, hi: int, opener: int
) -> tuple[int, int]:
    """Return the place of the excluded event that closes the attempt (-1 none), and whether it voids it.

    Reads `workspace.earliest` of an attempt that nothing has closed. Among tied events a voiding one comes first.
    """
    closed_by = -1
    is_void = 0
    window_end = events.at[opener] + settings.window
    for place in range(opener, hi):
        rank = events.rank[place]
        if closed_by >= 0 and rank > events.rank[closed_by]:
            break
        is_open = False
        for x in range(len(settings.exclusions)):
            after = workspace.earliest[settings.exclusions[x, 0]]
            before = workspace.earliest[settings.exclusions[x, 1]]
            if after < 0 or (rank >= before if before >= 0 else events.at[place] >= window_end):
                continue
            is_open = True
            if rank > after and (events.excluded[place] >> x) & 1:
                voids = settings.exclusions[x, 2]
                if closed_by < 0 or voids > is_void:
                    closed_by = place
                    is_void = voids
        if not is_open:
            break
    return closed_by, is_void


@inner
def _write_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, chain: Int64s, entry: Int64s, within: Int64s, lo: int,
    hi: int, steps: int, window: int, to_second: int, way: int, is_later: bool,
) -> bool:  # fmt: skip
    """Write depths that the attempts of a unit cannot exceed; return whether events that match steps tie."""
    if way == BY_ORDER:
        return depth_upper_bounds(at, rank, mask, bound, chain, entry, within, lo, hi, steps, window, is_later)
    if way == BY_LEVEL:
        return level_upper_bounds(at, rank, mask, bound, chain[0], lo, hi, steps, window)
    if way == BY_RUN:
        return run_upper_bounds(at, rank, mask, bound, chain, lo, hi, steps, window, to_second)
    bound[lo:hi] = steps
    return has_tied_steps(rank, mask, lo, hi)


@inner
def _tie_before(rank: Int32s, mask: Int32s, lo: int, stop: int) -> tuple[int, int, int]:
    """Return the start of the tie that ends at `stop`, the steps that its events match, and how many match any."""
    start = stop - 1
    union = mask[start]
    matching = 1 if union else 0
    while start > lo and rank[start - 1] == rank[start]:
        start -= 1
        union |= mask[start]
        matching += 1 if mask[start] else 0
    return start, union, matching


@inner
def depth_upper_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, chain: Int64s, entry: Int64s, within: Int64s, lo: int,
    hi: int, steps: int, window: int, is_later: bool,
) -> bool:  # fmt: skip
    """Write to `bound` for each event of a unit a depth that no attempt it opens can exceed; return whether steps tie.

    The bound is the depth itself without exclusions, unless tied events compete for steps. `chain[s, k]` is the time at
    which step s + k can be reached from the nearest step s, from here on, that leads there within all deadlines, and
    `entry[s, k]` the time of that step s; a later step s never leads there sooner. Without `is_later` tied events take
    any run of steps that they match.
    """
    chain[:] = NEVER
    entry[:] = NEVER
    has_ties = False
    stop = hi
    while stop > lo:
        start, union, matching = _tie_before(rank, mask, lo, stop)
        if union == 1 and matching == 1:
            # Most events only open: no chain is made of theirs.
            end, latest = at[start] + window, at[start] + within[1]
            depth = 1
            for k in range(steps - 1):
                depth += 1 if (chain[1, k] <= end) & (entry[1, k] <= latest) else 0
            bound[start:stop] = depth
        elif union:
            has_ties = has_ties or matching > 1
            now = at[start]
            depth = 1
            # Ascending: a chain is made of chains of later steps, from before this tie.
            for s in range(steps):
                if not (union >> s) & 1:
                    continue
                if matching == 1:
                    chain[s, 0] = entry[s, 0] = now
                    for k in range(1, steps - s):
                        if entry[s + 1, k - 1] - now <= within[s + 1]:
                            chain[s, k] = chain[s + 1, k - 1]
                            entry[s, k] = now
                            if s == 0 and k == depth and chain[0, k] <= now + window:
                                depth += 1
                    continue
                run = 1
                while matching > 1 and not is_later and s + run < steps and (union >> (s + run)) & 1:
                    run += 1
                for k in range(steps - s):
                    reached = now if k < run else NEVER
                    for length in range(1, min(run, k) + 1 if k >= run else 1):
                        following = entry[s + length, k - length]
                        if following < NEVER and following - now <= within[s + length]:
                            reached = min(reached, chain[s + length, k - length])
                    if reached < NEVER:
                        chain[s, k] = reached
                        entry[s, k] = now
                        if s == 0 and k == depth and reached <= now + window:
                            depth += 1
            if union & 1:
                bound[start:stop] = depth
        stop = start
    return has_ties


@inner
def run_upper_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, runs: Int64s, lo: int, hi: int, steps: int, window: int,
    to_second: int,
) -> bool:  # fmt: skip
    """Write to `bound` for each event of a strict funnel the longest run of steps that its successors could take.

    That is the depth itself in a plain funnel without ties. Return whether any events tie. `runs[0]` are by step the
    longest runs from here on when tied events may take any steps that they match.
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
        start, union, _ = _tie_before(rank, mask, lo, stop)
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


@inner
def level_upper_bounds(
    at: Int64s, rank: Int32s, mask: Int32s, bound: Int8s, nearest: Int64s, lo: int, hi: int, steps: int, window: int
) -> bool:
    """Write to `bound` for each event of an any-order funnel how many steps have an event inside its window.

    That is never below the level, and equals it where no event matches two steps and ties convert. Return whether
    events that match steps tie; `nearest` is scratch by step.
    """
    nearest[:] = NEVER
    has_ties = False
    stop = hi
    while stop > lo:
        start, union, matching = _tie_before(rank, mask, lo, stop)
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
