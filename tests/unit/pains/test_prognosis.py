"""The prognosis: calibrated, blind to what comes later, the same in every run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from journeyflow.pains.places import Place, Prognosis, logistic_regression, spread
from journeyflow.pains.stream import Labels, Stream
from support.streams import DAY_US, HOUR_US, place_of, simulated


def test_the_regression_maximises_the_penalised_likelihood():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(300, 3))
    outcome = rng.random(300) < 1 / (1 + np.exp(-(features @ [1.0, -0.5, 0.0] + 0.3)))

    def loss(beta):
        linear = beta[0] + features @ beta[1:]
        return -(outcome * linear - np.logaddexp(0, linear)).sum() + (beta[1:] ** 2).sum() / 2

    assert logistic_regression(features, outcome) == pytest.approx(minimize(loss, np.zeros(4)).x, abs=1e-3)


@pytest.mark.parametrize(("rare", "rate"), [(30, 0.97), (30, 0.99), (15, 0.97)])
def test_a_few_that_nearly_alone_fail_do_not_lead_it_astray(rare, rate):
    """Whole steps of Newton's method pass the top of the likelihood here and never come back."""
    rng = np.random.default_rng(3)
    is_rare = np.arange(1500) < rare
    groups = [rng.integers(0, count, 1500) for count in (7, 3, 3, 5, 5, 3)]
    columns = [is_rare, *(group == value for group in groups for value in range(1, group.max() + 1))]
    features = np.column_stack(columns).astype(np.float64)
    features = (features - features.mean(0)) / features.std(0)
    outcome = ~is_rare & (rng.random(1500) < rate)

    def loss(beta):
        linear = beta[0] + features @ beta[1:]
        return -(outcome * linear - np.logaddexp(0, linear)).sum() + (beta[1:] ** 2).sum() / 2

    found = logistic_regression(features, outcome)
    assert found == pytest.approx(minimize(loss, np.zeros(len(found))).x, abs=1e-3)


def test_a_column_that_separates_the_outcomes_stays_finite():
    beta = logistic_regression(np.arange(40.0)[:, None] - 20, np.arange(40) >= 20)
    assert np.isfinite(beta).all()
    assert beta[1] > 0


def test_it_is_calibrated_on_persons_that_it_has_not_seen():
    chances = {(True, "new"): 0.2, (True, "known"): 0.5, (False, "new"): 0.5, (False, "known"): 0.8}
    stream = simulated(2, 5000, lambda stage, who: chances[who.device == "mobile", who.persona])
    place = place_of(stream, 1)
    seen = stream.person[place.rows] % 2 == 0
    prognosis = Prognosis(stream, place, fit_on=seen)
    chance = prognosis.chance(place.rows)[~seen]
    went_on = place.went_on[~seen]
    fifths = np.digitize(chance, np.quantile(chance, [0.2, 0.4, 0.6, 0.8]))
    for fifth in range(5):
        of = fifths == fifth
        error = np.sqrt(went_on[of].mean() * (1 - went_on[of].mean()) / of.sum())
        assert chance[of].mean() == pytest.approx(went_on[of].mean(), abs=4 * error), fifth
    assert np.ptp(chance) > 0.4


def test_what_happens_later_changes_no_chance():
    """Everything after a moment is replaced: names, times, sessions, values of slices; the fit does not see them."""
    stream = simulated(3, 1500)
    place = place_of(stream, 1)
    changed = stream.person >= 1000
    for offset in (0, 1):
        # The moments are the `offset`-th events; all later events of these persons change.
        starts = stream.journey_starts[:-1][1000:]
        moments = (starts + offset)[starts + offset < stream.journey_starts[1:][1000:]]
        moments = moments[np.isin(moments, place.rows)]
        assert len(moments) > 50
        is_later = changed.copy()
        is_later[moments] = False
        is_later[starts] = False
        later = replace(
            stream,
            kind=np.where(is_later, (stream.kind + 3) % len(stream.kinds), stream.kind),
            at=np.where(is_later, stream.at + 5 * HOUR_US, stream.at),
            session=np.where(is_later, stream.session + 100_000, stream.session),
            slices={
                name: Labels(np.where(is_later, 1, values.codes).astype(np.int32), values.names)
                for name, values in stream.slices.items()
            },
        )
        fit_on = ~changed[place.rows]
        before = Prognosis(stream, place, fit_on=fit_on).chance(moments)
        # The same persons are at the place, whatever comes after.
        there = replace(place, level=place.level_of_kind[later.kind])
        after = Prognosis(later, there, fit_on=fit_on).chance(moments)
        assert after == pytest.approx(before, abs=1e-12)


def test_what_happened_before_counts():
    stream = simulated(4, 2000, lambda stage, who: 0.3 if who.met_error else 0.9)
    place = place_of(stream, 3)
    prognosis = Prognosis(stream, place)
    is_error = stream.names.codes[place.rows] == stream.names.names.index("error")
    chance = prognosis.chance(place.rows)
    assert chance[is_error].mean() < chance[~is_error].mean() - 0.2
    blind = Prognosis(stream, place, has_history=False).chance(place.rows)
    assert abs(blind[is_error].mean() - blind[~is_error].mean()) < 0.05


def test_moments_whose_window_is_open_are_not_fitted_on():
    """The last days have lost everybody; they are not over, so they say nothing."""
    stream = simulated(5, 2000, days=30, window_days=7, last_day=29)
    place = place_of(stream, 1)
    unsettled = replace(place, beyond_us=np.where(place.is_settled, place.beyond_us, np.iinfo(np.int64).max))
    chances = (Prognosis(stream, each).chance(place.rows) for each in (unsettled, place))
    assert np.array_equal(*chances)


def test_a_slice_left_out_makes_no_difference():
    stream = simulated(6, 3000, lambda stage, who: 0.3 if who.device == "mobile" else 0.9)
    place = place_of(stream, 1)
    mobile = stream.slices["device"].codes[place.rows] == stream.slices["device"].names.index("mobile")

    def difference(*without):
        chance = Prognosis(stream, place, without).chance(place.rows)
        return chance[~mobile].mean() - chance[mobile].mean()

    assert difference() == pytest.approx(0.6, abs=0.08)
    assert difference("device") < 0.1


@pytest.fixture(scope="module")
def weekly() -> tuple[Stream, Place]:
    stream = simulated(7, 3000, lambda stage, who: 0.3 if who.day % 7 == 2 else 0.8)
    return stream, place_of(stream, 1)


def test_the_weekday_is_known(weekly):
    stream, place = weekly
    chance = Prognosis(stream, place).chance(place.rows)
    on_it = (stream.at[place.rows] // DAY_US - stream.first_day) % 7 == 2
    assert chance[on_it].mean() < 0.4 < 0.7 < chance[~on_it].mean()


def test_rows_are_spread_alike_in_every_run_and_about_as_many_as_asked():
    rows = np.arange(0, 100_000, 2)
    chosen = spread(rows, 5_000)
    assert len(chosen) == pytest.approx(5_000, rel=0.05)
    assert (spread(rows, 5_000) == chosen).all()
    # All over the range, with no period.
    assert np.bincount(chosen // 5_000, minlength=10).min() > 400
    assert spread(rows, 50_000).tolist() == list(range(50_000))
