"""Distinct events for distinct steps: bipartite matching with at most twenty steps on one side."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Int32s, Scratch


@compiled
def augment(scratch: Scratch, mask: Int32s, place: int, allowed: int, steps: int) -> bool:
    """Give the event at `place` one of the `allowed` steps, moving others if need be; False when it cannot be done.

    `scratch.match` holds the place that has each step, -1 for a free one.
    """
    match, parent, queue = scratch.match, scratch.parent, scratch.queue
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
def fits(scratch: Scratch, mask: Int32s, start: int, stop: int, allowed: int, wanted: int, steps: int) -> bool:
    """Can the unused events in `[start, stop)` take all `wanted` steps of the set `allowed`, each its own."""
    if wanted == 0:
        return True
    scratch.match[:] = -1
    size = 0
    for place in range(start, stop):
        if not scratch.used[place] and mask[place] & allowed and augment(scratch, mask, place, allowed, steps):
            size += 1
            if size == wanted:
                return True
    return False


@compiled
def run_length(scratch: Scratch, mask: Int32s, start: int, stop: int, step: int, steps: int, is_later: bool) -> int:
    """Return how many steps from `step` on the tied events in `[start, stop)` can take, one after another."""
    if stop - start == 1:
        return (mask[start] >> step) & 1 if not scratch.used[start] else 0
    length = 0
    longest = min(steps - step, stop - start)
    if is_later:
        longest = min(longest, 1)
    while length < longest:
        allowed = ((1 << (length + 1)) - 1) << step
        if not fits(scratch, mask, start, stop, allowed, length + 1, steps):
            break
        length += 1
    return length


@compiled
def place_run(scratch: Scratch, mask: Int32s, start: int, stop: int, step: int, length: int, steps: int) -> None:
    """Write to `scratch.places` the first events, in order, that can take the steps of a run."""
    places, used = scratch.places, scratch.used
    for s in range(step, step + length):
        rest = ((1 << (length - (s - step) - 1)) - 1) << (s + 1)
        for place in range(start, stop):
            if used[place] or not (mask[place] >> s) & 1:
                continue
            used[place] = True
            if fits(scratch, mask, start, stop, rest, step + length - s - 1, steps):
                places[s] = place
                break
            used[place] = False
    for s in range(step, step + length):
        used[places[s]] = False
