"""The search for pain points: incidents, gaps and exposures of every stage, graded; by persona and month."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from journeyflow.models.model import arrow_schema, python_model
from journeyflow.pains.exposures import exposures
from journeyflow.pains.gaps import NATURAL_SPREAD, Entries, entry, gaps, recalibrated, shortfall
from journeyflow.pains.incidents import incidents, lost_days
from journeyflow.pains.places import NORMAL, Finding, Place, Prognosis, e_value, places, read_levels
from journeyflow.pains.promises import broken_promises
from journeyflow.pains.stream import Bools, Floats, Ints, Stream, read_stream

if TYPE_CHECKING:
    from journeyflow.engines import Engine


LEVEL = 0.05
"""Share of maps without a pain that may list one, divided among the kinds."""
SHARE = {"incident": 0.3, "gap": 0.3, "exposure": 0.4}
UNSEEN_SPREAD = 0.15
"""Standard deviation, on the scale of log odds, of the effect of an unseen cause at least."""
UNSEEN_OF_WAITS = 0.05
"""The same of a long wait for an answer: whoever answers decides how long it takes, and not the person."""
LEAST_E_VALUE = 1.3
BESIDE = 0.9
SEPARATOR = ", "
SEASON_SHARE = 0.3
PRIOR_COUNT = 6


Exposed = dict[tuple[object, ...], list[Finding]]
"""Exposures by `Place.likeness`: stages of several models may be alike."""


def search(
    stream: Stream,
    model_index: int,
    level_of_kind: Ints,
    min_count: int,
    require_running: Callable[[], object] = bool,
    known: Exposed | None = None,
) -> list[Finding]:
    """Return the findings of a model, the surest first within a grade; what says the same is one finding.

    `require_running` is called now and then, and raises where the search is to end. `known` has what was tested at
    stages of other models over this stream, and gets what is tested here.
    """
    known = {} if known is None else known
    lost, first_day = lost_days(stream)
    found: list[Finding] = []
    tested: list[Finding] = []
    stages: list[tuple[Place, Bools]] = []
    stage_count = max(int(level_of_kind.max(initial=0)) // 2 - 1, 1)
    for place in places(stream, model_index, level_of_kind):
        if not place.is_settled.any():
            continue  # Of nobody it is known whether they went on.
        require_running()
        spans, explained = incidents(stream, place, min_count, lost, first_day, LEVEL * SHARE["incident"] / stage_count)
        found += spans
        stages.append((place, explained))
        # Without an order nobody met one thing after another.
        require_running()
        if place.is_ordered:
            key = place.likeness
            if key not in known:
                known[key] = list(exposures(stream, place, Prognosis(stream, place), min_count))
            stage = place.stage_index
            tested += [replace(one, model_index=model_index, stage_index=stage) for one in known[key]]
    everywhere = [place for place, _ in stages]
    found = [one for one in found if not _is_season(stream, one, everywhere)]
    gap_rows: list[Finding] = []
    entries: Entries = {}
    for number, (place, explained) in enumerate(stages):
        require_running()
        # At the first stage the later ones say whether a slice is another kind of person.
        gap_rows += gaps(stream, place, everywhere[:number] or everywhere[1:], entries, min_count, explained)
    graded = _discovered(found + _judged_gaps(gap_rows) + _judged_exposures(tested))
    exposed = _one_each(_one_wait_each([one for one in graded if one.kind in ("exposure", "friction")]))
    listed = (
        [one for one in graded if one.kind == "incident"]
        + _one_each([one for one in graded if one.kind == "gap"])
        + exposed
        + _other_frictions(tested, exposed)
    )
    place_of = {place.stage_index: place for place in everywhere}
    return [_with_goals(stream, place_of[one.stage_index], one) for one in listed]


def _with_goals(stream: Stream, place: Place, finding: Finding) -> Finding:
    """Add the share of those who went on that reached the goal within the horizon.

    Those count who met it and went on all the same; where they are few, whoever goes on from the stage stands in.
    """
    if not stream.kinds["is_goal"].any():
        return finding
    reached = stream.to_goal_us <= place.horizon
    everybody = place.rows[np.append(True, np.diff(place.visit) != 0) & place.is_settled & place.went_on]
    usual = float(reached[everybody].mean()) if len(everybody) else 0.0
    own = reached[finding.rows[finding.went_on]]
    count = len(own) + PRIOR_COUNT
    rate = float((own.sum() + PRIOR_COUNT * usual) / count)
    return replace(finding, goal_rate=rate, goal_rate_error=float(np.sqrt(rate * (1 - rate) / count)))


def _is_season(stream: Stream, incident: Finding, stages: list[Place]) -> bool:
    """Say whether everybody went on less often at other stages too in the days of an incident that hit everybody."""
    if incident.slice is not None or incident.first_day is None or incident.last_day is None:
        return False
    for place in stages:
        if place.stage_index == incident.stage_index:
            continue
        prognosis = Prognosis(stream, place, has_history=False)
        point = entry(stream, place, prognosis, 1)
        if point is None:
            continue
        inside = (point.day >= incident.first_day) & (point.day <= incident.last_day)
        chance = recalibrated(point.chance, point.went_on, ~inside)
        shift, score = shortfall(inside, point.went_on, chance)
        if score < -2 and shift < SEASON_SHARE * incident.effect:
            return True
    return False


def _judged_gaps(found: list[Finding]) -> list[Finding]:
    """Return the gaps with the chance of each without a cause, times the tests, and the E-value."""
    # Who falls short at other stages as well is another kind of person.
    return [_judged(one, min(one.shift_error, 1.0), NATURAL_SPREAD, one.tests) for one in found]


def _judged_exposures(tested: list[Finding]) -> list[Finding]:
    """Return the exposures with the chance of each without a cause, times the tests, and the E-value."""
    # The lengths of a wait are nearly the same persons.
    tests = len({_hypothesis(one) for one in tested}) + len(
        {_hypothesis(one) for one in tested if one.family == "wait"}
    )
    judged = []
    for finding in tested:
        is_wait = finding.family == "wait"
        others = [one for one in tested if _event_of(one) != _event_of(finding) and (one.family == "wait") == is_wait]
        unseen = _unseen_spread(others, UNSEEN_OF_WAITS if is_wait else UNSEEN_SPREAD)
        judged.append(_judged(finding, finding.shift_error, unseen, tests))
    return judged


def _judged(finding: Finding, shift_error: float, unseen: float, tests: int) -> Finding:
    """Judge an effect beyond its placebo; what is unseen makes the loss as unsure as the effect."""
    from scipy.special import ndtr

    # An unseen cause that leads to it as much as the seen ones do explains a part of it.
    spread = float(np.sqrt(finding.effect_error**2 + shift_error**2 + unseen**2))
    chance = float(ndtr((finding.effect - min(finding.shift, 0.0)) / spread))
    expected = float(finding.expected.mean())
    error = float(np.hypot(finding.standard_error, unseen * expected * (1 - expected)))
    value = _e_value(finding, NORMAL * spread)
    return replace(finding, standard_error=error, q_value=chance * tests, e_value=value)


def _discovered(found: list[Finding]) -> list[Finding]:
    """Return the findings of which 5 % are false at most, and where nothing is true one in twenty times any.

    Each kind of finding has its share of the errors allowed.

    References
    ----------
    Benjamini and Hochberg (1995), "Controlling the false discovery rate"; Genovese, Roeder and Wasserman (2006), "False
    discovery control with p-value weighting".
    """
    weighted = [(one.q_value or 0.0) / SHARE.get(one.kind, SHARE["exposure"]) for one in found]
    discovered = []
    q_value = 1.0
    for rank, index in reversed(list(enumerate(np.argsort(weighted, kind="stable"), start=1))):
        q_value = min(q_value, weighted[index] / rank)
        one = found[index]
        if one.kind == "incident":
            discovered.append(replace(one, q_value=q_value))
        elif q_value <= LEVEL and (one.e_value or 0.0) >= LEAST_E_VALUE and one.lost_low > 0:
            discovered.append(one.graded("matched", q_value, one.e_value))
    return discovered[::-1]


def _other_frictions(tested: list[Finding], graded: list[Finding]) -> list[Finding]:
    """Return the configured frictions that are not graded, each where most persons met it: pains by definition."""
    named = {name for finding in graded for name in finding.subject.split(SEPARATOR)}
    most: dict[str, Finding] = {}
    for finding in tested:
        if finding.family != "friction" or finding.subject in named:
            continue
        if finding.subject not in most or len(finding.rows) > len(most[finding.subject].rows):
            most[finding.subject] = finding
    return list(most.values())


def _one_wait_each(findings: list[Finding]) -> list[Finding]:
    """Keep of the waits for one answer, from whatever event and of whatever length, the one that surely costs most."""
    best: dict[tuple[int, str], Finding] = {}
    for finding in findings:
        if finding.family == "wait":
            key = finding.stage_index, _event_of(finding)
            if key not in best or finding.lost_low > best[key].lost_low:
                best[key] = finding
    return [finding for finding in findings if finding.family != "wait"] + list(best.values())


def _unseen_spread(findings: list[Finding], least: float = UNSEEN_SPREAD) -> float:
    """Return the spread of the effects of what is met beyond chance: most of it harms nobody (empirical calibration).

    References
    ----------
    Schuemie et al. (2014), "Interpreting observational studies: why empirical calibration is needed to correct
    p-values".
    """
    near = [one.effect - min(one.shift, 0.0) for one in findings if abs(one.effect) < 1.0]
    errors = [one.effect_error**2 + one.shift_error**2 for one in findings if abs(one.effect) < 1.0]
    if not near:
        return least
    beyond = max(float(np.median(np.square(near) - errors)) / 0.455, 0.0)
    shrunk = (PRIOR_COUNT * least**2 + len(near) * beyond) / (PRIOR_COUNT + len(near))
    return float(max(np.sqrt(shrunk), least))


def _event_of(finding: Finding) -> str:
    return finding.subject.split(" (")[0]


def _hypothesis(finding: Finding) -> tuple[int, str]:
    return finding.stage_index, finding.subject


def _e_value(finding: Finding, margin: float) -> float:
    expected = float(finding.expected.mean())
    odds = expected / (1 - expected) * np.exp(min(finding.effect + margin, 0.0))
    return e_value(odds / (1 + odds), expected)


def _one_each(findings: list[Finding]) -> list[Finding]:
    """Join findings that nearly the same persons met; keep the surest of slices of which one holds the other."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: one.effect / one.effect_error):
        for number, other in enumerate(kept):
            if (other.kind == "gap") != (finding.kind == "gap"):
                continue
            both = len(np.intersect1d(other.rows, finding.rows))
            union = len(other.rows) + len(finding.rows) - both
            is_same_stage = other.stage_index == finding.stage_index
            if is_same_stage and union and both / union >= BESIDE and other.subject != finding.subject:
                kept[number] = replace(other, subject=SEPARATOR.join([other.subject, finding.subject]))
                break
            # A friction is often named as its event.
            if is_same_stage and union and both / union >= BESIDE and not finding.slice:
                break
            if finding.kind == "gap" and both > 0.5 * min(len(other.rows), len(finding.rows)):
                break
        else:
            kept.append(finding)
    return kept


EPOCH = datetime.date(1970, 1, 1)
RECENT_DAYS = 2
COMPARED = {
    "incident": "the same slice before and after, and the others in the same days",
    "gap": "others who came to the same point, alike in what was known of them then",
    "exposure": "persons at the same event and with the same prospects who did not meet it then",
    "friction": "persons at the same event and with the same prospects who did not meet it then",
    "promise": "persons alike whose promise was kept, from the time when it was due",
}


@python_model("statistics.pains", "statistics.pain_parts", "statistics.pain_persons")
def find_pains(engine: Engine) -> None:
    """Search all models for pain points, and divide what each cost among personas and months.

    References
    ----------
    `docs/adr/0030-causes-of-loss.md`.
    """
    min_count = engine.rows("select min_count from config.settings").column("min_count")[0].as_py()
    stream = read_stream(engine)
    found: list[Finding] = []
    if len(stream):
        known: Exposed = {}
        for model, levels in read_levels(engine, stream).items():
            found += search(stream, model, levels, min_count, engine.require_running, known)
        # Who is lost to a promise is somebody who does not reach the goal again.
        goal_rate = 1.0 if stream.kinds["is_goal"].any() else None
        promised = [replace(one, goal_rate=goal_rate) for one in broken_promises(engine, stream, min_count)]
        found += [
            replace(one, model_index=model, stage_index=stage)
            for one in promised
            for model, stage in _stages_of(engine, one)
        ]
    pains = [_pain(stream, number, finding) for number, finding in enumerate(found, start=1)]
    parts = [part for number, finding in enumerate(found, start=1) for part in _parts(stream, number, finding)]
    persons = [_persons(stream, number, finding) for number, finding in enumerate(found, start=1)]
    for name, rows in (
        ("statistics.pains", pl.DataFrame(pains, infer_schema_length=None)),
        ("statistics.pain_parts", pl.DataFrame(parts, infer_schema_length=None)),
        ("statistics.pain_persons", pl.concat(persons) if persons else pl.DataFrame()),
    ):
        schema = arrow_schema(name)
        engine.register(name, rows.select(schema.names).to_arrow().cast(schema) if len(rows) else schema.empty_table())


def _stages_of(engine: Engine, promise: Finding) -> list[tuple[int, int]]:
    """Return where a promise stands in each model: at the stage of the same name, else at the last."""
    stages = engine.rows(
        "select model_index, stage_index, stage from config.stages order by model_index, stage_index"
    ).to_pylist()
    own = next(
        row["stage"]
        for row in stages
        if (row["model_index"], row["stage_index"]) == (promise.model_index, promise.stage_index)
    )
    places: dict[int, int] = {row["model_index"]: row["stage_index"] for row in stages}
    places |= {row["model_index"]: row["stage_index"] for row in stages if row["stage"] == own}
    return sorted(places.items())


def _pain(stream: Stream, number: int, finding: Finding) -> dict[str, Any]:
    until = int(stream.day.max()) - RECENT_DAYS
    return {
        "pain_ix": number,
        "model_index": finding.model_index,
        "stage_index": finding.stage_index,
        "kind": finding.kind,
        "subject": finding.subject or "entry",
        "slice": finding.slice,
        "first_day": _date(finding.first_day),
        "last_day": _date(finding.last_day),
        "is_ongoing": None if finding.last_day is None else finding.last_day >= until,
        "grade": finding.grade,
        "compared_with": COMPARED[finding.kind]
        + (f" (estimated from one person in {stream.persons_each})" if stream.persons_each > 1 else ""),
        "q_value": finding.q_value,
        "e_value": finding.e_value,
        "within_seconds": None if finding.within_us is None else finding.within_us / 1e6,
    }


def _date(day: int | None) -> datetime.date | None:
    return None if day is None else EPOCH + datetime.timedelta(days=day)


def _parts(stream: Stream, number: int, finding: Finding) -> Iterator[dict[str, Any]]:
    """Divide the persons lost among personas and among months in proportion to the shortfall in each."""
    journey = stream.journey[finding.rows]
    persona = stream.facts["persona"].to_numpy()[journey]
    month = stream.facts["month"].to_numpy()[journey]
    short = finding.expected - finding.went_on
    total = max(float(short.sum()), 0.0)
    everybody = np.ones(len(short), np.bool_)
    personas, months = sorted(set(persona)), sorted(set(month))
    of_persona = _divided(total, {name: float(short[persona == name].sum()) for name in personas})
    of_month = _divided(total, {name: float(short[month == name].sum()) for name in months})
    whole = {("all", "all"): (everybody, total)}
    whole |= {(name, "all"): (persona == name, of_persona[name]) for name in personas}
    whole |= {("all", name): (month == name, of_month[name]) for name in months}
    for one in personas:
        for other in months:
            inside = (persona == one) & (month == other)
            if inside.any():
                own = max(float(short[inside].sum()), 0.0)
                whole[one, other] = (inside, min(own, of_persona[one], of_month[other]))
    for (one, other), (inside, lost) in whole.items():
        yield _part(number, finding, stream.persons_each, one, other, inside, lost)


def _divided(total: float, shares: dict[str, float]) -> dict[str, float]:
    positive = {name: max(share, 0.0) for name, share in shares.items()}
    summed = sum(positive.values())
    return {name: total * share / summed if summed else 0.0 for name, share in positive.items()}


def _part(
    number: int, finding: Finding, each: int, persona: str, period: str, inside: Bools, lost: float
) -> dict[str, Any]:
    expected: Floats = finding.expected[inside]
    own = float((expected * (1 - expected)).sum()) if finding.standard_error else 0.0
    error = float(np.sqrt(own + (len(expected) * finding.standard_error) ** 2))
    share = len(expected) / len(finding.rows)
    low, high = max(lost - NORMAL * error, 0.0), lost + NORMAL * error
    goals, goals_low, goals_high = _goals_lost(finding, lost, error)
    return {
        "pain_ix": number,
        "persona": persona,
        "period": period,
        "person_count": len(expected) * each,
        "compared_count": finding.compared_count * each,
        "rate": float(finding.went_on[inside].mean()),
        "expected_rate": float(np.clip(expected.mean(), 0.0, 1.0)),
        "lost": lost * each,
        "lost_low": low * each,
        "lost_high": high * each,
        "goals_lost": None if goals is None else goals * each,
        "goals_lost_low": None if goals_low is None else goals_low * each,
        "goals_lost_high": None if goals_high is None else goals_high * each,
        "refund_count": None if finding.refund_count is None else finding.refund_count * share * each,
        "sentiment_effect": finding.sentiment_effect,
    }


def _goals_lost(finding: Finding, lost: float, error: float) -> tuple[float | None, float | None, float | None]:
    """Return how many of the persons lost would have reached the goal, and the ends of the 95 % interval."""
    rate = finding.goal_rate
    if rate is None:
        return None, None, None
    goals, own = lost * rate, lost * rate * (1 - rate)
    goals_error = float(np.sqrt((rate * error) ** 2 + (lost * finding.goal_rate_error) ** 2 + own))
    return goals, max(goals - NORMAL * goals_error, 0.0), goals + NORMAL * goals_error


def _persons(stream: Stream, number: int, finding: Finding) -> pl.DataFrame:
    facts = stream.facts[stream.journey[finding.rows]]
    return pl.DataFrame(
        {
            "pain_ix": np.full(len(finding.rows), number),
            "person_key": stream.person_keys[stream.person[finding.rows]],
            "persona": facts["persona"],
            "period": facts["month"],
            "is_lost": ~finding.went_on,
            "persons_each": np.full(len(finding.rows), stream.persons_each),
        }
    )
