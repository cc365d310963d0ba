"""How deep attempts can go at most: one backward pass, and exact where nothing but order and window is asked."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import NEVER, Int8s, Int32s, Int64s


@compiled
def bound_depths(
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
def bound_runs(
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
def bound_levels(
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
