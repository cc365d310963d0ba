"""By how much one rate is above another, with intervals, and which of many tests are discoveries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.statistics.exact import Floats, Ints, Strata
from journeyflow.statistics.intervals import ALPHA, wilson_interval


class Excess(NamedTuple):
    """By test: the exposed who can be compared, their rate, that of the others, the excess and its 95 % interval."""

    exposed: Ints
    rate: Floats
    base_rate: Floats
    excess: Floats
    low: Floats
    high: Floats


def standardised_excess(strata: Strata) -> Excess:
    """Return by how much the rate of the exposed is above that of the others, weighed by the exposed of each stratum.

    Times the exposed it is the number of hits that would not have happened at the others' rates. Strata without others
    say nothing, and their exposed are left out.

    Parameters
    ----------
    strata : Strata
        Two-by-two tables.

    Returns
    -------
    Excess
        Arrays in the order of the tests; NaN where no stratum can be compared.

    References
    ----------
    For one stratum Newcombe (1998), "Interval estimation for the difference between independent proportions", method
    10, from Wilson intervals; for weighted sums Zou and Donner (2008), "Construction of confidence limits about effect
    measures", and Yan and Su (2010), "Stratified Wilson and Newcombe confidence intervals for multiple binomial
    proportions".

    Examples
    --------
    >>> one = Strata(*(np.array([value]) for value in (0, 70, 56, 80, 48)))
    >>> said = standardised_excess(one)
    >>> round(float(said.excess[0]), 4), round(float(said.low[0]), 4), round(float(said.high[0]), 4)
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
        weighed = [
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
    excess = weighed[0] - weighed[1]
    return Excess(totals.astype(np.int64), weighed[0], weighed[1], excess, excess - below, excess + above)


def ratio_interval(hits: Ints, totals: Ints, base_hits: Ints, base_totals: Ints) -> tuple[Floats, Floats]:
    """Return the 95 % interval of the ratio of two rates.

    Parameters
    ----------
    hits, totals, base_hits, base_totals : array of int64
        Ratio i is `hits[i] / totals[i]` over `base_hits[i] / base_totals[i]`; no total is 0.

    Returns
    -------
    low, high : arrays of float64
        With the ratio between them; NaN where the lower rate of the two is 0 and the ratio unknown.

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
        # Half a person may put an end past the ratio of a handful; none at all is a ratio of 0.
        low[known], high[known] = np.minimum(ends[0], ratio), np.maximum(ends[1], ratio)
    return low, high


def discovery_rates(p_values: Floats, family: Ints) -> Floats:
    """Return the Benjamini-Hochberg q-value of each test among the tests of its family.

    Parameters
    ----------
    p_values : array of float64
        In [0, 1].
    family : array of int64
        Any number that the tests of a family share.

    Returns
    -------
    array of float64
        In [0, 1], never below the p-value.

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
