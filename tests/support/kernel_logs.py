"""Small logs and plans for tests of the kernel: few instants, event types and keys, so that ties are common."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from journeyflow.kernel.events import COLUMNS, NO_SEQUENCE, EventArrays
from journeyflow.kernel.plan import (
    CompiledFunnel,
    Exclusion,
    ExposurePlan,
    KernelPlan,
    ModelPlan,
    RulePlan,
    StageFunnelPlan,
    compile_funnel,
)

U = 1_000_000
EVENT_TYPES = 5
STAGES = 3
ROW = dict[str, Any]
_ONE_MONTH = range(20_000, 20_005)  # 2024-10-04 and the days after
_TWO_MONTHS = range(20_026, 20_031)  # 2024-10-30 and the days after


def arrays_of(log: list[ROW]) -> EventArrays:
    """Return events as arrays in the kernel's order; `event_ix` stands for the event_id."""

    def order(row: ROW) -> tuple[Any, ...]:
        sequence = row.get("sequence")
        return (row["component_key"], row["occurred_us"], sequence is None, sequence or 0, row["event_ix"])

    rows = sorted(log, key=order)
    absent = {"sequence": NO_SEQUENCE}
    return EventArrays(
        **{
            name: np.array([absent.get(name, 0) if row.get(name) is None else row[name] for row in rows], dtype)
            for name, dtype in COLUMNS.items()
        }
    )


def rows_of(tables: dict[str, list[pa.Table]], plan: KernelPlan) -> dict[str, list[ROW]]:
    """Return the kernel's rows as plain values: microseconds, days since 1970, keys of classifications unpacked."""
    return {name: [row for part in parts for row in _plain(part, plan)] for name, parts in tables.items()}


def _plain(table: pa.Table, plan: KernelPlan) -> list[ROW]:
    columns = []
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        elif pa.types.is_date(column.type):
            column = column.cast(pa.int32())
        columns.append(column)
    rows: list[ROW] = pa.table(columns, names=table.column_names).to_pylist()
    if "classification_key" in table.column_names and "journey_index" in table.column_names:
        for row in rows:
            row["classifications"] = unpacked(row.pop("classification_key"), plan)
    return rows


def unpacked(key: int, plan: KernelPlan) -> tuple[tuple[int, int], ...]:
    """Return (stage, rule) by model."""
    rest, classifications = key // plan.event_type_room, []
    for model in plan.models:
        rest, rule_index = divmod(rest, len(model.rules) + 1)
        stage = next((rule.stage_index for rule in model.rules if rule.rule_index == rule_index), 0)
        classifications.append((stage, rule_index))
    return tuple(classifications)


@st.composite
def logs(draw: st.DrawFn, max_size: int = 9, instants: int = 12) -> list[ROW]:
    """Events of two components, each with a user's own device, a shared device, and two users."""
    rows = []
    for event_ix in range(draw(st.integers(0, max_size))):
        component = draw(st.sampled_from([1, 1, 2]))
        own, shared, users = 10 * component, 10 * component + 1, [100 * component, 100 * component + 1]
        device = draw(st.sampled_from([own, own, shared, shared, None]))
        user = draw(st.sampled_from([None, *users] if device == shared else [None, users[0]]))
        if device is None and user is None:
            user = users[0]
        is_undecided = user is None and device == shared
        rows.append(
            {
                "event_ix": event_ix,
                "component_key": component,
                "device_key": device,
                "person_key": shared if is_undecided else user or users[0],
                "is_undecided": is_undecided,
                "user_key": user,
                "session_key": draw(st.sampled_from([None, None, None, 5, 6])),
                "source_ix": draw(st.sampled_from([0, 0, 0, 1])),
                "sequence": draw(st.sampled_from([None, None, 0, 1, 2])),
                "occurred_us": U * draw(st.integers(0, instants)),
                "event_type_ix": draw(st.integers(0, EVENT_TYPES - 1)),
                "is_offline": draw(st.sampled_from([False, False, False, True])),
            }
        )
    return rows


@st.composite
def one_person_logs(draw: st.DrawFn, max_size: int = 9, instants: int = 8) -> list[ROW]:
    """Events of one person on one device, to go deep into funnels."""
    has_sequence = draw(st.booleans())
    return [
        {
            "event_ix": event_ix, "component_key": 1, "device_key": 10, "person_key": 100, "is_undecided": False,
            "user_key": None, "session_key": None, "source_ix": draw(st.sampled_from([0, 0, 0, 1])),
            "sequence": draw(st.integers(0, 2)) if has_sequence else None,
            "occurred_us": U * draw(st.integers(0, instants)), "event_type_ix": draw(st.integers(0, EVENT_TYPES - 1)),
            "is_offline": False,
        }
        for event_ix in range(draw(st.integers(1, max_size)))
    ]  # fmt: skip


def masks(rows: int = 1, least: int = 1) -> st.SearchStrategy[np.ndarray]:
    """Conditions: which event_types (and stages) they hold for."""
    event_types = st.sets(
        st.integers(0, rows * EVENT_TYPES - 1), min_size=least, max_size=max(2, rows * EVENT_TYPES // 3)
    )
    return event_types.map(lambda held: np.isin(np.arange(rows * EVENT_TYPES), list(held)).reshape(rows, EVENT_TYPES))


@st.composite
def models(draw: st.DrawFn, model_index: int) -> ModelPlan:
    """A model of up to four rules, some with history."""
    rules = []
    for rule_index in range(1, draw(st.integers(0, 4)) + 1):
        history = draw(st.sampled_from(["", "", "after", "nth_is", "nth_at_least", "both"]))
        rules.append(
            RulePlan(
                rule_index=rule_index,
                stage_index=draw(st.integers(1, STAGES)),
                when=draw(masks())[0],
                after=draw(masks())[0] if history in ("after", "both") else None,
                after_within_us=U * draw(st.integers(1, 5)) if history in ("after", "both") else None,
                nth_is=draw(st.integers(1, 2)) if history in ("nth_is", "both") else None,
                nth_at_least=draw(st.integers(1, 2)) if history == "nth_at_least" else None,
            )
        )
    return ModelPlan(f"model_{model_index}", model_index, STAGES, tuple(rules))


@st.composite
def funnels(draw: st.DrawFn, funnel_index: int = 1, order: str | None = None) -> CompiledFunnel:
    """A funnel with any settings that go together."""
    order = order or draw(st.sampled_from(["ordered", "ordered", "strict", "any_order"]))
    reads_stages = draw(st.sampled_from([False, False, True]))
    step_count = draw(st.integers(2, 4))
    withins = st.none() if order == "any_order" else st.sampled_from([None, None, 0, U, 2 * U])
    steps = [draw(masks(STAGES + 1 if reads_stages else 1)) for _ in range(step_count)]
    exclusions = []
    for _ in range(0 if order == "any_order" else draw(st.sampled_from([0, 0, 1, 2]))):
        first = draw(st.integers(1, step_count - 1))
        exclusions.append(
            Exclusion(first, draw(st.integers(first + 1, step_count)), draw(masks()), draw(st.booleans()))
        )
    start = draw(st.sampled_from([None, None, 0, 3 * U]))
    return compile_funnel(
        funnel_index,
        steps,
        window_us=U * draw(st.integers(1, 8)),
        within_us=[draw(withins) if k else None for k in range(step_count)],
        exclusions=exclusions,
        order=order,
        is_strictly_later=draw(st.booleans()),
        grace_us=draw(st.sampled_from([0, 0, U, 2 * U])) if order == "ordered" else 0,
        unit=draw(st.sampled_from(["person", "person", "session"])),
        model_index=draw(st.integers(1, 2)) if reads_stages else 0,
        is_attempts=draw(st.booleans()),
        entered_from_us=start,
        entered_to_us=None if start is None else start + 4 * U,
    )


def plan_with(
    funnels: tuple[CompiledFunnel, ...] = (), models: tuple[ModelPlan, ...] = (), **changes: Any
) -> KernelPlan:
    """Return a plan of small durations: days of four units, sessions that end after two."""
    settings: dict[str, Any] = {
        "event_type_count": EVENT_TYPES,
        "session_timeout_us": 2 * U,
        "session_max_us": 5 * U,
        "journey_timeout_us": 4 * U,
        "high_water_us": 12 * U,
        "day_start_us": np.arange(0, 20 * U, 4 * U),
        "day_date": np.arange(5, dtype=np.int32) + 20_000,
        "purchase": np.array([event_type == 4 for event_type in range(EVENT_TYPES)]),
        "counted": {"purchase": np.array([event_type == 4 for event_type in range(EVENT_TYPES)])},
    }
    return KernelPlan(**(settings | {"funnels": funnels, "models": models} | changes))


@st.composite
def exposures(draw: st.DrawFn) -> tuple[ExposurePlan, ...]:
    """Two exposures of events of the stage, and two that unclassified events count for too."""
    return tuple(ExposurePlan(ix, draw(masks())[0], is_unclassified_too=ix > 2) for ix in range(1, 5))


@st.composite
def plans(draw: st.DrawFn) -> KernelPlan:
    """Two models, their stage funnels, and two funnels."""
    return plan_with(
        funnels=(draw(funnels(3)), draw(funnels(4))),
        models=(draw(models(1)), draw(models(2))),
        stage_funnels=(StageFunnelPlan(1, 1, U * draw(st.integers(0, 8))), StageFunnelPlan(2, 2, 3 * U)),
        high_water_us=U * draw(st.integers(12, 16)),
        day_date=np.array(draw(st.sampled_from([_ONE_MONTH, _TWO_MONTHS])), np.int32),
        exposures=draw(exposures()),
    )
