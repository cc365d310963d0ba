"""An attempt of an any-order funnel: the largest assignment of distinct events to distinct steps."""

from __future__ import annotations

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.matching import augment
from journeyflow.kernel.loops.ties import tie_start, tie_stop
from journeyflow.kernel.loops.values import FunnelRule, Log, Scratch


@compiled
def assign(log: Log, rule: FunnelRule, scratch: Scratch, lo: int, hi: int, opener: int, is_later: bool) -> int:
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
