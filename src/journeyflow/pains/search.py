"""The search for pain points of a model: every incident, gap and exposure of its stages, graded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from journeyflow.pains.exposures import exposures
from journeyflow.pains.findings import Finding, e_value
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
LEAST_E_VALUE = 1.3
BESIDE = 0.9
SEPARATOR = ", "
SEASON_SHARE = 0.3
PRIOR_COUNT = 6


def search(stream: Stream, model_index: int, level_of_kind: Ints, min_count: int) -> list[Finding]:
    """Return the findings of a model, the surest first within a grade; what says the same is one finding."""
    lost, first_day = lost_days(stream)
    found: list[Finding] = []
    tested: list[Finding] = []
    stages: list[tuple[Place, Bools]] = []
    stage_count = max(int(level_of_kind.max(initial=0)) // 2 - 1, 1)
    for place in places(stream, model_index, level_of_kind):
        if not place.is_settled.any():
            continue  # Of nobody it is known whether they went on.
        spans, explained = incidents(stream, place, min_count, lost, first_day, LEVEL * SHARE["incident"] / stage_count)
        found += spans
        stages.append((place, explained))
        # Without an order nobody met one thing after another.
        if place.is_ordered:
            tested += exposures(stream, place, Prognosis(stream, place), min_count)
    everywhere = [place for place, _ in stages]
    found = [one for one in found if not _is_season(stream, one, everywhere)]
    gap_rows: list[Finding] = []
    entries: Entries = {}
    for number, (place, explained) in enumerate(stages):
        # At the first stage the later ones say whether a slice is another kind of person.
        gap_rows += gaps(stream, place, everywhere[:number] or everywhere[1:], entries, min_count, explained)
    found += _graded_gaps(gap_rows)
    exposed = _graded_exposures(tested)
    return found + exposed + _other_frictions(tested, exposed)


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


def _graded_gaps(found: list[Finding]) -> list[Finding]:
    from scipy.special import ndtr

    graded = []
    for finding in found:
        # Who falls short at other stages as well is another kind of person.
        spread = np.sqrt(finding.effect_error**2 + min(finding.shift_error, 1.0) ** 2 + NATURAL_SPREAD**2)
        q_value = min(1.0, float(ndtr((finding.effect - min(finding.shift, 0.0)) / spread)) * finding.tests)
        value = _e_value(finding, 1.96 * spread)
        if q_value <= LEVEL * SHARE["gap"] and value >= LEAST_E_VALUE and finding.lost_low > 0:
            graded.append(finding.graded("matched", q_value, value))
    return _one_each(graded)


def _graded_exposures(tested: list[Finding]) -> list[Finding]:
    from scipy.special import ndtr

    graded = []
    for number, finding in enumerate(tested):
        unseen = _unseen_spread(tested[:number] + tested[number + 1 :])
        # An unseen cause that leads to the exposure as much as the seen ones do explains a part of it.
        effect = finding.effect - min(finding.shift, 0.0)
        spread = np.sqrt(finding.effect_error**2 + finding.shift_error**2 + unseen**2)
        q_value = min(1.0, float(ndtr(effect / spread)) * max(len(tested), 1))
        value = _e_value(finding, 1.96 * spread)
        is_sure = q_value <= LEVEL * SHARE["exposure"] and value >= LEAST_E_VALUE
        if is_sure and finding.lost_low > 0:
            graded.append(finding.graded("matched", q_value, value))
    return _one_each(_one_wait_each(graded))


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
            key = finding.stage_index, finding.subject.split(" (")[0]
            if key not in best or finding.lost_low > best[key].lost_low:
                best[key] = finding
    return [finding for finding in findings if finding.family != "wait"] + list(best.values())


def _unseen_spread(findings: list[Finding]) -> float:
    """Return the spread of the effects of what is met beyond chance: most of it harms nobody (empirical calibration).

    References
    ----------
    Schuemie et al. (2014), "Interpreting observational studies: why empirical calibration is needed to correct
    p-values".
    """
    near = [one.effect - min(one.shift, 0.0) for one in findings if abs(one.effect) < 1.0]
    errors = [one.effect_error**2 + one.shift_error**2 for one in findings if abs(one.effect) < 1.0]
    if not near:
        return UNSEEN_SPREAD
    beyond = max(float(np.median(np.square(near) - errors)) / 0.455, 0.0)
    shrunk = (PRIOR_COUNT * UNSEEN_SPREAD**2 + len(near) * beyond) / (PRIOR_COUNT + len(near))
    return float(max(np.sqrt(shrunk), UNSEEN_SPREAD))


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
