"""What holds for every log: sessions partition online events, order of input does not matter, counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.kernel.plan import KernelPlan, compile_funnel
from journeyflow.kernel.run import SUMMED, process_chunk
from support.examples import examples
from support.kernel_logs import EVENT_TYPES, U, arrays_of, funnels, logs, one_person_logs, plan_with, plans, rows_of

Rows = dict[str, list[dict[str, Any]]]


def found(log: list[dict[str, Any]], plan: KernelPlan) -> Rows:
    """Return all rows, each relation sorted."""
    tables = rows_of(process_chunk(arrays_of(log), plan), plan)
    # Counts over all persons of a chunk must be added up.
    return {name: sorted(rows, key=repr) for name, rows in tables.items() if name not in SUMMED}


@settings(max_examples=examples(100), deadline=None)
@given(log=logs(max_size=20), plan=plans())
def test_every_online_event_belongs_to_exactly_one_session(log, plan):
    rows = found(log, plan)
    offline = {row["event_ix"] for row in log if row["is_offline"]}
    assert sorted(row["event_ix"] for row in rows["kernel.events"]) == sorted(row["event_ix"] for row in log)
    assert {row["event_ix"] for row in rows["kernel.events"] if row["session_ix"] is None} == offline
    held = Counter(row["session_ix"] for row in rows["kernel.events"] if row["session_ix"] is not None)
    assert held == {row["session_ix"]: row["event_count"] for row in rows["kernel.sessions"]}


@settings(max_examples=examples(100), deadline=None)
@given(log=logs(max_size=20), plan=plans())
def test_gaps_split_sessions_and_nothing_else_does_but_a_cap_or_a_user(log, plan):
    session_of = {row["event_ix"]: row["session_ix"] for row in found(log, plan)["kernel.events"]}
    streams: dict[Any, list[dict[str, Any]]] = {}
    for row in log:
        if not row["is_offline"] and row["session_key"] is None:
            streams.setdefault((row["device_key"], row["device_key"] or row["person_key"]), []).append(row)
    for rows in streams.values():
        rows.sort(key=lambda row: (row["occurred_us"], row["sequence"] is None, row["sequence"] or 0, row["event_ix"]))
        started = rows[0]["occurred_us"]
        for before, after in pairwise(rows):
            is_split = session_of[before["event_ix"]] != session_of[after["event_ix"]]
            gap = after["occurred_us"] - before["occurred_us"]
            is_capped = after["occurred_us"] - started > plan.session_max_us
            users = {row["user_key"] for row in rows if session_of[row["event_ix"]] == session_of[before["event_ix"]]}
            is_changed = after["user_key"] is not None and bool(users - {None, after["user_key"]})
            assert is_split == (gap > plan.session_timeout_us or is_capped or is_changed)
            if is_split:
                started = after["occurred_us"]


@settings(max_examples=examples(100), deadline=None)
@given(log=logs(max_size=20), plan=plans(), data=st.data())
def test_the_order_of_the_input_changes_nothing(log, plan, data):
    shuffled = data.draw(st.permutations(log))
    assert found(shuffled, plan) == found(log, plan)


@settings(max_examples=examples(100), deadline=None)
@given(log=logs(max_size=20), plan=plans(), shift=st.integers(1, 10**6))
def test_shifting_all_times_changes_no_depth(log, plan, shift):
    moved = [row | {"occurred_us": row["occurred_us"] + shift} for row in log]
    later = replace(
        plan,
        high_water_us=plan.high_water_us + shift,
        day_start_us=plan.day_start_us + shift,
        funnels=tuple(
            replace(
                funnel,
                settings=funnel.settings._replace(
                    entered_from=funnel.settings.entered_from + shift, entered_to=funnel.settings.entered_to + shift
                ),
            )
            for funnel in plan.funnels
        ),
    )
    names = ("funnel_index", "attempt_ix", "person_key", "depth", "is_pending", "is_matured", "is_tie_decided")
    before, after = (found(*each)["kernel.funnel_units"] for each in ((log, plan), (moved, later)))
    assert [[row[name] for name in names] for row in before] == [[row[name] for name in names] for row in after]


@settings(max_examples=examples(100), deadline=None)
@given(log=logs(max_size=20), plan=plans())
def test_components_one_by_one_give_what_all_of_them_give(log, plan):
    together = found(log, plan)
    parts: Rows = {name: [] for name in together}
    position = 0
    for component in sorted({row["component_key"] for row in log}):
        its = arrays_of([row for row in log if row["component_key"] == component])
        for name, rows in rows_of(process_chunk(its, plan, position), plan).items():
            parts.setdefault(name, []).extend(rows)
        position += len(its)
    assert {name: sorted(parts[name], key=repr) for name in together} == together


@settings(max_examples=examples(100), deadline=None)
@given(log=one_person_logs(max_size=12), funnel=funnels(order="ordered"), extra=st.integers(0, 8))
def test_an_event_of_no_step_changes_no_ordered_funnel(log, funnel, extra):
    def with_nothing(bits: np.ndarray) -> np.ndarray:
        return np.pad(bits[:1], ((0, 0), (0, 1)))

    stageless = replace(
        funnel,
        step_bits=with_nothing(funnel.step_bits),
        exclusion_bits=with_nothing(funnel.exclusion_bits),
        model_index=0,
        unit="person",
    )
    plan = plan_with(
        (stageless,),
        event_type_count=EVENT_TYPES + 1,
        purchase=np.zeros(EVENT_TYPES + 1, np.bool_),
        counted={},
        journey_timeout_us=99 * U,
    )
    # An untied instant: beside other events without its sequence it would make them tie.
    foreign = log[0] | {"event_ix": 999, "event_type_ix": EVENT_TYPES, "occurred_us": U * extra + 1}
    names = ("person_key", "depth", "entered_at", "closes_at", "is_pending", "is_tie_decided")
    before, after = (found(each, plan)["kernel.funnel_units"] for each in (log, [*log, foreign]))
    assert _projected(before, names) == _projected(after, names)


def _projected(rows: list[dict[str, Any]], names: tuple[str, ...]) -> list[list[Any]]:
    """Return some columns of rows, in their own order: an attempt is named by its position, which may have moved."""
    return sorted([row[name] for name in names] for row in rows)


@settings(max_examples=examples(150), deadline=None)
@given(log=logs(max_size=20), plan=plans())
def test_reaches_are_consistent_with_their_attempts(log, plan):
    rows = found(log, plan)
    units = {(row["funnel_index"], row["attempt_ix"]): row for row in rows["kernel.funnel_units"]}
    steps: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in rows["kernel.funnel_reaches"]:
        steps.setdefault((row["funnel_index"], row["attempt_ix"]), []).append(row)
    assert steps.keys() == units.keys()
    for key, reaches in steps.items():
        reaches.sort(key=lambda row: row["step_index"])
        unit = units[key]
        assert [row["step_index"] for row in reaches] == list(range(1, unit["depth"] + 1))
        times = [row["reached_at"] for row in reaches]
        assert times == sorted(times)
        assert unit["entered_at"] <= times[0]
        assert times[-1] <= unit["closes_at"]
        if unit["is_matured"]:
            assert not unit["is_pending"]


@settings(max_examples=examples(100), deadline=None)
@given(log=one_person_logs(max_size=12), window=st.integers(1, 8), wider=st.integers(0, 4))
def test_a_wider_window_never_makes_an_attempt_shallower(log, window, wider):
    steps = [np.array([[event_type == step for event_type in range(EVENT_TYPES)]]) for step in range(3)]
    depths = []
    for length in (window, window + wider):
        plan = plan_with((compile_funnel(1, steps, window_us=length * U),))
        depths.append([row["depth"] for row in found(log, plan)["kernel.funnel_units"]])
    assert depths[0] <= depths[1]


@settings(max_examples=examples(150), deadline=None)
@given(log=one_person_logs(max_size=12, instants=2), plan=plans(), data=st.data())
def test_the_order_of_ids_inside_an_instant_changes_no_visit(log, plan, data):
    """Without a sequence and rules with history, ids decide nothing that visits and the stage funnel are made of."""
    models = tuple(
        replace(model, rules=tuple(replace(rule, after=None, nth_is=None, nth_at_least=None) for rule in model.rules))
        for model in plan.models
    )
    plan = replace(plan, models=models, funnels=())
    ids = data.draw(st.permutations([row["event_ix"] for row in log]))
    log = [row | {"sequence": None} for row in log]
    renamed = [row | {"event_ix": event_ix} for row, event_ix in zip(log, ids, strict=True)]

    def read(rows: list[dict[str, Any]]) -> Rows:
        tables = found(rows, plan)
        of_ids = ("attempt_ix", "event_ix", "last_event_type_ix", "next_event_type_ix")
        return {
            name: sorted(
                ({key: value for key, value in row.items() if key not in of_ids} for row in tables[name]), key=repr
            )
            for name in ("kernel.stage_visits", "kernel.funnel_units", "kernel.funnel_reaches", "kernel.map_journeys")
        }

    assert read(renamed) == read(log)
    visits = read(log)["kernel.stage_visits"]
    assert not [row for row in visits if row["is_next_tied"] and row["next_stage_index"] < row["stage_index"]]
