"""Latent classes: groups of persons alike in categorical features, found by expectation maximisation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.statistics.proportions import Floats, Ints

MOST_CLASSES = 8
STARTS = 20
BOOTSTRAPS = 50
TOLERANCE = 1e-9
"""EM ends when a round adds less than this times the persons to the log-likelihood."""

_SHORT_ROUNDS, _MEDIUM_ROUNDS, _MOST_ROUNDS = 30, 100, 3000
_FLOOR = 1e-100


class Answers(NamedTuple):
    """The distinct response patterns of persons in categorical features.

    `levels` has a row for each pattern and a column for each level of each feature: 1 where the pattern has the level;
    a feature without a 1 is unknown. The levels of a feature are neighbours, and `starts` are the first ones of each.
    `counts` are the persons with each pattern.
    """

    levels: Floats
    starts: Ints
    counts: Floats

    @classmethod
    def of(cls, values: Ints, sizes: list[int], counts: Floats) -> Answers:
        """Return answers from one column of level numbers for each feature, -1 where it is unknown."""
        levels = [np.eye(size + 1)[column, :size] for column, size in zip(values.T, sizes, strict=True)]
        return cls(np.hstack(levels), np.cumsum([0, *sizes[:-1]]), counts)

    def parameter_count(self, classes: int) -> int:
        """Return the number of free parameters of a model with so many classes."""
        return int(classes * (self.levels.shape[1] - len(self.starts)) + classes - 1)


class LatentClasses(NamedTuple):
    """A fitted model: the share of each class, and the chance of each level (row) in each class (column)."""

    shares: Floats
    rates: Floats
    log_likelihood: float

    def bic(self, answers: Answers) -> float:
        """Return Schwarz's criterion on the answers that the model was fitted to."""
        count = answers.parameter_count(len(self.shares))
        return float(count * np.log(answers.counts.sum()) - 2 * self.log_likelihood)


class _Batch(NamedTuple):
    """Models that are fitted at once: `shares` by start and class, `rates` by level, start and class."""

    shares: Floats
    rates: Floats
    log_likelihood: Floats

    def best(self, count: int) -> _Batch:
        chosen = np.argsort(-self.log_likelihood, kind="stable")[:count]
        return _Batch(self.shares[chosen], self.rates[:, chosen], self.log_likelihood[chosen])


def posteriors(answers: Answers, model: LatentClasses) -> tuple[Floats, Floats]:
    """Return the chance of each class for each pattern, and the log-likelihood of each pattern."""
    batch = _Batch(model.shares[None], model.rates[:, None], np.zeros(1))
    chances, likelihoods = _expectation(answers, batch)
    return chances[:, 0], likelihoods[:, 0]


def fit_classes(answers: Answers, classes: int, starts: int = STARTS) -> LatentClasses:
    """Return the model of so many classes of greatest likelihood, of so many seeded starts.

    All starts run for some rounds, the best of them for more, and the best of these to the end.

    Parameters
    ----------
    answers : Answers
    classes : int
        At least 1.

    References
    ----------
    Dempster, Laird and Rubin (1977), "Maximum likelihood from incomplete data via the EM algorithm"; for short runs of
    many starts Biernacki, Celeux and Govaert (2003), "Choosing starting values for the EM algorithm".
    """
    return _best_of(answers, _random_starts(answers, classes, starts if classes > 1 else 1))


def refit_classes(answers: Answers, model: LatentClasses, starts: int = 0) -> LatentClasses:
    """Return the model of as many classes that EM reaches from `model`, or from seeded starts where that is better."""
    own = _Batch(model.shares[None], model.rates[:, None], np.zeros(1))
    if not starts:
        return _best_of(answers, own)
    drawn = _random_starts(answers, len(model.shares), starts)
    joined = (
        np.concatenate(pair, axis=axis) for pair, axis in zip(zip(own, drawn, strict=True), (0, 1, 0), strict=True)
    )
    return _best_of(answers, _Batch(*joined))


def choose_classes(answers: Answers, most: int = MOST_CLASSES) -> LatentClasses:
    """Return the model with the least BIC of 1 to `most` classes; the fewer of two that are as good."""
    models = [fit_classes(answers, classes) for classes in range(1, most + 1)]
    return min(models, key=lambda model: model.bic(answers))


def stability(answers: Answers, model: LatentClasses, draws: int = BOOTSTRAPS) -> Floats:
    """Return how well each class is found again in resamples of the persons: the mean Jaccard similarity.

    Each resample is fitted with as many classes; all persons are then put into the likeliest class of both models, and
    each class is compared with the class of the resample that is most like it.

    References
    ----------
    Hennig (2007), "Cluster-wise assessment of cluster stability".
    """
    random = np.random.default_rng(draws)
    own = posteriors(answers, model)[0].argmax(axis=1)
    size = int(answers.counts.sum())
    found = np.zeros((draws, len(model.shares)))
    for draw in range(draws):
        counts = random.multinomial(size, answers.counts / answers.counts.sum()).astype(np.float64)
        seen = counts > 0
        resample = Answers(answers.levels[seen], answers.starts, counts[seen])
        other = posteriors(answers, refit_classes(resample, model, starts=3))[0].argmax(axis=1)
        found[draw] = similarity(own, other, answers.counts, len(model.shares)).max(axis=1)
    mean: Floats = found.mean(axis=0)
    return mean


def similarity(own: Ints, other: Ints, counts: Floats, classes: int, others: int | None = None) -> Floats:
    """Return the Jaccard similarity of each class of one assignment with each of another: persons in both by in any."""
    shape = (classes, classes if others is None else others)
    both = np.bincount(np.ravel_multi_index((own, other), shape), counts, shape[0] * shape[1]).reshape(shape)
    either = both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both
    alike: Floats = both / np.maximum(either, 1e-9)
    return alike


def _best_of(answers: Answers, batch: _Batch) -> LatentClasses:
    if len(batch.shares) > 1:
        batch = _rounds(answers, batch, _SHORT_ROUNDS).best(max(1, len(batch.shares) // 5))
    if len(batch.shares) > 1:
        batch = _rounds(answers, batch, _MEDIUM_ROUNDS).best(1)
    batch = _rounds(answers, batch, _MOST_ROUNDS)
    # The last round moved the model once more: its likelihood is that of what is returned.
    model = LatentClasses(batch.shares[0], batch.rates[:, 0], 0.0)
    return model._replace(log_likelihood=float(answers.counts @ posteriors(answers, model)[1]))


def _random_starts(answers: Answers, classes: int, starts: int) -> _Batch:
    random = np.random.default_rng([classes, starts])
    rates = random.uniform(0.05, 1.0, (answers.levels.shape[1], starts, classes))
    return _Batch(np.full((starts, classes), 1 / classes), _scaled(answers, rates), np.full(starts, -np.inf))


def _scaled(answers: Answers, weights: Floats) -> Floats:
    """Return weights by level as chances that sum to 1 in each feature."""
    sums = np.add.reduceat(weights, answers.starts, axis=0)
    sizes = np.diff(answers.starts, append=len(weights))
    scaled: Floats = weights / np.maximum(np.repeat(sums, sizes, axis=0), _FLOOR)
    return scaled


def _expectation(answers: Answers, batch: _Batch) -> tuple[Floats, Floats]:
    """Return by pattern and start the chance of each class, and the log-likelihood."""
    shape = (len(answers.levels), *batch.shares.shape)
    logs = answers.levels @ np.log(np.maximum(batch.rates, _FLOOR)).reshape(len(batch.rates), -1)
    logs = logs.reshape(shape) + np.log(np.maximum(batch.shares, _FLOOR))
    top = logs.max(axis=2, keepdims=True)
    np.exp(logs - top, out=logs)
    total = logs.sum(axis=2, keepdims=True)
    logs /= total
    return logs, (top + np.log(total))[:, :, 0]


def _rounds(answers: Answers, batch: _Batch, most: int) -> _Batch:
    size = answers.counts.sum()
    before = batch.log_likelihood
    for number in range(most):
        chances, likelihoods = _expectation(answers, batch)
        reached = answers.counts @ likelihoods
        chances *= answers.counts[:, None, None]
        weights = answers.levels.T @ chances.reshape(len(chances), -1)
        shares = chances.sum(axis=0) / size
        batch = _Batch(shares, _scaled(answers, weights.reshape(batch.rates.shape)), reached)
        if number and (reached - before < TOLERANCE * size).all():
            break
        before = reached
    return batch
