"""Attribution: the goals and their value, credited to marketing channels by each method.

`docs/reference/semantics.md`, section 14, defines touches, paths and methods.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.analyses.attribution_methods import METHODS, Channels, Credit, Floats, Goal, Group, removal_effects
from journeyflow.models.metadata import arrow_schema
from journeyflow.models.python_models import python_model

if TYPE_CHECKING:
    from journeyflow.engines import Engine

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
