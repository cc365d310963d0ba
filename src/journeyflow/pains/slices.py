"""Points that persons came to at a place, and the slices of them: a value, or a pair of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from journeyflow.pains.places import Place
from journeyflow.pains.prognosis import Prognosis
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
    of_kind = (place.level_of_kind == 0) | (place.level_of_kind == 2 * place.stage_index)
    of_kind &= ~stream.kinds["is_passive"].to_numpy()
    here = np.flatnonzero(of_kind[stream.kind[place.rows]])
    names = stream.names.codes[place.rows[here]]
    for code in np.flatnonzero(np.bincount(names, minlength=1) >= least):
        of = here[names == code]
        yield stream.names.names[code] or "", of[changes(place.visit[of])]


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
