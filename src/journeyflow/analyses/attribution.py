"""Attribution: the goals and their value, credited to the channels of paths by each method.

A path is a row of channel numbers from 1, with 0 after its end. Credits have a column per channel; column 0 is of goals
without a touch. `docs/reference/semantics.md`, section 14, defines touches, paths and methods.

`docs/reference/semantics.md`, section 14, defines touches, paths and methods.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from journeyflow.models.model import arrow_schema, python_model

if TYPE_CHECKING:
    from journeyflow.engines import Engine


Floats = NDArray[np.float64]
Channels = NDArray[np.uint8]
Rows = NDArray[np.int64]

PLACE_METHODS = ("first", "last_non_direct", "linear", "position", "shapley_on_counts")
"""Methods whose shares follow from the path alone."""
METHODS = (*PLACE_METHODS[:1], "last", *PLACE_METHODS[1:4], "decay", "markov", "shapley_on_counts", "leave_one_out")
_SEED = 20
_DRAWS = 60
_LEAST_DRAWS = 30
_MOST_DRAWN = 20_000_000
_CHUNK = 50_000


def path_shares(method: str, channels: Channels, channel_count: int) -> Floats:
    """Return the share of each channel in the goals of each path; rows sum to 1.

    Parameters
    ----------
    method : str
        One of `PLACE_METHODS`. ``position`` gives 40 % to the first and the last touch each and shares the rest among
        those between; two touches get half each. ``shapley_on_counts`` shares equally among the distinct channels,
        which is the exact Shapley value of counting goals.
    channels : array of uint8
        Paths as rows.
    channel_count : int
        The highest channel number.

    Returns
    -------
    array of float64
        A row per path, a column per channel number; column 0 is 1 for an empty path.

    Examples
    --------
    >>> path_shares("linear", np.array([[1, 2, 1, 0]], np.uint8), 2).round(3).tolist()
    [[0.0, 0.667, 0.333]]
    """
    lengths = np.count_nonzero(channels, axis=1)[:, None]
    place = np.arange(channels.shape[1])[None, :]
    if method == "first":
        weights = np.where(place == 0, 1.0, 0.0)
    elif method == "last_non_direct":
        weights = np.where(place == lengths - 1, 1.0, 0.0)
    elif method == "position":
        is_end = (place == 0) | (place == lengths - 1)
        weights = np.where(is_end, 0.4, 0.2 / np.maximum(lengths - 2, 1))
    else:
        weights = np.ones_like(channels, np.float64)
    credits = summed_shares(channels, np.broadcast_to(weights, channels.shape), channel_count)
    if method == "shapley_on_counts":
        credits = (credits > 0).astype(np.float64)
    credits /= np.maximum(credits.sum(axis=1, keepdims=True), 1e-300)
    credits[lengths[:, 0] == 0, 0] = 1.0
    return credits


def summed_shares(channels: Channels, weights: Floats, channel_count: int) -> Floats:
    """Sum weights of places by channel: a row per path, a column per channel number; column 0 is 0."""
    width = channel_count + 1
    cells = (np.arange(len(channels))[:, None] * width + channels).ravel()
    summed = _sums(cells, weights.ravel(), len(channels) * width).reshape(-1, width)
    summed[:, 0] = 0.0
    return summed


def _sums(cells: Rows, weights: Floats, length: int) -> Floats:
    """Sum weights by the number of their cell."""
    return np.bincount(cells, weights, minlength=length).astype(np.float64, copy=False)


@dataclass(frozen=True)
class Chain:
    """The transitions of paths, for Markov chains of order 1 over their channels.

    State 0 is the start, the last two are the goal and the end without one; those between are the channels.
    """

    channels: Channels
    channel_count: int

    @cached_property
    def _lengths(self) -> Rows:
        return np.asarray(np.count_nonzero(self.channels, axis=1), np.int64)

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Path and cell of each transition to a channel."""
        paths, places = np.nonzero(self.channels)
        to = self.channels[paths, places].astype(np.int64)
        before = self.channels[paths, np.maximum(places - 1, 0)].astype(np.int64)
        return paths, np.where(places == 0, 0, before) * self._width + to

    @property
    def _width(self) -> int:
        return self.channel_count + 3

    def counts(self, converted: Floats, ended: Floats) -> Floats:
        """Return the transitions, from states as rows, of paths that occurred so often with and without the goal."""
        width = self._width
        paths, cells = self._pairs
        counts = _sums(cells, (converted + ended)[paths], width * width)
        has_touch = np.flatnonzero(self._lengths)
        last = self.channels[has_touch, self._lengths[has_touch] - 1].astype(np.int64)
        for state, weights in ((width - 2, converted), (width - 1, ended)):
            counts += _sums(last * width + state, weights[has_touch], width * width)
        return counts.reshape(width, width)


def removal_effects(counts: Floats) -> tuple[Floats, Floats]:
    """Return the chance of the goal from the start, and how much of it is lost without each channel, exactly.

    Without a channel, who would come to it ends without the goal. What is lost is the chance to come to the channel at
    all times the chance of the goal from there, as a share of the chance of the goal.

    Parameters
    ----------
    counts : array of float64
        Of `Chain.counts`; further axes may come first.

    Returns
    -------
    chance : array of float64
        Equals the observed share of paths with the goal.
    effects : array of float64
        In [0, 1] per channel number from 1; 0 where nothing leads to the goal.

    References
    ----------
    Anderl, Becker, von Wangenheim and Schumann (2016), "Mapping the customer journey: lessons learned from graph-based
    online attribution modeling".
    """
    totals = counts.sum(axis=-1, keepdims=True)
    chances = counts / np.where(totals > 0, totals, 1.0)
    inner = chances[..., 1:-2, 1:-2]
    visits = np.linalg.inv(np.eye(inner.shape[-1]) - inner)
    goal = (visits @ chances[..., 1:-2, -2:-1])[..., 0]
    started = chances[..., 0, 1:-2]
    chance = (started * goal).sum(axis=-1)
    met = (started[..., None, :] @ visits)[..., 0, :] / np.diagonal(visits, axis1=-2, axis2=-1)
    return chance, met * goal / np.where(chance > 0, chance, 1.0)[..., None]


@dataclass(frozen=True)
class Subpaths:
    """For each touch of each path, which path is left without it."""

    channels: Channels
    channel_count: int

    @cached_property
    def _found(self) -> NDArray[np.int64]:
        """Number of the path without the touch at each place; -1 where there is no such path."""
        keys = _keys(self.channels)
        order = np.argsort(keys)
        found = np.full(self.channels.shape, -1)
        for place in range(self.channels.shape[1]):
            rows = np.flatnonzero(self.channels[:, place])
            wanted = _keys(_without(self.channels[rows], place))
            near = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
            found[rows, place] = np.where(keys[near] == wanted, near, -1)
        return found

    def shares(self, converted: Floats, ended: Floats, rows: Rows | None = None) -> Floats:
        """Return the share of each channel in the goals of each path, or of those in `rows`, by leave-one-out.

        The gain of a touch is the path's share of goals less that of the path without the touch, 0 at least; a path
        that never occurred has none. Gains are shared out; where there is none, the touches share equally. A single
        touch takes all. `converted` and `ended` are how often each path occurred with and without the goal.

        References
        ----------
        ``fractribution`` of Google, whose results are called Shapley values there.
        """
        chosen = np.arange(len(self.channels)) if rows is None else rows
        channels = self.channels[chosen]
        rate = np.append(converted / np.maximum(converted + ended, 1e-300), 0.0)
        gains = np.maximum(rate[chosen, None] - rate[self._found[chosen]], 0.0) * (channels > 0)
        total = gains.sum(axis=1, keepdims=True)
        # A single touch takes all in the same way: it shares equally with nobody.
        is_equal = (total[:, 0] <= 0) | self._is_single[chosen]
        gains[is_equal], total[is_equal, 0] = channels[is_equal] > 0, np.count_nonzero(channels[is_equal], axis=1)
        credits = summed_shares(channels, gains / np.maximum(total, 1e-300), self.channel_count)
        credits[channels[:, 0] == 0, 0] = 1.0
        return credits

    @cached_property
    def _is_single(self) -> NDArray[np.bool_]:
        return np.asarray(np.count_nonzero(self.channels, axis=1) == 1, np.bool_)


def _keys(channels: Channels) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(channels).view(f"S{channels.shape[1]}")[:, 0]


def _without(channels: Channels, place: int) -> Channels:
    """Leave out one touch of every path; its neighbours, where they are alike now, become one."""
    left = np.zeros_like(channels)
    left[:, :-1] = np.delete(channels, place, axis=1)
    if 0 < place < channels.shape[1] - 1:
        doubled = channels[:, place - 1] == channels[:, place + 1]
        left[doubled, :-2] = np.delete(channels[doubled], (place, place + 1), axis=1)
        left[doubled, -2:] = 0
    return left


@dataclass(frozen=True)
class Group:
    """The paths of one persona and period, as columns over the distinct paths of a goal."""

    persona: str
    period: str
    converted: Floats
    converted_direct: Floats
    """Of these, where the last touch was a direct visit, in the path or not."""
    ended: Floats
    """Without the goal, and their time is up."""
    pending: Floats
    spread: Floats
    """Variance of the goals, were all goals of a person alike: each counts as often as its person has goals."""
    values: Floats
    values_direct: Floats


@dataclass(frozen=True)
class Credit:
    """What a method credits to each channel: goals, value, and the variance of the goals."""

    method: str
    goals: Floats
    values: Floats
    variance: Floats


@dataclass(frozen=True)
class Goal:
    """The distinct paths of a goal; the first is the empty one."""

    channels: Channels
    channel_count: int
    direct_ix: int
    """Number of the channel `direct`; 0 where there is none."""

    @cached_property
    def chain(self) -> Chain:
        """Their transitions."""
        return Chain(self.channels, self.channel_count)

    @cached_property
    def subpaths(self) -> Subpaths:
        """What is left of them without a touch."""
        return Subpaths(self.channels, self.channel_count)

    def credits(self, group: Group, *, with_intervals: bool) -> Iterator[Credit]:
        """Yield the credits by every method but decay, which needs the times of touches."""
        yield from self._by_place(group)
        reached = group.converted.copy()
        reached[0] = 0.0
        _, effects = removal_effects(self.chain.counts(reached, group.ended))
        markov = _shared(effects, float(reached.sum()))
        shares = self.subpaths.shares(group.converted, group.ended)
        left = shares.T @ reached
        variances = self._variances(group, reached) if with_intervals else (np.zeros_like(left), np.zeros_like(left))
        values = float(group.values[1:].sum())
        for method, goals, worth, variance in (
            ("markov", markov, _shared(effects, values), variances[0]),
            ("leave_one_out", left, shares.T @ np.append(0.0, group.values[1:]), variances[1]),
        ):
            goals[0], worth[0], variance[0] = group.converted[0], group.values[0], group.spread[0]
            yield Credit(method, goals, worth, variance)

    def _by_place(self, group: Group) -> Iterator[Credit]:
        width = self.channel_count + 1
        found = {method: Credit(method, *(np.zeros(width) for _ in range(3))) for method in (*PLACE_METHODS, "last")}
        for start in range(0, len(self.channels), _CHUNK):
            part = slice(start, start + _CHUNK)
            for method in PLACE_METHODS:
                shares = path_shares(method, self.channels[part], self.channel_count)
                credit = found[method]
                credit.goals[:] += shares.T @ group.converted[part]
                credit.values[:] += shares.T @ group.values[part]
                credit.variance[:] += np.square(shares).T @ group.spread[part]
                if method == "last_non_direct":
                    last, own = found["last"], group.converted_direct[part]
                    last.goals[:] += shares.T @ (group.converted[part] - own)
                    last.values[:] += shares.T @ (group.values[part] - group.values_direct[part])
                    kept = group.spread[part] * (1 - own / np.maximum(group.converted[part], 1.0))
                    last.variance[:] += shares.T @ kept
                    last.goals[self.direct_ix] += own.sum()
                    last.values[self.direct_ix] += group.values_direct[part].sum()
                    last.variance[self.direct_ix] += (group.spread[part] - kept).sum()
        yield from found.values()

    def _variances(self, group: Group, reached: Floats) -> tuple[Floats, Floats]:
        """Return the variances of markov and leave-one-out over draws of paths.

        Paths are drawn as Poisson counts, goals as often together as their person has goals, which is the widest that
        resampling persons can give.
        """
        rows, converting = np.flatnonzero(reached + group.ended), np.flatnonzero(reached)
        draw_count = int(np.clip(_MOST_DRAWN // max(len(rows), 1), _LEAST_DRAWS, _DRAWS))
        random = np.random.default_rng([_SEED, zlib.crc32(f"{group.persona}/{group.period}".encode())])
        each = np.maximum(group.spread[rows] / np.maximum(reached[rows], 1.0), 1.0)
        drawn, drawn_ended = np.zeros_like(reached), np.zeros_like(reached)
        transitions, totals, left = [], [], []
        for _ in range(draw_count):
            drawn[rows] = random.poisson(reached[rows] / each) * each
            drawn_ended[rows] = random.poisson(group.ended[rows])
            transitions.append(self.chain.counts(drawn, drawn_ended))
            totals.append(drawn.sum())
            left.append(self.subpaths.shares(drawn, drawn_ended, converting).T @ drawn[converting])
        _, effects = removal_effects(np.stack(transitions))
        markov = np.stack([_shared(*each) for each in zip(effects, totals, strict=True)])
        return markov.var(axis=0), np.stack(left).var(axis=0)


def _shared(effects: Floats, total: float) -> Floats:
    """Share a total in proportion to the effects; column 0 is 0."""
    return np.append(0.0, effects / max(float(effects.sum()), 1e-300) * total)


_UNITS = 10_000
"""Credits and amounts are rounded to four decimals."""
_Z = 1.96
_CODE = 64
_UNTOUCHED = chr(_CODE)
_COUNTS = ("conversion_count", "not_converted_count", "pending_count")
_PATHS = """
    select goal_index, persona, month, path_code, is_last_direct, conversion_count, not_converted_count, pending_count,
        spread_count, cast(value_amount as double) as value
    from analyses.path_counts
    order by goal_index, path_code, persona, month, is_last_direct
"""
_GROUPS = """
    select goal_index, coalesce(persona, 'all') as persona, coalesce(month, 'all') as period,
        cast(sum(conversion_count) as bigint) as conversion_count,
        cast(sum(not_converted_count) as bigint) as not_converted_count,
        cast(sum(pending_count) as bigint) as pending_count,
        cast(coalesce(sum(conversion_count) filter (where path_code = '@'), 0) as bigint) as none_count,
        sum(value_amount) as value_amount,
        coalesce(sum(value_amount) filter (where path_code = '@'), 0) as none_amount,
        cast(sum(unvalued_count) as bigint) as unvalued_count
    from analyses.path_counts
    group by grouping sets ((goal_index), (goal_index, persona), (goal_index, month))
    order by goal_index, persona, period
"""
_DECAY = """
    select goal_index, coalesce(persona, 'all') as persona, coalesce(month, 'all') as period, channel_ix,
        cast(sum(credit) as double) as credit, cast(sum(variance) as double) as variance,
        cast(sum(value_credit) as double) as value_credit
    from analyses.decay_credits
    group by grouping sets (
        (goal_index, channel_ix), (goal_index, channel_ix, persona), (goal_index, channel_ix, month)
    )
"""
_SPENT = """
    select distinct spend.persona, spend.period, channels.channel_ix
    from analyses.spend_parts as spend
    inner join analyses.touch_channels as channels on channels.shown_channel = spend.shown_channel
"""
_CHANNELS = "select distinct channel_ix, shown_channel from analyses.touch_channels order by channel_ix"
_GOALS = """
    select attribution.goal_index, attribution.has_value, settings.min_count
    from config.attribution cross join config.settings order by attribution.goal_index
"""
_NO_GOALS: dict[str, Any] = dict.fromkeys((*_COUNTS, "none_count", "unvalued_count"), 0) | dict.fromkeys(
    ("value_amount", "none_amount"), Decimal(0)
)


@python_model("analyses.channel_credits")
def channel_credits(engine: Engine) -> pa.Table:
    """Return the credits of every channel by goal, method, persona and period.

    Grain: goal_index, method, persona, period, channel. Channels without a goal have a row where somebody came by them,
    or where they cost something. Periods are of all personas, personas of the whole time. Credits are rounded to four
    decimals so that those of a method sum to the goals and to their value.
    """
    inputs = _Inputs.read(engine)
    rows = [row for goal in engine.rows(_GOALS).to_pylist() for row in inputs.rows_of(goal)]
    return pa.Table.from_pylist(rows, schema=arrow_schema("analyses.channel_credits"))


@dataclass(frozen=True)
class _Inputs:
    """What the SELECTs read, by goal, and by persona and period."""

    names: list[str]
    """Of channel numbers; 0 is `none`."""
    paths: pl.DataFrame
    groups: dict[int, dict[tuple[str, str], dict[str, Any]]]
    decay: dict[tuple[int, str, str], Credit]
    spent: dict[tuple[str, str], set[int]]

    @staticmethod
    def read(engine: Engine) -> _Inputs:
        names = ["none", *engine.rows(_CHANNELS)["shown_channel"].to_pylist()]
        groups: dict[int, dict[tuple[str, str], dict[str, Any]]] = defaultdict(dict)
        for row in engine.rows(_GROUPS).to_pylist():
            groups[row["goal_index"]][row["persona"], row["period"]] = row
        decay: dict[tuple[int, str, str], Credit] = defaultdict(
            lambda: Credit("decay", *(np.zeros(len(names)) for _ in range(3)))
        )
        for row in engine.rows(_DECAY).to_pylist():
            credit = decay[row["goal_index"], row["persona"], row["period"]]
            place = row["channel_ix"]
            credit.goals[place], credit.variance[place] = row["credit"], row["variance"]
            credit.values[place] = row["value_credit"]
        spent: dict[tuple[str, str], set[int]] = defaultdict(set)
        for row in engine.rows(_SPENT).to_pylist():
            spent[row["persona"], row["period"]].add(row["channel_ix"])
        return _Inputs(names, pl.DataFrame(engine.rows(_PATHS)), groups, decay, spent)

    def rows_of(self, goal: dict[str, Any]) -> Iterator[dict[str, Any]]:
        index = goal["goal_index"]
        paths = _GoalPaths(self.paths.filter(pl.col("goal_index") == index), self.names)
        found = self.groups.get(index, {})
        for persona, period in sorted({("all", "all"), *found, *self.spent}):
            row = found.get((persona, period), _NO_GOALS)
            group = paths.group(persona, period)
            shown = paths.channels_in(group) | self.spent.get((persona, period), set())
            decay = self.decay[index, persona, period]
            decay.goals[0], decay.values[0] = group.converted[0], group.values[0]
            decay.variance[0] = group.spread[0]
            is_large = row["conversion_count"] >= goal["min_count"]
            credits = {each.method: each for each in paths.goal.credits(group, with_intervals=is_large)} | {
                "decay": decay
            }
            fixed = {"goal_index": index, "persona": persona, "period": period}
            fixed |= {"goal_count" if name == _COUNTS[0] else name: row[name] for name in _COUNTS}
            fixed |= _chances(paths.goal, group)
            has_value = goal["has_value"] and not row["unvalued_count"]
            for method in METHODS:
                rows = _rounded(credits[method], row, sorted({0, *shown}), has_value=has_value, is_large=is_large)
                yield from (
                    fixed | {"method": method, "channel": self.names[each.pop("place")]} | each for each in rows
                )


class _GoalPaths:
    """The distinct paths of one goal, and how often they ended how."""

    def __init__(self, table: pl.DataFrame, names: list[str]) -> None:
        codes = table["path_code"].to_list()
        distinct = sorted({_UNTOUCHED, *codes})
        places = {code: place for place, code in enumerate(distinct)}
        self._path = np.array([places[code] for code in codes], np.int64)
        self._count = len(distinct)
        self._columns = {
            name: table[name].to_numpy().astype(np.float64)
            for name in (*_COUNTS, "spread_count", "value", "is_last_direct")
        }
        self._slices = {name: table[name].to_numpy() for name in ("persona", "month")}
        direct = names.index("direct") if "direct" in names else 0
        self.goal = Goal(channels_of(distinct), len(names) - 1, direct)

    def group(self, persona: str, period: str) -> Group:
        """Return the counts of the paths of a persona and period; `all` is every one."""
        chosen = np.ones(len(self._path), bool)
        for name, value in (("persona", persona), ("month", period)):
            if value != "all":
                chosen &= self._slices[name] == value
        path, columns = self._path[chosen], {name: column[chosen] for name, column in self._columns.items()}
        direct = columns["is_last_direct"]

        def summed(weights: Floats) -> Floats:
            return np.bincount(path, weights, minlength=self._count).astype(np.float64)

        return Group(
            persona,
            period,
            converted=summed(columns["conversion_count"]),
            converted_direct=summed(columns["conversion_count"] * direct),
            ended=summed(columns["not_converted_count"]),
            pending=summed(columns["pending_count"]),
            spread=summed(columns["spread_count"]),
            values=summed(columns["value"]),
            values_direct=summed(columns["value"] * direct),
        )

    def channels_in(self, group: Group) -> set[int]:
        """Return the channels in the paths of a group, and the direct visits that end them."""
        rows = np.flatnonzero(group.converted + group.ended + group.pending)
        direct = {self.goal.direct_ix} if group.converted_direct.any() else set()
        return {int(channel) for channel in np.unique(self.goal.channels[rows])} | direct


def channels_of(codes: list[str]) -> Channels:
    """Return paths as rows of channel numbers; a code has a character per touch, `@` for none.

    Examples
    --------
    >>> channels_of(["@", "AB"]).tolist()
    [[0, 0], [1, 2]]
    """
    length = max(map(len, codes))
    padded = "".join(code.ljust(length, _UNTOUCHED) for code in codes).encode("latin-1")
    return np.frombuffer(padded, np.uint8).reshape(-1, length) - np.uint8(_CODE)


def _chances(goal: Goal, group: Group) -> dict[str, float | None]:
    """Return the observed share of paths with the goal and that of the Markov chain, which are equal."""
    converted = float(group.converted[1:].sum())
    whole = converted + float(group.ended[1:].sum())
    chance, _ = removal_effects(goal.chain.counts(group.converted, group.ended))
    return {"path_conversion_rate": converted / whole, "chain_rate": float(chance)} if whole else {}


def _rounded(
    credit: Credit, row: dict[str, Any], places: list[int], *, has_value: bool, is_large: bool
) -> Iterator[dict[str, Any]]:
    """Yield the credits of the channels that have a row; what no touch led to is known exactly."""
    counts = [row["none_count"] * _UNITS]
    counts += apportion(credit.goals[1:] * _UNITS, (row["conversion_count"] - row["none_count"]) * _UNITS)
    amounts = [int(row["none_amount"] * _UNITS)]
    amounts += apportion(credit.values[1:] * _UNITS, int((row["value_amount"] - row["none_amount"]) * _UNITS))
    for place in places:
        width = _Z * float(np.sqrt(credit.variance[place]))
        goals = float(credit.goals[place])
        yield {
            "place": place,
            "conversion_count": Decimal(counts[place]) / _UNITS,
            "conversion_low": max(0.0, goals - width) if is_large else None,
            "conversion_high": goals + width if is_large else None,
            "value_amount": Decimal(amounts[place]) / _UNITS if has_value else None,
        }


def apportion(shares: Floats, total: int) -> list[int]:
    """Round shares to whole units that sum to `total`, by largest remainders; 0 stays 0.

    Examples
    --------
    >>> apportion(np.array([1 / 3, 0.0, 1 / 3, 1 / 3]), 1)
    [1, 0, 0, 0]
    """
    units = [int(np.floor(share)) for share in shares]
    credited = [place for place, share in enumerate(shares) if share]
    if not credited:
        return units
    each, rest = divmod(total - sum(units), len(credited))
    credited.sort(key=lambda place: float(np.floor(shares[place]) - shares[place]))
    for rank, place in enumerate(credited):
        units[place] += each + (rank < rest)
    return units
