"""All attempts of all units of a funnel: which count, how they end, the best of each day."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.chains import NEVER, spread, trace
from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.loose import assign, latest_end, spread_with_grace

ORDERED, STRICT, ANY_ORDER = 0, 1, 2
STEPS, WINDOW, ORDER, LATER, GRACE, HIGH_WATER, ENTERED_FROM, ENTERED_TO, ATTEMPTS, DISJOINT = range(10)
DEPTH, CLOSES, CLOSED_BY, VOID = range(4)
UNIT, OPENER, A_DEPTH, A_CLOSES, A_CLOSED_BY, A_PENDING, A_TIE = range(7)
DAY_UNIT, DAY_OPENER, DAY_DEPTH, DAY_PENDING = range(4)


@compiled
def judge(
    lo, hi, opener, is_later, is_traced, at, rank, mask, excluded, spec, within, exclusions,
    used, node_mask, match, parent, queue, earliest, last_rank, last_at, places, verdict,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Judge the attempt that `opener` begins; fills `verdict`, and `places` when `is_traced`.

    `exclusions` has the rows (from step, to step, is_void), steps 0-based.
    """
    steps = spec[STEPS]
    window_end = at[opener] + spec[WINDOW]
    closed_by = -1
    is_void = 0
    if spec[ORDER] == ANY_ORDER:
        depth = assign(
            lo, hi, opener, at, rank, mask, steps, spec[WINDOW], is_later, node_mask, match, parent, queue, places
        )
        verdict[DEPTH] = depth
        verdict[CLOSES] = at[places[depth - 1]] if depth == steps else window_end
        verdict[CLOSED_BY] = -1
        verdict[VOID] = 0
        return
    is_strict = spec[ORDER] == STRICT
    limit = np.int64(NEVER)
    while True:
        if spec[GRACE] > 0:
            depth = spread_with_grace(
                lo, hi, opener, limit, at, rank, mask, steps, spec[WINDOW], spec[GRACE], within, spec[DISJOINT] == 1,
                earliest, last_rank, last_at, places,
            )  # fmt: skip
        else:
            depth = spread(
                lo, hi, opener, limit, at, rank, mask, steps, spec[WINDOW], is_strict, is_later, within,
                used, match, parent, queue, earliest, last_rank, last_at,
            )  # fmt: skip
        if closed_by >= 0 or len(exclusions) == 0:
            break
        for x in range(len(exclusions)):
            after = earliest[exclusions[x, 0]]
            if after < 0:
                continue
            before = earliest[exclusions[x, 1]]
            for place in range(opener, hi):
                if before >= 0 and rank[place] >= before:
                    break
                if before < 0 and at[place] >= window_end:
                    break
                if rank[place] > after and (excluded[place] >> x) & 1:
                    if closed_by < 0 or rank[place] < rank[closed_by]:
                        closed_by = place
                        is_void = exclusions[x, 2]
                    elif rank[place] == rank[closed_by]:
                        if exclusions[x, 2] > is_void or (exclusions[x, 2] == is_void and place < closed_by):
                            closed_by = place
                        is_void = max(is_void, exclusions[x, 2])
                    break
        if closed_by < 0:
            break
        limit = np.int64(rank[closed_by])
    verdict[DEPTH] = depth
    verdict[CLOSED_BY] = closed_by
    verdict[VOID] = is_void
    if depth == steps:
        verdict[CLOSES] = last_at[steps - 1]
    else:
        verdict[CLOSES] = latest_end(depth, steps, window_end, last_at, within)
        if closed_by >= 0:
            verdict[CLOSES] = min(verdict[CLOSES], at[closed_by])
    if is_traced and spec[GRACE] == 0:
        trace(
            lo, hi, opener, depth, limit, at, rank, mask, steps, spec[WINDOW], is_strict, is_later, within,
            used, match, parent, queue, node_mask, places,
        )  # fmt: skip
    if is_traced and depth == steps:
        verdict[CLOSES] = at[opener]
        for s in range(steps):
            verdict[CLOSES] = max(verdict[CLOSES], at[places[s]])


@compiled
def may_open(place, at, mask, spec):  # type: ignore[no-untyped-def]
    """May the event open an attempt."""
    if at[place] < spec[ENTERED_FROM] or at[place] >= spec[ENTERED_TO]:
        return False
    return mask[place] != 0 if spec[ORDER] == ANY_ORDER else mask[place] & 1 == 1


@compiled
def has_tie(lo, hi, rank, mask):  # type: ignore[no-untyped-def]
    """Do two events of the unit that match steps tie."""
    last = -1
    for place in range(lo, hi):
        if mask[place]:
            if rank[place] == last:
                return True
            last = rank[place]
    return False


@compiled
def judge_units(
    start, at, rank, mask, excluded, spec, within, exclusions, day_start,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Judge every attempt of every unit.

    Returns the counted attempts (unit, opener, depth, closes at, closed by, is pending, is tie decided), the places of their steps,
    and the best attempt of each unit and day of entry (unit, opener, depth, is pending). An attempt that cannot
    be deeper than the best one of its day is not tried: `bound` is what it could reach at most.
    """
    n = len(at)
    steps = spec[STEPS]
    used = np.zeros(n, np.bool_)
    node_mask = np.zeros(n, np.int64)
    match = np.full(steps, -1, np.int64)
    parent = np.zeros(steps, np.int64)
    queue = np.zeros(steps, np.int64)
    earliest = np.zeros(steps, np.int64)
    last_rank = np.zeros(steps, np.int64)
    last_at = np.zeros(steps, np.int64)
    places = np.full(steps, -1, np.int64)
    verdict = np.zeros(4, np.int64)
    bound = upper_bounds(start, at, rank, mask, spec)
    attempts = np.empty((16, 7), np.int64)
    reached = np.empty((16, steps), np.int64)
    days = np.empty((16, 4), np.int64)
    count = 0
    day_count = 0
    is_later = spec[LATER] == 1
    for u in range(len(start) - 1):
        lo, hi = start[u], start[u + 1]
        first = lo
        while first < hi and not may_open(first, at, mask, spec):
            first += 1
        if first == hi:
            continue
        best = -1
        best_depth = 0
        day = -1
        for opener in range(first, hi):
            if not may_open(opener, at, mask, spec):
                continue
            its_day = np.searchsorted(day_start, at[opener], side="right") - 1
            if its_day == day and bound[opener] <= days[day_count - 1, DAY_DEPTH]:
                continue
            judge(
                lo, hi, opener, is_later, False, at, rank, mask, excluded, spec, within, exclusions,
                used, node_mask, match, parent, queue, earliest, last_rank, last_at, places, verdict,
            )  # fmt: skip
            if verdict[VOID]:
                continue
            if its_day != day:
                day = its_day
                day_count += 1
                if day_count > len(days):
                    days = np.concatenate((days, np.empty_like(days)))
                days[day_count - 1, DAY_DEPTH] = 0
            if verdict[DEPTH] > days[day_count - 1, DAY_DEPTH]:
                days[day_count - 1, DAY_UNIT] = u
                days[day_count - 1, DAY_OPENER] = opener
                days[day_count - 1, DAY_DEPTH] = verdict[DEPTH]
                days[day_count - 1, DAY_PENDING] = is_pending(verdict, spec)
            if verdict[DEPTH] > best_depth:
                best = opener
                best_depth = verdict[DEPTH]
        opener = best
        if spec[ATTEMPTS]:
            opener = first
        ties = has_tie(lo, hi, rank, mask) and spec[GRACE] == 0
        while opener >= 0:
            judge(
                lo, hi, opener, is_later, True, at, rank, mask, excluded, spec, within, exclusions,
                used, node_mask, match, parent, queue, earliest, last_rank, last_at, places, verdict,
            )  # fmt: skip
            if not verdict[VOID]:
                if count == len(attempts):
                    attempts = np.concatenate((attempts, np.empty_like(attempts)))
                    reached = np.concatenate((reached, np.empty_like(reached)))
                attempts[count, UNIT] = u
                attempts[count, OPENER] = opener
                attempts[count, A_DEPTH] = verdict[DEPTH]
                attempts[count, A_CLOSES] = verdict[CLOSES]
                attempts[count, A_CLOSED_BY] = verdict[CLOSED_BY]
                attempts[count, A_PENDING] = is_pending(verdict, spec)
                attempts[count, A_TIE] = 0
                for s in range(steps):
                    reached[count, s] = places[s] if s < verdict[DEPTH] else -1
                count += 1
            following = -1
            if spec[ATTEMPTS]:
                following = next_opener(opener, hi, at, rank, mask, spec, verdict, places)
            if ties and not verdict[VOID]:
                other = tie_depth(
                    lo, hi, opener, at, rank, mask, excluded, spec, within, exclusions,
                    used, node_mask, match, parent, queue, earliest, last_rank, last_at, places, verdict,
                )  # fmt: skip
                attempts[count - 1, A_TIE] = 1 if other != attempts[count - 1, A_DEPTH] else 0
            opener = following
    return attempts[:count], reached[:count], days[:day_count]


@compiled
def is_pending(verdict, spec):  # type: ignore[no-untyped-def]
    """May the attempt still go on: neither finished nor closed, and its end lies beyond the high-water mark."""
    is_open = verdict[DEPTH] < spec[STEPS] and verdict[CLOSED_BY] < 0
    return 1 if is_open and verdict[CLOSES] > spec[HIGH_WATER] else 0


@compiled
def next_opener(opener, hi, at, rank, mask, spec, verdict, places):  # type: ignore[no-untyped-def]
    """Return the first event after the end of an attempt that may open the next, or -1."""
    after = np.int64(NEVER)
    if verdict[DEPTH] == spec[STEPS]:
        after = np.int64(-1)
        for s in range(spec[STEPS]):
            after = max(after, np.int64(rank[places[s]]))
    elif verdict[CLOSED_BY] >= 0:
        after = np.int64(rank[verdict[CLOSED_BY]])
    for place in range(opener + 1, hi):
        is_after = rank[place] > after
        if verdict[DEPTH] < spec[STEPS]:
            is_after = is_after or at[place] > verdict[CLOSES]
        if is_after and may_open(place, at, mask, spec):
            return place
    return -1


@compiled
def tie_depth(
    lo, hi, opener, at, rank, mask, excluded, spec, within, exclusions,
    used, node_mask, match, parent, queue, earliest, last_rank, last_at, places, verdict,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Return the depth under the other setting of ties: of the unit's best attempt, or of this one when all are counted.

    0 when there is none that is not void.
    """
    is_later = spec[LATER] == 0
    best = 0
    first, stop = lo, hi
    if spec[ATTEMPTS]:
        first, stop = opener, opener + 1
    for place in range(first, stop):
        if best == spec[STEPS] or not may_open(place, at, mask, spec):
            continue
        judge(
            lo, hi, place, is_later, False, at, rank, mask, excluded, spec, within, exclusions,
            used, node_mask, match, parent, queue, earliest, last_rank, last_at, places, verdict,
        )  # fmt: skip
        if not verdict[VOID]:
            best = max(best, verdict[DEPTH])
    return best


@compiled
def upper_bounds(start, at, rank, mask, spec):  # type: ignore[no-untyped-def]
    """Return for each event a depth that no attempt which it opens can pass.

    One backward pass: `chain[s]` are the times of the nearest steps s, s + 1, … from here on when nothing but order and
    window is asked and an event may serve several steps of its instant.
    """
    n = len(at)
    steps = spec[STEPS]
    bound = np.full(n, steps, np.int64)
    if spec[ORDER] == ANY_ORDER or spec[GRACE] > 0:
        return bound
    chain = np.full((steps + 1, steps + 1), NEVER, np.int64)
    for u in range(len(start) - 1):
        chain[:] = NEVER
        stop = start[u + 1]
        while stop > start[u]:
            first = stop - 1
            union = np.int64(mask[first])
            while first > start[u] and rank[first - 1] == rank[stop - 1]:
                first -= 1
                union |= mask[first]
            if union:
                for s in range(steps):
                    if not (union >> s) & 1:
                        continue
                    run = 1
                    while s + run < steps and stop - first > 1 and (union >> (s + run)) & 1:
                        run += 1
                    for k in range(steps - s):
                        chain[s, k] = at[first] if k < run else chain[s + run, k - run]
                end = at[first] + spec[WINDOW]
                depth = 0
                while depth < steps and chain[0, depth] <= end:
                    depth += 1
                for place in range(first, stop):
                    bound[place] = max(depth, 1)
            stop = first
    return bound
