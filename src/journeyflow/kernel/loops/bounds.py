"""How deep attempts can go at most: one backward pass, and exact where nothing but order and window is asked."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import NEVER, FunnelRule, Log, Scratch


@compiled
def bound_depths(log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int) -> None:
    """Write to `scratch.bound` for each event of a unit a depth that no attempt which it opens can pass.

    `chain[s]` are the times of the nearest steps s, s + 1, … from here on, when tied events may serve any steps that one of
    them matches. The bound is the depth itself in a plain funnel where no two events that match steps tie.
    """
    steps = rule.steps
    if rule.is_any_order or rule.grace > 0:
        scratch.bound[lo:hi] = steps
        return
    chain = scratch.chain
    chain[:] = NEVER
    stop = hi
    while stop > lo:
        start = stop - 1
        union = log.mask[start]
        matching = 1 if union else 0
        while start > lo and log.rank[start - 1] == log.rank[start]:
            start -= 1
            union |= log.mask[start]
            matching += 1 if log.mask[start] else 0
        if union:
            _prepend(log, scratch, steps, union, log.at[start], matching > 1)
            if union & 1:
                end = log.at[start] + rule.window
                depth = 1
                while depth < steps and chain[0, depth] <= end:
                    depth += 1
                scratch.bound[start:stop] = depth
        stop = start


@compiled
def _prepend(log: Log, scratch: Scratch, steps: int, union: int, at: int, is_tie: bool) -> None:
    """Put an instant, at which events match the steps of `union`, in front of the chains."""
    # Steps ascend, so that a chain is made from the ones of before.
    chain = scratch.chain
    for s in range(steps):
        if not (union >> s) & 1:
            continue
        run = 1
        while is_tie and s + run < steps and (union >> (s + run)) & 1:
            run += 1
        for k in range(steps - s):
            chain[s, k] = at if k < run else chain[s + run, k - run]
