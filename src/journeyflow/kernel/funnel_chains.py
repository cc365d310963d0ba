"""The deepest chain of events of a funnel attempt: ordered, strict, any order, grace, ties (compiled)."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.jit import Bools, EventColumns, FunnelSettings, Int32s, Int64s, Workspace, compiled


@compiled
def tie_stop(rank: Int32s, place: int, hi: int) -> int:
    """Return the end of the tie that holds `place`."""
    stop = place + 1
    while stop < hi and rank[stop] == rank[place]:
        stop += 1
    return stop


@compiled
def tie_start(rank: Int32s, place: int, lo: int) -> int:
    """Return the start of the tie that holds `place`."""
    start = place
    while start > lo and rank[start - 1] == rank[place]:
        start -= 1
    return start


@compiled
def has_tied_steps(rank: Int32s, mask: Int32s, lo: int, hi: int) -> bool:
    """Do two events of the unit that match steps tie."""
    last = -1
    for place in range(lo, hi):
        if mask[place]:
            if rank[place] == last:
                return True
            last = rank[place]
    return False


@compiled
def augment(scratch: Workspace, mask: Int32s, place: int, allowed: int, steps: int) -> bool:
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
def fits(scratch: Workspace, mask: Int32s, start: int, stop: int, allowed: int, wanted: int, steps: int) -> bool:
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
def run_length(scratch: Workspace, mask: Int32s, start: int, stop: int, step: int, steps: int, is_later: bool) -> int:
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
def place_run(scratch: Workspace, mask: Int32s, start: int, stop: int, step: int, length: int, steps: int) -> None:
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


@compiled
def assign_any_order(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, lo: int, hi: int, opener: int, is_later: bool
) -> int:
    """Write to `places` the event with which each level is first reached; return the level.

    With `is_later` the events of one tie are one node: they take one step between them.
    """
    everything = (1 << rule.steps) - 1
    node_mask = scratch.node_mask
    scratch.match[:] = -1
    scratch.places[:] = -1
    scratch.places[0] = opener
    node_mask[opener] = log.mask[opener]
    augment(scratch, node_mask, opener, everything, rule.steps)
    level = 1
    start = tie_stop(log.rank, opener, hi) if is_later else tie_start(log.rank, opener, lo)
    end = log.at[opener] + rule.window
    node = -1
    is_taken = False
    for place in range(start, hi):
        if level == rule.steps or log.at[place] > end:
            break
        if place == opener or log.mask[place] == 0:
            continue
        if not is_later or node < 0 or log.rank[node] != log.rank[place]:
            node = place
            node_mask[node] = 0
            is_taken = False
        node_mask[node] |= log.mask[place]
        if not is_taken and augment(scratch, node_mask, node, everything, rule.steps):
            is_taken = True
            scratch.places[level] = place
            level += 1
    return level


@compiled
def depth_with_grace(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, lo: int, hi: int, opener: int, limit: int
) -> int:
    """Try the chains from `opener` where a step may precede the one before by the grace; return the depth.

    A depth-first search. Where no event matches two steps, how a chain came to (step, rank) does not matter for what
    follows, so each such state is entered once; else every chain is tried. Fills `earliest`, `last_rank`, `last_at`
    as `spread` does, and `places` with the deepest chain, the earliest among equals.
    """
    at, rank, steps = log.at, log.rank, rule.steps
    first = opener
    while first > lo and at[opener] - at[first - 1] <= rule.grace:
        first -= 1
    stop = opener + 1
    while stop < hi and at[stop] <= at[opener] + rule.window and rank[stop] <= limit:
        stop += 1
    is_entered = np.zeros((steps, rank[stop - 1] - rank[opener] + 1), np.bool_)
    chain = np.full(steps, -1, np.int64)
    # The place whose time and rank each step takes: its own, or a later one before it in the chain.
    taken = np.full(steps, -1, np.int64)
    best = np.full(steps, -1, np.int64)
    cursor = np.full(steps + 1, first, np.int64)
    scratch.earliest[:] = -1
    scratch.last_rank[:] = -1
    scratch.places[:] = -1
    chain[0] = taken[0] = opener
    depth = 0
    level = 0
    place = opener
    while level >= 0:
        # `chain[:level]` stands and `place` has just been tried for `level`; -1 means that nothing is left there.
        if place >= 0:
            chain[level] = place
            taken[level] = place
            if level > 0 and rank[taken[level - 1]] > rank[place]:
                taken[level] = taken[level - 1]
            _note(log, scratch, level, taken[level])
            level += 1
            if level > depth or (level == depth and _is_before(rank, taken, chain, best, scratch.places, level)):
                depth = level
                for s in range(level):
                    best[s] = taken[s]
                    scratch.places[s] = chain[s]
            cursor[level] = first
        else:
            level -= 1
        if level == 0:
            break
        place = -1
        if level < steps:
            place = _next_link(log, rule, chain, taken, cursor, is_entered, level, stop)
    return depth


@compiled
def _next_link(
    log: EventColumns,
    rule: FunnelSettings,
    chain: Int64s,
    taken: Int64s,
    cursor: Int64s,
    is_entered: Bools,
    level: int,
    stop: int,
) -> int:
    """Return the next event, from `cursor` on, that can be step `level` of the chain, or -1."""
    last = taken[level - 1]
    while cursor[level] < stop:
        place: int = cursor[level]
        cursor[level] += 1
        if not (log.mask[place] >> level) & 1 or log.at[place] < log.at[last] - rule.grace:
            continue
        if log.at[place] - log.at[last] > rule.within[level]:
            continue
        is_used = False
        for s in range(level):
            is_used = is_used or chain[s] == place
        rank = max(log.rank[place], log.rank[last]) - log.rank[chain[0]]
        if is_used or (rule.is_disjoint and is_entered[level, rank]):
            continue
        is_entered[level, rank] = True
        return place
    return -1


@compiled
def _note(log: EventColumns, scratch: Workspace, step: int, place: int) -> None:
    """Note that `step` can be reached at the time of `place`."""
    if scratch.earliest[step] < 0 or log.rank[place] < scratch.earliest[step]:
        scratch.earliest[step] = log.rank[place]
    if log.rank[place] > scratch.last_rank[step]:
        scratch.last_rank[step] = log.rank[place]
        scratch.last_at[step] = log.at[place]


@compiled
def _is_before(rank: Int32s, taken: Int64s, chain: Int64s, best_taken: Int64s, best: Int64s, length: int) -> bool:
    """Is a chain earlier than the best one so far: by the ranks it takes, then by places."""
    for s in range(length):
        if rank[taken[s]] != rank[best_taken[s]]:
            return bool(rank[taken[s]] < rank[best_taken[s]])
    for s in range(length):
        if chain[s] != best[s]:
            return bool(chain[s] < best[s])
    return False


@compiled
def max_depth(
    log: EventColumns,
    rule: FunnelSettings,
    scratch: Workspace,
    lo: int,
    hi: int,
    opener: int,
    limit: int,
    is_later: bool,
) -> int:
    """Find all steps that chains from `opener` can reach with events of rank `limit` at most; return the depth.

    Fills `earliest`, `last_rank`, `last_at`. The latest usable event of a step is all that later steps need to know.
    """
    at, rank, mask, steps, within = log.at, log.rank, log.mask, rule.steps, rule.within
    earliest, last_rank, last_at = scratch.earliest, scratch.last_rank, scratch.last_at
    earliest[:] = -1
    last_rank[:] = -1
    end = at[opener] + rule.window
    start = tie_start(rank, opener, lo)
    stop = tie_stop(rank, opener, hi)
    reached = 1
    if not is_later and stop - start > 1:
        scratch.used[opener] = True
        run = run_length(scratch, mask, start, stop, 1, steps, False)
        scratch.used[opener] = False
        reached |= ((1 << run) - 1) << 1
    is_alive = True
    while is_alive:
        for s in range(steps):
            if (reached >> s) & 1:
                last_rank[s] = rank[start]
                last_at[s] = at[start]
                if earliest[s] < 0:
                    earliest[s] = rank[start]
        start = stop
        while rule.is_strict == 0 and start < hi and mask[start] == 0:
            start += 1
        if start >= hi or at[start] > end or rank[start] > limit or earliest[steps - 1] >= 0:
            break
        stop = tie_stop(rank, start, hi)
        reached = 0
        is_alive = rule.is_strict == 0
        for s in range(1, steps):
            if last_rank[s - 1] < 0:
                break
            if rule.is_strict and last_rank[s - 1] != rank[start] - 1:
                continue
            is_alive = True
            if at[start] - last_at[s - 1] > within[s]:
                continue
            if stop - start == 1:
                reached |= mask[start] & (1 << s)
            else:
                run = run_length(scratch, mask, start, stop, s, steps, is_later)
                reached |= ((1 << run) - 1) << s
    depth = 0
    while depth < steps and earliest[depth] >= 0:
        depth += 1
    return depth


@compiled
def find_plain_chain(
    rank: Int32s, mask: Int32s, lo: int, opener: int, depth: int, is_later: bool, places: Int64s
) -> None:
    """Write to `places` the chain of an attempt whose steps ask for order alone: the next event of each step.

    Tied events must not have to share out steps: none of them matches two, or ties do not convert.
    """
    places[0] = opener
    place = opener
    for s in range(1, depth):
        last = place
        if is_later:
            while rank[place] == rank[last]:
                place += 1
        else:
            while place > lo and rank[place - 1] == rank[last]:
                place -= 1
        while place == last or not (mask[place] >> s) & 1:
            place += 1
        places[s] = place


@compiled
def find_chain(
    log: EventColumns,
    rule: FunnelSettings,
    scratch: Workspace,
    lo: int,
    hi: int,
    opener: int,
    depth: int,
    limit: int,
    is_later: bool,
) -> None:
    """Write to `places` the deepest chain: the earliest at steps 2, 3, …, then the first events in order.

    A backward pass notes at each tie which steps can be entered there and still lead to `depth`. The forward pass then
    takes as many steps as it can as soon as it can.
    """
    end = log.at[opener] + rule.window
    start = tie_start(log.rank, opener, lo)
    stop = tie_stop(log.rank, opener, hi)
    last = stop
    while last < hi and log.at[last] <= end and log.rank[last] <= limit:
        last += 1
    _note_entries(log, rule, scratch, stop, last, depth, is_later)
    scratch.places[:] = -1
    scratch.places[0] = opener
    scratch.used[opener] = True
    run = 0
    if not is_later and stop - start > 1:
        run = run_length(scratch, log.mask, start, stop, 1, depth, False)
    while run > 0 and not _leads_on(log, rule, scratch, stop, last, start, 1 + run, depth):
        run -= 1
    place_run(scratch, log.mask, start, stop, 1, run, depth)
    scratch.used[opener] = False
    step = 1 + run
    while step < depth:
        start = stop
        stop = tie_stop(log.rank, start, hi)
        if not (scratch.node_mask[start] >> step) & 1:
            continue
        run = run_length(scratch, log.mask, start, stop, step, depth, is_later)
        while run > 1 and not _leads_on(log, rule, scratch, stop, last, start, step + run, depth):
            run -= 1
        place_run(scratch, log.mask, start, stop, step, run, depth)
        step += run


@compiled
def _note_entries(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, first: int, last: int, depth: int, is_later: bool
) -> None:
    """Write to `node_mask`, at the first place of each tie in `[first, last)`, the steps to enter there."""
    entry = np.full(depth + 1, -1, np.int64)
    stop = last
    while stop > first:
        start = tie_start(log.rank, stop - 1, first)
        enter = 0
        for s in range(1, depth):
            run = run_length(scratch, log.mask, start, stop, s, depth, is_later)
            for length in range(1, run + 1):
                following = entry[s + length]
                if s + length == depth or (following >= 0 and _may_follow(log, rule, start, following, s + length)):
                    enter |= 1 << s
        scratch.node_mask[start] = enter
        for s in range(1, depth):
            if (enter >> s) & 1:
                entry[s] = start
        stop = start


@compiled
def _may_follow(log: EventColumns, rule: FunnelSettings, start: int, following: int, step: int) -> bool:
    """May a chain that stands at the tie `start` enter `step` at the tie `following`."""
    if log.at[following] - log.at[start] > rule.within[step]:
        return False
    return not rule.is_strict or log.rank[following] == log.rank[start] + 1


@compiled
def _leads_on(
    log: EventColumns, rule: FunnelSettings, scratch: Workspace, stop: int, last: int, start: int, step: int, depth: int
) -> bool:
    """Can a chain that stands at the tie `[start, stop)` before `step` be finished by the next tie to enter."""
    if step == depth:
        return True
    following = stop
    while following < last:
        if (scratch.node_mask[following] >> step) & 1:
            return _may_follow(log, rule, start, following, step)
        following = tie_stop(log.rank, following, last)
    return False
