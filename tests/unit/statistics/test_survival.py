from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from journeyflow.statistics.survival import product_limit, rate_within_horizon

seconds = st.lists(st.integers(0, 50).map(float), max_size=12).map(np.array)
HORIZON = 50.0


def test_nobody_is_unknown():
    assert rate_within_horizon(np.array([]), np.array([]), 0, HORIZON) is None


def test_nobody_reached_it():
    assert rate_within_horizon(np.array([]), np.array([3.0]), 2, HORIZON) == 0.0


def test_without_censoring_it_is_the_proportion():
    assert rate_within_horizon(np.array([1.0, 50.0, 7.0]), np.array([]), 1, HORIZON) == pytest.approx(0.75)


def test_a_unit_still_waiting_leaves_the_risk_set_only_after_its_time():
    # Worked by hand: at 1 s 1 of 4 arrives; one is censored at 2 s; at 3 s 1 of 2 arrives.
    rate = rate_within_horizon(np.array([1.0, 3.0]), np.array([2.0]), 1, HORIZON)
    assert rate == pytest.approx(1 - 3 / 4 * 1 / 2)
    # At one and the same second the waiting one is still at risk.
    assert rate_within_horizon(np.array([2.0]), np.array([2.0]), 0, HORIZON) == pytest.approx(0.5)


def _by_definition(reached, waiting, spent_count):
    """Return one minus the product over the times of arrival of the share of those at risk that did not arrive."""
    observed = [*reached, *waiting, *[HORIZON] * spent_count]
    survival = Fraction(1)
    for time in set(reached):
        at_risk = sum(each >= time for each in observed)
        survival *= 1 - Fraction(list(reached).count(time), at_risk)
    return float(1 - survival)


@given(seconds, seconds, st.integers(0, 5))
def test_it_is_the_product_of_the_definition(reached, waiting, spent_count):
    rate = rate_within_horizon(reached, waiting, spent_count, HORIZON)
    if len(reached) + len(waiting) + spent_count == 0:
        assert rate is None
    else:
        assert rate == pytest.approx(_by_definition(reached.tolist(), waiting.tolist(), spent_count), abs=1e-9)


@given(seconds.filter(len), seconds, st.integers(0, 5))
def test_it_is_what_statsmodels_computes(reached, waiting, spent_count):
    times = np.concatenate((reached, waiting, [HORIZON]))
    weights = np.append(np.ones(len(times) - 1, np.int64), spent_count)
    theirs = 1 - SurvfuncRight(times, np.arange(len(times)) < len(reached), freq_weights=weights).surv_prob[-1]
    assert rate_within_horizon(reached, waiting, spent_count, HORIZON) == pytest.approx(theirs, abs=1e-12)


WAITS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=30)


@given(WAITS)
def test_estimates_over_slots_are_the_library_s(waits):
    """Each unit was observed to the end of its slot, where its wait ended or it was censored."""
    events, at_risk = np.zeros(6), np.zeros(6)
    for slot, is_ended in waits:
        events[slot - 1] += is_ended
        at_risk[:slot] += 1
    estimates = product_limit(events, at_risk)
    slots, statuses = zip(*waits, strict=True)
    if not any(statuses):
        assert estimates.survival.tolist() == [1.0] * 6
        return
    library = SurvfuncRight(np.array(slots), np.array(statuses, dtype=int))
    for time, survival, error in zip(library.surv_times, library.surv_prob, library.surv_prob_se, strict=True):
        assert estimates.survival[time - 1] == pytest.approx(survival, abs=1e-12)
        if 0 < survival < 1 and events[time - 1]:
            size = survival * (1 - survival) / error**2
            assert estimates.size[time - 1] == pytest.approx(size, rel=1e-9)


@given(WAITS)
def test_without_censoring_it_is_the_proportion_of_all(waits):
    events = np.bincount([slot - 1 for slot, _ in waits], minlength=6).astype(float)
    estimates = product_limit(events, events[::-1].cumsum()[::-1])
    assert estimates.survival == pytest.approx(1 - events.cumsum() / len(waits), abs=1e-12)
    assert estimates.size == pytest.approx(len(waits), rel=1e-9)
