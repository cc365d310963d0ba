"""One chunk of whole components: from event arrays to the rows of every `kernel.*` relation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.events import Chunk, EventArrays, Units, read_chunk, session_keys, session_units
from journeyflow.kernel.funnels import run_funnel, run_stage_funnel
from journeyflow.kernel.interactions import map_tables
from journeyflow.kernel.jit import Int64s
from journeyflow.kernel.plan import KernelPlan
from journeyflow.kernel.stages import (
    count_classifications,
    count_persons,
    number_classifications,
    pack_classifications,
    visit_stages,
)
from journeyflow.kernel.tables import table

Tables = dict[str, list[pa.Table]]


def process_chunk(events: EventArrays, plan: KernelPlan, first_position: int = 0) -> Tables:
    """Return by relation the rows of some whole components; `first_position` events came in the chunks before.

    Sessions and attempts are numbered by position in the whole stream, so rows do not depend on the size of chunks.
    Only those of `kernel.classifications` and `kernel.event_type_persons` count within the chunk and must be added up.
    """
    chunk = read_chunk(events, plan, first_position)
    keys = pack_classifications(chunk.persons.event_type, chunk.rule, plan)
    tables: Tables = {
        "kernel.events": [_events(chunk, keys)],
        **_classifications(chunk, keys, plan),
        "kernel.sessions": [_sessions(chunk)],
        "kernel.journeys": [_journeys(chunk)],
        "kernel.persons": [_persons(chunk, plan)],
        "kernel.person_event_counts": _event_counts(chunk.persons, plan),
        "kernel.stage_visits": [_visits(chunk, m) for m in range(len(plan.models))],
    }
    of_models = [map_tables(chunk, funnel, plan) for funnel in plan.stage_funnels]
    for more in of_models + _funnels(chunk, plan):
        for name, rows in more.items():
            tables.setdefault(name, []).append(rows)
    return tables


def _funnels(chunk: Chunk, plan: KernelPlan) -> list[dict[str, pa.Table]]:
    persons, journeys = chunk.persons, chunk.journeys
    found = [
        run_stage_funnel(chunk.in_order[funnel.model_index - 1], journeys.start, journeys.person, funnel, plan)
        for funnel in plan.stage_funnels
    ]
    found += [run_funnel(persons, funnel, plan) for funnel in plan.funnels if funnel.unit == "person"]
    of_sessions = [funnel for funnel in plan.funnels if funnel.unit == "session"]
    if of_sessions:
        sessions = session_units(chunk)
        found += [run_funnel(sessions, funnel, plan) for funnel in of_sessions]
    return found


def _events(chunk: Chunk, classification_key: Int64s) -> pa.Table:
    persons = chunk.persons
    keys = np.append(session_keys(chunk), 0)
    return table(
        "kernel.events",
        {
            "event_ix": persons.event_ix,
            "person_key": persons.person_key,
            "journey_index": persons.journey_index,
            "occurred_at": persons.at,
            "session_ix": (keys[persons.session], persons.session < 0),
            "classification_key": classification_key,
        },
    )


def _classifications(chunk: Chunk, keys: Int64s, plan: KernelPlan) -> Tables:
    """Count the events of each classification, and the persons of each event type and rule of a model."""
    persons = chunk.persons
    number, example = number_classifications(keys)
    counts, first, last = count_classifications(number, persons.at, len(example))
    found: Tables = {"kernel.classifications": [], "kernel.event_type_persons": []}
    for m, model in enumerate(plan.models):
        rule = chunk.rule[m][example]
        cells, cell = np.unique(
            persons.event_type[example].astype(np.int64) * (len(model.rules) + 1) + rule, return_inverse=True
        )
        met = {
            "model_index": np.full(len(cells), model.model_index),
            "event_type_ix": cells // (len(model.rules) + 1),
            "rule_index": cells % (len(model.rules) + 1),
            "person_count": count_persons(persons.start, number, cell, len(cells)),
        }
        found["kernel.event_type_persons"].append(table("kernel.event_type_persons", met))
        columns = {
            "classification_key": keys[example],
            "model_index": np.full(len(example), model.model_index),
            "event_type_ix": persons.event_type[example],
            "stage_index": persons.stage[m][example],
            "rule_index": rule,
            "event_count": counts,
            "first_seen_at": first,
            "last_seen_at": last,
        }
        found["kernel.classifications"].append(table("kernel.classifications", columns))
    return found


def _sessions(chunk: Chunk) -> pa.Table:
    events, sessions = chunk.events, chunk.sessions
    device = events.device_key[sessions.first]
    return table(
        "kernel.sessions",
        {
            "session_ix": session_keys(chunk),
            "device_key": (device, device == 0),
            "person_key": sessions.person[sessions.first],
            "session_index": sessions.number,
            "started_at": events.occurred_us[sessions.first],
            "ended_at": events.occurred_us[sessions.last],
            "event_count": sessions.event_count,
        },
    )


def _journeys(chunk: Chunk) -> pa.Table:
    # A journey is the same in all models: the first model says which of tied events is its first touch.
    persons, journeys = chunk.in_order[0] if chunk.in_order else chunk.persons, chunk.journeys
    first, last = journeys.start[:-1], journeys.start[1:] - 1
    return table(
        "kernel.journeys",
        {
            "person_key": persons.person_key[first],
            "journey_index": journeys.index,
            "entered_at": persons.at[first],
            "last_event_at": persons.at[last],
            "first_event_ix": persons.event_ix[first],
            "first_event_type_ix": persons.event_type[first],
            "event_count": last - first + 1,
            "session_count": journeys.session_count,
        },
    )


def _persons(chunk: Chunk, plan: KernelPlan) -> pa.Table:
    persons = chunk.persons
    first, last = persons.start[:-1], persons.start[1:] - 1
    return table(
        "kernel.persons",
        {
            "person_key": persons.unit_key,
            "first_event_at": persons.at[first],
            "last_event_at": persons.at[last],
            "event_count": last - first + 1,
            "session_count": chunk.journeys.person_session_count,
            "purchase_count": _count_by_person(persons, plan.purchase),
            "journey_count": persons.journey_index[last],
        },
    )


def _count_by_person(persons: Units, is_counted: npt.NDArray[np.bool_]) -> Int64s:
    if not is_counted.any():
        return np.zeros(len(persons.unit_key), np.int64)
    running = np.concatenate([[0], np.cumsum(is_counted[persons.event_type])])
    counts: Int64s = running[persons.start[1:]] - running[persons.start[:-1]]
    return counts


def _event_counts(persons: Units, plan: KernelPlan) -> list[pa.Table]:
    tables = []
    for name, is_counted in plan.counted.items():
        counts = _count_by_person(persons, is_counted)
        some = counts > 0
        names = pa.repeat(pa.scalar(name, pa.string()), int(some.sum()))
        columns = {"person_key": persons.unit_key[some], "event_name": names, "event_count": counts[some]}
        tables.append(table("kernel.person_event_counts", columns))
    return tables


def _visits(chunk: Chunk, m: int) -> pa.Table:
    persons, journeys = chunk.in_order[m], chunk.journeys
    journey, index, first, last = visit_stages(journeys.start, persons.stage[m])
    stage, entered = persons.stage[m][first], persons.at[first]
    is_last = np.append(journey[1:] != journey[:-1], True)[: len(journey)]
    is_tied = np.append(persons.rank[first[1:]] == persons.rank[last[:-1]], False)[: len(journey)]
    return table(
        "kernel.stage_visits",
        {
            "model_index": np.full(len(journey), m + 1),
            "person_key": persons.person_key[first],
            "journey_index": persons.journey_index[first],
            "visit_index": index,
            "stage_index": stage,
            "next_stage_index": (np.append(stage[1:], 0)[: len(stage)], is_last),
            "entered_at": entered,
            "left_at": (np.append(entered[1:], 0)[: len(entered)], is_last),
            "last_seen_at": persons.at[last],
            "is_next_tied": (is_tied, is_last),
        },
    )
