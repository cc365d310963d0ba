"""The kernel gives the same rows as the slow reference, in every mode, on small random logs full of ties."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from journeyflow.kernel.plan import KernelPlan
from journeyflow.kernel.run import process_chunk
from reference.log import events_of
from reference.tables import reference_rows
from support.examples import examples
from support.kernel_logs import arrays_of, logs, plans, rows_of

KEYS = {
    "kernel.events": ("event_ix",),
    "kernel.event_type_persons": ("model_index", "event_type_ix", "rule_index"),
    "kernel.sessions": ("session_ix",),
    "kernel.journeys": ("person_key", "journey_index"),
    "kernel.persons": ("person_key",),
    "kernel.person_event_counts": ("person_key", "event_name"),
    "kernel.stage_visits": ("model_index", "person_key", "journey_index", "visit_index"),
    "kernel.map_journeys": ("model_index", "person_key", "journey_index"),
    "kernel.stage_interactions": ("model_index", "person_key", "journey_index", "stage_index", "exposure_ix"),
    "kernel.funnel_units": ("funnel_index", "attempt_ix"),
    "kernel.funnel_reaches": ("funnel_index", "attempt_ix", "step_index"),
    "kernel.funnel_days": ("funnel_index", "unit_key", "entry_day"),
    "kernel.funnel_day_steps": ("funnel_index", "unit_key", "entry_day", "step_index"),
}


def _sorted(rows: list[dict[str, Any]], key: tuple[str, ...]) -> list[dict[str, Any]]:
    keys = [tuple(row[name] for name in key) for row in rows]
    assert len(set(keys)) == len(keys)
    return sorted(rows, key=lambda row: tuple(row[name] for name in key))


def assert_equal(log: list[dict[str, Any]], plan: KernelPlan) -> None:
    arrays = arrays_of(log)
    expected = reference_rows(events_of(arrays), plan)
    actual = rows_of(process_chunk(arrays, plan), plan)
    for name, key in KEYS.items():
        assert _sorted(actual[name], key) == _sorted(expected[name], key), name


@settings(max_examples=examples(300), deadline=None)
@given(log=logs(), plan=plans())
def test_kernel_equals_reference(log, plan):
    assert_equal(log, plan)


@settings(max_examples=examples(300), deadline=None)
@given(log=logs(max_size=14, instants=1), plan=plans())
def test_kernel_equals_reference_where_nearly_all_events_tie(log, plan):
    assert_equal(log, plan)
