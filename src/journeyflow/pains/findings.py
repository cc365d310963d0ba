"""What a search for pain points found, before it is divided among personas and months."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from journeyflow.pains.stream import Bools, Floats, Ints

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
