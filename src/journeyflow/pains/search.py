"""The search for pain points of a model: every incident, gap and exposure of its stages, graded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from journeyflow.pains.exposures import exposures
from journeyflow.pains.findings import Finding, e_value
from journeyflow.pains.gaps import NATURAL_SPREAD, gaps
from journeyflow.pains.incidents import Span, incidents, lost_days
from journeyflow.pains.places import Place, places
from journeyflow.pains.prognosis import Prognosis
from journeyflow.pains.stream import Ints, Stream

LEVEL = 0.05
"""Share of maps without a pain that may list one, divided among the kinds."""
SHARE = {"incident": 0.3, "gap": 0.3, "exposure": 0.4}
UNSEEN_SPREAD = 0.15
"""Standard deviation, on the scale of log odds, of the effect of an unseen cause at least."""
LEAST_E_VALUE = 1.3
NORMAL = 1.959964
POINTS = 10
"""Points of all stages at which spans are searched, about."""
BESIDE = 0.9


def search(stream: Stream, model_index: int, level_of_kind: Ints, min_count: int) -> list[Finding]:
    """Return the findings of a model, the surest first within a grade; what says the same is one finding."""
    lost, first_day = lost_days(stream)
    found: list[Finding] = []
    tested: list[Finding] = []
    gap_rows: list[Finding] = []
    earlier: list[Place] = []
    for place in places(stream, model_index, level_of_kind):
        prognosis = Prognosis(stream, place)
        explained = np.zeros(len(place.rows), np.bool_)
        for span, finding in incidents(stream, place, prognosis, min_count, lost, first_day):
            graded = _graded_incident(span, finding)
            if graded is not None:
                found.append(graded)
                inside = span.slice.members & (span.point.day >= span.first) & (span.point.day <= span.last)
                explained[np.isin(place.visit, place.visit[span.point.position[inside]])] = True
        tested += exposures(stream, place, prognosis, min_count)
        gap_rows += gaps(stream, place, prognosis, earlier, min_count, explained)
        earlier.append(place)
    found += _graded_gaps(gap_rows)
    found += _graded_exposures(tested)
    return found


def _graded_incident(span: Span, finding: Finding) -> Finding | None:
    from scipy.special import ndtr

    q_value = min(1.0, float(ndtr(-span.score)) * span.tests * POINTS)
    if q_value > LEVEL * SHARE["incident"] or finding.lost <= 0:
        return None
    return finding.graded("incident", q_value, _e_value(finding, 0.0))


def _graded_gaps(found: list[Finding]) -> list[Finding]:
    from scipy.special import ndtr

    graded = []
    for finding in found:
        # Who falls short at the stages before as well is another kind of person.
        known = np.isfinite(finding.shift_error)
        shift = min(finding.shift, 0.0) if known else 0.0
        spread = np.sqrt(
            finding.effect_error**2 + (min(finding.shift_error, 1.0) ** 2 if known else 0.2**2) + NATURAL_SPREAD**2
        )
        q_value = min(1.0, float(ndtr((finding.effect - shift) / spread)) * finding.tests)
        if q_value <= LEVEL * SHARE["gap"] and finding.lost > NORMAL * finding.lost_error:
            graded.append(finding.graded("matched", q_value, _e_value(finding, 1.96 * spread)))
    return _one_each(graded)


def _graded_exposures(tested: list[Finding]) -> list[Finding]:
    from scipy.special import ndtr

    graded = []
    for family in ("event", "friction", "repeat", "wait"):
        same = [finding for finding in tested if finding.family == family]
        unseen = _unseen_spread(same)
        for finding in same:
            # As strong an unseen cause as those that are seen would move the estimate once more by as much.
            effect = finding.effect - min(finding.shift, 0.0)
            spread = np.sqrt(finding.effect_error**2 + unseen**2)
            q_value = min(1.0, float(ndtr(effect / spread)) * max(len(tested), 1))
            value = _e_value(finding, 1.96 * spread)
            if q_value <= LEVEL * SHARE["exposure"] and finding.lost > NORMAL * finding.lost_error and value >= LEAST_E_VALUE:
                graded.append(replace(finding.graded("matched", q_value, value), standard_error=finding.standard_error))
    return _one_each(graded)


def _unseen_spread(findings: list[Finding]) -> float:
    """Return the spread of the effects of what is met beyond chance: most of it harms nobody (empirical calibration).

    References
    ----------
    Schuemie et al. (2014), "Interpreting observational studies: why empirical calibration is needed to correct
    p-values".
    """
    near = [finding for finding in findings if abs(finding.effect) < 1.0]
    if len(near) < 3:
        return 2 * UNSEEN_SPREAD
    beyond = np.array([finding.effect**2 - finding.effect_error**2 for finding in near])
    return float(np.sqrt(max(np.median(beyond) / 0.455, UNSEEN_SPREAD**2)))


def _e_value(finding: Finding, margin: float) -> float:
    expected = float(finding.expected.mean())
    odds = expected / (1 - expected) * np.exp(min(finding.effect + margin, 0.0))
    return e_value(odds / (1 + odds), expected)


def _one_each(findings: list[Finding]) -> list[Finding]:
    """Join findings that nearly the same persons met; keep the surest of slices of which one holds the other."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: one.effect / one.effect_error):
        for number, other in enumerate(kept):
            if other.kind != finding.kind:
                continue
            both = len(np.intersect1d(other.rows, finding.rows))
            union = len(other.rows) + len(finding.rows) - both
            if union and both / union >= BESIDE and other.subject != finding.subject:
                kept[number] = replace(other, subject=f"{other.subject}, {finding.subject}")
                break
            if finding.kind == "gap" and both > 0.5 * min(len(other.rows), len(finding.rows)):
                break
        else:
            kept.append(finding)
    return kept
