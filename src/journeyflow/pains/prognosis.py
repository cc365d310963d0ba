"""What was to be expected of a person at a moment: a logistic regression on what was known then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from journeyflow.pains.places import Place
from journeyflow.pains.stream import DAY_US, Bools, Codes, Floats, Ints, Stream

SAMPLE = 20_000
"""Moments that the regression is fitted on at most."""
FEWEST = 30
RIDGE = 1.0
HISTORY_NAMES = 12
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def expit(values: Floats) -> Floats:
    """Return the logistic function."""
    return 1.0 / (1.0 + np.exp(-np.clip(values, -30, 30)))


def logistic_regression(features: Floats, outcome: Bools) -> Floats:
    """Return the coefficients, intercept first, of a logistic regression with a ridge penalty on standardised columns.

    References
    ----------
    le Cessie and van Houwelingen (1992), "Ridge estimators in logistic regression"; the penalty is that of one
    observation a column, and keeps columns that separate the outcomes finite.
    """
    design = np.column_stack([np.ones(len(features)), features])
    beta = np.zeros(design.shape[1])
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = 1e-6
    share = np.clip(outcome.mean(), 1e-4, 1 - 1e-4)
    beta[0] = np.log(share / (1 - share))

    def shortfall(values: Floats) -> float:
        """Return the negative logarithm of the penalised likelihood."""
        logit = design @ values
        return float((np.logaddexp(0, logit) - outcome * logit).sum() + (penalty * values**2).sum() / 2)

    reached = shortfall(beta)
    for _ in range(25):
        fitted = expit(design @ beta)
        weight = np.maximum(fitted * (1 - fitted), 1e-6)
        gradient = design.T @ (outcome - fitted) - penalty * beta
        step = np.linalg.solve((design * weight[:, None]).T @ design + np.diag(penalty), gradient)
        # A whole step may pass the top of the likelihood, and the next ones lead ever further from it.
        while (after := shortfall(beta + step)) > reached and np.abs(step).max() >= 1e-5:
            step /= 2
        if np.abs(step).max() < 1e-5:
            break
        beta, reached = beta + step, after
    return beta


class Prognosis:
    """The chance to go on from a place, fitted on a sample of all moments there and applied to any of them.

    It reads the name of the last event, counts of events, sessions and journeys so far, time since entry, how often
    each of the common events had happened, persona, medium, weekday, trend and slices: nothing from after the moment.
    """

    def __init__(
        self,
        stream: Stream,
        place: Place,
        without: Iterable[str] = (),
        fit_on: Bools | None = None,
        has_history: bool = True,
    ) -> None:
        self.stream, self.place, self.has_history = stream, place, has_history
        self.without = frozenset(without)
        self.names = stream.names
        settled = np.flatnonzero(place.is_settled if fit_on is None else place.is_settled & fit_on)
        chosen = settled[spread(place.rows[settled], SAMPLE)]
        self.first_or_past = np.zeros(len(stream), np.bool_)
        self.first_or_past[place.rows] = place.is_first | place.is_past
        self.common = self._common() if has_history else []
        numbers, labels = list(self._numbers(place.rows[chosen])), self._labels(place.rows[chosen])
        levels = {
            name: [code for code, count in enumerate(np.bincount(codes, minlength=1)) if count >= FEWEST][1:40]
            for name, codes in labels.items()
        }
        columns = [*numbers, *(labels[name] == code for name, known in levels.items() for code in known)]
        raw = np.column_stack([np.asarray(values, np.float64) for values in columns])
        weights, self.intercept = np.zeros(raw.shape[1]), 0.0
        if len(chosen):  # Else nothing is known yet of whoever came here: no chance is better than another.
            centre, scale = raw.mean(0), raw.std(0)
            kept = scale > 1e-9
            beta = logistic_regression((raw[:, kept] - centre[kept]) / scale[kept], place.went_on[chosen])
            weights[kept] = beta[1:] / scale[kept]
            self.intercept = float(beta[0] - weights @ centre)
        self.slopes = weights[: len(numbers)]
        self.effects: dict[str, Floats] = {}
        at = len(numbers)
        for name, known in levels.items():
            # The last entry stands for every label that was not seen: it has no effect.
            self.effects[name] = np.zeros(int(labels[name].max(initial=0)) + 2)
            self.effects[name][known] = weights[at : at + len(known)]
            at += len(known)

    def _common(self) -> list[int]:
        """Return the names, by code, of the most frequent events that do not say how the stage ended."""
        stream, place = self.stream, self.place
        is_beyond = np.zeros(len(stream.names.names), np.bool_)
        is_beyond[stream.names.codes[place.level > 2 * place.stage_index]] = True
        often = np.argsort(-stream.name_counts, kind="stable")
        return [int(code) for code in often if code > 0 and not is_beyond[code]][:HISTORY_NAMES]

    def chance(self, rows: Ints) -> Floats:
        """Return the chance to go on from each event of the stream in `rows`."""
        chance = np.empty(len(rows))
        for at in range(0, len(rows), 200_000):
            part = rows[at : at + 200_000]
            logit = np.full(len(part), self.intercept)
            for slope, values in zip(self.slopes, self._numbers(part), strict=True):
                logit += slope * values
            for name, codes in self._labels(part).items():
                logit += self.effects[name].take(codes, mode="clip")
            chance[at : at + 200_000] = expit(logit)
        return chance

    def _numbers(self, rows: Ints) -> Iterator[Floats | Bools]:
        stream = self.stream
        if self.has_history:
            yield _logged(rows - stream.start[rows])
            yield stream.logged_time[rows]
        yield _logged(stream.sessions_so_far[rows])
        yield stream.came_before[rows]
        yield (stream.at[rows] - stream.high_water) / DAY_US / 30
        yield self.first_or_past[rows]
        for code in self.common:
            yield _logged(stream.seen_so_far(code)[rows])

    def _labels(self, rows: Ints) -> dict[str, Codes]:
        stream = self.stream
        journey = stream.journey[rows]
        labels: dict[str, Codes] = {
            "weekday": stream.weekday[rows],
            "persona": stream.personas.codes[journey],
            "medium": stream.media.codes[journey],
            "channel": stream.channels.codes[rows],
        }
        if self.has_history:
            labels["last event"] = self.names.codes[rows]
        labels |= {name: values.codes[rows] for name, values in stream.slices.items()}
        return {name: codes for name, codes in labels.items() if name not in self.without}


def _logged(counts: npt.NDArray[np.integer]) -> Floats:
    """Return the logarithms of counts and one, each looked up: they are few."""
    logged: Floats = np.log1p(np.arange(int(counts.max(initial=0)) + 1))[counts]
    return logged


def spread(rows: Ints, most: int) -> Ints:
    """Return positions of about `most` rows at most, spread over all by a hash of the row, the same in every run."""
    if len(rows) <= most:
        return np.arange(len(rows))
    with np.errstate(over="ignore"):
        mixed = (rows.astype(np.uint64) + np.uint64(1)) * _SPREAD
    mixed ^= mixed >> np.uint64(31)
    return np.flatnonzero((mixed * _SPREAD) < np.uint64(int(most / len(rows) * 2**64 - 1)))
