"""The deepest chain of events of a funnel attempt: ordered, strict, any order, grace, ties (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.jit import NEVER, Bools, Int8s, Int32s, Int64s, allocating, inner
from journeyflow.kernel.plan import FunnelSettings

_FIRST_ROOM = 4
"""Events after the opener among which a chain with grace is first searched for, as most attempts span few."""


class EventColumns(NamedTuple):
    """The events of units by place: time, rank, and one bit for each matching step and exclusion.

    `excluded` is empty when there are no exclusions.
    """

    start: Int64s
    at: Int64s
    rank: Int32s
    mask: Int32s
    excluded: Int64s


class Workspace(NamedTuple):
    """Scratch arrays: `used`, `node_mask` and `bound` by place, `chain` and `entry` by two steps, the others by step.

    `earliest` and `last_rank` are the ranks (-1 none) at which a step was first reached and of the latest usable event,
    `last_at` the latter's time; `places` is the deepest chain.
    """

    used: Bools
    node_mask: Int32s
    bound: Int8s
    match: Int64s
    parent: Int64s
    queue: Int64s
    earliest: Int64s
    last_rank: Int64s
    last_at: Int64s
    places: Int64s
    chain: Int64s
    entry: Int64s


def new_workspace(places: int, steps: int) -> Workspace:
    """Return a workspace for so many events and steps."""

    def by_step() -> Int64s:
        return np.full(steps + 1, -1, np.int64)

    return Workspace(
        used=np.zeros(places, np.bool_),
        node_mask=np.zeros(places, np.int32),
        bound=np.zeros(places, np.int8),
        match=by_step(),
        parent=by_step(),
        queue=by_step(),
        earliest=by_step(),
        last_rank=by_step(),
        last_at=by_step(),
        places=by_step(),
        chain=np.zeros((steps + 1, steps + 1), np.int64),
        entry=np.zeros((steps + 1, steps + 1), np.int64),
    )


@inner
def tie_stop(rank: Int32s, place: int, hi: int) -> int:
    """Return the end of the tie that holds `place`."""
    stop = place + 1
    while stop < hi and rank[stop] == rank[place]:
        stop += 1
    return stop


@inner
def tie_start(rank: Int32s, place: int, lo: int) -> int:
    """Return the start of the tie that holds `place`."""
    start = place
    while start > lo and rank[start - 1] == rank[place]:
        start -= 1
    return start


@inner
def has_tied_steps(rank: Int32s, mask: Int32s, lo: int, hi: int) -> bool:
    """Do any two events of the unit that match steps tie."""
    last = -1
    for place in range(lo, hi):
        if mask[place]:
            if rank[place] == last:
                return True
            last = rank[place]
    return False


@inner
def augment(workspace: Workspace, mask: Int32s, place: int, allowed: int, steps: int) -> bool:
    """Match the event at `place` with one of the `allowed` steps, moving others if needed; False if impossible.

    An augmenting path; `workspace.match` holds the place of each step, -1 for a free one.
    """
    match, parent, queue = workspace.match, workspace.parent, workspace.queue
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


@inner
def fits(workspace: Workspace, mask: Int32s, start: int, stop: int, allowed: int, wanted: int, steps: int) -> bool:
    """Can the unused events in `[start, stop)` take all `wanted` steps of the set `allowed`, each its own."""
    if wanted == 0:
        return True
    workspace.match[:] = -1
    size = 0
    for place in range(start, stop):
        if not workspace.used[place] and mask[place] & allowed and augment(workspace, mask, place, allowed, steps):
            size += 1
            if size == wanted:
                return True
    return False


@inner
def run_length(workspace: Workspace, mask: Int32s, start: int, stop: int, step: int, steps: int, is_later: bool) -> int:
    """Return how many steps from `step` on the tied events in `[start, stop)` can take, one after another."""
    if stop - start == 1:
        return (mask[start] >> step) & 1 if not workspace.used[start] else 0
    length = 0
    longest = min(steps - step, stop - start)
    if is_later:
        longest = min(longest, 1)
    while length < longest:
        allowed = ((1 << (length + 1)) - 1) << step
        if not fits(workspace, mask, start, stop, allowed, length + 1, steps):
            break
        length += 1
    return length


@inner
def place_run(workspace: Workspace, mask: Int32s, start: int, stop: int, step: int, length: int, steps: int) -> None:
    """Write to `workspace.places` the first events, in order, that can take the steps of a run."""
    places, used = workspace.places, workspace.used
    for s in range(step, step + length):
        rest = ((1 << (length - (s - step) - 1)) - 1) << (s + 1)
        for place in range(start, stop):
            if used[place] or not (mask[place] >> s) & 1:
                continue
            used[place] = True
            if fits(workspace, mask, start, stop, rest, step + length - s - 1, steps):
                places[s] = place
                break
            used[place] = False
    for s in range(step, step + length):
        used[places[s]] = False


@inner
def assign_any_order(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, lo: int, hi: int, opener: int, is_later: bool
) -> int:
    """Write to `places` the event with which each level is first reached; return the level.

    With `is_later` the events of one tie are one node, which takes one step.
    """
    everything = (1 << settings.steps) - 1
    node_mask = workspace.node_mask
    workspace.match[:] = -1
    workspace.places[:] = -1
    workspace.places[0] = opener
    node_mask[opener] = events.mask[opener]
    augment(workspace, node_mask, opener, everything, settings.steps)
    level = 1
    start = tie_stop(events.rank, opener, hi) if is_later else tie_start(events.rank, opener, lo)
    end = events.at[opener] + settings.window
    node = -1
    is_taken = False
    for place in range(start, hi):
        if level == settings.steps or events.at[place] > end:
            break
        if place == opener or events.mask[place] == 0:
            continue
        if not is_later or node < 0 or events.rank[node] != events.rank[place]:
            node = place
            node_mask[node] = 0
            is_taken = False
        node_mask[node] |= events.mask[place]
        if not is_taken and augment(workspace, node_mask, node, everything, settings.steps):
            is_taken = True
            workspace.places[level] = place
            level += 1
    return level


@inner
def depth_with_grace(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, lo: int, hi: int, opener: int, limit: int
) -> int:
    """Return the depth of an attempt where a step may precede the one before by the grace; a depth-first search.

    Where no event matches two steps, each (step, rank) is entered once: what follows does not depend on the way there.
    Fills `earliest`, `last_rank`, `last_at` as `max_depth` does, and `places` with the earliest of the deepest chains.
    """
    # Of two ways into a step that both lead on, the earlier one leads there no later: a complete chain among the first
    # events is that of all events. So an attempt costs what it spans, not its window.
    room = _FIRST_ROOM if settings.is_disjoint else hi - opener
    while True:
        depth, is_all = _depth_with_grace(events, settings, workspace, lo, min(hi, opener + room), hi, opener, limit)
        if is_all or depth == settings.steps:
            return depth
        room *= 4


@allocating
def _depth_with_grace(
    events: EventColumns, settings: FunnelSettings, workspace: Workspace, lo: int, last: int, hi: int, opener: int,
    limit: int,
) -> tuple[int, bool]:  # fmt: skip
    """Search among the events before the place `last`; return the depth, and whether no later event may count."""
    at, rank, steps = events.at, events.rank, settings.steps
    first = opener
    while first > lo and at[opener] - at[first - 1] <= settings.grace:
        first -= 1
    last = tie_stop(rank, last - 1, hi)
    stop = opener + 1
    while stop < last and at[stop] <= at[opener] + settings.window and rank[stop] <= limit:
        stop += 1
    is_all = stop < last or last == hi
    is_entered = np.zeros((steps, rank[stop - 1] - rank[opener] + 1), np.bool_)
    chain = np.full(steps, -1, np.int64)
    # The place whose time and rank each step takes: its own, or a later one before it in the chain.
    taken = np.full(steps, -1, np.int64)
    best = np.full(steps, -1, np.int64)
    cursor = np.full(steps + 1, first, np.int64)
    workspace.earliest[:] = -1
    workspace.last_rank[:] = -1
    workspace.places[:] = -1
    chain[0] = taken[0] = opener
    depth = 0
    level = 0
    place = opener
    while level >= 0:
        # `chain[:level]` is fixed, `place` is the next candidate for `level`; -1 means that none is left.
        if place >= 0:
            chain[level] = place
            taken[level] = place
            if level > 0 and rank[taken[level - 1]] > rank[place]:
                taken[level] = taken[level - 1]
            _record(events, workspace, level, taken[level])
            level += 1
            if level > depth or (level == depth and _is_before(rank, taken, chain, best, workspace.places, level)):
                depth = level
                for s in range(level):
                    best[s] = taken[s]
                    workspace.places[s] = chain[s]
            cursor[level] = _first_within(at, taken[level - 1], first, settings.grace)
        else:
            level -= 1
        if level == 0:
            break
        place = -1
        if level < steps:
            place = _next_link(events, settings, chain, taken, cursor, is_entered, level, stop)
    return depth, is_all


@inner
def _first_within(at: Int64s, place: int, first: int, grace: int) -> int:
    """Return the first place, from `first` on, that precedes `place` by no more than the grace."""
    earliest = at[place] - grace
    while place > first and at[place - 1] >= earliest:
        place -= 1
    return place


@inner
def _next_link(
    events: EventColumns,
    settings: FunnelSettings,
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
        if not (events.mask[place] >> level) & 1 or events.at[place] < events.at[last] - settings.grace:
            continue
        if events.at[place] - events.at[last] > settings.within[level]:
            continue
        is_used = False
        for s in range(level):
            is_used = is_used or chain[s] == place
        rank = max(events.rank[place], events.rank[last]) - events.rank[chain[0]]
        if is_used or (settings.is_disjoint and is_entered[level, rank]):
            continue
        is_entered[level, rank] = True
        return place
    return -1


@inner
def _record(events: EventColumns, workspace: Workspace, step: int, place: int) -> None:
    """Record that `step` can be reached at the time of `place`."""
    if workspace.earliest[step] < 0 or events.rank[place] < workspace.earliest[step]:
        workspace.earliest[step] = events.rank[place]
    if events.rank[place] > workspace.last_rank[step]:
        workspace.last_rank[step] = events.rank[place]
        workspace.last_at[step] = events.at[place]


@inner
def _is_before(rank: Int32s, taken: Int64s, chain: Int64s, best_taken: Int64s, best: Int64s, length: int) -> bool:
    """Is a chain earlier than the best one so far, by the ranks it takes, then by places."""
    for s in range(length):
        if rank[taken[s]] != rank[best_taken[s]]:
            return bool(rank[taken[s]] < rank[best_taken[s]])
    for s in range(length):
        if chain[s] != best[s]:
            return bool(chain[s] < best[s])
    return False


@inner
def max_depth(
    events: EventColumns,
    settings: FunnelSettings,
    workspace: Workspace,
    lo: int,
    hi: int,
    opener: int,
    limit: int,
    is_later: bool,
) -> int:
    """Return the depth that chains from `opener` can reach with events of rank `limit` at most.

    Fills `earliest`, `last_rank`, `last_at`: later steps depend on the latest usable event of a step only.
    """
    at, rank, mask, steps, within = events.at, events.rank, events.mask, settings.steps, settings.within
    earliest, last_rank, last_at = workspace.earliest, workspace.last_rank, workspace.last_at
    earliest[:] = -1
    last_rank[:] = -1
    end = at[opener] + settings.window
    start = tie_start(rank, opener, lo)
    stop = tie_stop(rank, opener, hi)
    reached = 1
    if not is_later and stop - start > 1:
        workspace.used[opener] = True
        run = run_length(workspace, mask, start, stop, 1, steps, False)
        workspace.used[opener] = False
        reached |= ((1 << run) - 1) << 1
    # Where an excluded event closes the attempt, what comes after it matters neither here nor for which event that is.
    may_close = len(settings.exclusions) > 0 and limit == NEVER
    is_alive = True
    while is_alive:
        for s in range(steps):
            if (reached >> s) & 1:
                last_rank[s] = rank[start]
                last_at[s] = at[start]
                if earliest[s] < 0:
                    earliest[s] = rank[start]
        start = stop
        while settings.is_strict == 0 and start < hi and mask[start] == 0 and not may_close:
            start += 1
        if start >= hi or at[start] > end or rank[start] > limit or earliest[steps - 1] >= 0:
            break
        stop = tie_stop(rank, start, hi)
        reached = 0
        is_alive = False
        for s in range(1, steps):
            if last_rank[s - 1] < 0:
                break
            if settings.is_strict and last_rank[s - 1] != rank[start] - 1:
                continue
            if at[start] - last_at[s - 1] > within[s]:
                continue
            is_alive = True
            if stop - start == 1:
                reached |= mask[start] & (1 << s)
            else:
                run = run_length(workspace, mask, start, stop, s, steps, is_later)
                reached |= ((1 << run) - 1) << s
        if may_close and at[start] < end and _is_closed(events, settings, earliest, reached, start, stop):
            break
    depth = 0
    while depth < steps and earliest[depth] >= 0:
        depth += 1
    return depth


@inner
def _is_closed(
    events: EventColumns, settings: FunnelSettings, earliest: Int64s, reached: int, start: int, stop: int
) -> bool:
    """Does an excluded event of the tie `[start, stop)`, which reaches the steps `reached`, close the attempt."""
    for x in range(len(settings.exclusions)):
        after, before = settings.exclusions[x, 0], settings.exclusions[x, 1]
        if earliest[after] >= 0 and earliest[before] < 0 and not (reached >> before) & 1:
            for place in range(start, stop):
                if (events.excluded[place] >> x) & 1:
                    return True
    return False


@inner
def find_plain_chain(
    rank: Int32s, mask: Int32s, lo: int, opener: int, depth: int, is_later: bool, places: Int64s, row: int
) -> None:
    """Write to a row of `places` the chain of a plain attempt: the next event of each step, -1 where not reached.

    Correct where tied events cannot compete for steps: no event matches two, or ties do not convert.
    """
    places[row, 0] = opener
    for s in range(depth, places.shape[1]):
        places[row, s] = -1
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
        places[row, s] = place


@inner
def find_chain(
    events: EventColumns,
    settings: FunnelSettings,
    workspace: Workspace,
    lo: int,
    hi: int,
    opener: int,
    depth: int,
    is_later: bool,
) -> None:
    """Write to `places` the deepest chain: the earliest at steps 2, 3, …, then the first events in order.

    A backward pass records at each tie which steps can be entered there and still lead to `depth`; the forward pass
    takes as many steps as possible as early as possible.
    """
    start = tie_start(events.rank, opener, lo)
    stop = tie_stop(events.rank, opener, hi)
    # Of two ties that can both be entered at a step and lead to `depth`, the earlier one leads there no later. So
    # nothing after the first completion, which `max_depth` has found, matters: an attempt costs what it spans.
    finished = workspace.earliest[depth - 1]
    last = stop
    while last < hi and events.rank[last] <= finished:
        last += 1
    _record_entries(events, settings, workspace, stop, last, depth, is_later)
    workspace.places[:] = -1
    workspace.places[0] = opener
    workspace.used[opener] = True
    run = 0
    if not is_later and stop - start > 1:
        run = run_length(workspace, events.mask, start, stop, 1, depth, False)
    while run > 0 and not _can_finish(events, settings, workspace, stop, last, start, 1 + run, depth):
        run -= 1
    place_run(workspace, events.mask, start, stop, 1, run, depth)
    workspace.used[opener] = False
    step = 1 + run
    while step < depth:
        start = stop
        stop = tie_stop(events.rank, start, hi)
        if not (workspace.node_mask[start] >> step) & 1:
            continue
        run = run_length(workspace, events.mask, start, stop, step, depth, is_later)
        while run > 1 and not _can_finish(events, settings, workspace, stop, last, start, step + run, depth):
            run -= 1
        place_run(workspace, events.mask, start, stop, step, run, depth)
        step += run


@allocating
def _record_entries(
    events: EventColumns,
    settings: FunnelSettings,
    workspace: Workspace,
    first: int,
    last: int,
    depth: int,
    is_later: bool,
) -> None:
    """Write to `node_mask`, at the first place of each tie in `[first, last)`, the steps to enter there."""
    entry = np.full(depth + 1, -1, np.int64)
    stop = last
    while stop > first:
        start = tie_start(events.rank, stop - 1, first)
        enter = 0
        for s in range(1, depth):
            run = run_length(workspace, events.mask, start, stop, s, depth, is_later)
            for length in range(1, run + 1):
                following = entry[s + length]
                if s + length == depth or (
                    following >= 0 and _may_follow(events, settings, start, following, s + length)
                ):
                    enter |= 1 << s
        workspace.node_mask[start] = enter
        for s in range(1, depth):
            if (enter >> s) & 1:
                entry[s] = start
        stop = start


@inner
def _may_follow(events: EventColumns, settings: FunnelSettings, start: int, following: int, step: int) -> bool:
    """May a chain at the tie `start` enter `step` at the tie `following`."""
    if events.at[following] - events.at[start] > settings.within[step]:
        return False
    return not settings.is_strict or events.rank[following] == events.rank[start] + 1


@inner
def _can_finish(
    events: EventColumns,
    settings: FunnelSettings,
    workspace: Workspace,
    stop: int,
    last: int,
    start: int,
    step: int,
    depth: int,
) -> bool:
    """Can a chain at the tie `[start, stop)`, before `step`, be completed from the next tie that enters it."""
    if step == depth:
        return True
    following = stop
    while following < last:
        if (workspace.node_mask[following] >> step) & 1:
            return _may_follow(events, settings, start, following, step)
        following = tie_stop(events.rank, following, last)
    return False
