"""Touches, paths and credits the long way: one person, one goal, one touch at a time, with fractions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise


@dataclass(frozen=True)
class Touch:
    at: int
    channel: str
    session: int | None = None


@dataclass(frozen=True)
class Goal:
    at: int
    value: Fraction
    session: int | None = None


@dataclass(frozen=True)
class Path:
    outcome: str
    ended_at: int
    touches: tuple[Touch, ...] = ()
    """Of equal ones in a row the last; without direct visits where there are others."""
    last: str | None = None
    """Channel of the last touch of all."""
    value: Fraction = Fraction(0)

    @property
    def channels(self):
        return tuple(touch.channel for touch in self.touches)


def paths_of_person(touches, goals, lookback, high_water, *, first_only=False):
    """The paths of a person: one per goal, and one per run of touches that came to nothing."""
    touches = sorted(touches, key=lambda touch: (touch.at, touch.channel))
    goals = sorted(goals, key=lambda goal: goal.at)
    found, before = [], None
    for goal in goals[:1] if first_only else goals:
        window = [touch for touch in touches if (before is None or touch.at > before) and touch.at <= goal.at]
        *lost, last = runs(window, lookback) or [[]]
        if last and goal.at - last[-1].at > lookback:
            lost, last = [*lost, last], []
        found += [ended(run, lookback, high_water) for run in lost]
        own = [touch for touch in touches if goal.session is not None and touch.session == goal.session]
        near = [touch for touch in last if goal.at - touch.at <= lookback or touch in own]
        credited = sorted({*near, *own}, key=lambda touch: (touch.at, touch.channel))
        found.append(cleaned("converted", goal.at, credited, goal.value))
        before = goal.at
    if goals and first_only:
        return found
    window = [touch for touch in touches if before is None or touch.at > before]
    return found + [ended(run, lookback, high_water) for run in runs(window, lookback)]


def runs(touches, lookback):
    found = []
    for touch in touches:
        if found and touch.at - found[-1][-1].at <= lookback:
            found[-1].append(touch)
        else:
            found.append([touch])
    return found


def ended(run, lookback, high_water):
    last = run[-1].at
    outcome = "not_converted" if high_water - last >= lookback else "pending"
    return cleaned(outcome, last, [touch for touch in run if last - touch.at <= lookback])


def cleaned(outcome, at, touches, value=Fraction(0)):
    last = touches[-1].channel if touches else None
    others = [touch for touch in touches if touch.channel != "direct"]
    kept = []
    for touch in others or touches:
        if kept and kept[-1].channel == touch.channel:
            kept.pop()
        kept.append(touch)
    return Path(outcome, at, tuple(kept), last, value)


def credits(paths, half_life):
    """Method → channel → goals credited, `none` for those without a touch."""
    converted = [path for path in paths if path.outcome == "converted"]
    touched = [path for path in converted if path.touches]
    found = defaultdict(lambda: defaultdict(Fraction))
    for path in touched:
        channels, count = path.channels, len(path.touches)
        shares = {
            "first": {0: 1},
            "last_non_direct": {count - 1: 1},
            "linear": dict.fromkeys(range(count), Fraction(1, count)),
            "position": position(count),
            "decay": decay(path.touches, half_life),
            "leave_one_out": gains(channels, paths),
        }
        for method, places in shares.items():
            for place, share in places.items():
                found[method][channels[place]] += share
        found["last"][path.last] += 1
        for channel in set(channels):
            found["shapley_on_counts"][channel] += Fraction(1, len(set(channels)))
    effects = removal(paths)
    for channel, effect in effects.items():
        found["markov"][channel] += effect / sum(effects.values()) * len(touched)
    for by_channel in found.values():
        by_channel["none"] += len(converted) - len(touched)
    return found


def position(count):
    if count <= 2:
        return dict.fromkeys(range(count), Fraction(1, count))
    inner = dict.fromkeys(range(1, count - 1), Fraction(1, 5) / (count - 2))
    return {0: Fraction(2, 5), **inner, count - 1: Fraction(2, 5)}


def decay(touches, half_life):
    weights = [0.5 ** ((touches[-1].at - touch.at) / half_life) for touch in touches]
    return {place: weight / sum(weights) for place, weight in enumerate(weights)}


def rate(channels, paths):
    settled = [path for path in paths if path.outcome != "pending" and path.channels == channels]
    reached = sum(path.outcome == "converted" for path in settled)
    return Fraction(reached, len(settled)) if settled else Fraction(0)


def gains(channels, paths):
    if len(channels) == 1:
        return {0: Fraction(1)}
    whole = rate(channels, paths)
    found = {
        place: max(whole - rate(collapsed(channels[:place] + channels[place + 1 :]), paths), Fraction(0))
        for place in range(len(channels))
    }
    total = sum(found.values())
    return {place: gain / total if total else Fraction(1, len(channels)) for place, gain in found.items()}


def collapsed(channels):
    return tuple(name for place, name in enumerate(channels) if place == 0 or channels[place - 1] != name)


def removal(paths):
    """Channel → the share of the chance of the goal that is lost without it, by solving each chain anew."""
    counts = defaultdict(lambda: defaultdict(int))
    for path in paths:
        if path.outcome != "pending" and path.channels:
            states = ("(start)", *path.channels, "(goal)" if path.outcome == "converted" else "(end)")
            for before, after in pairwise(states):
                counts[before][after] += 1
    names = sorted(set(counts) - {"(start)"})
    whole = chance(counts, names, None)
    return {name: 1 - chance(counts, names, name) / whole if whole else Fraction(0) for name in names}


def chance(counts, names, removed):
    """The chance of the goal from the start, who comes to the removed channel being lost."""
    states = ["(start)", *(name for name in names if name != removed)]
    rows = []
    for state in states:
        total = sum(counts[state].values())
        row = [Fraction(int(state == other)) - Fraction(counts[state][other], total) for other in states]
        rows.append([*row, Fraction(counts[state]["(goal)"], total)])
    for column in range(len(rows)):
        pivot = next(place for place in range(column, len(rows)) if rows[place][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [cell / rows[column][column] for cell in rows[column]]
        for place in range(len(rows)):
            if place != column and rows[place][column]:
                factor = rows[place][column]
                rows[place] = [cell - factor * other for cell, other in zip(rows[place], rows[column], strict=True)]
    return rows[0][-1]
