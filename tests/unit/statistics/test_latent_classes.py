"""Latent classes: what EM reaches, how many classes there are, and whether they are found again."""

from __future__ import annotations

import numpy as np
import pytest

from journeyflow.statistics.latent_classes import (
    Answers,
    LatentClasses,
    choose_classes,
    fit_classes,
    posteriors,
    refit_classes,
    similarity,
    stability,
)


def answers_of(values, sizes=None):
    """Return the answers of persons, a row of level numbers each."""
    patterns, counts = np.unique(np.asarray(values), axis=0, return_counts=True)
    return Answers.of(
        patterns, sizes or [int(patterns[:, n].max()) + 1 for n in range(patterns.shape[1])], counts * 1.0
    )


def planted(shares, rates, size=2000, seed=1):
    """Draw persons of classes with these chances of a 1 in each of some yes-or-no features."""
    random = np.random.default_rng(seed)
    classes = random.choice(len(shares), size, p=shares)
    return answers_of(
        (random.random((size, len(rates[0]))) < np.array(rates)[classes]).astype(int), [2] * len(rates[0])
    )


TWO = planted([0.3, 0.7], [[0.9, 0.9, 0.8, 0.1, 0.2], [0.2, 0.1, 0.2, 0.8, 0.9]])


def test_planted_classes_are_found_again():
    model = choose_classes(TWO, most=4)
    assert np.sort(model.shares) == pytest.approx([0.3, 0.7], abs=0.03)
    small = model.rates[1::2, model.shares.argmin()]
    assert small == pytest.approx([0.9, 0.9, 0.8, 0.1, 0.2], abs=0.06)
    assert stability(TWO, model, draws=10).min() > 0.9


def test_one_class_is_the_product_of_the_shares():
    answers = answers_of([[0, 0], [0, 1], [1, 2], [1, 2]])
    model = fit_classes(answers, 1)
    assert model.rates[:, 0] == pytest.approx([0.5, 0.5, 0.25, 0.25, 0.5])
    assert model.log_likelihood == pytest.approx(4 * np.log(0.5) + 2 * np.log(0.25) + 2 * np.log(0.5))
    assert model.bic(answers) == pytest.approx(3 * np.log(4) - 2 * model.log_likelihood)


def test_unrelated_features_have_one_class():
    assert len(choose_classes(planted([1.0], [[0.5, 0.3, 0.6, 0.2]]), most=3).shares) == 1


def test_a_division_of_what_is_alike_is_not_stable():
    alike = planted([1.0], [[0.5, 0.3, 0.6, 0.2]], size=400)
    assert stability(alike, fit_classes(alike, 3), draws=10).min() < 0.6


def test_the_same_answers_give_the_same_model_and_more_rounds_no_worse_one():
    first, second = fit_classes(TWO, 3), fit_classes(TWO, 3)
    assert (first.rates == second.rates).all()
    start = LatentClasses(np.array([0.5, 0.5]), np.array([[0.6, 0.4], [0.4, 0.6]] * 5), 0.0)
    assert refit_classes(TWO, start).log_likelihood == pytest.approx(fit_classes(TWO, 2).log_likelihood, abs=1e-3)


def test_an_unknown_answer_says_nothing():
    model = LatentClasses(np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.1, 0.9], [1.0, 0.0], [0.0, 1.0]]), 0.0)
    answers = Answers.of(np.array([[0, -1], [-1, -1], [1, 1]]), [2, 2], np.ones(3))
    chances, likelihoods = posteriors(answers, model)
    assert chances == pytest.approx(np.array([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]]), abs=1e-12)
    assert likelihoods == pytest.approx(np.log([0.5, 1.0, 0.45]))


def test_similarity_is_persons_in_both_by_persons_in_any():
    alike = similarity(np.array([0, 0, 1]), np.array([1, 0, 0]), np.array([6.0, 2.0, 2.0]), 2)
    assert alike == pytest.approx(np.array([[0.2, 0.75], [0.5, 0.0]]))
