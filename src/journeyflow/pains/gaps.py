"""Gaps: slices that go on less often than their like over the whole time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from journeyflow.pains.exposures import UNSEEN_INTENT, once_a_person
from journeyflow.pains.findings import Finding, odds_error
from journeyflow.pains.places import Place
from journeyflow.pains.prognosis import Prognosis
from journeyflow.pains.slices import Point, Slice, entry, points, recalibrated, slices
from journeyflow.pains.stream import Bools, Floats, Stream

SCREENED = -2.5
"""Slices whose shortfall is less than this many standard errors are not looked at again."""
POINTS = 2
FEWEST_ELSEWHERE = 30
NATURAL_SPREAD = 0.1
"""Standard deviation, on the scale of log odds, by which slices differ without a cause at one place."""
OTHER_PEOPLE = 0.3
"""The same by which slices differ at all places, because other people are in them: what is taken of them before other
places are looked at."""


Entries = dict[tuple[int, tuple[str, ...]], Point | None]
"""Entries to stages by stage and the dimensions that their chances do not read."""


def gaps(
    stream: Stream, place: Place, others: list[Place], entries: Entries, min_count: int, explained: Bools
) -> Iterator[Finding]:
    """Yield the slices that fall short at some point of the place, each at the point where it shows most.

    Parameters
    ----------
    others : list of Place
        Other stages: who falls short there too is another kind of person, and no victim of this place.
    entries : dict
        Entries to these stages, filled where one is first needed: many slices need the same ones.
    explained : numpy.ndarray of bool
        Per row of the place: an incident explains the moment.
    """
    prognosis = Prognosis(stream, place, has_history=False)
    best: dict[str, tuple[float, Slice, Point]] = {}
    counted: dict[int, set[str]] = {1: set(), 2: set()}
    without = {name: Prognosis(stream, place, [name], has_history=False) for name in stream.slices}
    for point in points(stream, place, prognosis, min_count, place.horizon):
        usable = ~explained[point.position]
        alone = {name: recalibrated(each.chance(point.rows), point.went_on) for name, each in without.items()}
        for found in slices(stream, point, min_count):
            own = [name for name in found.dimensions if name in stream.slices]
            # Who a person is and whence it came is no place where something can break; a value of a slice is.
            if len(own) < len(found.dimensions) or not own:
                continue
            chance = alone[own[0]] if len(found.dimensions) == 1 else point.chance
            known = found.known & usable
            if (known & ~found.members).sum() < 2 * min_count:
                continue
            chance = recalibrated(chance, point.went_on, known)
            score = shortfall(found.members & usable, point.went_on, chance)[1]
            counted[len(found.dimensions)].add(found.text or "")
            if score < SCREENED and score < best.get(found.text or "", (0.0,))[0]:
                best[found.text or ""] = (score, found, point)
    for _, found, point in best.values():
        usable = ~explained[point.position]
        finding = _finding(stream, place, others, entries, found, point, usable, min_count)
        if finding is not None:
            # Half of the errors allowed go to single values, half to pairs; points are nearly the same persons.
            yield replace(finding, tests=2 * POINTS * len(counted[len(found.dimensions)]))


def shortfall(members: Bools, went_on: Bools, chance: Floats) -> tuple[float, float]:
    """Return the shift in log odds of the members, and how many standard errors it is."""
    variance = float((chance[members] * (1 - chance[members])).sum())
    difference = float(went_on[members].sum() - chance[members].sum())
    return difference / max(variance, 1e-9), difference / np.sqrt(max(variance, 1e-9))


def _finding(
    stream: Stream,
    place: Place,
    stages: list[Place],
    entries: Entries,
    found: Slice,
    point: Point,
    usable: Bools,
    min_count: int,
) -> Finding | None:
    is_member = np.zeros(len(place.rows), np.bool_)
    # Where the value is not known there is nothing to compare.
    inside = np.isin(place.visit, place.visit[point.position[found.members | ~found.known]])
    is_member[inside] = True
    without = found.dimensions if len(found.dimensions) == 1 else ()
    others = Prognosis(stream, place, without, fit_on=~is_member, has_history=False)
    chance = others.chance(point.rows)
    rest = ~found.members & found.known & usable
    members = found.members & usable
    # The same shift that makes the others add up.
    chance = recalibrated(chance, point.went_on, rest)
    expected = chance[members]
    went_on = point.went_on[members]
    days = point.day[members]
    halves = [days <= np.median(days), days > np.median(days)]
    if any(went_on[half].sum() >= expected[half].sum() for half in halves):
        return None
    mean, rate, count = float(expected.mean()), float(went_on.mean()), int(members.sum())
    slope = max(mean * (1 - mean), 0.02)
    # What a pair is expected to do is added up from what each of its values does with others.
    others_alike = [rest] if len(found.dimensions) == 1 else [rest, *(rest & same for same in found.values)]
    error = np.sqrt(sum(1 / max(float((chance[alike] * (1 - chance[alike])).sum()), 1e-9) for alike in others_alike))
    effect = np.log((rate + 0.5 / count) / (1 - rate + 0.5 / count)) - np.log(mean / (1 - mean))
    hits = float(went_on.sum())
    elsewhere, elsewhere_error = _shift_elsewhere(stream, stages, entries, found, place.stage_index)
    if not np.isfinite(elsewhere_error):
        elsewhere, elsewhere_error = _prospects(stream, place, found, point, members, rest)
    rows = point.rows[members]
    once = once_a_person(stream, rows)
    if len(once) < min_count:
        return None
    return Finding(
        kind="gap",
        model_index=place.model_index,
        stage_index=place.stage_index,
        subject=point.name,
        slice=found.text,
        rows=rows[once],
        expected=expected[once],
        went_on=went_on[once],
        compared_count=stream.person_count(point.rows[rest]),
        standard_error=float(error * slope),
        effect=float(effect),
        effect_error=float(np.sqrt(odds_error(effect, hits, count, mean) ** 2 + error**2)),
        family="gap",
        shift=elsewhere,
        shift_error=elsewhere_error,
        within_us=place.horizon,
    )


def _prospects(
    stream: Stream, place: Place, found: Slice, point: Point, members: Bools, rest: Bools
) -> tuple[float, float]:
    """Return by how much an unseen intention would shift a value that is known only here, and its standard error.

    The prospects of members and others before they came to the point are the placebo, as they are of an exposure.
    """
    chance = np.clip(Prognosis(stream, place, found.dimensions).chance(point.rows), 1e-4, 1 - 1e-4)
    logit = np.log(chance / (1 - chance))
    spread = max(float(logit[rest].std()), 0.05)
    shift = float(logit[members].mean() - logit[rest].mean()) / spread
    return UNSEEN_INTENT * shift, UNSEEN_INTENT / float(np.sqrt(min(members.sum(), rest.sum())))


def _shift_elsewhere(
    stream: Stream, stages: list[Place], entries: Entries, found: Slice, stage_index: int
) -> tuple[float, float]:
    """Return by how much the slice falls short at all stages, as the others show, and its error; infinite if none does.

    Each other stage shows it but for its error and what is natural there; together with what is usual of slices that is
    the mean of a normal distribution known by several measurements. At the first stage the worst of the later ones
    counts: they show only those who were kept, who may be alike there and were not before.
    """
    precision, weighted = 0.0, 0.0
    worst, worst_error = 0.0, np.inf
    text = found.text or ""
    for place in stages:
        key = place.stage_index, found.dimensions
        if key not in entries:
            prognosis = Prognosis(stream, place, found.dimensions, has_history=False)
            entries[key] = entry(stream, place, prognosis, FEWEST_ELSEWHERE, place.horizon)
        point = entries[key]
        same = slices(stream, point, FEWEST_ELSEWHERE, only=text) if point else []
        if point is None or not same:
            continue
        chance = recalibrated(point.chance, point.went_on, same[0].known)
        shift, score = shortfall(same[0].members, point.went_on, chance)
        share = same[0].members.sum() / same[0].known.sum()
        share = max(1 - share, 0.1)
        error = abs(shift / score) if score else np.inf
        if shift / share < worst or np.isinf(worst_error):
            worst, worst_error = shift / share, error / share
        weight = 1 / ((error / share) ** 2 + NATURAL_SPREAD**2)
        precision += weight
        weighted += weight * shift / share
    if not precision:
        return 0.0, np.inf
    if stages[0].stage_index > stage_index:
        return worst, worst_error
    precision += 1 / OTHER_PEOPLE**2
    return weighted / precision, 1 / float(np.sqrt(precision))
