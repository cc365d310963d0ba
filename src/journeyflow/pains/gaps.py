"""Slices of the points at a place, and gaps: slices that go on less often than their like over the whole time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from journeyflow.pains.exposures import UNSEEN_INTENT, once_a_person
from journeyflow.pains.places import Finding, Place, Prognosis, odds_error
from journeyflow.pains.stream import DAY_US, Bools, Floats, Ints, Labels, Stream, changes

FEWEST_UNITS = 150
EQUAL_AGE = 0.9
KNOWN = 0.8


@dataclass(frozen=True)
class Point:
    """The first time in a stay at a stage that persons came to an event, one entry a stay."""

    name: str
    rows: Ints
    position: Ints
    day: Ints
    went_on: Bools
    chance: Floats


@dataclass(frozen=True)
class Slice:
    """One value or a pair of values, as a mask over the entries of a point."""

    text: str | None
    dimensions: tuple[str, ...]
    members: Bools
    known: Bools
    """Entries of which every value of these dimensions is known: only they can be compared."""
    values: tuple[Bools, ...] = ()
    """Of a pair the entries with each of its values."""


def points(
    stream: Stream,
    place: Place,
    prognosis: Prognosis,
    min_count: int,
    horizon: int | None = None,
    left_out: Bools | None = None,
    only: str | None = None,
) -> Iterator[Point]:
    """Yield the entry to the stage and each event in it that enough persons came to.

    The chances are shifted to add up to what was seen, but for the rows that are `left_out`. `only` is the name of the
    one point that is wanted.
    """
    least = max(FEWEST_UNITS, 5 * min_count)
    chance = np.full(len(place.rows), np.nan)
    for name, of in _arrivals(stream, place, least):
        if len(of) < least or only not in (None, name):
            continue
        missing = of[np.isnan(chance[of])]
        chance[missing] = prognosis.chance(place.rows[missing])
        beyond = place.beyond_us[of]
        until = horizon or equal_age(place, beyond)
        settled = place.at[of] <= stream.high_water - until
        kept = of[settled]
        if len(kept) < least:
            continue
        went_on = place.beyond_us[kept] <= until
        yield Point(
            name=name,
            rows=place.rows[kept],
            position=kept,
            day=stream.day[place.rows[kept]],
            went_on=went_on,
            chance=recalibrated(chance[kept], went_on, None if left_out is None else ~left_out[kept]),
        )


def _arrivals(stream: Stream, place: Place, least: int) -> Iterator[tuple[str, Ints]]:
    """Yield positions of the first events of stays, and by name those of the first time in a stay that it came."""
    yield "", np.flatnonzero(changes(place.visit))
    if least not in place.arrivals:
        of_kind = (place.level_of_kind == 0) | (place.level_of_kind == 2 * place.stage_index)
        of_kind &= ~stream.kinds["is_passive"].to_numpy()
        here = np.flatnonzero(of_kind[stream.kind[place.rows]])
        names = stream.names.codes[place.rows[here]]
        place.arrivals[least] = []
        for code in np.flatnonzero(np.bincount(names, minlength=1) >= least):
            of = here[names == code]
            place.arrivals[least].append((stream.names.names[code] or "", of[changes(place.visit[of])]))
    yield from place.arrivals[least]


def entry(
    stream: Stream, place: Place, prognosis: Prognosis, min_count: int, horizon: int | None = None
) -> Point | None:
    """Return the entry to the stage, the first of its `points`, where enough persons came."""
    first = next(points(stream, place, prognosis, min_count, horizon), None)
    return None if first is None or first.name else first


def equal_age(place: Place, beyond_us: Ints) -> int:
    """Return the time in which most of those who go on do: at this age open and closed windows can be compared."""
    went_on = beyond_us[beyond_us <= place.horizon]
    if not len(went_on):
        return place.horizon
    return int(min(place.horizon, max(np.quantile(went_on, EQUAL_AGE), DAY_US // 24)))


def slices(stream: Stream, point: Point, min_count: int, only: str | None = None) -> list[Slice]:
    """Return every value, and every pair of values of which one is of a configured slice, with enough entries.

    `only` is the text of the one slice that is wanted.
    """
    journey = stream.journey[point.rows]
    dimensions: dict[str, tuple[Labels, Ints]] = {
        name: (labels, labels.codes[point.rows].astype(np.int64)) for name, labels in stream.slices.items()
    }
    # A value that only few have yet marks who has been further before: they are no fair sample.
    dimensions = {name: both for name, both in dimensions.items() if (both[1] > 0).mean() >= KNOWN}
    configured = set(dimensions)
    dimensions["channel"] = (stream.channels, stream.channels.codes[point.rows].astype(np.int64))
    dimensions["persona"] = (stream.personas, stream.personas.codes[journey].astype(np.int64))
    dimensions["medium"] = (stream.media, stream.media.codes[journey].astype(np.int64))
    everybody = np.ones(len(point.rows), np.bool_)
    found = [] if only else [Slice(None, (), everybody, everybody)]
    known = {name: codes > 0 for name, (_, codes) in dimensions.items()}
    counts = {name: np.bincount(codes, minlength=1) for name, (_, codes) in dimensions.items()}
    having: dict[tuple[str, int], Bools] = {}
    for name, (labels, codes) in dimensions.items():
        for code, count in enumerate(counts[name]):
            text = f"{name}={labels.names[code]}"
            if code > 0 and min_count <= count < len(codes) and only in (None, text):
                found.append(Slice(text, (name,), codes == code, known[name]))
    for one, two in combinations(dimensions, 2):
        if not {one, two} & configured:
            continue
        labels_one, codes_one = dimensions[one]
        labels_two, codes_two = dimensions[two]
        width = len(labels_two.names)
        pair = codes_one * width + codes_two
        both_known = known[one] & known[two]
        for code, count in enumerate(np.bincount(pair, minlength=1)):
            first, second = divmod(code, width)
            if first > 0 and second > 0 and min_count <= count < len(pair):
                # A pair that is nearly one of its values is that value.
                if count > 0.9 * min(counts[one][first], counts[two][second]):
                    continue
                text = f"{one}={labels_one.names[first]}, {two}={labels_two.names[second]}"
                if only in (None, text):
                    for name, codes, value in ((one, codes_one, first), (two, codes_two, second)):
                        if (name, value) not in having:
                            having[name, value] = codes == value
                    values = having[one, first], having[two, second]
                    found.append(Slice(text, (one, two), pair == code, both_known, values))
    return found


def recalibrated(chance: Floats, went_on: Bools, counted: Bools | None = None) -> Floats:
    """Shift the chances on the scale of log odds so that those `counted` add up to what was seen."""
    clipped = np.clip(chance, 1e-6, 1 - 1e-6)
    logit = np.log(clipped / (1 - clipped))
    own, hits = (logit, went_on.sum()) if counted is None else (logit[counted], went_on[counted].sum())
    shift = 0.0
    for _ in range(20):
        fitted = 1 / (1 + np.exp(-(own + shift)))
        step = (hits - fitted.sum()) / max(float((fitted * (1 - fitted)).sum()), 1e-9)
        shift += float(np.clip(step, -2, 2))
        if abs(step) < 1e-6:
            break
    return np.clip(1 / (1 + np.exp(-(logit + shift))), 1e-4, 1 - 1e-4)


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
