"""Exposures: what persons met at a moment, against persons like them at the same moment who did not meet it then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from journeyflow.pains.places import NEVER, Finding, Place, Prognosis, odds_error, spread
from journeyflow.pains.stream import Bools, Floats, Ints, Stream, changes

MANDATORY = 0.95
"""A step that so many of those who go on pass is part of the way."""
WITHDRAWALS = frozenset(
    {"remove_from_cart", "unsubscribe", "unsubscribed", "order_cancelled", "return_requested", "refund"}
)
"""Events that say that a person has left: an outcome and no cause."""
CONTROLS = 60_000
FEW = 0.05
MOSTLY = 0.9
BINS = 6
DIGITS = 9
UNSEEN_INTENT = 1.0
"""Log odds by which an unseen intention moves going on for a standard deviation. It is taken to lead to the exposure as
much as the prospects do that are seen."""
LONG_WAITS = (0.5, 0.7, 0.85)


@dataclass(frozen=True)
class Candidate:
    """Settled moments at which something was met (`met`) or could have been (`could`), by position in the place's rows.

    Attributes
    ----------
    anchor : numpy.ndarray of int64
        Per row of the place what only its like are compared with: the last event.
    gap : numpy.ndarray of int64 or None
        Per row of the place the microseconds until it was met, or something else came: who did not wait as long was in
        no danger, and `could` is ordered by anchor and gap. None where all were in danger all the time.
    """

    subject: str
    family: str
    met: Ints
    could: Ints
    anchor: Ints
    gap: Ints | None = None


def exposures(stream: Stream, place: Place, prognosis: Prognosis, min_count: int) -> Iterator[Finding]:
    """Yield an estimate of every exposure of a place that enough persons met and enough did not."""
    moments = _Moments(stream, place)
    chance = np.full(len(place.rows), np.nan)
    for candidate in moments.all(min_count):
        found = estimate(stream, place, prognosis, chance, candidate, min_count)
        if found is not None:
            yield found


class _Moments:
    """The moments of a place in order: each event, the one after it in the same journey, and what it was."""

    def __init__(self, stream: Stream, place: Place) -> None:
        self.stream, self.place = stream, place
        rows = place.rows
        self.following = np.minimum(rows + 1, len(stream) - 1)
        self.goes_on = (rows + 1 < len(stream)) & (stream.journey[self.following] == stream.journey[rows])
        self.gap = np.where(self.goes_on, stream.at[self.following] - stream.at[rows], NEVER)
        self.name = stream.names.codes[rows].astype(np.int64)
        # Position of the following event in the place; -1 where it is beyond or there is none.
        at = np.searchsorted(rows, rows + 1)
        inside = (at < len(rows)) & self.goes_on
        inside[inside] &= rows[np.minimum(at[inside], len(rows) - 1)] == rows[inside] + 1
        inside &= np.append(place.visit[1:] == place.visit[:-1], False)
        # Events of one instant have no order: nobody met one of them after another.
        tied = np.append(stream.at[1:] == stream.at[:-1], False)
        tied &= np.append(stream.person[1:] == stream.person[:-1], False)
        self.is_clear = ~tied[rows] & ~(tied[self.following] & self.goes_on) & ~place.is_past & place.is_settled
        self.order = self._ordered(np.flatnonzero(self.is_clear), self.gap)
        self.bounds = np.searchsorted(self.name[self.order], np.arange(len(stream.names.names) + 1))
        self.visit_in_order = place.visit[self.order]
        self.next = np.where(inside, np.arange(len(rows)) + 1, -1)
        kinds = stream.kinds
        self.is_goal = kinds["is_goal"].to_numpy()[stream.kind[rows]]
        self.is_passive = kinds["is_passive"].to_numpy()[stream.kind[rows]]
        # An event of an earlier stage is a return to it, and no pain as such.
        self.is_return = (place.level_of_kind[stream.kind[rows]] > 0) & (
            place.level_of_kind[stream.kind[rows]] < 2 * place.stage_index
        )
        if place.is_aside is not None:
            self.is_return |= place.is_aside
        self.won = np.zeros(int(place.visit[-1]) + 1, np.bool_)
        self.won[place.visit[place.went_on]] = True

    def _ordered(self, chosen: Ints, gap: Ints) -> Ints:
        """Return chosen moments by name and gap."""
        return chosen[np.lexsort((gap[chosen], self.name[chosen]))]

    def all(self, min_count: int) -> Iterator[Candidate]:
        """Yield every exposure that can be looked at."""
        yield from self.events(min_count)
        yield from self.frictions(min_count)
        yield from self.repeats(min_count)
        yield from self.waits(min_count)

    def frictions(self, min_count: int) -> Iterator[Candidate]:
        """Yield the configured friction events."""
        listed = self.stream.kinds["frictions"].fill_null("").str.split("\n").to_list()
        for name in sorted({name for names in listed for name in names if name}):
            is_it = np.array([name in names for names in listed])[self.stream.kind[self.place.rows]]
            yield from self._met(name, "friction", np.flatnonzero(is_it & ~self.is_goal), min_count)

    def events(self, min_count: int) -> Iterator[Candidate]:
        """Yield the events that can be met: by name, and by touchpoint where that is not the same."""
        stream, rows = self.stream, self.place.rows
        allowed = np.flatnonzero(~(self.is_goal | self.is_passive | self.is_return))
        events_of_name = np.bincount(self.name)
        for labels in (stream.names, stream.touchpoints):
            codes = labels.codes[rows[allowed]]
            by_code = allowed[np.argsort(codes, kind="stable")]
            counts = np.bincount(codes, minlength=len(labels.names))
            for code, of in enumerate(np.split(by_code, np.cumsum(counts)[:-1])):
                subject = labels.names[code]
                if len(of) < min_count or subject is None or subject in WITHDRAWALS:
                    continue
                # A touchpoint that is one event, or an event that is one touchpoint, is listed once, by the event.
                if labels is stream.touchpoints:
                    of_name = np.bincount(self.name[of])
                    if of_name.max() >= 0.9 * events_of_name[of_name.argmax()]:
                        continue
                yield from self._met(subject, "event", of, min_count)

    def _met(self, subject: str, family: str, of: Ints, min_count: int) -> Iterator[Candidate]:
        """Yield the exposure to the events at the positions `of`, which ascend: only the first of a visit counts."""
        visit = self.place.visit
        first = of[changes(visit[of])]
        visits = visit[first]
        if len(first) < min_count or self.won[visits].sum() >= MANDATORY * max(self.won.sum(), 1):
            return
        met = first - 1
        met = met[(first > 0) & (self.next[met] == first) & self.is_clear[met]]
        if len(met) < min_count:
            return
        # Whoever meets it after a moment could have met it then; nothing after the first meeting is compared.
        until = np.full(len(self.won), len(visit), np.int32)
        until[visits] = first
        until[visit[met]] = met
        parts = []
        for anchor in np.unique(self.name[met]):
            part = slice(self.bounds[anchor], self.bounds[anchor + 1])
            parts.append(self.order[part][self.order[part] < until[self.visit_in_order[part]]])
        yield Candidate(subject, family, met, np.concatenate(parts), self.name, self.gap)

    def repeats(self, min_count: int) -> Iterator[Candidate]:
        """Yield events that came three times at a stretch."""
        name, visit, rows = self.name, self.place.visit, self.place.rows
        same = np.append(False, (name[1:] == name[:-1]) & (visit[1:] == visit[:-1]))
        third = np.flatnonzero(same[1:] & np.append(same[2:], False)) if len(name) > 2 else np.empty(0, np.int64)
        is_start = ~same & ~self.is_goal & ~self.is_passive & ~self.is_return
        third = third[is_start[third]]
        session = self.stream.session[rows]
        third = third[session[third] == session[third + 2]]
        # Until the third time, or until something else came: whoever did that sooner had no occasion to repeat it.
        at, last = self.stream.at[rows], np.append(np.flatnonzero(~same[1:]), len(name) - 1)
        last = last[np.searchsorted(last, np.arange(len(name)))]
        gap = np.where(self.gap[last] < NEVER, at[last] - at + self.gap[last], NEVER)
        gap[third] = at[third + 2] - at[third]
        for code in np.flatnonzero(np.bincount(name[third], minlength=1) >= min_count):
            starts = np.flatnonzero(is_start & (name == code) & self.is_clear)
            starts = starts[changes(visit[starts])]
            met = np.isin(starts, third)
            subject = f"{self.stream.names.names[code]} (three times in a row)"
            yield Candidate(subject, "repeat", starts[met], self._ordered(starts[~met], gap), name, gap)

    def waits(self, min_count: int) -> Iterator[Candidate]:
        """Yield long times between two events, judged from the second: all had come as far as that."""
        # Only between events of the stage itself; when a mail came says nothing of a wait.
        ruled_out = self.is_goal | self.is_passive | self.is_return
        width = len(self.stream.names.names)
        following = np.flatnonzero((self.next >= 0) & self.is_clear & ~ruled_out & ~ruled_out[self.next])
        # From one session to the next it is the person who stays away.
        session = self.stream.session[self.place.rows]
        following = following[session[following] == session[self.next[following]]]
        # An answer comes after its question; what follows many events is the person's own doing, and its own pace.
        came = np.bincount(self.name[self.next[following]], minlength=width)
        pair = self.name[following] * width + self.name[self.next[following]]
        codes, counts = np.unique(pair, return_counts=True)
        codes = codes[(counts >= MOSTLY * came[codes % width]) & (counts >= 5 * min_count)]
        for code in codes:
            yield from self._wait(following[pair == code], self.next[following[pair == code]], min_count)
        for questions, replies in self._answered(ruled_out, min_count):
            yield from self._wait(questions, replies, min_count)

    def _answered(self, ruled_out: Bools, min_count: int) -> Iterator[tuple[Ints, Ints]]:
        """Yield the latest question before each answer, which has no session: it is no act of the person.

        The question is the event that nearly always comes before the answer, and of several the last one to do so. If
        many go on without the answer, long waits look bad: those still there when it comes are those who stay away.
        """
        rows, visit = self.place.rows, self.place.visit
        number = np.arange(len(rows))
        is_reply = (self.stream.session[rows] < 0) & ~ruled_out
        for code in np.flatnonzero(np.bincount(self.name[is_reply], minlength=1) >= 5 * min_count):
            replies = np.flatnonzero(is_reply & (self.name == code))
            best: tuple[float, Ints, Ints] | None = None
            for other in np.flatnonzero(np.bincount(self.name[~ruled_out], minlength=1) >= 5 * min_count):
                if other == code:
                    continue
                latest = np.maximum.accumulate(np.where((self.name == other) & ~ruled_out, number, -1))[replies]
                known = latest >= 0
                known[known] = visit[latest[known]] == visit[replies[known]]
                if known.mean() < MANDATORY:
                    continue
                asked = np.bincount(visit[self.name == other], minlength=len(self.won)) > 0
                answered = np.bincount(visit[replies], minlength=len(self.won)) > 0
                if (answered & asked & self.won).sum() < MANDATORY * (asked & self.won).sum():
                    continue
                waited = float(np.median(self.stream.at[rows[replies[known]]] - self.stream.at[rows[latest[known]]]))
                if best is None or waited < best[0]:
                    best = waited, latest[known], replies[known]
            if best is not None:
                yield best[1], best[2]

    def _wait(self, first: Ints, second: Ints, min_count: int) -> Iterator[Candidate]:
        earliest = changes(self.place.visit[second])
        first, second = first[earliest], second[earliest]
        if len(first) < 5 * min_count or self.name[first[0]] == self.name[second[0]]:
            return
        rows, names = self.place.rows, self.stream.names.names
        waited = self.stream.at[rows[second]] - self.stream.at[rows[first]]
        if (waited == 0).mean() > FEW:
            return  # Dates without a clock say nothing of waits.
        subject = f"{names[self.name[second[0]]]} (long wait after {names[self.name[first[0]]]})"
        for share in LONG_WAITS:
            is_long, settled = waited > np.quantile(waited, share), self.place.is_settled[first]
            yield Candidate(subject, "wait", first[is_long & settled], first[~is_long & settled], self.name)


def estimate(
    stream: Stream, place: Place, prognosis: Prognosis, chance: Floats, candidate: Candidate, min_count: int
) -> Finding | None:
    """Compare those who met it with others at the same last event and of like chance, weighted to the same cells."""
    went_on = place.went_on
    met, could, weight = _in_danger(candidate)
    sample = spread(place.rows[could], CONTROLS)
    could, weight = could[sample], weight[sample]
    if len(met) < min_count or len(could) < min_count:
        return None
    _fill(prognosis, place, chance, met)
    _fill(prognosis, place, chance, could)
    # Equal chances differ in the last digits with the order of the rows; they belong into one cell.
    like_met, like_could = np.round(chance[met], DIGITS), np.round(chance[could], DIGITS)
    edges = np.round(np.quantile(like_met, np.linspace(0, 1, BINS + 1)[1:-1]), DIGITS)
    cell_met = candidate.anchor[met] * BINS + np.digitize(like_met, edges)
    cell_could = candidate.anchor[could] * BINS + np.digitize(like_could, edges)
    prospects = _prospects(candidate.anchor[met], candidate.anchor[could], chance[met], chance[could], weight)
    adjusted = _standardised(cell_met, cell_could, went_on[met] - chance[met], went_on[could] - chance[could], weight)
    if adjusted is None:
        return None
    kept = adjusted.kept
    first = met[kept]
    base = np.clip(chance[first] + adjusted.others[kept], 0.001, 0.999)
    rate, expected = float(went_on[first].mean()), float(base.mean())
    effect = _logit(rate, len(first)) - _logit(expected, len(first))
    own_error = odds_error(effect, float(went_on[first].sum()), len(first), expected)
    slope = max(expected * (1 - expected), 0.02)
    once = once_a_person(stream, place.rows[first])
    if len(once) < min_count:
        return None
    return Finding(
        kind="friction" if candidate.family == "friction" else "exposure",
        model_index=place.model_index,
        stage_index=place.stage_index,
        subject=candidate.subject,
        slice=None,
        rows=place.rows[first[once]],
        expected=base[once],
        went_on=went_on[first[once]],
        compared_count=stream.person_count(place.rows[could]),
        standard_error=adjusted.error,
        effect=effect,
        effect_error=float(np.hypot(own_error, adjusted.error / slope)),
        family=candidate.family,
        shift=prospects * UNSEEN_INTENT,
        shift_error=UNSEEN_INTENT / float(np.sqrt(len(met))),
        within_us=place.horizon,
    )


def _in_danger(candidate: Candidate) -> tuple[Ints, Ints, Floats]:
    """Return those who met it, those who were in danger to when they did, and the weight of each of the latter.

    Each who met it after some time is compared with those who had waited as long without meeting it. A wait that ended
    otherwise stands for those too that would have ended so, had they not met it before: it is weighted with the inverse
    of the chance not to have met it by then. Where nearly all who stay meet it there is nobody to compare with.

    References
    ----------
    Robins and Finkelstein (2000), "Correcting for noncompliance and dependent censoring with inverse probability of
    censoring weighted (IPCW) log-rank tests".
    """
    met, could = candidate.met, candidate.could
    weight = np.zeros(len(could))
    if candidate.gap is None:
        return met, could, weight + 1
    anchor, other_anchor = candidate.anchor[met], candidate.anchor[could]
    wait, other_gap = candidate.gap[met], candidate.gap[could]
    is_met = np.zeros(len(met), np.bool_)
    for each in np.unique(anchor):
        of = np.flatnonzero(anchor == each)
        start, end = np.searchsorted(other_anchor, (each, each + 1))
        gaps = other_gap[start:end]
        times, which, counts = np.unique(wait[of], return_inverse=True, return_counts=True)
        waiting = len(of) - np.cumsum(counts) + counts + len(gaps) - np.searchsorted(gaps, times)
        unmet = np.append(1.0, np.cumprod(1 - counts / waiting))
        if unmet[-1] <= 1 - MANDATORY:
            continue
        # Who waited from one time to the next has one weight.
        gap_counts = np.diff(np.searchsorted(gaps, times, side="right"), prepend=0, append=len(gaps))
        # The weight of all who waited longer than each who met it; each of these is represented equally.
        longer = np.cumsum((gap_counts / unmet)[:0:-1])[::-1]
        part = np.where(longer > 0, counts / np.maximum(longer, 1.0), 0.0)
        weight[start:end] = np.repeat(np.append(0.0, np.cumsum(part)) / unmet, gap_counts)
        is_met[of] = longer[which] > 0
    is_could = weight > 0
    return met[is_met], could[is_could], weight[is_could]


def _prospects(anchor: Ints, other_anchor: Ints, chance: Floats, other_chance: Floats, other_weight: Floats) -> float:
    """Return by how many standard deviations the prospects of those who met it were better before they did.

    This is the placebo: an outcome that was settled before the exposure, by the last event before it.
    """
    logit, other = (
        np.log(values / (1 - values)) for values in (np.clip(each, 1e-4, 1 - 1e-4) for each in (chance, other_chance))
    )
    found = _standardised(anchor, other_anchor, logit, other, other_weight)
    if found is None:
        return 0.0
    means = np.bincount(other_anchor, other, minlength=int(other_anchor.max()) + 1)
    counts = np.bincount(other_anchor, minlength=len(means))
    spread = float(np.sqrt(np.mean((other - (means / np.maximum(counts, 1))[other_anchor]) ** 2)))
    return found.excess / max(spread, 0.05)


@dataclass(frozen=True)
class _Standardised:
    excess: float
    error: float
    others: Floats
    kept: Bools


def _standardised(
    cells: Ints, other_cells: Ints, values: Floats, other_values: Floats, other_weight: Floats
) -> _Standardised | None:
    """Return by how much the mean of `values` is above that of the others, who are weighted to the same cells."""
    size = int(max(cells.max(initial=0), other_cells.max(initial=0))) + 1
    count, weights = np.bincount(cells, minlength=size), np.bincount(other_cells, other_weight, size)
    sums = np.bincount(other_cells, other_weight * other_values, size)
    squares = np.bincount(other_cells, other_weight * other_values**2, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The number of persons of equal weight that would be as sure (Kish).
        others = np.nan_to_num(weights**2 / np.bincount(other_cells, other_weight**2, size))
        is_kept = (count > 0) & (others > 3 - 1e-6)
        if not is_kept.any():
            return None
        mean = np.where(is_kept, sums / weights, 0.0)
        variance = np.where(is_kept, np.maximum(squares / weights - mean**2, 0.0) + 0.25 / others, 0.0)
    weight = np.where(is_kept, count, 0) / count[is_kept].sum()
    kept = is_kept[cells]
    excess = float(values[kept].mean() - (weight * mean).sum())
    error = float(np.sqrt((weight**2 * np.where(is_kept, variance / np.maximum(others, 1), 0.0)).sum()))
    return _Standardised(excess, error, mean[cells], kept)


def once_a_person(stream: Stream, rows: Ints) -> Ints:
    """Return the positions of each person's first event among `rows`, which ascend."""
    return np.flatnonzero(changes(stream.person[rows]))


def _fill(prognosis: Prognosis, place: Place, chance: Floats, rows: Ints) -> None:
    missing = rows[np.isnan(chance[rows])]
    chance[missing] = prognosis.chance(place.rows[missing])


def _logit(rate: float, count: int) -> float:
    hits = rate * count
    return float(np.log((hits + 0.5) / (count - hits + 0.5)))
