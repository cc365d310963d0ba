"""The places where persons can be lost, what was to be expected of them there, and what a search finds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from journeyflow.pains.stream import DAY_US, Bools, Codes, Floats, Ints, Stream, changes

if TYPE_CHECKING:
    from journeyflow.engines import Engine


SHORT_HISTORY = 2
"""A history shorter than so many windows is judged after the time in which nearly all go on, not after the window."""
NEARLY_ALL = 0.95
CONTACTS = frozenset({"support_call", "support_chat", "complaint"})
"""Events that a model may place after its goal, that come before it too, and that may make a person leave then."""
RESPONSES = frozenset({"csat_answer", "nps_answer", "ces_answer", "share"})
"""The same of events that nobody leaves for."""
MOSTLY_BEFORE = 0.5
"""A contact of which fewer follow a goal of their person is met before it; of the others goals may be older than the
data."""
SHUFFLED = 0.3


@dataclass(frozen=True)
class Place:
    """A stage, and the events at which a person had come as far as it and no further; one entry per event of `rows`.

    A person is at a stage from its first event of the stage until an event beyond it (a later stage, or the goal where
    the stage holds it). Whoever comes back to it after that is there again.

    Attributes
    ----------
    rows : numpy.ndarray of int64
        Events of the stream, ascending.
    is_first : numpy.ndarray of bool
        The journey had not been beyond the stage before.
    is_past : numpy.ndarray of bool
        The person had been beyond the stage in the same session: at no risk to be lost in it.
    visit : numpy.ndarray of int64
        Number of the stay at the stage, over all persons.
    beyond_us : numpy.ndarray of int64
        Time until the person next went beyond, in this journey or a later one; the largest integer where it never did.
    horizon : int
        Microseconds within which going on counts.
    level : numpy.ndarray of int64
        Per event of the stream twice the stage, one more for a goal, 0 where it is at none.
    is_aside : numpy.ndarray of bool, optional
        A contact about a goal that was reached before, or a response: no cause of what the person does here.
    """

    model_index: int
    stage_index: int
    rows: Ints
    is_first: Bools
    is_past: Bools
    visit: Ints
    beyond_us: Ints
    horizon: int
    settled_until: int
    at: Ints
    level_of_kind: Ints
    level: Ints
    is_ordered: bool = True
    is_aside: Bools | None = None

    @cached_property
    def went_on(self) -> Bools:
        """Whether the person went on within the horizon."""
        return self.beyond_us <= self.horizon

    @cached_property
    def is_settled(self) -> Bools:
        """Whether the horizon is over at the high-water mark: only then is it known who went on."""
        return self.at <= self.settled_until

    @cached_property
    def arrivals(self) -> dict[int, list[tuple[str, Ints]]]:
        """By the least number of events: the positions at which `gaps.points` are, which are asked for many times."""
        return {}

    @property
    def likeness(self) -> tuple[object, ...]:
        """Equal for stages of two models, over one stream, that have the same events before, in and beyond them."""
        kinds = np.where(self.level_of_kind == 0, 2, np.sign(self.level_of_kind - 2 * self.stage_index))
        aside = None if self.is_aside is None else _digest(self.is_aside)
        events = _digest(np.sign(self.level - 2 * self.stage_index).astype(np.int8))
        return kinds.tobytes(), events, aside, self.is_ordered


def _digest(values: npt.NDArray[np.generic]) -> bytes:
    return hashlib.blake2b(values.tobytes()).digest()


NEVER = np.iinfo(np.int64).max


def read_levels(engine: Engine, stream: Stream) -> dict[int, Ints]:
    """Return by model the level of each kind: twice its stage, one more for the goal's events, 0 without a stage."""
    rows = pl.DataFrame(engine.rows("select classification_key, model_index, stage_index from kernel.classifications"))
    levels = {}
    for (model,), part in sorted(rows.group_by("model_index")):
        found = stream.kinds.select("classification_key", "is_goal").join(part, on="classification_key", how="left")
        stage = found["stage_index"].fill_null(0).to_numpy().astype(np.int64)
        levels[int(model)] = np.where(stage > 0, 2 * stage + found["is_goal"].to_numpy(), 0)
    return levels


def places(stream: Stream, model_index: int, level_of_kind: Ints) -> Iterator[Place]:
    """Yield the stages of a model that have a next one, in order; a stage where nobody was is left out."""
    level, is_aside = _levels(stream, level_of_kind)
    number = np.arange(len(level))
    start = stream.journey_starts[stream.journey]
    is_ordered = _is_ordered(stream, level)
    for stage in range(1, int(level_of_kind.max(initial=0)) // 2 + 1):
        is_beyond = level > 2 * stage
        if not is_beyond.any():
            continue
        last_beyond = np.maximum(np.maximum.accumulate(np.where(is_beyond, number, -1)), start - 1)
        last_here = np.maximum.accumulate(np.where(level == 2 * stage, number, -1))
        rows = np.flatnonzero(last_here > last_beyond)
        if not len(rows):
            continue
        following = np.append(np.minimum.accumulate(np.where(is_beyond, number, len(level))[::-1])[::-1], len(level))
        after = following[rows + 1]
        is_same = after < len(level)
        is_same[is_same] = stream.person[after[is_same]] == stream.person[rows[is_same]]
        beyond_us = np.where(is_same, stream.at[np.minimum(after, len(level) - 1)] - stream.at[rows], NEVER)
        is_past = (stream.session[rows] >= 0) & (last_beyond[rows] >= start[rows])
        is_past &= stream.session[np.maximum(last_beyond[rows], 0)] == stream.session[rows]
        if is_ordered:
            is_past[:] = False
        # Whoever went beyond in a session went on in it, whatever the order.
        beyond_us[is_past] = 0
        horizon = _horizon(stream, beyond_us)
        yield Place(
            model_index=model_index,
            stage_index=stage,
            rows=rows,
            is_past=is_past,
            is_first=last_beyond[rows] < start[rows],
            visit=np.cumsum(np.append(True, np.diff(last_beyond[rows]) != 0)) - 1,
            beyond_us=beyond_us,
            horizon=horizon,
            settled_until=stream.high_water - horizon,
            at=stream.at[rows],
            level_of_kind=level_of_kind,
            level=level,
            is_ordered=is_ordered,
            is_aside=is_aside[rows],
        )


def _levels(stream: Stream, level_of_kind: Ints) -> tuple[Ints, Bools]:
    """Return the level of each event, and which are neither a step on nor a cause: contacts about an earlier goal.

    A contact is no step beyond the goal where the journey has not reached one, and no more is a response.
    """
    level = level_of_kind[stream.kind]
    is_goal = stream.kinds["is_goal"].to_numpy()
    name = stream.kinds["event_name"]
    is_contact = name.is_in(CONTACTS).to_numpy()
    is_later = level_of_kind > level_of_kind[is_goal].max(initial=0)
    goals = np.append(0, np.cumsum(is_goal[stream.kind]))
    first = np.flatnonzero(changes(stream.person))
    of_person = goals[:-1] > goals[first][stream.person]
    of_journey = goals[:-1] > goals[stream.start]
    is_aside = np.zeros(len(level), np.bool_)
    for kind in np.flatnonzero(is_later & (is_contact | name.is_in(RESPONSES).to_numpy())) if is_goal.any() else ():
        rows = np.flatnonzero(stream.kind == kind)
        if not rows.size:  # Of many persons only some are read.
            continue
        is_cause = bool(is_contact[kind]) and of_person[rows].mean() < MOSTLY_BEFORE
        rows = rows[~of_journey[rows]]
        level[rows] = 0
        is_aside[rows] = of_person[rows] | (not is_cause)
    return level, is_aside


def _is_ordered(stream: Stream, level: Ints) -> bool:
    """Say whether the order of events within sessions means something.

    Some collectors shuffle it: then events of the stage before the goal often come after the goal in the same session.
    """
    is_goal = (level % 2 == 1) & (stream.session >= 0)
    if not is_goal.any():
        return True
    stage = int(np.bincount(level[is_goal]).argmax()) // 2
    before = 2 * stage if (level == 2 * stage).any() else 2 * stage - 2
    number = np.arange(len(level))
    last_goal = np.maximum.accumulate(np.where(is_goal, number, -1))
    is_late = (level == before) & (last_goal >= 0) & (stream.session >= 0)
    is_late &= stream.session[np.maximum(last_goal, 0)] == stream.session
    sessions = len(np.unique(stream.session[is_goal]))
    return len(np.unique(stream.session[is_late])) <= SHUFFLED * sessions


def _horizon(stream: Stream, beyond_us: Ints) -> int:
    """Return the window of journeys, or in a short history the time in which nearly all of those who go on do."""
    went_on = beyond_us[beyond_us <= stream.window]
    history = int(stream.at.max()) - int(stream.at.min())
    if history >= SHORT_HISTORY * stream.window or not len(went_on):
        return stream.window
    return int(min(stream.window, max(np.quantile(went_on, NEARLY_ALL), DAY_US)))


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


NORMAL = 1.959964


@dataclass(frozen=True)
class Finding:
    """A pain point with the moments that it rests on, one entry of `rows`, `expected` and `went_on` each.

    Attributes
    ----------
    kind : str
        ``incident``, ``gap``, ``exposure``, ``promise`` or ``friction``.
    rows : numpy.ndarray of int64
        Events of the stream at which persons met it, one a person.
    expected : numpy.ndarray of float64
        Chance to go on of each had it not met it, as those have it that it is compared with.
    standard_error : float
        Of the mean of `expected`.
    effect : float
        Logarithm of the odds ratio of going on, met against not.
    goal_rate : float, optional
        Share of those who go on there that reach the goal; None where no event is a goal.
    within_us : int, optional
        Time within which going on counts.
    """

    kind: str
    model_index: int
    stage_index: int
    subject: str
    slice: str | None
    rows: Ints
    expected: Floats
    went_on: Bools
    compared_count: int
    standard_error: float
    effect: float
    effect_error: float
    grade: str = "association"
    q_value: float | None = None
    e_value: float | None = None
    first_day: int | None = None
    last_day: int | None = None
    is_ongoing: bool | None = None
    compared_with: str = ""
    family: str = ""
    shift: float = 0.0
    shift_error: float = 0.0
    tests: int = 1
    refund_count: float | None = None
    sentiment_effect: float | None = None
    goal_rate: float | None = None
    goal_rate_error: float = 0.0
    within_us: int | None = None

    @property
    def lost(self) -> float:
        """Persons who did not go on and would have."""
        return float(self.expected.sum() - self.went_on.sum())

    @property
    def lost_error(self) -> float:
        """Standard error of `lost`, the chance of those who met it included."""
        own = float((self.expected * (1 - self.expected)).sum())
        return float(np.sqrt(own + (len(self.rows) * self.standard_error) ** 2))

    @property
    def lost_low(self) -> float:
        """Lower end of the 95 % interval of `lost`."""
        return self.lost - NORMAL * self.lost_error

    @property
    def rates(self) -> tuple[float, float]:
        """Share that went on, and share that was expected to."""
        return float(self.went_on.mean()), float(self.expected.mean())

    def graded(self, grade: str, q_value: float, e_value: float | None) -> Finding:
        """Return the finding with its grade."""
        return replace(self, grade=grade, q_value=q_value, e_value=e_value)


def odds_error(effect: float, hits: float, count: int, expected: float) -> float:
    """Return the standard error of a log odds ratio against expected odds that the likelihood gives it.

    The ratio of both is the signed root of the deviance: near 0 and 1 the error from the numbers seen is too small.
    """
    seen = np.array([hits, count - hits])
    due = np.array([expected, 1 - expected]) * count
    deviance = 2 * float((seen * np.log(np.maximum(seen, 1e-9) / due)).sum())
    if abs(effect) < 0.1 or deviance < 0.01:
        return float(1 / np.sqrt(count * expected * (1 - expected)))
    return float(abs(effect) / np.sqrt(deviance))


def e_value(rate: float, expected: float) -> float:
    """Return how strongly an unseen cause would have to go with both the exposure and leaving to explain the ratio.

    References
    ----------
    VanderWeele and Ding (2017), "Sensitivity analysis in observational research: introducing the E-value".
    """
    ratio = expected / rate if rate > 0 else np.inf
    if ratio <= 1:
        return 1.0
    return float(min(ratio + np.sqrt(ratio * (ratio - 1)), 1e6))
