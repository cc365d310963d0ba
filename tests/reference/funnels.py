"""Configured funnels: every attempt, and for every attempt every chain of events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from journeyflow.kernel.plan import FunnelSettings

FOREVER = 2**62


@dataclass(frozen=True)
class Unit:
    """The events of one unit in order: times, ranks, and the matching steps and exclusions (0-based) of each."""

    times: list[int]
    ranks: list[int]
    steps: list[frozenset[int]]
    excluded: list[frozenset[int]]


@dataclass(frozen=True)
class Link:
    """One step of a chain: the event's position, and the time and rank that the step takes (later with `grace`)."""

    position: int
    at: int
    rank: int


Chain = tuple[Link, ...]


@dataclass(frozen=True)
class Attempt:
    """An evaluated attempt: its deepest chain and how it ended.

    `closed_by` is the position of the excluded event that closed it.
    """

    chain: Chain
    closes_at: int
    closed_by: int | None
    is_void: bool
    is_pending: bool
    is_matured: bool

    @property
    def depth(self) -> int:
        """The number of steps reached."""
        return len(self.chain)


def evaluate_attempt(unit: Unit, opener: int, settings: FunnelSettings, high_water_us: int) -> Attempt:
    """Return what became of the attempt that the event at `opener` opens."""
    entry = unit.times[opener]
    window_end = entry + settings.window
    if settings.is_any_order:
        chain, latest, closing = _assign(unit, opener, settings), None, None
    else:
        chains = list(_chains(unit, opener, settings, FOREVER))
        closing = _closing(unit, chains, settings, window_end)
        if closing is not None:
            chains = list(_chains(unit, opener, settings, unit.ranks[closing[0]]))
        chain = _deepest(chains)
        latest = max(c[len(chain) - 1].at for c in chains if len(c) >= len(chain))
    is_complete = len(chain) == settings.steps
    ends = [window_end]
    if closing is not None:
        ends.append(unit.times[closing[0]])
    if latest is not None and not is_complete:
        ends.append(latest + int(settings.within[len(chain)]))
    closes_at = chain[-1].at if is_complete else min(ends)
    return Attempt(
        chain=chain,
        closes_at=closes_at,
        closed_by=None if closing is None else closing[0],
        is_void=closing is not None and closing[1],
        is_pending=not is_complete and closing is None and closes_at > high_water_us,
        is_matured=window_end <= high_water_us,
    )


def _chains(unit: Unit, opener: int, settings: FunnelSettings, rank_limit: int) -> Iterator[Chain]:
    """Yield every chain of distinct events that begins with `opener`, shorter ones too."""
    yield from _longer((Link(opener, unit.times[opener], unit.ranks[opener]),), unit, settings, rank_limit)


def _longer(chain: Chain, unit: Unit, settings: FunnelSettings, rank_limit: int) -> Iterator[Chain]:
    yield chain
    if len(chain) == settings.steps:
        return
    used = {link.position for link in chain}
    for position in range(len(unit.times)):
        if position in used or len(chain) not in unit.steps[position] or unit.ranks[position] > rank_limit:
            continue
        link = _link(chain, position, unit, settings)
        if link is not None:
            yield from _longer((*chain, link), unit, settings, rank_limit)


def _link(chain: Chain, position: int, unit: Unit, settings: FunnelSettings) -> Link | None:
    """Return the next link of a chain, or None when the event may not follow."""
    last, at, rank = chain[-1], unit.times[position], unit.ranks[position]
    if settings.grace > 0:
        is_follower = at >= last.at - settings.grace
    elif settings.is_later:
        is_follower = rank > last.rank
    else:
        is_follower = rank >= last.rank
    if settings.is_strict:
        is_follower = is_follower and rank - last.rank <= 1
    link = Link(position, max(at, last.at), max(rank, last.rank))
    is_in_time = link.at - chain[0].at <= settings.window and link.at - last.at <= settings.within[len(chain)]
    return link if is_follower and is_in_time else None


def _deepest(chains: list[Chain]) -> Chain:
    """Return the deepest chain; among equals the earliest at steps 2, 3, …, then the first in the unit's order."""
    depth = max(len(chain) for chain in chains)
    return min(
        (chain for chain in chains if len(chain) == depth),
        key=lambda chain: ([link.rank for link in chain], [link.position for link in chain]),
    )


def _closing(unit: Unit, chains: list[Chain], settings: FunnelSettings, window_end: int) -> tuple[int, bool] | None:
    """Return the position of the excluded event that closes the attempt, and whether that voids it."""
    closings = []
    for number, (from_step, to_step, is_void) in enumerate(settings.exclusions.tolist()):
        after, before = (
            min((chain[step].rank for chain in chains if len(chain) > step), default=None)
            for step in (from_step, to_step)
        )
        if after is None:
            continue
        for position, excluded in enumerate(unit.excluded):
            rank, at = unit.ranks[position], unit.times[position]
            is_between = rank > after and (rank < before if before is not None else at < window_end)
            if number in excluded and is_between:
                closings.append((rank, not is_void, position))
                break
    if not closings:
        return None
    _, is_drop, position = min(closings)
    return position, not is_drop


def _assign(unit: Unit, opener: int, settings: FunnelSettings) -> Chain:
    """Return for each level of an any-order attempt the event with which it was first reached."""
    end = unit.times[opener] + settings.window
    others = [
        p
        for p in range(len(unit.times))
        if p != opener and unit.ranks[p] >= unit.ranks[opener] and unit.times[p] <= end and unit.steps[p]
    ]
    if settings.is_later:
        others = [p for p in others if unit.ranks[p] != unit.ranks[opener]]
    chain: list[Link] = []
    for count in range(len(others) + 1):
        read = [opener, *others[:count]]
        if _level(unit, read, frozenset(range(settings.steps)), bool(settings.is_later)) > len(chain):
            chain.append(Link(read[-1], unit.times[read[-1]], unit.ranks[read[-1]]))
    return tuple(chain)


def _level(unit: Unit, positions: list[int], free: frozenset[int], is_strictly_later: bool) -> int:
    """Return the greatest number of distinct free steps that distinct (untied) events can take."""
    if not positions or not free:
        return 0
    first, rest = positions[0], positions[1:]
    best = _level(unit, rest, free, is_strictly_later)
    usable = [p for p in rest if not (is_strictly_later and unit.ranks[p] == unit.ranks[first])]
    for step in unit.steps[first] & free:
        best = max(best, 1 + _level(unit, usable, free - {step}, is_strictly_later))
    return best


def may_open(unit: Unit, position: int, settings: FunnelSettings) -> bool:
    """May this event open an attempt."""
    is_first = bool(unit.steps[position]) if settings.is_any_order else 0 in unit.steps[position]
    return is_first and settings.entered_from <= unit.times[position] < settings.entered_to


def evaluate_all(unit: Unit, settings: FunnelSettings, high_water_us: int) -> list[Attempt]:
    """Return every attempt of the unit that is not void, in the order they open."""
    openers = [p for p in range(len(unit.times)) if may_open(unit, p, settings)]
    attempts = [evaluate_attempt(unit, p, settings, high_water_us) for p in openers]
    return [attempt for attempt in attempts if not attempt.is_void]


def best_of(attempts: list[Attempt]) -> Attempt:
    """Return the deepest attempt, the earliest among equals."""
    return max(attempts, key=lambda attempt: (attempt.depth, -attempt.chain[0].rank, -attempt.chain[0].position))


def counted_attempts(unit: Unit, settings: FunnelSettings, high_water_us: int) -> list[Attempt]:
    """Return the attempts that count: the best one, or with `count: attempts` one after another."""
    if not settings.is_attempts:
        attempts = evaluate_all(unit, settings, high_water_us)
        return [best_of(attempts)] if attempts else []
    counted: list[Attempt] = []
    is_past = [False] * len(unit.times)
    for position in range(len(unit.times)):
        if is_past[position] or not may_open(unit, position, settings):
            continue
        attempt = evaluate_attempt(unit, position, settings, high_water_us)
        if not attempt.is_void:
            counted.append(attempt)
        is_past = [not _is_after(unit, p, attempt, settings) for p in range(len(unit.times))]
    return counted


def _is_after(unit: Unit, position: int, attempt: Attempt, settings: FunnelSettings) -> bool:
    """Does the event come after the attempt's last step, exclusion or deadline."""
    if attempt.depth == settings.steps:
        return unit.ranks[position] > attempt.chain[-1].rank
    is_after_exclusion = attempt.closed_by is not None and unit.ranks[position] > unit.ranks[attempt.closed_by]
    return is_after_exclusion or unit.times[position] > attempt.closes_at


def is_tie_decided(unit: Unit, settings: FunnelSettings, attempt: Attempt, high_water_us: int) -> bool:
    """Would the unit (or with `count: attempts` this attempt) be at another depth under the other setting of ties."""
    other = settings._replace(is_later=1 - settings.is_later)
    if settings.is_attempts:
        evaluated = evaluate_attempt(unit, attempt.chain[0].position, other, high_water_us)
        return evaluated.is_void or evaluated.depth != attempt.depth
    attempts = evaluate_all(unit, other, high_water_us)
    return not attempts or best_of(attempts).depth != attempt.depth
