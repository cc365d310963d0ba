"""Incidents: spans of days in which a slice went on less often than before and after, and than the others did."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from journeyflow.pains.exposures import once_a_person
from journeyflow.pains.gaps import FEWEST_UNITS, Point, Slice, equal_age, points, recalibrated, slices
from journeyflow.pains.places import Finding, Place, Prognosis, e_value
from journeyflow.pains.stream import DAY_US, Bools, Floats, Ints, Stream

LENGTHS = (1, 2, 3, 4, 5, 6, 7, 9, 11, 14, 18, 23, 29, 36, 45)
COMMON_SPREAD = 0.1
"""Standard deviation, on the scale of log odds, by which all slices move together from week to week at least."""
USUAL_SPREAD = 0.15
"""The same as it usually is, worth as much as so many weeks."""
PRIOR_WEEKS = 6
FEWEST_WEEKS = 4
MOST_PER_PLACE = 8
FEWEST_DAYS = 8
AROUND = 10
STANDS_OUT = 0.4
MARGIN = 2
"""Days around an incident that are left out when the next is sought."""


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

    def q_value(self, times: int) -> float:
        """Return the chance of such a span anywhere, if `times` points were searched; above 1 where it says nothing."""
        return float(ndtr(-self.score)) * self.tests * times


def incidents(
    stream: Stream, place: Place, min_count: int, lost_days: Bools, first_day: int, level: float
) -> tuple[list[Finding], Bools]:
    """Return the incidents of a place, the most unusual first, and which rows of the place they explain.

    What one explains is taken out, of the regression too, before the next is sought.

    Parameters
    ----------
    lost_days : numpy.ndarray of bool
        Per channel code and day from `first_day`: events of the channel are missing.
    level : float
        Chance allowed that a place without an incident shows one.
    """
    lost_days = lost_days | _unseen_days(stream, place, lost_days)
    explained = np.zeros(len(place.rows), np.bool_)
    doubted: set[str | None] = set()
    taken: list[Span] = []
    found: list[Finding] = []
    for _ in range(MOST_PER_PLACE):
        prognosis = Prognosis(stream, place, fit_on=~explained, has_history=False)
        scans = []
        for point in points(stream, place, prognosis, min_count, left_out=explained):
            offered = [each for each in slices(stream, point, min_count) if each.text not in doubted]
            scans.append(
                _Scan(stream, place, point, offered, lost_days, first_day, _untouched(point, offered, explained, taken))
            )
        worst = [(span, scan) for scan in scans if (span := scan.worst()) is not None]
        if not worst:
            break
        first, scan = min(worst, key=lambda each: each[0].q_value(1))
        if first.q_value(len(worst)) > level:
            break
        best = _again(stream, place, scan.refined(first), explained, taken, min_count, lost_days, first_day)
        q_value = min(best.q_value(len(worst)), 1.0)
        # Only a span that stands out has somebody in it.
        finding = _finding(stream, place, best) if q_value <= level else None
        if finding is None or finding.lost_low <= 0 or len(finding.rows) < min_count:
            doubted.add(first.slice.text)
            continue
        found.append(finding.graded("incident", q_value, e_value(*finding.rates)))
        taken.append(best)
        explained |= np.isin(place.visit, place.visit[best.point.position[_inside(best)]])
    return found, explained


def _unseen_days(stream: Stream, place: Place, lost_days: Bools) -> Bools:
    """Return the days from which nobody is seen to go on, whatever channel the point is of: what leads on is missing.

    So are the days before, as many as most of those who go on take.
    """
    onward = stream.channels.codes[place.level > 2 * place.stage_index]
    unseen: Bools = lost_days[np.bincount(onward).argmax()]
    if unseen.any():
        for _ in range(min(equal_age(place, place.beyond_us) // DAY_US, len(unseen))):
            unseen = unseen | np.append(unseen[1:], False)
    return unseen


def _untouched(point: Point, offered: list[Slice], explained: Bools, taken: list[Span]) -> Bools:
    """Return which entries of a point no incident explains, and which are not of its slice in the days around it.

    Whoever is left there is left because it did not come as far as the incident.
    """
    untouched = ~explained[point.position]
    for span in taken:
        around = (point.day >= span.first - MARGIN) & (point.day <= span.last + MARGIN)
        for each in offered:
            if each.text == span.slice.text:
                untouched &= ~(each.members & around)
    return untouched


def _inside(span: Span) -> Bools:
    return span.slice.members & (span.point.day >= span.first) & (span.point.day <= span.last)


def _again(
    stream: Stream,
    place: Place,
    span: Span,
    explained: Bools,
    taken: list[Span],
    min_count: int,
    lost_days: Bools,
    first_day: int,
) -> Span:
    """Judge a span once more by a regression that has not seen it, and by how all move together outside of it."""
    seen = explained | np.isin(place.visit, place.visit[span.point.position[_inside(span)]])
    prognosis = Prognosis(stream, place, fit_on=~seen, has_history=False)
    point = next(points(stream, place, prognosis, min_count, left_out=seen, only=span.point.name))
    offered = slices(stream, point, min_count)
    own = [each for each in offered if each.text == span.slice.text]
    if not own:
        return replace(span, score=0.0)
    scan = _Scan(stream, place, point, own, lost_days, first_day, _untouched(point, offered, explained, taken))
    if scan.worst() is None:
        return replace(span, score=0.0)
    scan.spread = scan.common_spread(span.first - scan.first, span.last - scan.first + 1)
    return scan.refined(replace(span, score=0.0, slice=scan.slices[0], point=scan.point))


class _Scan:
    """Counts per slice and day of a point: how many came, how many went on, how many were to be expected to."""

    def __init__(
        self,
        stream: Stream,
        place: Place,
        point: Point,
        found: list[Slice],
        lost_days: Bools,
        first_day: int,
        untouched: Bools,
    ) -> None:
        self.stream, self.place, self.slices = stream, place, found
        channel = stream.channels.codes[point.rows]
        usable = ~lost_days[channel, point.day - first_day] & untouched
        self.point = replace(
            point,
            **{name: getattr(point, name)[usable] for name in ("rows", "position", "day", "went_on", "chance")},
        )
        known = {id(each.known): each.known[usable] for each in found}  # Most slices share theirs.
        self.slices = [replace(each, members=each.members[usable], known=known[id(each.known)]) for each in found]
        self.first = int(self.point.day.min()) if len(self.point.day) else 0
        self.days = int(self.point.day.max()) - self.first + 1 if len(self.point.day) else 0

    def worst(self) -> Span | None:
        """Return the most unusual span of any slice."""
        point = self.point
        if len(point.rows) < FEWEST_UNITS or self.days < FEWEST_DAYS:
            return None
        day = point.day - self.first

        one, seen, chance = np.ones(len(day)), point.went_on.astype(np.float64), point.chance
        columns = np.array((one, seen, chance, chance * (1 - chance)))

        def daily(members: Bools) -> Floats:
            """Return the sums of the columns up to each day."""
            chosen = np.flatnonzero(members)
            days = day[chosen]
            counts = [np.bincount(days, values[chosen], self.days) for values in columns]
            return np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)

        self.total = daily(np.ones(len(day), np.bool_))
        self.table = np.array([daily(each.members) for each in self.slices])
        self.spread = COMMON_SPREAD
        lengths = [length for length in LENGTHS if length <= self.days // 3]
        is_pair = np.array([len(each.dimensions) > 1 for each in self.slices])
        best: Span | None = None
        starts = np.arange(self.days)
        for length in lengths:
            lo, hi = starts[: self.days - length + 1], starts[: self.days - length + 1] + length
            inside = (self.table[:, :, length:] - self.table[:, :, :-length]).transpose(1, 0, 2)
            score, others, _ = self._scores(inside, self.table[:, :, -1].T[:, :, None], lo, hi)
            # Lengths, and single values and pairs, share the errors allowed evenly: long spans are few, pairs are many.
            for some in (~is_pair, is_pair):
                if not some.any():
                    continue
                tests = 2.0 * some.sum() * len(lengths) * 3 * self.days / length
                where = np.unravel_index(int(np.where(some[:, None], score, 0.0).argmax()), score.shape)
                first = self.first + int(where[1])
                span = Span(
                    float(score[where]),
                    self.slices[where[0]],
                    first,
                    first + length - 1,
                    point,
                    float(others[where]),
                    tests,
                )
                if best is None or span.q_value(1) < best.q_value(1):
                    best = span
        return best

    def refined(self, span: Span) -> Span:
        """Move the ends of a span to the likeliest days, within half of its length."""
        index = next(number for number, each in enumerate(self.slices) if each is span.slice)
        reach = max(3, (span.last - span.first + 1) // 2)
        first, last = (
            ends.ravel()
            for ends in np.meshgrid(
                np.arange(max(span.first - reach, self.first), span.first + reach + 1),
                np.arange(span.last - reach, min(span.last + reach, self.first + self.days - 1) + 1),
            )
        )
        first, last = first[first <= last], last[first <= last]
        if not len(first):
            return span
        lo, hi = first - self.first, last - self.first + 1
        score, others, deviance = self._scores(
            self.table[index, :, hi].T - self.table[index, :, lo].T, self.table[index, :, -1], lo, hi
        )
        best = int(deviance.argmax())
        ends = (
            _likeliest(first[last == last[best]], deviance[last == last[best]]),
            _likeliest(last[first == first[best]], deviance[first == first[best]]),
        )
        if ends[0] > ends[1]:
            ends = int(first[best]), int(last[best])
        return replace(span, score=float(score[best]), first=ends[0], last=ends[1], others_shift=float(others[best]))

    def _scores(self, inside: Floats, whole: Floats, lo: Ints, hi: Ints) -> tuple[Floats, Floats, Floats]:
        """Return how unusual spans are, the shift of the others in them, and the deviance.

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
        return score, others, score**2 * (1 + variance * (1 / out_variance + 1 / precision))

    def common_spread(self, lo: int, hi: int) -> float:
        """Return by how much the log odds of all slices together move from week to week, beyond chance, but for days.

        References
        ----------
        DerSimonian and Laird (1986), "Meta-analysis in clinical trials".
        """
        weeks = np.arange(0, self.days + 1, 7)
        hits, expected, variance = (np.diff(self.total[which, weeks]) for which in (1, 2, 3))
        known = (variance > 2) & ((weeks[1:] <= lo - 7) | (weeks[:-1] >= hi + 7))
        if known.sum() < FEWEST_WEEKS:
            return 3 * COMMON_SPREAD
        weight = variance[known]
        shift = (hits[known] - expected[known]) / weight
        shift -= np.average(shift, weights=weight)
        beyond = ((weight * shift**2).sum() - known.sum() + 1) / (weight.sum() - (weight**2).sum() / weight.sum())
        # A few weeks say little of it: they are weighed with what is usual.
        few = PRIOR_WEEKS * USUAL_SPREAD**2 + (known.sum() - 1) * max(beyond, 0.0)
        return float(np.sqrt(max(few / (PRIOR_WEEKS + known.sum() - 1), COMMON_SPREAD**2)))


def _score(
    count: Floats, hits: Floats, expected: Floats, variance: Floats, shift: Floats, uncertainty: Floats
) -> Floats:
    """Return how far below the expected the hits are, as the root of the deviance; `shift` moves the expected."""
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


def _likeliest(days: Ints, deviance: Floats) -> int:
    """Return the likeliest day of an end where one stands out, else the middle one of the likely ones."""
    chance = np.exp((deviance - deviance.max()) / 2)
    chance /= chance.sum()
    if chance.max() >= STANDS_OUT:
        return int(days[chance.argmax()])
    return int(days[np.searchsorted(np.cumsum(chance), 0.5)])


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
    before_and_after = outside & settled
    chance = recalibrated(point.chance, went_on, before_and_after)
    variance = chance * (1 - chance)
    out_variance = max(float(variance[before_and_after].sum()), 1e-9)
    odds = chance / (1 - chance) * np.exp(np.clip(span.others_shift, -2, 2))
    expected = odds / (1 + odds)
    chosen = np.flatnonzero(inside & settled)
    once = chosen[once_a_person(stream, point.rows[chosen])]
    # Slices move a little from week to week without a cause.
    error = np.sqrt(1 / out_variance + 1 / max(float(variance[others].sum()), 25.0) + COMMON_SPREAD**2)
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
        compared_count=stream.person_count(point.rows[outside | others]),
        standard_error=float(error * max(mean * (1 - mean), 0.01)),
        effect=float(effect),
        effect_error=float(abs(effect) / max(span.score, 0.1)),
        first_day=span.first,
        last_day=span.last,
        family="incident",
        within_us=until,
    )


def lost_days(stream: Stream) -> tuple[Bools, int]:
    """Return per channel code and day, from a first day, whether nearly all events of a busy channel are missing.

    What is usual is the median of the days around. The two days before are marked too: who came then would have gone
    on in the days that are missing.
    """
    first, days = int(stream.day.min()), int(stream.day.max() - stream.day.min()) + 1
    codes = stream.channels.codes.astype(np.int64)
    counts = np.bincount(codes * days + stream.day - first, minlength=len(stream.channels.names) * days)
    counts = counts.reshape(-1, days)
    around = np.pad(counts, ((0, 0), (AROUND, AROUND)), mode="reflect") if days > AROUND else counts
    typical = (
        np.median(np.lib.stride_tricks.sliding_window_view(around, 2 * AROUND + 1, axis=1), axis=2)
        if days > AROUND
        else np.median(counts, axis=1, keepdims=True)
    )
    is_lost = (typical >= 20) & (counts < 0.1 * typical)
    before = is_lost.copy()
    for ahead in (1, 2):
        before[:, :-ahead] |= is_lost[:, ahead:]
    return before, first
