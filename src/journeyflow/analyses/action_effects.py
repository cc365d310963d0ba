"""Effects of dated actions: before and after, against what the other slices did in the same time."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from journeyflow.models.metadata import arrow_schema
from journeyflow.models.python_models import python_model
from journeyflow.statistics.proportions import CRITICAL, Floats
from journeyflow.utils.formatting import count, label, percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from journeyflow.engines import Engine

_ACTIONS = """
    select actions.action, actions.action_index, actions.dimension, actions.slice, actions.first_day, steps.funnel,
        steps.step, settings.min_count
    from config.actions
    inner join config.funnel_steps as steps
        on steps.funnel_index = actions.funnel_index and steps.step_index = actions.step_index
    cross join config.settings
    order by actions.action_index
"""
_CELLS = """
    select action_index, slice, side, entered_count, reached_count, went_on_count from analyses.action_cells
    order by action_index, slice, side
"""
BEFORE = ("earlier", "later")


class Change(NamedTuple):
    """Units at the step before, and those that took the step, before and after."""

    before: int
    before_went_on: int
    after: int
    after_went_on: int

    @property
    def is_known(self) -> bool:
        """Whether there is somebody on both sides."""
        return self.before > 0 and self.after > 0

    @property
    def rate(self) -> float:
        """Change of the rate."""
        return self.after_went_on / self.after - self.before_went_on / self.before

    @property
    def variance(self) -> float:
        """Of the change; half a unit is added to both outcomes, or a rate of 0 or 1 would have no error (Jeffreys)."""
        rates = ((self.before_went_on, self.before), (self.after_went_on, self.after))
        return sum((hits + 0.5) * (size - hits + 0.5) / (size + 1) ** 2 / size for hits, size in rates)


class Effect(NamedTuple):
    """Change of a slice less that of the others, with its standard error."""

    effect: float
    error: float
    others_change: float | None

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the 95 % interval."""
        return self.effect - CRITICAL * self.error, self.effect + CRITICAL * self.error


def difference_in_differences(own: Change, others: Iterable[Change]) -> Effect | None:
    """Return the change of a slice less the mean change of the others; None where it is not known.

    The others do not move alike: the variance of their changes beyond chance is that of the slice's own as well, and
    widens the interval. Without others the effect is the change.

    References
    ----------
    DerSimonian and Laird (1986), "Meta-analysis in clinical trials", for the variance between slices.

    Examples
    --------
    >>> effect = difference_in_differences(Change(100, 50, 100, 70), [Change(400, 200, 400, 220)])
    >>> round(effect.effect, 3), [round(end, 3) for end in effect.interval]
    (0.15, [-0.0, 0.3])
    """
    if not own.is_known:
        return None
    known = [other for other in others if other.is_known]
    if not known:
        return Effect(own.rate, own.variance**0.5, None)
    changes, variances = (np.array([getattr(each, name) for each in known]) for name in ("rate", "variance"))
    between = _between(changes, variances)
    weights = 1 / (variances + between)
    mean = float(changes @ weights / weights.sum())
    return Effect(own.rate - mean, float(own.variance + between + 1 / weights.sum()) ** 0.5, mean)


def _between(changes: Floats, variances: Floats) -> float:
    """Return by how much changes vary beyond chance."""
    weights = 1 / variances
    beyond = float(weights @ (changes - changes @ weights / weights.sum()) ** 2) - (len(changes) - 1)
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(beyond / scale, 0.0) if scale > 0 else 0.0


@python_model("analyses.action_effects")
def action_effects(engine: Engine) -> pa.Table:
    """Return the effect of every action.

    References
    ----------
    `docs/adr/0039-effects-of-actions.md`.
    """
    actions = engine.rows(_ACTIONS).to_pylist()
    cells: dict[int, dict[str, Counter[tuple[str, str]]]] = defaultdict(lambda: defaultdict(Counter))
    for row in engine.rows(_CELLS).to_pylist() if actions else []:
        for name in ("entered", "reached", "went_on"):
            cells[row["action_index"]][row["slice"]][row["side"], name] += row[f"{name}_count"]
    rows = [_row(action, cells[action["action_index"]]) for action in actions]
    return pa.Table.from_pylist(rows, schema=arrow_schema("analyses.action_effects"))


def _row(action: dict[str, Any], slices: dict[str, Counter[tuple[str, str]]]) -> dict[str, Any]:
    treated = action["slice"] or "all"
    own = slices[treated]
    others = [cell for name, cell in slices.items() if name != treated]
    change = _change(own, BEFORE, ("after",))
    found = difference_in_differences(change, (_change(each, BEFORE, ("after",)) for each in others))
    halves = difference_in_differences(
        _change(own, BEFORE[:1], BEFORE[1:]), (_change(each, BEFORE[:1], BEFORE[1:]) for each in others)
    )
    is_small = min(change.before, change.after) < action["min_count"]
    row = {
        "action": action["action"],
        "before_count": change.before, "before_went_on_count": change.before_went_on,
        "after_count": change.after, "after_went_on_count": change.after_went_on,
        "pending_count": own["pending", "entered"], "ramp_count": own["ramp", "entered"],
        "others_count": sum(each[side, "reached"] for each in others for side in (*BEFORE, "after")),
        "others_change": found and found.others_change, "effect": found and found.effect,
        "placebo_effect": halves and halves.effect, "grade": _grade(found, halves), "is_small": is_small,
    }  # fmt: skip
    if found and not is_small:
        row |= dict(zip(("effect_low", "effect_high"), found.interval, strict=True))
    return row | {"headline": _headline(action, change, row)}


def _change(cell: Counter[tuple[str, str]], before: tuple[str, ...], after: tuple[str, ...]) -> Change:
    sums = [sum(cell[side, name] for side in sides) for sides in (before, after) for name in ("reached", "went_on")]
    return Change(*sums)


def _grade(found: Effect | None, halves: Effect | None) -> str:
    if found is None:
        return "too_early"
    if found.others_change is None:
        return "before_after"
    is_trending = halves is not None and not halves.interval[0] <= 0 <= halves.interval[1]
    return "trending" if is_trending else "compared"


def _headline(action: dict[str, Any], change: Change, row: dict[str, Any]) -> str:
    whose = f" for {action['dimension']}={action['slice']}" if action["slice"] else ""
    start = f"{action['action']} since {action['first_day']}, {label(action['step'])} of {action['funnel']}{whose}: "
    if row["effect"] is None:
        return f"{start}no units whose window is over before and after; {count(row['pending_count'])} pending."
    rates = [percent(change.before_went_on / change.before), percent(change.after_went_on / change.after)]
    text = f"{start}{rates[0]} of {count(change.before)} before, {rates[1]} of {count(change.after)} since"
    if row["others_change"] is not None:
        text += f"; others {_points(row['others_change'])}"
    ends = ""
    if "effect_low" in row:
        ends = f" ({_points(row['effect_low'])} to {_points(row['effect_high'])})"
    doubts = {
        "before_after": "; there are no others to compare with",
        "trending": "; they moved apart before it already",
    }
    text += f"; effect {_points(row['effect'])} points{ends}{doubts.get(row['grade'], '')}"
    return f"{text}; {count(row['pending_count'])} pending."


def _points(change: float) -> str:
    return f"{100 * change:+.1f}"
