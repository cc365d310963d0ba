"""Incidents: spans of days in which a slice went on less often than before and after, and less often than the others did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from journeyflow.pains.exposures import once_a_person
from journeyflow.pains.findings import Finding
from journeyflow.pains.places import Place
from journeyflow.pains.prognosis import Prognosis
from journeyflow.pains.slices import FEWEST_UNITS, Point, Slice, equal_age, points, recalibrated, slices
from journeyflow.pains.stream import DAY_US, Bools, Floats, Ints, Stream

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 18, 23, 29, 36, 45)
LEAST_SCORE = 4.0
COMMON_SPREAD = 0.1
"""Standard deviation, on the scale of log odds, by which all slices move together from week to week at least."""
MOST_PER_PLACE = 5


@dataclass(frozen=True)
class Span:
    """The worst span of days of a slice: days from `first` to `last`, and how unusual it is in standard deviations."""

    score: float
    slice: Slice
    first: int
    last: int
    point: Point
    others_shift: float
    tests: float


def incidents(
    stream: Stream, place: Place, prognosis: Prognosis, min_count: int, lost_days: Bools, first_day: int
) -> Iterator[tuple[Span, Finding]]:
    """Yield the spans of a place from the most unusual down; what one explains is taken out before the next is sought.

    Parameters
    ----------
    lost_days : numpy.ndarray of bool
        Per channel code and day from `first_day`: events of the channel are missing.
    """
    scans = [
        _Scan(stream, place, point, slices(stream, point, min_count), lost_days, first_day)
        for point in points(stream, place, prognosis, min_count)
    ]
    for _ in range(MOST_PER_PLACE):
        worst = [(span, scan) for scan in scans if (span := scan.worst()) is not None]
        if not worst:
            return
        best, scan = max(worst, key=lambda each: each[0].score)
        if best.score < LEAST_SCORE:
            return
        best = scan.refined(best)
        yield best, _finding(stream, place, best)
        explained = np.zeros(len(stream), np.bool_)
        members = best.slice.members & (best.point.day >= best.first) & (best.point.day <= best.last)
        explained[best.point.rows[members]] = True
        visits = np.unique(place.visit[best.point.position[members]])
        for scan in scans:
            scan.leave_out(visits, best)


class _Scan:
    """Counts per slice and day of a point: how many came, how many went on, how many were to be expected to."""

    def __init__(
        self, stream: Stream, place: Place, point: Point, found: list[Slice], lost_days: Bools, first_day: int
    ) -> None:
        self.stream, self.place, self.slices = stream, place, found
        channel = stream.channels.codes[point.rows]
        usable = ~lost_days[channel, point.day - first_day]
        self.point = replace(
            point,
            **{name: getattr(point, name)[usable] for name in ("rows", "position", "day", "went_on", "chance")},
        )
        self.slices = [replace(each, members=each.members[usable]) for each in found]
        self.first = int(self.point.day.min()) if len(self.point.day) else 0
        self.days = int(self.point.day.max()) - self.first + 1 if len(self.point.day) else 0
        self.used = np.ones(len(self.point.rows), np.bool_)
        self.found: Span | None = None
        self.is_fresh = False

    def leave_out(self, visits: Ints, span: Span) -> None:
        """Take out the stays that a span explains, and those of its slice in the days around its edges."""
        self.used &= ~np.isin(self.place.visit[self.point.position], visits)
        near = (self.point.day >= span.first - 2) & (self.point.day <= span.last + 2)
        for each in self.slices:
            if each.text == span.slice.text:
                self.used &= ~(each.members & near)
        self.is_fresh = False

    def worst(self) -> Span | None:
        """Return the most unusual span of any slice."""
        if not self.is_fresh:
            self.found, self.is_fresh = self._search(), True
        return self.found

    def _search(self) -> Span | None:
        point, used = self.point, self.used
        if used.sum() < FEWEST_UNITS or self.days < 8:
            return None
        day = point.day - self.first

        def daily(values: Floats, members: Bools) -> Floats:
            return np.append(0.0, np.cumsum(np.bincount(day[members], values[members], self.days)))

        one, seen, chance = np.ones(len(day)), point.went_on.astype(np.float64), point.chance
        variance = chance * (1 - chance)
        columns = (one, seen, chance, variance)
        self.total = np.array([daily(values, used) for values in columns])
        self.table = np.array([[daily(values, used & each.members) for values in columns] for each in self.slices])
        self.spread = self._common_spread(self.total)
        best: Span | None = None
        tests = 0.0
        starts = np.arange(self.days)
        for length in LENGTHS:
            if length > self.days // 3:
                break
            lo, hi = starts[: self.days - length + 1], starts[: self.days - length + 1] + length
            inside = (self.table[:, :, length:] - self.table[:, :, :-length]).transpose(1, 0, 2)
            score, others = self._scores(inside, self.table[:, :, -1].T[:, :, None], lo, hi)
            tests += self.days / length * 3
            where = np.unravel_index(int(score.argmax()), score.shape)
            if best is None or score[where] > best.score:
                first = self.first + int(where[1])
                best = Span(
                    float(score[where]), self.slices[where[0]], first, first + length - 1, point, float(others[where]), 0.0
                )
        return None if best is None else replace(best, tests=tests * len(self.slices))

    def refined(self, span: Span) -> Span:
        """Move the ends of a span to where it is most unusual, within a third of its length."""
        index = next(number for number, each in enumerate(self.slices) if each is span.slice)
        reach = max(2, (span.last - span.first + 1) // 3)
        first, last = (
            ends.ravel()
            for ends in np.meshgrid(
                np.arange(max(span.first - reach, self.first), span.first + reach + 1),
                np.arange(span.last - reach, min(span.last + reach, self.first + self.days - 1) + 1),
            )
        )
        first, last = first[first <= last], last[first <= last]
        lo, hi = first - self.first, last - self.first + 1
        score, others = self._scores(self.table[index, :, hi].T - self.table[index, :, lo].T, self.table[index, :, -1], lo, hi)
        best = int(score.argmax())
        if score[best] <= span.score:
            return span
        return replace(
            span, score=float(score[best]), first=int(first[best]), last=int(last[best]), others_shift=float(others[best])
        )

    def _scores(self, inside: Floats, whole: Floats, lo: Ints, hi: Ints) -> tuple[Floats, Floats]:
        """Return how unusual spans are and the shift of the others in them.

        `inside` are the four counts in the spans, `whole` those of all days; the last axis is that of the spans.
        """
        everyone = self.total[:, hi] - self.total[:, lo]
        count, hits, expected, variance = inside
        out_variance = np.maximum(whole[3] - variance, 1e-9)
        own = (whole[1] - hits - whole[2] + expected) / out_variance
        precision = np.maximum(everyone[3] - variance, 0.0) + 1 / self.spread**2
        others = (everyone[1] - everyone[2] - hits + expected) / precision
        score = _score(count, hits, expected, variance, own + others, 1 / out_variance + 1 / precision)
        score[(expected < 3) | (whole[0] - count < 2 * count)] = 0
        return score, others

    def _common_spread(self, total: Floats) -> float:
        """Return by how much the log odds of all slices together move from week to week, beyond chance."""
        weeks = np.arange(0, self.days + 1, 7)
        hits, expected, variance = (np.diff(total[which, weeks]) for which in (1, 2, 3))
        known = variance > 2
        if known.sum() < 4:
            return 3 * COMMON_SPREAD
        shift = (hits[known] - expected[known]) / variance[known]
        beyond = np.median(np.abs(shift)) ** 2 / 0.455 - np.median(1 / variance[known])
        return float(np.sqrt(max(beyond, COMMON_SPREAD**2)))


def _score(
    count: Floats, hits: Floats, expected: Floats, variance: Floats, shift: Floats, uncertainty: Floats
) -> Floats:
    """Return how far below the expected the hits are, as the signed root of the deviance, the expected being shifted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.clip(expected / np.maximum(count, 1), 1e-4, 1 - 1e-4)
        moved = 1 / (1 + np.exp(-(np.log(mean / (1 - mean)) + np.clip(shift, -2, 2))))
        base = count * moved
        rest = count - hits
        deviance = 2 * (
            np.where(hits > 0, hits * np.log(np.maximum(hits, 1e-9) / base), 0)
            + np.where(rest > 0, rest * np.log(np.maximum(rest, 1e-9) / np.maximum(count - base, 1e-9)), 0)
        )
        score = np.sqrt(np.maximum(deviance, 0)) / np.sqrt(1 + variance * uncertainty)
    return np.where((hits < base) & (count > 0), np.nan_to_num(score), 0.0)


def _finding(stream: Stream, place: Place, span: Span) -> Finding:
    point, members = span.point, span.slice.members
    inside = members & (point.day >= span.first) & (point.day <= span.last)
    outside = members & ~inside
    others = ~members & (point.day >= span.first) & (point.day <= span.last)
    until = place.horizon
    # Who came back later was not lost: where the window is over, it decides.
    settled = place.at[point.position] <= stream.high_water - until
    if settled[inside].mean() < 0.9:
        until = equal_age(place, place.beyond_us[point.position])
        settled = np.ones(len(point.position), np.bool_)
    went_on = place.beyond_us[point.position] <= until
    chance = recalibrated(point.chance, went_on)
    variance = chance * (1 - chance)
    out_variance = max(float(variance[outside & settled].sum()), 1e-9)
    own = float((went_on[outside & settled] - chance[outside & settled]).sum()) / out_variance
    shift = own + span.others_shift
    odds = chance / (1 - chance) * np.exp(np.clip(shift, -2, 2))
    expected = odds / (1 + odds)
    chosen = np.flatnonzero(inside & settled)
    once = chosen[once_a_person(stream, point.rows[chosen])]
    error = np.sqrt(1 / out_variance + 1 / max(float(variance[others].sum()), 25.0))
    mean = float(expected[chosen].mean())
    rate = float(went_on[chosen].mean())
    effect = np.log((rate + 0.5 / len(chosen)) / (1 - rate + 0.5 / len(chosen))) - np.log(mean / (1 - mean))
    return Finding(
        kind="incident",
        model_index=place.model_index,
        stage_index=place.stage_index,
        subject=point.name,
        slice=span.slice.text,
        rows=point.rows[once],
        expected=expected[once],
        went_on=went_on[once],
        compared_count=len(np.unique(stream.person[point.rows[outside | others]])),
        standard_error=float(error * max(mean * (1 - mean), 0.01)),
        effect=float(effect),
        effect_error=float(abs(effect) / max(span.score, 0.1)),
        first_day=span.first,
        last_day=span.last,
        family="incident",
    )


def lost_days(stream: Stream) -> tuple[Bools, int]:
    """Return per channel code and day, from a first day, whether nearly all events of a busy channel are missing.

    The two days before are marked too: who came then would have gone on in the days that are missing.
    """
    day = stream.day
    first, days = int(day.min()), int(day.max() - day.min()) + 1
    codes = stream.channels.codes.astype(np.int64)
    counts = np.bincount(codes * days + day - first, minlength=len(stream.channels.names) * days).reshape(-1, days)
    typical = np.median(counts, axis=1)[:, None]
    is_lost = (typical >= 20) & (counts < 0.1 * typical)
    before = is_lost.copy()
    for ahead in (1, 2):
        before[:, :-ahead] |= is_lost[:, ahead:]
    return before, first
