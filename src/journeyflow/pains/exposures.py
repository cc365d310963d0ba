"""Exposures: what persons met at a moment, against persons like them at the same moment who did not meet it then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from journeyflow.pains.findings import Finding
from journeyflow.pains.places import Place
from journeyflow.pains.prognosis import Prognosis, spread
from journeyflow.pains.stream import Bools, Floats, Ints, Stream

MANDATORY = 0.95
"""A step that so many of those who go on pass is part of the way."""
WITHDRAWALS = frozenset({"remove_from_cart", "unsubscribe", "unsubscribed", "order_cancelled", "return_requested", "refund"})
"""Events that say that a person has left: an outcome and no cause."""
CONTROLS = 60_000
BINS = 6
LONG_WAIT = 0.8


@dataclass(frozen=True)
class Candidate:
    """Moments at which something was met (`met`) or could have been (`could`), by position in the place's rows."""

    subject: str
    family: str
    met: Ints
    could: Ints
    anchor: Ints
    touched: Ints


def exposures(stream: Stream, place: Place, prognosis: Prognosis, min_count: int) -> Iterator[Finding]:
    """Yield an estimate of every exposure of a place that enough persons met and enough did not."""
    moments = _Moments(stream, place)
    chance = np.full(len(place.rows), np.nan)
    for candidate in (*moments.events(min_count), *moments.repeats(min_count), *moments.waits(min_count)):
        found = _estimate(stream, place, prognosis, chance, candidate, min_count)
        if found is not None:
            yield found


class _Moments:
    """The moments of a place in order: each event, the one after it in the same journey, and what it was."""

    def __init__(self, stream: Stream, place: Place) -> None:
        self.stream, self.place = stream, place
        rows = place.rows
        self.following = np.minimum(rows + 1, len(stream) - 1)
        self.goes_on = (rows + 1 < len(stream)) & (stream.journey[self.following] == stream.journey[rows])
        self.name = stream.names.codes[rows]
        # Position of the following event in the place; -1 where it is beyond or there is none.
        at = np.searchsorted(rows, rows + 1)
        inside = (at < len(rows)) & self.goes_on
        inside[inside] &= rows[np.minimum(at[inside], len(rows) - 1)] == rows[inside] + 1
        inside &= np.append(place.visit[1:] == place.visit[:-1], False)
        self.next = np.where(inside, np.arange(len(rows)) + 1, -1)
        kinds = stream.kinds
        self.is_goal = kinds["is_goal"].to_numpy()[stream.kind[rows]]
        self.is_passive = kinds["is_passive"].to_numpy()[stream.kind[rows]]
        # An event of an earlier stage is a return to it, and no pain as such.
        self.is_return = (place.level_of_kind[stream.kind[rows]] > 0) & (
            place.level_of_kind[stream.kind[rows]] < 2 * place.stage_index
        )
        self.won = np.zeros(int(place.visit[-1]) + 1, np.bool_)
        self.won[place.visit[place.went_on]] = True

    def events(self, min_count: int) -> Iterator[Candidate]:
        """Yield the events that can be met: by name, and by touchpoint where that is not the same."""
        stream, rows = self.stream, self.place.rows
        ruled_out = self.is_goal | self.is_passive | self.is_return
        for labels, prefix in ((stream.names, ""), (stream.touchpoints, "")):
            codes = labels.codes[rows]
            for code in np.flatnonzero(np.bincount(codes[~ruled_out], minlength=len(labels.names)) >= min_count):
                subject = labels.names[code]
                if subject is None or subject in WITHDRAWALS:
                    continue
                is_it = (codes == code) & ~ruled_out
                # A touchpoint that is one event, or an event that is one touchpoint, is listed once, by the event.
                if labels is stream.touchpoints and np.bincount(self.name[is_it]).max() >= 0.9 * np.bincount(self.name)[
                    np.bincount(self.name[is_it]).argmax()
                ]:
                    continue
                yield from self._met(prefix + subject, "event", is_it, min_count)

    def _met(self, subject: str, family: str, is_it: Bools, min_count: int) -> Iterator[Candidate]:
        visit = self.place.visit
        visits = int(visit[-1]) + 1
        has_met = np.bincount(visit[is_it], minlength=visits) > 0
        if has_met.sum() < min_count or has_met[self.won].mean() >= MANDATORY:
            return
        first = np.full(visits, len(is_it), np.int64)
        np.minimum.at(first, visit[is_it], np.flatnonzero(is_it))
        before = np.arange(len(is_it)) < first[visit]
        leads = np.zeros(len(is_it), np.bool_)
        known = self.next >= 0
        leads[known] = is_it[self.next[known]] & before[known]
        yield Candidate(subject, family, np.flatnonzero(leads), np.flatnonzero(before & ~leads), self.name, first[has_met])

    def repeats(self, min_count: int) -> Iterator[Candidate]:
        """Yield events that came three times at a stretch."""
        name, visit = self.name, self.place.visit
        same = np.append(False, (name[1:] == name[:-1]) & (visit[1:] == visit[:-1]))
        third = np.flatnonzero(same[1:] & np.append(same[2:], False)) if len(name) > 2 else np.empty(0, np.int64)
        is_start = ~same & ~self.is_goal & ~self.is_passive & ~self.is_return
        third = third[is_start[third]]
        for code in np.flatnonzero(np.bincount(name[third], minlength=1) >= min_count):
            starts = np.flatnonzero(is_start & (name == code))
            _, earliest = np.unique(visit[starts], return_index=True)
            starts = starts[earliest]
            met = np.isin(starts, third)
            subject = self.stream.names.names[code]
            yield Candidate(f"{subject} three times", "repeat", starts[met], starts[~met], name, starts[met])

    def waits(self, min_count: int) -> Iterator[Candidate]:
        """Yield long times between two events, judged from the second: all had come as far as that."""
        known = np.flatnonzero((self.next >= 0))
        pair = self.name[known].astype(np.int64) * len(self.stream.names.names) + self.name[self.next[known]]
        names, counts = np.unique(pair, return_counts=True)
        for code in names[counts >= 10 * min_count]:
            of = known[pair == code]
            _, earliest = np.unique(self.place.visit[of], return_index=True)
            of = of[earliest]
            if len(of) < 10 * min_count or self.name[of[0]] == self.name[self.next[of[0]]]:
                continue
            rows = self.place.rows
            waited = self.stream.at[rows[self.next[of]]] - self.stream.at[rows[of]]
            is_long = waited > np.quantile(waited, LONG_WAIT)
            subject = (
                f"long wait between {self.stream.names.names[self.name[of[0]]]} and "
                f"{self.stream.names.names[self.name[self.next[of[0]]]]}"
            )
            yield Candidate(subject, "wait", of[is_long], of[~is_long], self.name, self.next[of])


def _estimate(
    stream: Stream, place: Place, prognosis: Prognosis, chance: Floats, candidate: Candidate, min_count: int
) -> Finding | None:
    """Compare those who met it with the others at the same last event and of like chance, weighted as those who met it."""
    settled, went_on = place.is_settled, place.went_on
    met = candidate.met[settled[candidate.met]]
    anchors = np.flatnonzero(np.bincount(candidate.anchor[met], minlength=1) > 0)
    could = candidate.could[settled[candidate.could]]
    could = could[np.isin(candidate.anchor[could], anchors)]
    could = could[spread(place.rows[could], CONTROLS)]
    if len(met) < min_count or len(could) < min_count:
        return None
    _fill(prognosis, place, chance, met)
    _fill(prognosis, place, chance, could)
    outcome = went_on.astype(np.float64)
    if candidate.family == "wait":
        outcome = outcome.copy()
    edges = np.quantile(chance[met], np.linspace(0, 1, BINS + 1)[1:-1])
    cell_met = candidate.anchor[met] * BINS + np.digitize(chance[met], edges)
    cell_could = candidate.anchor[could] * BINS + np.digitize(chance[could], edges)
    crude = _standardised(candidate.anchor[met], candidate.anchor[could], outcome[met], outcome[could])
    adjusted = _standardised(cell_met, cell_could, outcome[met] - chance[met], outcome[could] - chance[could])
    if crude is None or adjusted is None:
        return None
    kept = adjusted.kept
    first = met[kept]
    base = np.clip(chance[first] + adjusted.others[kept], 0.001, 0.999)
    rate, expected = float(outcome[first].mean()), float(base.mean())
    effect = _logit(rate, len(first)) - _logit(expected, len(first))
    spread_of = np.sqrt(rate * (1 - rate) / len(first) + 0.25 / len(first) ** 2 + adjusted.error**2)
    slope = max(expected * (1 - expected), 0.02)
    once = _once_a_person(stream, place, first)
    return Finding(
        kind="exposure",
        model_index=place.model_index,
        stage_index=place.stage_index,
        subject=candidate.subject,
        slice=None,
        rows=place.rows[first[once]],
        expected=base[once],
        went_on=went_on[first[once]],
        compared_count=len(np.unique(stream.person[place.rows[could]])),
        standard_error=adjusted.error,
        effect=effect,
        effect_error=float(spread_of / slope),
        family=candidate.family,
        shift=float(crude.excess - adjusted.excess) / slope,
    )


@dataclass(frozen=True)
class _Standardised:
    excess: float
    error: float
    others: Floats
    kept: Bools


def _standardised(cells: Ints, other_cells: Ints, values: Floats, other_values: Floats) -> _Standardised | None:
    """Return by how much the mean of `values` is above that of the others, who are weighted to the same cells."""
    size = int(max(cells.max(initial=0), other_cells.max(initial=0))) + 1
    count, others = np.bincount(cells, minlength=size), np.bincount(other_cells, minlength=size)
    sums = np.bincount(other_cells, other_values, size)
    squares = np.bincount(other_cells, other_values**2, size)
    is_kept = (count > 0) & (others >= 3)
    if not is_kept.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(is_kept, sums / others, 0.0)
        variance = np.where(is_kept, squares / others - mean**2 + 0.25 / others, 0.0)
    weight = np.where(is_kept, count, 0) / count[is_kept].sum()
    kept = is_kept[cells]
    excess = float(values[kept].mean() - (weight * mean).sum())
    error = float(np.sqrt((weight**2 * np.where(is_kept, variance / np.maximum(others, 1), 0.0)).sum()))
    return _Standardised(excess, error, mean[cells], kept)


def _once_a_person(stream: Stream, place: Place, rows: Ints) -> Ints:
    """Return the positions of each person's first moment in a journey that had not been beyond the stage."""
    eligible = np.flatnonzero(place.is_first[rows])
    _, earliest = np.unique(stream.person[place.rows[rows[eligible]]], return_index=True)
    return eligible[earliest]


def _fill(prognosis: Prognosis, place: Place, chance: Floats, rows: Ints) -> None:
    missing = rows[np.isnan(chance[rows])]
    chance[missing] = prognosis.chance(place.rows[missing])


def _logit(rate: float, count: int) -> float:
    hits = rate * count
    return float(np.log((hits + 0.5) / (count - hits + 0.5)))
