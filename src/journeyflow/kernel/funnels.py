"""Funnels over units, as rows of `kernel.funnel_*`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from journeyflow.kernel.events import Units, table
from journeyflow.kernel.funnel_attempts import CLOSED_BY, DAY_OPENER, OPENER, evaluate_units
from journeyflow.kernel.funnel_chains import EventColumns, new_workspace
from journeyflow.kernel.jit import Bools, Int16s, Int32s, Int64s, compiled
from journeyflow.kernel.plan import CompiledFunnel, KernelPlan, StageFunnelPlan
from journeyflow.kernel.sessions import find_exits, prefer_staged
from journeyflow.kernel.stages import BEYOND, FIRST, VISITED, furthest_journeys

Tables = dict[str, pa.Table]


@compiled
def matching_events(events: EventColumns, bits: Int32s, stage: Int16s, is_strict: bool) -> tuple[EventColumns, Int64s]:
    """Return the events that match a step or are excluded (all when strict), and the place of each (and -1 at the end).

    `mask` holds event types, which become cells of `bits` by stage and event type; without stages the first row.
    """
    start, at, rank, event_type, excluded = events
    kept = EventColumns(
        np.empty(len(start), np.int64),
        np.empty(len(at), np.int64),
        np.empty(len(at), np.int32),
        np.empty(len(at), np.int32),
        np.empty(len(excluded), np.int64),
    )
    kept_start, kept_at, kept_rank, mask, kept_excluded = kept
    place = np.empty(len(at) + 1, np.int64)
    row = bits[0]
    count = 0
    # Written before it is known to be kept: a branch would be mispredicted at every other event.
    for unit in range(len(start) - 1):
        kept_start[unit] = count
        for each in range(start[unit], start[unit + 1]):
            found = bits[stage[each], event_type[each]] if len(stage) else row[event_type[each]]
            is_kept = is_strict | (found != 0)
            if len(excluded):
                kept_excluded[count] = excluded[each]
                is_kept = is_kept | (excluded[each] != 0)
            place[count], kept_at[count], kept_rank[count], mask[count] = each, at[each], rank[each], found
            count += 1 if is_kept else 0
    kept_start[len(start) - 1] = count
    place[count] = -1
    room = min(count, len(excluded))
    return EventColumns(kept_start, kept_at[:count], kept_rank[:count], mask[:count], kept_excluded[:room]), place[
        : count + 1
    ]


def evaluate_funnel(
    start: Int64s, at: Int64s, rank: Int32s, event_type: Int32s, stage: Int16s | None, funnel: CompiledFunnel,
    day_start_us: Int64s,
) -> tuple[Int64s, Int64s, Int64s, Int64s]:  # fmt: skip
    """Return the attempts that count and the places of their steps, and both of the best attempts of days.

    Units start at the places `start`, the other arrays are by place; see `funnel_attempts.evaluate_units`.
    """
    settings, bits = funnel.settings, funnel.exclusion_bits
    excluded = np.zeros(0, np.int64)
    if len(settings.exclusions):
        excluded = bits[0 if len(bits) == 1 else stage, event_type]
    read = np.zeros(0, np.int16) if stage is None or len(funnel.step_bits) == 1 else stage
    events, place = matching_events(
        EventColumns(start, at, rank, event_type, excluded), funnel.step_bits, read, settings.is_strict == 1
    )
    counted, reached, days, day_reached = evaluate_units(
        events, settings, new_workspace(len(events.at), settings.steps), day_start_us
    )
    for rows, columns in ((counted, (OPENER, CLOSED_BY)), (days, (DAY_OPENER,))):
        for column in columns:
            rows[:, column] = place[rows[:, column]]
    return counted, place[reached], days, place[day_reached]


def run_funnel(units: Units, funnel: CompiledFunnel, plan: KernelPlan) -> Tables:
    """Return the rows of `kernel.funnel_*` of a configured funnel."""
    settings = funnel.settings
    stage = units.stage[funnel.model_index - 1] if funnel.model_index else None
    found, reached, days, day_reached = evaluate_funnel(
        units.start, units.at, units.rank, units.event_type, stage, funnel, plan.day_start_us
    )
    unit, opener, depth, closes, closed_by, is_tie_decided = _columns(found)
    counted = _attempts(units, funnel.funnel_index, unit, opener, depth, settings.window, plan)
    unknown = np.ones(len(unit), np.bool_)
    counted |= {
        "closes_at": closes,
        "is_pending": (depth < settings.steps) & (closed_by < 0) & (closes > plan.high_water_us),
        "is_tie_decided": is_tie_decided,
        "is_in_order": (np.zeros(len(unit), np.bool_), unknown),
        "order_pair_count": (np.zeros(len(unit), np.int32), unknown),
        "tied_pair_count": (np.zeros(len(unit), np.int32), unknown),
    }
    reached_at = np.maximum.accumulate(units.at[reached], axis=1)
    last, after = find_exits(
        units.start, units.at, unit, reached, depth, closes, closed_by, units.following, units.session_last
    )
    following = np.concatenate([reached_at[:, 1:], reached_at[:, :1]], axis=1)
    is_last = np.arange(reached.shape[1]) + 1 >= depth[:, None]
    next_event_type = _next_event_type(units, reached, after, is_last, closes, closed_by)
    reaches = _reaches(units, counted, reached, reached_at, last, next_event_type)
    reaches |= {
        "is_visited": np.ones_like(reached, np.bool_),
        "visited_at": reached_at,
        "next_at": (following, is_last),
    }
    day_unit, day_opener, day_depth, day_closes, is_open = _columns(days)
    best_of_day = _attempts(units, funnel.funnel_index, day_unit, day_opener, day_depth, settings.window, plan)
    best_of_day |= {"closes_at": day_closes, "is_pending": (is_open == 1) & (day_closes > plan.high_water_us)}
    day_steps = _day_steps(best_of_day, np.maximum.accumulate(units.at[day_reached], axis=1))
    return _tables(counted, _flat(reaches, depth), best_of_day, day_steps)


def run_stage_funnel(
    units: Units, journey_start: Int64s, journey_person: Int32s, funnel: StageFunnelPlan, plan: KernelPlan
) -> Tables:
    """Return the rows of the stage funnel of a model; `units` are persons, whose journeys have the places given."""
    index, window = funnel.funnel_index, funnel.window_us
    stage_count = plan.model(funnel.model_index).stage_count
    best, places, days, day_reached = furthest_journeys(
        journey_start, journey_person, units.at, units.rank, units.stage[funnel.model_index - 1], stage_count, window,
        plan.day_start_us,
    )  # fmt: skip
    person, journey, depth, is_in_order, pair_count, tied_pair_count = _columns(best)
    opener = journey_start[journey]
    first, visited, beyond = (np.ascontiguousarray(places[:, each]) for each in (FIRST, VISITED, BEYOND))
    is_done = depth == stage_count
    closes = units.at[opener] + window
    is_pending = ~is_done & (closes > plan.high_water_us)
    if len(depth):
        closes = np.where(is_done, units.at[first[np.arange(len(depth)), depth - 1]], closes)
    counted = _attempts(units, index, person, opener, depth, window, plan)
    counted |= {
        "closes_at": closes,
        "is_pending": is_pending,
        "is_tie_decided": np.zeros(len(depth)),
        "is_in_order": is_in_order,
        "order_pair_count": pair_count,
        "tied_pair_count": tied_pair_count,
    }
    never_closed = np.full(len(depth), -1, np.int64)
    last, after = find_exits(
        units.start, units.at, person, first, depth, closes, never_closed, units.following, units.session_last
    )
    prefer_staged(last, first, depth, units.rank, units.session, units.stage[funnel.model_index - 1])
    reaches = _reaches(units, counted, first, units.at[first], last, (units.event_type[after], after < 0))
    reaches |= {
        "is_visited": visited >= 0,
        "visited_at": (units.at[visited], visited < 0),
        "next_at": (units.at[beyond], beyond < 0),
    }
    day_person, day_journey, day_depth = _columns(days)[:3]
    day_opener = journey_start[day_journey]
    is_open = day_depth < stage_count
    day_closes = np.where(is_open, units.at[day_opener] + window, units.at[day_reached[:, -1]])
    best_of_day = _attempts(units, index, day_person, day_opener, day_depth, window, plan)
    best_of_day |= {"closes_at": day_closes, "is_pending": is_open & (day_closes > plan.high_water_us)}
    day_steps = _day_steps(best_of_day, units.at[day_reached])
    return _tables(counted, _flat(reaches, depth), best_of_day, day_steps)


def _columns(rows: Int64s) -> Int64s:
    """Return rows as contiguous columns: compiled functions are compiled for such arrays."""
    return np.ascontiguousarray(rows.T)


def _attempts(
    units: Units, funnel_index: int, unit: Int64s, opener: Int64s, depth: Int64s, window_us: int, plan: KernelPlan
) -> dict[str, Any]:
    entered = units.at[opener]
    return {
        "funnel_index": np.full(len(opener), funnel_index),
        "attempt_ix": units.position[opener],
        "unit_key": units.unit_key[unit],
        "person_key": units.person_key[opener],
        "journey_index": units.journey_index[opener],
        "entered_at": entered,
        "entry_day": plan.day_date[plan.day(entered)],
        "depth": depth,
        "is_matured": entered + window_us <= plan.high_water_us,
    }


def _reaches(
    units: Units, attempts: dict[str, Any], places: Int64s, reached_at: Int64s, last: Int64s,
    next_event_type: tuple[Int32s, Bools],
) -> dict[str, Any]:  # fmt: skip
    steps = np.arange(1, places.shape[1] + 1)
    return {
        "funnel_index": np.broadcast_to(attempts["funnel_index"][:, None], places.shape),
        "attempt_ix": np.broadcast_to(attempts["attempt_ix"][:, None], places.shape),
        "step_index": np.broadcast_to(steps, places.shape),
        "reached_at": reached_at,
        "event_ix": units.event_ix[places],
        "last_event_type_ix": units.event_type[last],
        "last_at": units.at[last],
        "next_event_type_ix": next_event_type,
    }


def _next_event_type(
    units: Units, reached: Int64s, after: Int64s, is_last: Bools, closes: Int64s, closed_by: Int64s
) -> tuple[Int32s, Bools]:
    """Return the event type of the next action of each step, and where there is none.

    A session contains nothing after itself, so the next action of its last step is its person's.
    """
    if units.then_event_type is None or units.then_at is None:
        return units.event_type[after], after < 0
    event_type = units.then_event_type[reached]
    is_closed = (units.then_at[reached] > closes[:, None]) | (closed_by[:, None] >= 0)
    return event_type, ~is_last | is_closed | (event_type < 0)


def _day_steps(days: dict[str, Any], reached_at: Int64s) -> dict[str, Any]:
    """Return the steps after the first of attempts of days, as rows; `reached_at` is by attempt and step."""
    steps = np.arange(1, reached_at.shape[1] + 1)
    is_later = (steps > 1) & (steps <= days["depth"][:, None])
    row, column = np.nonzero(is_later)
    keys = ("funnel_index", "unit_key", "person_key", "entry_day")
    return {name: days[name][row] for name in keys} | {
        "step_index": steps[column],
        "reached_at": reached_at[row, column],
    }


def _flat(columns: dict[str, Any], depth: Int64s) -> dict[str, Any]:
    """Keep the steps that were reached, as rows."""
    width = columns["step_index"].shape[1]
    is_reached = np.arange(width) < depth[:, None]
    return {
        name: tuple(part[is_reached] for part in values) if isinstance(values, tuple) else values[is_reached]
        for name, values in columns.items()
    }


def _tables(
    counted: dict[str, Any], reaches: dict[str, Any], days: dict[str, Any], day_steps: dict[str, Any]
) -> Tables:
    named = {
        "kernel.funnel_units": counted, "kernel.funnel_reaches": reaches, "kernel.funnel_days": days,
        "kernel.funnel_day_steps": day_steps,
    }  # fmt: skip
    return {name: table(name, columns) for name, columns in named.items()}
