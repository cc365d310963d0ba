"""Tests of lift and of pain points, with controlled false discovery rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from journeyflow.models.python_models import python_model
from journeyflow.statistics.proportions import ALPHA, Floats, Ints, Strata, conditional_tails, wilson_interval

if TYPE_CHECKING:
    from journeyflow.engines import Engine


class Excess(NamedTuple):
    """By test: the comparable exposed, their rate, that of the others, the excess and its 95 % interval."""

    exposed: Ints
    rate: Floats
    base_rate: Floats
    excess: Floats
    low: Floats
    high: Floats


def standardised_excess(strata: Strata) -> Excess:
    """Return the excess rate of the exposed over the others, standardised to the exposed of each stratum.

    Times the exposed it is the number of hits that would not have happened at the others' rates. Exposed of strata
    without others are left out; tests without a comparable stratum are NaN. Results are in the order of the tests.

    References
    ----------
    For one stratum Newcombe (1998), "Interval estimation for the difference between independent proportions", method
    10, from Wilson intervals; for weighted sums Zou and Donner (2008), "Construction of confidence limits about effect
    measures", and Yan and Su (2010), "Stratified Wilson and Newcombe confidence intervals for multiple binomial
    proportions".

    Examples
    --------
    >>> one = Strata(*(np.array([value]) for value in (0, 70, 56, 80, 48)))
    >>> found = standardised_excess(one)
    >>> round(float(found.excess[0]), 4), round(float(found.low[0]), 4), round(float(found.high[0]), 4)
    (0.2, 0.0524, 0.3339)
    """
    count = int(strata.test[-1]) + 1 if len(strata.test) else 0
    known = (strata.exposed > 0) & (strata.base > 0)
    test, exposed, hits, base, base_hits = (values[known] for values in strata)
    rate, base_rate = hits / exposed, base_hits / base
    low, high = wilson_interval(hits, exposed)
    base_low, base_high = wilson_interval(base_hits, base)
    totals = np.bincount(test, exposed, count)
    with np.errstate(invalid="ignore"):
        weighted = [
            np.bincount(test, values * exposed, count) / np.where(totals > 0, totals, np.nan)
            for values in (rate, base_rate)
        ]
        below, above = (
            np.sqrt(np.bincount(test, values * exposed**2, count)) / np.where(totals > 0, totals, np.nan)
            for values in (
                (rate - low) ** 2 + (base_high - base_rate) ** 2,
                (high - rate) ** 2 + (base_rate - base_low) ** 2,
            )
        )
    excess = weighted[0] - weighted[1]
    return Excess(totals.astype(np.int64), weighted[0], weighted[1], excess, excess - below, excess + above)


def ratio_interval(hits: Ints, totals: Ints, base_hits: Ints, base_totals: Ints) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of each ratio of rates, NaN where the lower rate is 0; no total may be 0.

    References
    ----------
    Walter (1975), "The distribution of Levin's measure of attributable risk": the log of the ratio, half a person
    added; computed by ``statsmodels.stats.proportion.confint_proportions_2indep``.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = np.full(len(hits), np.nan), np.full(len(hits), np.nan)
    known = base_hits > 0
    if known.any():
        of = (hits[known], totals[known], base_hits[known], base_totals[known])
        ratio = (of[0] / of[1]) / (of[2] / of[3])
        ends = confint_proportions_2indep(*of, compare="ratio", method="log-adjusted", alpha=ALPHA)
        # The half person added may put an end past a ratio of small counts.
        low[known], high[known] = np.minimum(ends[0], ratio), np.maximum(ends[1], ratio)
    return low, high


def discovery_rates(p_values: Floats, family: Ints) -> Floats:
    """Return the Benjamini-Hochberg q-value of each p-value among those with the same `family` number.

    References
    ----------
    Benjamini and Hochberg (1995), "Controlling the false discovery rate": the least rate at which the test is a
    discovery.

    Examples
    --------
    >>> discovery_rates(np.array([0.01, 0.02, 0.5, 0.04]), np.array([1, 1, 1, 2])).tolist()
    [0.03, 0.03, 0.5, 0.04]
    """
    from scipy.stats import false_discovery_control

    rates = np.empty(len(p_values))
    order = np.argsort(family, kind="stable")
    starts = np.flatnonzero(np.diff(family[order], prepend=np.nan))
    for members in np.split(order, starts[1:]) if len(order) else []:
        rates[members] = false_discovery_control(p_values[members])
    return rates


MAP = ("model_index", "persona", "period")
INTERACTION = (*MAP, "stage_index", "exposure_ix")
TEST = (*INTERACTION, "exposure")

_LAST_STAGES = "select model_index, max(stage_index) as stage_index from config.stages group by model_index"
_TOUCHPOINTS = f"""
    select
        met.model_index, met.persona, met.period, met.stage_index, met.exposure_ix,
        met.matured_count as with_count, met.matured_advanced_count as with_next_count,
        stages.matured_visited_count - met.matured_count as without_count,
        stages.matured_advanced_count - met.matured_advanced_count as without_next_count
    from map.exposure_counts as met
    inner join map.exposures
        on exposures.exposure_ix = met.exposure_ix and exposures.exposure_kind = 'touchpoint'
    inner join map.stage_bases as stages
        on stages.model_index = met.model_index and stages.persona = met.persona
        and stages.period = met.period and stages.stage_index = met.stage_index
    inner join ({_LAST_STAGES}) as lasts
        on lasts.model_index = met.model_index and met.stage_index < lasts.stage_index
    cross join config.settings
    where met.matured_count >= settings.min_count
        and stages.matured_visited_count - met.matured_count >= settings.min_count
    order by met.model_index, met.persona, met.period, met.stage_index, met.exposure_ix
"""
_STRATA = f"""
    with counted as (
        select
            counts.model_index, counts.persona, counts.period, counts.stage_index, counts.exposure_ix, counts.exposure,
            counts.pass_count, counts.matured_count as exposed,
            counts.matured_count - counts.matured_advanced_count as hits
        from map.stage_attempt_counts as counts
        inner join ({_LAST_STAGES}) as lasts
            on lasts.model_index = counts.model_index and counts.stage_index < lasts.stage_index
        where counts.persona <> 'all'
    )

    select
        met.model_index, met.persona, met.period, met.stage_index, met.exposure_ix, met.exposure,
        exposures.exposure_kind, met.pass_count, met.exposed, met.hits,
        every.exposed - met.exposed as others_base, every.hits - met.hits as others_base_hits,
        case when met.period = 'all' or exposures.exposure_kind = 'friction' then 0
            else same.exposed - met.exposed end as months_base,
        case when met.period = 'all' or exposures.exposure_kind = 'friction' then 0
            else same.hits - met.hits end as months_base_hits
    from counted as met
    inner join map.exposures on exposures.exposure_ix = met.exposure_ix
    inner join counted as every
        on every.model_index = met.model_index and every.persona = met.persona and every.period = 'all'
        and every.stage_index = met.stage_index and every.exposure_ix = 0
    inner join counted as same
        on same.model_index = met.model_index and same.persona = met.persona and same.period = 'all'
        and same.stage_index = met.stage_index and same.exposure_ix = met.exposure_ix and same.exposure = met.exposure
"""


@python_model("statistics.touchpoint_tests")
def touchpoint_tests(engine: Engine) -> pa.Table:
    """Return the lift of every touchpoint that enough visitors of a stage met and enough did not.

    References
    ----------
    `docs/adr/0017-pain-points.md`.
    """
    rows = engine.rows(_TOUCHPOINTS)
    met, met_next, rest, rest_next = (
        rows.column(f"{name}_count").to_numpy().astype(np.int64)
        for name in ("with", "with_next", "without", "without_next")
    )
    low, high = ratio_interval(met_next, met, rest_next, rest)
    p_values = conditional_tails(Strata(np.arange(len(met)), met, met_next, rest, rest_next)).two_sided
    families = (
        pl.DataFrame(rows.select(MAP)).select(pl.struct(MAP).rank("dense")).to_series().to_numpy().astype(np.int64)
    )
    table = {key: rows.column(key) for key in INTERACTION}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(rest_next > 0, (met_next / met) / (rest_next / rest), np.nan)
    figures = {"lift": ratio, "lift_low": low, "lift_high": high, "p_value": p_values}
    figures["q_value"] = discovery_rates(p_values, families)
    table |= {name: pa.array(values, pa.float64(), from_pandas=True) for name, values in figures.items()}
    return pa.table(table)


@python_model("statistics.pain_tests")
def registered_pain_tests(engine: Engine) -> pa.Table:
    """Return by how much more often stage attempts with each exposure ended.

    References
    ----------
    `docs/adr/0017-pain-points.md`.
    """
    min_count = engine.rows("select min_count from config.settings").column("min_count")[0].as_py()
    # Sums of counts come as decimals.
    strata = pl.DataFrame(engine.rows(_STRATA)).with_columns(pl.selectors.decimal().cast(pl.Int64))
    return pain_tests(strata, min_count).to_arrow()


def pain_tests(strata: pl.DataFrame, min_count: int) -> pl.DataFrame:
    """Test every exposure of every map; return one row per test, sorted by `TEST`, persona `all` included.

    Fewer than `min_count` stage attempts, exposed or to compare with, are not tested. Friction is listed without
    p_value and q_value.

    Parameters
    ----------
    strata : polars.DataFrame
        A row for each exposure of a persona (none is `all`): the columns of `TEST`, `exposure_kind`, `pass_count`,
        `exposed` (the matured of them) and `hits` (those that did not go on), and the same of two groups to compare
        with: `others_base`, `others_base_hits` (stage attempts of all months without the exposure of the row) and
        `months_base`, `months_base_hits` (those with the exposure in the other months).
    min_count : int
    """
    tables = _compared(strata, min_count)
    tests = tables.unique("test", keep="first", maintain_order=True)
    arrays = Strata(
        *(tables[name].to_numpy().astype(np.int64) for name in ("test", "exposed", "hits", "base", "base_hits"))
    )
    excess = standardised_excess(arrays)
    listed = tests.select(
        *TEST, "compared_with", pass_count="pass_total", is_tested=pl.col("exposure_kind") != "friction"
    ).with_columns(
        matured_count=pl.Series(excess.exposed, dtype=pl.Int64),
        drop_off_rate=pl.Series(excess.rate, dtype=pl.Float64),
        baseline_rate=pl.Series(excess.base_rate, dtype=pl.Float64),
        excess_rate=pl.Series(excess.excess, dtype=pl.Float64),
        lost=pl.Series(excess.exposed * excess.excess, dtype=pl.Float64),
        lost_low=pl.Series(excess.exposed * excess.low, dtype=pl.Float64),
        lost_high=pl.Series(excess.exposed * excess.high, dtype=pl.Float64),
        p_value=pl.Series(conditional_tails(arrays).excess, dtype=pl.Float64),
    )
    return _with_discoveries(listed)


def _compared(strata: pl.DataFrame, min_count: int) -> pl.DataFrame:
    """Return the two-by-two tables of every possible test; each persona is a stratum of the map of all."""
    totalled = strata.with_columns(stratum=pl.col("persona"), persona=pl.lit("all"))
    both = pl.concat([strata.with_columns(stratum=pl.lit("")), totalled])
    totals = both.group_by(TEST).agg(
        exposed_total=pl.col("exposed").sum(),
        pass_total=pl.col("pass_count").sum(),
        has_own_months=pl.col("months_base").sum() >= min_count,
        months_total=pl.col("months_base").sum(),
        others_total=pl.col("others_base").sum(),
    )
    # The same exposure in other months is the best comparison; a new one is compared with the rest of the stage.
    chosen = both.join(totals, on=TEST).with_columns(
        compared_with=pl.when("has_own_months").then(pl.lit("other months")).otherwise(pl.lit("other passes")),
        base=pl.when("has_own_months").then("months_base").otherwise("others_base"),
        base_hits=pl.when("has_own_months").then("months_base_hits").otherwise("others_base_hits"),
        base_total=pl.when("has_own_months").then("months_total").otherwise("others_total"),
    )
    is_enough = (pl.col("exposed_total") >= min_count) & (pl.col("base_total") >= min_count)
    return (
        chosen.filter(is_enough)
        .sort(*TEST, "stratum")
        .with_columns(test=pl.struct(TEST).rank("dense").cast(pl.Int64) - 1)
    )


def _with_discoveries(listed: pl.DataFrame) -> pl.DataFrame:
    tested = listed.filter("is_tested").with_columns(family=pl.struct(MAP).rank("dense").cast(pl.Int64))
    rates = discovery_rates(tested["p_value"].to_numpy(), tested["family"].to_numpy())
    tested = tested.select(*TEST, q_value=pl.Series(rates, dtype=pl.Float64))
    joined = listed.join(tested, on=TEST, how="left").sort(TEST)
    known = joined.with_columns(pl.when("is_tested").then("p_value").alias("p_value"))
    return known.with_columns(pl.selectors.float().fill_nan(None)).drop("is_tested")
