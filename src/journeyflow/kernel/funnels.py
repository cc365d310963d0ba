"""Configured funnels and stage funnels over units, as rows of `kernel.funnel_*`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel import attempts as judged
from journeyflow.kernel import stage_funnels
from journeyflow.kernel.chains import NEVER
from journeyflow.kernel.leaving import leave_steps
from journeyflow.kernel.plan import Funnel, KernelPlan, StageFunnel, Step
from journeyflow.kernel.schemas import table
from journeyflow.kernel.units import Units

Tables = dict[str, pa.Table]
_ORDERS = {"ordered": judged.ORDERED, "strict": judged.STRICT, "any_order": judged.ANY_ORDER}


def run_funnel(units: Units, funnel: Funnel, plan: KernelPlan) -> Tables:
    """Return the rows of `kernel.funnel_units`, `funnel_reaches` and `funnel_days` of a configured funnel."""
    stage = units.stage[funnel.model_index - 1] if funnel.model_index else np.zeros(len(units.at), np.int16)
    mask = _bits([step.when for step in funnel.steps], stage, units.kind)
    excluded = _bits([exclusion.when for exclusion in funnel.exclusions], stage, units.kind)
    found, reached, days = judged.judge_units(
        units.start,
        units.at,
        units.rank,
        mask,
        excluded,
        _spec(funnel, plan),
        np.array([NEVER if step.within_us is None else step.within_us for step in funnel.steps], np.int64),
        _exclusions(funnel),
        plan.day_start_us,
    )
    unit, opener = found[:, judged.UNIT], found[:, judged.OPENER]
    depth, closes = found[:, judged.A_DEPTH], found[:, judged.A_CLOSES]
    counted = _attempts(units, funnel.funnel_index, unit, opener, depth, closes, funnel.window_us, plan)
    counted |= {
        "is_pending": found[:, judged.A_PENDING],
        "is_tie_decided": found[:, judged.A_TIE],
        "is_in_order": _nulls(len(found)),
    }
    reached_at = np.maximum.accumulate(units.at[reached], axis=1)
    last, after = leave_steps(
        units.start, units.at, unit, reached, depth, closes, found[:, judged.A_CLOSED_BY], units.following, units.session_last
    )
    following = np.concatenate([reached_at[:, 1:], reached_at[:, :1]], axis=1)
    is_last = np.arange(reached.shape[1]) + 1 >= depth[:, None]
    reaches = _reaches(units, funnel.funnel_index, counted["attempt_ix"], depth, reached, reached_at, last, after)
    reaches |= {
        "is_visited": np.ones_like(reached, np.bool_),
        "visited_at": reached_at,
        "next_at": (following, is_last),
    }
    day_unit, day_opener = days[:, judged.DAY_UNIT], days[:, judged.DAY_OPENER]
    best_of_day = _days(units, funnel.funnel_index, day_unit, day_opener, days[:, judged.DAY_DEPTH], funnel.window_us, plan)
    best_of_day["is_pending"] = days[:, judged.DAY_PENDING]
    return _tables(counted, _flat(reaches, depth), best_of_day)


def run_stage_funnel(
    units: Units,
    journey_start: npt.NDArray[np.int64],
    journey_person: npt.NDArray[np.int32],
    funnel: StageFunnel,
    plan: KernelPlan,
) -> Tables:
    """Return the rows of the stage funnel of a model; `units` are persons, whose journeys have the places given."""
    stages = plan.model(funnel.model_index).stage_count
    best, places, days = stage_funnels.read_persons(
        journey_start,
        journey_person,
        units.at,
        units.rank,
        units.stage[funnel.model_index - 1],
        stages,
        funnel.window_us,
        plan.high_water_us,
        plan.day_start_us,
    )
    person, opener = best[:, stage_funnels.PERSON], journey_start[best[:, stage_funnels.JOURNEY]]
    depth = best[:, stage_funnels.DEPTH]
    first, visited, beyond = places[:, 0], places[:, 1], places[:, 2]
    is_done = depth == stages
    closes = units.at[opener] + funnel.window_us
    if len(depth):
        closes = np.where(is_done, units.at[first[np.arange(len(depth)), depth - 1]], closes)
    counted = _attempts(units, funnel.funnel_index, person, opener, depth, closes, funnel.window_us, plan)
    counted |= {
        "is_pending": best[:, stage_funnels.PENDING],
        "is_tie_decided": np.zeros(len(best)),
        "is_in_order": best[:, stage_funnels.IN_ORDER],
    }
    never_closed = np.full(len(best), -1, np.int64)
    last, after = leave_steps(
        units.start, units.at, person, first, depth, closes, never_closed, units.following, units.session_last
    )
    reaches = _reaches(units, funnel.funnel_index, counted["attempt_ix"], depth, first, units.at[first], last, after)
    reaches |= {
        "is_visited": visited >= 0,
        "visited_at": (units.at[visited], visited < 0),
        "next_at": (units.at[beyond], beyond < 0),
    }
    day_opener = journey_start[days[:, stage_funnels.JOURNEY]]
    day_person, day_depth = days[:, stage_funnels.PERSON], days[:, stage_funnels.DEPTH]
    best_of_day = _days(units, funnel.funnel_index, day_person, day_opener, day_depth, funnel.window_us, plan)
    best_of_day["is_pending"] = days[:, stage_funnels.PENDING]
    return _tables(counted, _flat(reaches, depth), best_of_day)


def _spec(funnel: Funnel, plan: KernelPlan) -> npt.NDArray[np.int64]:
    overlaps = sum(np.asarray(_broadcast(funnel.steps), np.int64))
    spec = np.zeros(10, np.int64)
    spec[judged.STEPS] = len(funnel.steps)
    spec[judged.WINDOW] = funnel.window_us
    spec[judged.ORDER] = _ORDERS[funnel.order]
    spec[judged.LATER] = funnel.is_strictly_later
    spec[judged.GRACE] = funnel.grace_us
    spec[judged.HIGH_WATER] = plan.high_water_us
    spec[judged.ENTERED_FROM] = -NEVER if funnel.entered_from_us is None else funnel.entered_from_us
    spec[judged.ENTERED_TO] = NEVER if funnel.entered_to_us is None else funnel.entered_to_us
    spec[judged.ATTEMPTS] = funnel.is_attempts
    spec[judged.DISJOINT] = int(np.max(overlaps, initial=0) <= 1)
    return spec


def _broadcast(steps: tuple[Step, ...]) -> list[npt.NDArray[np.bool_]]:
    return list(np.broadcast_arrays(*(step.when for step in steps)))


def _exclusions(funnel: Funnel) -> npt.NDArray[np.int64]:
    rows = [(e.from_step - 1, e.to_step - 1, int(e.is_void)) for e in funnel.exclusions]
    return np.array(rows, np.int64).reshape(len(rows), 3)


def _bits(
    conditions: list[npt.NDArray[np.bool_]], stage: npt.NDArray[np.int16], kind: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Return for each event one bit a condition that holds for its stage and kind."""
    if not conditions:
        return np.zeros(1, np.int64) if len(kind) == 0 else np.zeros(len(kind), np.int64)
    held = sum(when.astype(np.int64) << bit for bit, when in enumerate(conditions))
    bits: npt.NDArray[np.int64] = np.asarray(held)
    return bits[stage, kind] if bits.shape[0] > 1 else bits[0][kind]


def _day(at: npt.NDArray[np.int64], plan: KernelPlan) -> npt.NDArray[np.int32]:
    return plan.day_date[np.searchsorted(plan.day_start_us, at, side="right") - 1]


def _attempts(
    units: Units,
    funnel_index: int,
    unit: npt.NDArray[np.int64],
    opener: npt.NDArray[np.int64],
    depth: npt.NDArray[np.int64],
    closes: npt.NDArray[np.int64],
    window_us: int,
    plan: KernelPlan,
) -> dict[str, Any]:
    entered = units.at[opener]
    return {
        "funnel_index": np.full(len(opener), funnel_index),
        "attempt_ix": units.position[opener],
        "unit_key": units.unit_key[unit],
        "person_key": units.person_key[opener],
        "journey_index": units.journey_index[opener],
        "entered_at": entered,
        "entry_day": _day(entered, plan),
        "depth": depth,
        "closes_at": closes,
        "is_matured": entered + window_us <= plan.high_water_us,
    }


def _days(
    units: Units,
    funnel_index: int,
    unit: npt.NDArray[np.int64],
    opener: npt.NDArray[np.int64],
    depth: npt.NDArray[np.int64],
    window_us: int,
    plan: KernelPlan,
) -> dict[str, Any]:
    attempts = _attempts(units, funnel_index, unit, opener, depth, opener, window_us, plan)
    return {name: values for name, values in attempts.items() if name not in ("attempt_ix", "entered_at", "closes_at")}


def _reaches(
    units: Units,
    funnel_index: int,
    attempt_ix: npt.NDArray[np.int64],
    depth: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    reached_at: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    after: npt.NDArray[np.int64],
) -> dict[str, Any]:
    steps = places.shape[1]
    return {
        "funnel_index": np.full(places.shape, funnel_index),
        "attempt_ix": np.repeat(attempt_ix[:, None], steps, axis=1),
        "step_index": np.broadcast_to(np.arange(1, steps + 1), places.shape),
        "reached_at": reached_at,
        "event_ix": units.event_ix[places],
        "last_kind_ix": units.kind[last],
        "last_at": units.at[last],
        "next_kind_ix": (units.kind[after], after < 0),
    }


def _flat(columns: dict[str, Any], depth: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Keep the steps that were reached, as rows."""
    width = columns["step_index"].shape[1]
    is_reached = np.arange(width) < depth[:, None]
    return {
        name: tuple(part[is_reached] for part in values) if isinstance(values, tuple) else values[is_reached]
        for name, values in columns.items()
    }


def _nulls(count: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    return np.zeros(count, np.bool_), np.ones(count, np.bool_)


def _tables(counted: dict[str, Any], reaches: dict[str, Any], days: dict[str, Any]) -> Tables:
    named = {"kernel.funnel_units": counted, "kernel.funnel_reaches": reaches, "kernel.funnel_days": days}
    return {name: table(name, columns) for name, columns in named.items()}
