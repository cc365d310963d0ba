"""Distinct events for distinct steps: bipartite matching with at most twenty steps on one side."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.compiled import compiled


@compiled
def augment(place, allowed, steps, mask, match, parent, queue):  # type: ignore[no-untyped-def]
    """Give the event at `place` one of the `allowed` steps, moving others if need be; False when it cannot be done.

    `match` holds the place that has each step (-1 free); `parent` and `queue` are scratch.
    """
    bits = mask[place] & allowed
    seen = bits
    tail = 0
    for s in range(steps):
        if (bits >> s) & 1:
            parent[s] = -1
            queue[tail] = s
            tail += 1
    head = 0
    while head < tail:
        s = queue[head]
        head += 1
        if match[s] < 0:
            while parent[s] >= 0:
                match[s] = match[parent[s]]
                s = parent[s]
            match[s] = place
            return True
        bits = mask[match[s]] & allowed & ~seen
        seen |= bits
        for other in range(steps):
            if (bits >> other) & 1:
                parent[other] = s
                queue[tail] = other
                tail += 1
    return False


@compiled
def fits(start, stop, allowed, wanted, steps, mask, used, match, parent, queue):  # type: ignore[no-untyped-def]
    """Can the unused events in `[start, stop)` take all `wanted` steps of the set `allowed`, each its own."""
    if wanted == 0:
        return True
    match[:] = -1
    size = 0
    for place in range(start, stop):
        if not used[place] and mask[place] & allowed and augment(place, allowed, steps, mask, match, parent, queue):
            size += 1
            if size == wanted:
                return True
    return False


@compiled
def run_length(start, stop, step, steps, is_later, mask, used, match, parent, queue):  # type: ignore[no-untyped-def]
    """Return how many steps from `step` on the tied events in `[start, stop)` can take, one after another."""
    length = 0
    longest = min(steps - step, stop - start)
    if is_later:
        longest = min(longest, 1)
    while length < longest:
        allowed = ((np.int64(1) << (length + 1)) - 1) << step
        if not fits(start, stop, allowed, length + 1, steps, mask, used, match, parent, queue):
            break
        length += 1
    return length


@compiled
def place_run(start, stop, step, length, steps, mask, used, match, parent, queue, places):  # type: ignore[no-untyped-def]
    """Write to `places` the first events (in order) that can take the steps of a run; marks none as used."""
    for s in range(step, step + length):
        rest = ((np.int64(1) << (length - (s - step) - 1)) - 1) << (s + 1)
        for place in range(start, stop):
            if used[place] or not (mask[place] >> s) & 1:
                continue
            used[place] = True
            if fits(start, stop, rest, step + length - s - 1, steps, mask, used, match, parent, queue):
                places[s] = place
                break
            used[place] = False
    for s in range(step, step + length):
        used[places[s]] = False
