"""Funnels over units, as rows of `kernel.funnel_*`."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel import funnel_attempts as judged
from journeyflow.kernel import stages
from journeyflow.kernel.events import Units
from journeyflow.kernel.exits import leave_steps
from journeyflow.kernel.jit import NEVER, EventColumns, FunnelSettings, Int16s, Int32s, Int64s, workspace_for
from journeyflow.kernel.plan import Bools, FunnelPlan, KernelPlan, StageFunnelPlan, StepPlan
from journeyflow.kernel.schemas import table
from journeyflow.kernel.stages import look_up

Tables = dict[str, pa.Table]
Integer = TypeVar("Integer", bound=np.signedinteger[Any])


def evaluate_funnel(
    start: Int64s, at: Int64s, rank: Int32s, kind: Int32s, stage: Int16s | None, funnel: FunnelPlan, plan: KernelPlan
) -> tuple[Int64s, Int64s, Int64s]:
    """Judge every attempt of every unit.

    Parameters
    ----------
    start, at, rank, kind : array
        Where units start, and by place the time, rank and kind of the events.
    stage : array or None
        The stage of the events, for a funnel whose steps read stages.
    funnel : Funnel
    plan : KernelPlan

    Returns
    -------
    tuple of array
        The counted attempts, the places of their steps, the best attempts of days; see `loops.attempts.judge_units`.
    """
    mask = _bits([step.when for step in funnel.steps], stage, kind, np.int32)
    excluded = _bits([exclusion.when for exclusion in funnel.exclusions], stage, kind, np.int64)
    log = EventColumns(start, at, rank, mask, excluded)
    return judged.evaluate_units(
        log, _settings(funnel, plan), workspace_for(len(at), len(funnel.steps)), plan.day_start_us
    )


def run_funnel(units: Units, funnel: FunnelPlan, plan: KernelPlan) -> Tables:
    """Return the rows of `kernel.funnel_units`, `funnel_reaches` and `funnel_days` of a configured funnel."""
    stage = units.stage[funnel.model_index - 1] if funnel.model_index else None
    found, reached, days = evaluate_funnel(units.start, units.at, units.rank, units.kind, stage, funnel, plan)
    found, days = _by_column(found), _by_column(days)
    unit, opener = found[judged.UNIT], found[judged.OPENER]
    depth, closes = found[judged.DEPTH], found[judged.CLOSES_AT]
    counted = _attempts(units, funnel.funnel_index, unit, opener, depth, closes, funnel.window_us, plan)
    counted |= {
        "is_pending": found[judged.PENDING],
        "is_tie_decided": found[judged.TIE],
        "is_in_order": _nulls(len(unit)),
    }
    reached_at = np.maximum.accumulate(units.at[reached], axis=1)
    last, after = leave_steps(
        units.start,
        units.at,
        unit,
        reached,
        depth,
        closes,
        found[judged.CLOSED_BY],
        units.following,
        units.session_last,
    )
    following = np.concatenate([reached_at[:, 1:], reached_at[:, :1]], axis=1)
    is_last = np.arange(reached.shape[1]) + 1 >= depth[:, None]
    next_kind = _next_kind(units, reached, after, is_last, closes, found[judged.CLOSED_BY])
    reaches = _reaches(units, funnel.funnel_index, counted["attempt_ix"], depth, reached, reached_at, last, next_kind)
    reaches |= {
        "is_visited": np.ones_like(reached, np.bool_),
        "visited_at": reached_at,
        "next_at": (following, is_last),
    }
    day_unit, day_opener = days[judged.DAY_UNIT], days[judged.DAY_OPENER]
    best_of_day = _days(
        units, funnel.funnel_index, day_unit, day_opener, days[judged.DAY_DEPTH], funnel.window_us, plan
    )
    best_of_day |= _pending(days[judged.DAY_UNTIL])
    return _tables(counted, _flat(reaches, depth), best_of_day)


def run_stage_funnel(
    units: Units,
    journey_start: Int64s,
    journey_person: Int32s,
    funnel: StageFunnelPlan,
    plan: KernelPlan,
) -> Tables:
    """Return the rows of the stage funnel of a model; `units` are persons, whose journeys have the places given."""
    stage_count = plan.model(funnel.model_index).stage_count
    best, places, days = stages.read_persons(
        journey_start,
        journey_person,
        units.at,
        units.rank,
        units.stage[funnel.model_index - 1],
        stage_count,
        funnel.window_us,
        plan.high_water_us,
        plan.day_start_us,
    )
    best, days = _by_column(best), _by_column(days)
    person, opener = best[stages.PERSON], journey_start[best[stages.JOURNEY]]
    depth = best[stages.DEPTH]
    first, visited, beyond = (np.ascontiguousarray(places[:, each]) for each in range(3))
    is_done = depth == stage_count
    closes = units.at[opener] + funnel.window_us
    if len(depth):
        closes = np.where(is_done, units.at[first[np.arange(len(depth)), depth - 1]], closes)
    counted = _attempts(units, funnel.funnel_index, person, opener, depth, closes, funnel.window_us, plan)
    counted |= {
        "is_pending": best[stages.PENDING],
        "is_tie_decided": np.zeros(len(depth)),
        "is_in_order": best[stages.IN_ORDER],
    }
    never_closed = np.full(len(depth), -1, np.int64)
    last, after = leave_steps(
        units.start, units.at, person, first, depth, closes, never_closed, units.following, units.session_last
    )
    next_kind = units.kind[after], after < 0
    reaches = _reaches(
        units, funnel.funnel_index, counted["attempt_ix"], depth, first, units.at[first], last, next_kind
    )
    reaches |= {
        "is_visited": visited >= 0,
        "visited_at": (units.at[visited], visited < 0),
        "next_at": (units.at[beyond], beyond < 0),
    }
    day_opener = journey_start[days[stages.JOURNEY]]
    day_person, day_depth = days[stages.PERSON], days[stages.DEPTH]
    best_of_day = _days(units, funnel.funnel_index, day_person, day_opener, day_depth, funnel.window_us, plan)
    best_of_day |= _pending(np.where(days[stages.PENDING], units.at[day_opener] + funnel.window_us, 0))
    return _tables(counted, _flat(reaches, depth), best_of_day)


def _by_column(rows: Int64s) -> Int64s:
    """Return rows turned into contiguous columns: loops are compiled for such arrays."""
    return np.ascontiguousarray(rows.T)


def _settings(funnel: FunnelPlan, plan: KernelPlan) -> FunnelSettings:
    matching = sum(np.asarray(_broadcast(funnel.steps), np.int64))
    withins = [NEVER if step.within_us is None else step.within_us for step in funnel.steps]
    exclusions = [(each.from_step - 1, each.to_step - 1, int(each.is_void)) for each in funnel.exclusions]
    is_plain = funnel.order != "any_order" and not funnel.grace_us and min(withins[2:], default=NEVER) == NEVER
    return FunnelSettings(
        steps=len(funnel.steps),
        window=funnel.window_us,
        is_strict=int(funnel.order == "strict"),
        is_any_order=int(funnel.order == "any_order"),
        is_later=int(funnel.is_strictly_later),
        grace=funnel.grace_us,
        is_disjoint=int(np.max(matching, initial=0) <= 1),
        is_plain=int(is_plain),
        is_attempts=int(funnel.is_attempts),
        high_water=plan.high_water_us,
        to_second=withins[1],
        opening=(1 << len(funnel.steps)) - 1 if funnel.order == "any_order" else 1,
        entered_from=-NEVER if funnel.entered_from_us is None else funnel.entered_from_us,
        entered_to=NEVER if funnel.entered_to_us is None else funnel.entered_to_us,
        within=np.array(withins, np.int64),
        exclusions=np.array(exclusions, np.int64).reshape(len(exclusions), 3),
    )


def _broadcast(steps: tuple[StepPlan, ...]) -> list[npt.NDArray[np.bool_]]:
    return list(np.broadcast_arrays(*(step.when for step in steps)))


def _bits(conditions: list[Bools], stage: Int16s | None, kind: Int32s, dtype: type[Integer]) -> npt.NDArray[Integer]:
    """Return for each event one bit a condition that holds for its stage and kind; nothing without conditions."""
    if not conditions:
        return np.zeros(0, dtype)
    bits = np.asarray(sum(when.astype(dtype) << bit for bit, when in enumerate(conditions)), dtype)
    return look_up(bits, np.zeros(0, np.int16) if stage is None or len(bits) == 1 else stage, kind)


def _day(at: Int64s, plan: KernelPlan) -> Int32s:
    return plan.day_date[np.searchsorted(plan.day_start_us, at, side="right") - 1]


def _attempts(
    units: Units,
    funnel_index: int,
    unit: Int64s,
    opener: Int64s,
    depth: Int64s,
    closes: Int64s,
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
    unit: Int64s,
    opener: Int64s,
    depth: Int64s,
    window_us: int,
    plan: KernelPlan,
) -> dict[str, Any]:
    attempts = _attempts(units, funnel_index, unit, opener, depth, opener, window_us, plan)
    return {name: values for name, values in attempts.items() if name not in ("attempt_ix", "closes_at")}


def _pending(until: Int64s) -> dict[str, Any]:
    """Return whether attempts may still go on, and until when; 0 says that they may not."""
    return {"is_pending": until > 0, "pending_until": (until, until == 0)}


def _reaches(
    units: Units,
    funnel_index: int,
    attempt_ix: Int64s,
    depth: Int64s,
    places: Int64s,
    reached_at: Int64s,
    last: Int64s,
    next_kind: tuple[Int32s, Bools],
) -> dict[str, Any]:
    steps = places.shape[1]
    return {
        "funnel_index": np.full(places.shape, funnel_index),
        "attempt_ix": np.repeat(attempt_ix[:, None], steps, axis=1),
        "step_index": np.broadcast_to(np.arange(1, steps + 1), places.shape),
        "reached_at": reached_at,
        "event_ix": units.event_ix[places],
        "last_event_type_ix": units.kind[last],
        "last_at": units.at[last],
        "next_event_type_ix": next_kind,
    }


def _next_kind(
    units: Units, reached: Int64s, after: Int64s, is_last: Bools, closes: Int64s, closed_by: Int64s
) -> tuple[Int32s, Bools]:
    """Return the kind of the next action of each step, and where there is none.

    A session holds nothing after itself, so the next action of a session is its person's. Who went on did so inside.
    """
    if units.then_kind is None or units.then_at is None:
        return units.kind[after], after < 0
    kind = units.then_kind[reached]
    is_closed = (units.then_at[reached] > closes[:, None]) | (closed_by[:, None] >= 0)
    return kind, ~is_last | is_closed | (kind < 0)


def _flat(columns: dict[str, Any], depth: Int64s) -> dict[str, Any]:
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
