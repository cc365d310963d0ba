"""The search for pain points of a model: every incident, gap and exposure of its stages, graded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from journeyflow.pains.exposures import exposures
from journeyflow.pains.findings import NORMAL, Finding, e_value
from journeyflow.pains.gaps import NATURAL_SPREAD, Entries, gaps, shortfall
from journeyflow.pains.incidents import incidents, lost_days
from journeyflow.pains.places import Place, places
from journeyflow.pains.prognosis import Prognosis
from journeyflow.pains.slices import entry, recalibrated
from journeyflow.pains.stream import Bools, Ints, Stream

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


def search(
    stream: Stream, model_index: int, level_of_kind: Ints, min_count: int, require_running: Callable[[], object] = bool
) -> list[Finding]:
    """Return the findings of a model, the surest first within a grade; what says the same is one finding.

    `require_running` is called now and then, and raises where the search is to end.
    """
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
            tested += exposures(stream, place, Prognosis(stream, place), min_count)
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
