"""Compare two personas, two months, or the days before and after one: which figures differ beyond chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeyflow.errors import InputError, NotFoundError, require_known
from journeyflow.statistics.proportions import (
    CRITICAL,
    Floats,
    Ints,
    Strata,
    conditional_tails,
    discovery_rates,
    newcombe_interval,
)
from journeyflow.utils.formatting import percent

if TYPE_CHECKING:
    from journeyflow.publish.reader import PublishedTables


Side = tuple[str, str]
"""A persona and a period."""
ALL = "all"
EVERYBODY = "everybody"
Q_LIMIT = 0.05
"""Differences with a q-value up to this are beyond chance: of those marked, one in twenty is expected to be false."""
FEWEST_DAYS = 5
"""Days with a closed window on each side of a day, from which the spread between days is known."""


@dataclass(frozen=True)
class Comparison:
    """Two sides and their figures, the most surprising difference first.

    `rows` has one row per figure: `figure`, `place` (stage or step), `subject`, `unit` (``rate``, ``score`` or
    ``per day``), the values `rate_a` and `rate_b` with the counts `base_a` and `base_b` they rest on, `difference` (the
    second less the first) with its 95 % interval, `p_value`, `q_value` and `is_beyond_chance`.
    """

    title: str
    first: str
    second: str
    note: str
    rows: pl.DataFrame

    @staticmethod
    def for_people(rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the values as text in their unit, and a mark."""
        texts = [_texts(row) for row in rows.iter_rows(named=True)]
        names = ("rate_a", "rate_b", "difference", "interval", "mark")
        columns = [pl.Series(name, [text[at] for text in texts], pl.String) for at, name in enumerate(names)]
        return rows.with_columns(columns)


def _texts(row: dict[str, Any]) -> tuple[str, ...]:
    is_rate = row["unit"] == "rate"
    sides = [f"{percent(row[f'rate_{side}'])} of {row[f'base_{side}']:,}" for side in "ab"]
    if not is_rate:
        sides = [f"{row[f'rate_{side}']:.2f}" for side in "ab"]
    ends = [row[f"difference{end}"] for end in ("", "_low", "_high")]
    difference, low, high = (f"{100 * end:+.1f}" if is_rate else f"{end:+.2f}" for end in ends)
    unit = " points" if is_rate else ""
    return (*sides, f"{difference}{unit}", f"{low} to {high}", "*" if row["is_beyond_chance"] else "")


def compare_maps(
    marts: PublishedTables, sides: tuple[str, str], *, model: str, persona: str = ALL, period: str = ALL
) -> Comparison:
    """Compare two personas of a period, or two months of a persona, in one journey model and all funnels.

    ``everybody`` as one of two personas is everybody else. Compared are, of persons whose window is over: who leaves
    each stage and step, who meets each touchpoint and goes on after it, promises kept, and sentiment.

    Raises
    ------
    NotFoundError
        When a side is neither a persona nor a month of the published tables.

    References
    ----------
    Newcombe (1998), intervals of differences of proportions; Fisher's exact test; Benjamini and Hochberg (1995),
    q-values over all figures of a comparison.
    """
    is_month = are_months(marts, sides)
    if is_month:
        keys = [(persona, side) for side in sides]
        title = f"{model}, {_who(persona)}: {sides[0]} against {sides[1]}"
        labels = sides
    else:
        names = [ALL if side == EVERYBODY else side for side in sides]
        keys = [(name, period) for name in names]
        labels = tuple("everybody else" if name == ALL else name for name in names)  # type: ignore[assignment]
        title = f"{model}, {'the whole time' if period == ALL else period}: {labels[0]} against {labels[1]}"
    rows = compare_pairs(marts, model, [(keys[0], keys[1])]).drop("pair")
    note = "Persons whose window is over. "
    if is_month:
        note += "Who began journeys in both months counts in both. "
    outcomes = marts.sql("select persona from personas where is_outcome_based")["persona"].to_list()
    if defined := sorted({name for name, _ in keys} & set(outcomes)):
        note += f"Defined by an outcome, so that differences in it are true by definition: {', '.join(defined)}. "
    return Comparison(title, *labels, note, rows)


def compare_pairs(marts: PublishedTables, model: str, pairs: Sequence[tuple[Side, Side]]) -> pl.DataFrame:
    """Return the rows of many comparisons in one journey model, with the number of the `pair` from 0.

    All persons beside a persona of the same time are all others. Columns, tests and q-values are those of
    `compare_maps`, each pair for itself.
    """
    sides = [(pair, at, *side, a[1] == b[1]) for pair, (a, b) in enumerate(pairs) for at, side in enumerate((a, b))]
    params = [model, *map(list, zip(*sides, strict=True))] if sides else [model, [], [], [], [], []]
    totals = {
        pair: next((at for at, (name, _) in enumerate(sides) if name == ALL), None)
        for pair, sides in enumerate(pairs)
        if sides[0][1] == sides[1][1]
    }
    means = marts.sql(_SENTIMENT, params)
    means = means.filter(~pl.col("pair").is_in([pair for pair, total in totals.items() if total is not None]))
    return _ranked(pl.concat([_proportions(_joined(marts.sql(_COUNTS, params), totals)), _means(means)]))


def are_months(marts: PublishedTables, sides: tuple[str, str]) -> bool:
    """Return whether the sides are months, not personas; refuse names of neither and a side compared with itself."""
    months = marts.sql("select distinct period from map_stages where period <> 'all' order by 1")["period"].to_list()
    people = marts.sql("select persona from personas where persona <> 'all' order by 1")["persona"].to_list()
    if sides[0] == sides[1]:
        raise InputError(f"Both sides are {sides[0]}; name two.")
    if any(side in months for side in sides):
        for side in sides:
            if side in (EVERYBODY, *people):
                raise InputError(
                    "A persona and a month cannot be compared. Name two personas, of one month with --period, or two "
                    "months, of one persona with --persona."
                )
            require_known("month", side, months)
        return True
    for side in sides:
        if side not in (ALL, EVERYBODY, *people):
            require_known("persona or month", side, [*people, EVERYBODY, *months])
    if {*sides} <= {ALL, EVERYBODY}:
        raise InputError("Both sides are everybody; name a persona.")
    return False


def _who(persona: str) -> str:
    return "all persons" if persona == ALL else f"persona {persona}"


_SIDES = """sides as (
        select unnest($2::integer[]) as pair, unnest($3::integer[]) as side, unnest($4::varchar[]) as persona,
            unnest($5::varchar[]) as period, unnest($6::boolean[]) as is_one_time
    )"""
_COUNTS = f"""
    with {_SIDES},
    stages as (
        select sides.pair, sides.side, sides.is_one_time, m.*, m.stage_index = max(m.stage_index) over () as is_last
        from map_stages as m inner join sides on sides.persona = m.persona and sides.period = m.period
        where m.model = $1
    ),
    met as (
        select sides.pair, sides.side, t.*
        from touchpoints as t inner join sides on sides.persona = t.persona and sides.period = t.period
        where t.model = $1
    ),
    visitors as (
        select pair, side, stage, max(matured_count + matured_without_count) as matured_visited_count
        from met group by pair, side, stage
    )
    select pair, side, 'leave the stage' as figure, stage_index as place_index, stage as place, '' as subject,
        matured_count - matured_next_count as hit_count, matured_count as base_count, is_small
    from stages where not is_last
    union all
    select stages.pair, stages.side, 'meet it', stages.stage_index, stages.stage, named.touchpoint,
        coalesce(case when stages.is_last then met.person_count else met.matured_count end, 0),
        case when stages.is_last then stages.visited_count else visitors.matured_visited_count end, stages.is_small
    from stages
    inner join (select distinct pair, stage, touchpoint from met) as named
        on named.pair = stages.pair and named.stage = stages.stage
    left join visitors
        on visitors.pair = stages.pair and visitors.side = stages.side and visitors.stage = stages.stage
    left join met
        on met.pair = stages.pair and met.side = stages.side and met.stage = stages.stage
        and met.touchpoint = named.touchpoint
    -- Of the last stage there are no matured counts, and in a younger month persons have met less.
    where not stages.is_last or stages.is_one_time
    union all
    select met.pair, met.side, 'go on after it', stages.stage_index, met.stage, met.touchpoint,
        met.matured_next_count, met.matured_count, met.is_small
    from met inner join stages on stages.pair = met.pair and stages.side = met.side and stages.stage = met.stage
    where met.matured_next_count is not null
    union all
    select sides.pair, sides.side, 'promise kept', 0, p.stage, p.promise,
        p.matured_kept_count, p.matured_count, p.is_small
    from promises as p inner join sides on sides.persona = p.persona and sides.period = p.period
    union all
    select sides.pair, sides.side, 'leave the step', f.step_index, f.funnel || ': ' || f.step, '',
        f.matured_count - f.matured_next_count, f.matured_count, f.is_small
    from funnel_steps as f inner join sides on sides.persona = f.persona and sides.period = f.period
    where f.kind = 'steps' and f.drop_off_count is not null
"""
_SENTIMENT = f"""
    with {_SIDES},
    felt as (
        select sides.pair, sides.side, s.*
        from stage_sentiment as s inner join sides on sides.persona = s.persona and sides.period = s.period
        where s.model = $1 and s.sentiment_low < s.sentiment_high
    )
    select a.pair, 'sentiment' as figure, a.stage as place, '' as subject, 'score' as unit,
        a.sentiment as rate_a, a.answer_count as base_a, b.sentiment as rate_b, b.answer_count as base_b,
        (a.sentiment_high - a.sentiment_low) / 2 as half_a, (b.sentiment_high - b.sentiment_low) / 2 as half_b
    from felt as a inner join felt as b on b.pair = a.pair and b.stage = a.stage and b.method = a.method
    where a.side = 0 and b.side = 1
"""
_KEY = ("pair", "figure", "place_index", "place", "subject")


def _joined(counts: pl.DataFrame, totals: Mapping[int, int | None]) -> pl.DataFrame:
    """Return a row per figure with the counts of both sides; the side `totals` becomes what the other leaves of it."""
    sides = [counts.filter(pl.col("side") == side).drop("side") for side in (0, 1)]
    both = sides[0].join(sides[1], on=list(_KEY), how="full", coalesce=True, suffix="_b")
    names = {"hit_count": "hits_a", "base_count": "total_a", "hit_count_b": "hits_b", "base_count_b": "total_b"}
    both = both.rename(names).with_columns(pl.col(*names.values()).fill_null(0).cast(pl.Int64))
    known = {"pair": list(totals), "whole": list(totals.values())}
    both = both.join(pl.DataFrame(known, {"pair": pl.Int32, "whole": pl.Int32}), on="pair", how="left")
    # A side that is missing has nobody, which is a small group; only of all persons the other side is a part.
    is_small = {name: pl.col(column).fill_null(True) for name, column in (("a", "is_small"), ("b", "is_small_b"))}
    is_whole = {name: (pl.col("whole") == at).fill_null(False) for at, name in enumerate("ab")}
    return both.filter(
        *(~is_small[name] | is_whole[name] for name in "ab")
    ).with_columns(
        pl.when(is_whole[whole]).then(pl.col(f"{name}_{whole}") - pl.col(f"{name}_{part}"))
        .otherwise(pl.col(f"{name}_{whole}")).alias(f"{name}_{whole}")
        for whole, part in ("ab", "ba")
        for name in ("hits", "total")
    ).filter(
        *(pl.col(f"total_{name}") > 0 for name in "ab"),
        # Of a part that is greater than its whole nothing is known of the rest.
        *(pl.col(f"hits_{name}").is_between(0, pl.col(f"total_{name}")) for name in "ab"),
    )  # fmt: skip


def _proportions(joined: pl.DataFrame) -> pl.DataFrame:
    """Return the differences of rates with Newcombe's intervals and the p-values of Fisher's exact test."""
    hits_a, total_a, hits_b, total_b = (joined[name].to_numpy() for name in ("hits_a", "total_a", "hits_b", "total_b"))
    low, high = newcombe_interval(hits_b, total_b, hits_a, total_a)
    p_values = conditional_tails(Strata(np.arange(len(joined)), total_a, hits_a, total_b, hits_b)).two_sided
    ends = pl.DataFrame({"difference_low": low, "difference_high": high, "p_value": p_values})
    return joined.select(
        "pair", "figure", "place", "subject", unit=pl.lit("rate"),
        rate_a=pl.col("hits_a") / pl.col("total_a"), base_a=pl.col("total_a"),
        rate_b=pl.col("hits_b") / pl.col("total_b"), base_b=pl.col("total_b"),
    ).hstack(ends)  # fmt: skip


def _means(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the differences of means whose 95 % intervals reach `half_a` and `half_b` to each side."""
    from scipy.special import ndtr

    half = np.hypot(pairs["half_a"].to_numpy(), pairs["half_b"].to_numpy())
    difference = (pairs["rate_b"] - pairs["rate_a"]).to_numpy()
    ends = {"difference_low": difference - half, "difference_high": difference + half}
    ends["p_value"] = 2 * ndtr(-np.abs(difference) / (half / CRITICAL))
    return pairs.drop("half_a", "half_b").cast({"base_a": pl.Int64, "base_b": pl.Int64}).hstack(pl.DataFrame(ends))


def _ranked(rows: pl.DataFrame) -> pl.DataFrame:
    """Add q-values over all rows of a pair, and sort by surprise."""
    q_values = discovery_rates(rows["p_value"].to_numpy(), rows["pair"].to_numpy().astype(np.int64))
    rows = rows.with_columns(
        pl.Series("q_value", q_values, pl.Float64),
        difference=pl.col("rate_b") - pl.col("rate_a"),
    ).with_columns(is_beyond_chance=pl.col("q_value") <= Q_LIMIT)
    order = rows.select(surprise=pl.col("p_value"), size=-pl.col("difference").abs())
    ranked = rows.with_columns(order).sort("pair", "surprise", "size", "figure", "place", "subject")
    return ranked.select(
        "pair", "figure", "place", "subject", "unit", "rate_a", "base_a", "rate_b", "base_b", "difference",
        "difference_low", "difference_high", "p_value", "q_value", "is_beyond_chance",
    )  # fmt: skip


def compare_days(marts: PublishedTables, day: date, days: int, persona: str = ALL) -> Comparison:
    """Compare those who entered a funnel in the `days` days before `day` with those of that day and after.

    Only days whose window is over are compared. Rates of single days spread more than chance within a day allows, by
    weekday, weather or campaign; intervals and p-values are widened by the spread that is seen (a design effect).

    Raises
    ------
    NotFoundError
        When fewer than `FEWEST_DAYS` days with a closed window are on one side.

    References
    ----------
    Rao and Scott (1981), "The analysis of categorical data from complex sample surveys": counts divided by the design
    effect, with days as clusters.
    """
    first, last = day - timedelta(days=days), day + timedelta(days=days - 1)
    found = marts.sql(_DAYS, [persona, first, last, day])
    groups = [group for _, group in found.group_by("funnel", "step_index", maintain_order=True)]
    known = [group for group in groups if all(count >= FEWEST_DAYS for count in _day_counts(group))]
    if not known:
        raise NotFoundError(
            f"There are fewer than {FEWEST_DAYS} days with a closed window on one side of {day}; "
            f"{_range(marts)} Name a day further from the ends."
        )
    rows = [row for group in known for row in _of_step(group)]
    before, after = (max(counts) for counts in zip(*map(_day_counts, known), strict=True))
    left_out = sorted({str(group["funnel"][0]) for group in groups} - {str(group["funnel"][0]) for group in known})
    note = "Days whose window is over. " + ("" if days % 7 == 0 else "Not whole weeks: weekdays may differ. ")
    if left_out:
        note += f"Left out, with too few such days: {', '.join(left_out)}. "
    title = f"{_who(persona)}, {before} days before {day} against {after} from it on"
    return Comparison(
        title, "before", "after", note,
        _ranked(pl.DataFrame(rows, _DAY_SCHEMA, orient="row").with_columns(pair=0)).drop("pair"),
    )  # fmt: skip


_DAYS = """
    with spans as (
        select funnel, min(entry_date) as first_date, max(entry_date) filter (where is_matured) as last_date
        from funnel_trend where persona = 'all' group by funnel
    ),
    days as (
        select funnel, unnest(generate_series(
            greatest(first_date, $2::date), least(last_date, $3::date), interval 1 day))::date as entry_date
        from spans
    ),
    steps as (
        select distinct funnel, step_index, step, step_index = max(step_index) over (partition by funnel) as is_last
        from funnel_steps where persona = 'all' and period = 'all'
    )
    select days.funnel, steps.step_index, steps.step, steps.is_last, days.entry_date >= $4::date as is_after,
        coalesce(t.person_count, 0) as person_count, coalesce(t.drop_off_count, 0) as drop_off_count
    from days
    inner join steps on steps.funnel = days.funnel
    left join funnel_trend as t
        on t.funnel = days.funnel and t.step_index = steps.step_index and t.entry_date = days.entry_date
        and t.persona = $1
    order by days.funnel, steps.step_index, days.entry_date
"""
_DAY_SCHEMA = {
    "figure": pl.String, "place": pl.String, "subject": pl.String, "unit": pl.String, "rate_a": pl.Float64,
    "base_a": pl.Int64, "rate_b": pl.Float64, "base_b": pl.Int64, "difference_low": pl.Float64,
    "difference_high": pl.Float64, "p_value": pl.Float64,
}  # fmt: skip
_Row = tuple[str, str, str, str, float, int, float, int, float, float, float]


def _day_counts(group: pl.DataFrame) -> tuple[int, int]:
    after = int(group["is_after"].sum())
    return group.height - after, after


def _range(marts: PublishedTables) -> str:
    query = "select min(entry_date) as a, max(entry_date) filter (where is_matured) as b from funnel_trend"
    found = marts.sql(query).row(0)
    return f"such days are from {found[0]} to {found[1]}." if found[1] else "no window is over yet."


def _of_step(group: pl.DataFrame) -> list[_Row]:
    """Return the difference of those who left a step and, of a first step, of those who entered it."""
    is_after = group["is_after"].to_numpy()
    totals, left = (group[name].to_numpy() for name in ("person_count", "drop_off_count"))
    funnel, step, index = str(group["funnel"][0]), str(group["step"][0]), int(group["step_index"][0])
    rows: list[_Row] = []
    if index == 1:
        rows.append(("enter a day", funnel, "", "per day", *_mean_difference(totals[~is_after], totals[is_after])))
    sides = [(left[side], totals[side]) for side in (~is_after, is_after)]
    if not group["is_last"][0] and all(total.sum() > 0 for _, total in sides):
        rows.append(("leave the step", f"{funnel}: {step}", "", "rate", *_rate_difference(*sides)))
    return rows


_Figures = tuple[float, int, float, int, float, float, float]


def _mean_difference(before: Ints, after: Ints) -> _Figures:
    """Return both means, their sums, and Welch's interval and p-value of the difference."""
    from scipy.stats import t

    variances = [float(np.var(each, ddof=1)) / len(each) for each in (before, after)]
    difference, spread = float(after.mean() - before.mean()), sum(variances)
    sums = (float(before.mean()), int(before.sum()), float(after.mean()), int(after.sum()))
    if spread == 0:
        return *sums, difference, difference, 1.0 if difference == 0 else 0.0
    freedom = spread**2 / sum(v**2 / (len(each) - 1) for v, each in zip(variances, (before, after), strict=True))
    half = float(t.ppf(0.975, freedom)) * spread**0.5
    return *sums, difference - half, difference + half, float(2 * t.sf(abs(difference) / spread**0.5, freedom))


def _rate_difference(before: tuple[Ints, Ints], after: tuple[Ints, Ints]) -> _Figures:
    """Return both rates, their bases, and the interval and p-value of the difference with days as clusters."""
    from scipy.stats import t

    sides = (before, after)
    hits, totals = ([int(side[at].sum()) for side in sides] for at in (0, 1))
    rates = [hit / total for hit, total in zip(hits, totals, strict=True)]
    binomial = sum(rate * (1 - rate) / total for rate, total in zip(rates, totals, strict=True))
    clustered = sum(
        float(np.sum((left - rate * people) ** 2)) * len(people) / (len(people) - 1) / total**2
        for (left, people), rate, total in zip(sides, rates, totals, strict=True)
    )
    effect = max(1.0, clustered / binomial) if binomial > 0 else 1.0
    ends = newcombe_interval(*(_array(value / effect) for value in (hits[1], totals[1], hits[0], totals[0])))
    if effect > 1:
        freedom = sum(len(people) for _, people in sides) - 2
        p_value = float(2 * t.sf(abs(rates[1] - rates[0]) / clustered**0.5, freedom))
    else:
        counts = (np.array([value]) for value in (0, totals[0], hits[0], totals[1], hits[1]))
        p_value = float(conditional_tails(Strata(*counts)).two_sided[0])
    return rates[0], totals[0], rates[1], totals[1], float(ends[0][0]), float(ends[1][0]), p_value


def _array(value: float) -> Floats:
    return np.array([value])
