"""One chunk of whole components → rows of every `kernel.*` relation; needs no database."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.kernel.events import EventArrays
from journeyflow.kernel.funnels import run_funnel, run_stage_funnel
from journeyflow.kernel.journeys import Journeys, cut_journeys, label_events, pack_labels, visit_stages
from journeyflow.kernel.labels import count_labels
from journeyflow.kernel.leaving import link_sessions
from journeyflow.kernel.persons import group_events, number_within
from journeyflow.kernel.plan import Funnel, KernelPlan
from journeyflow.kernel.schemas import table
from journeyflow.kernel.sessions import Sessions, cut_sessions
from journeyflow.kernel.units import Units, regrouped

Tables = dict[str, list[pa.Table]]


@dataclass(frozen=True, eq=False)
class _Chunk:
    """What the passes over a chunk found; `order` maps places of the grouping by person to positions in the chunk."""

    events: EventArrays
    sessions: Sessions
    order: npt.NDArray[np.int32]
    persons: Units
    journeys: Journeys
    rule: npt.NDArray[np.int16]


def process(events: EventArrays, plan: KernelPlan, first_position: int = 0) -> Tables:
    """Return the rows that some whole components give.

    Parameters
    ----------
    events : EventArrays
        Whole components, in the kernel's order.
    plan : KernelPlan
    first_position : int
        Number of events in the chunks before. Sessions and attempts are named by position in the whole stream, so the rows
        do not depend on where chunks are cut.

    Returns
    -------
    dict of str to list of pyarrow.Table
        Rows by relation, all but the funnels of property units. The rows of `kernel.labels` are of this chunk: rows
        of the same (label_key, model_index) from several chunks are to be added up.
    """
    chunk = _read(events, plan, first_position)
    tables: Tables = {
        "kernel.events": [_events(chunk, plan)],
        "kernel.labels": [count_labels(chunk.persons, chunk.rule, plan)],
        "kernel.sessions": [_sessions(chunk, first_position)],
        "kernel.journeys": [_journeys(chunk)],
        "kernel.persons": [_persons(chunk, plan)],
        "kernel.person_event_counts": _event_counts(chunk.persons, plan),
        "kernel.stage_visits": [_visits(chunk, m) for m in range(len(plan.models))],
    }
    for stage_funnel in plan.stage_funnels:
        journeys = chunk.journeys
        _add(tables, run_stage_funnel(chunk.persons, journeys.start, journeys.person, stage_funnel, plan))
    for funnel in plan.funnels:
        if funnel.unit == "person":
            _add(tables, run_funnel(chunk.persons, funnel, plan))
    by_session = [funnel for funnel in plan.funnels if funnel.unit == "session"]
    if by_session:
        _add_sessions(tables, chunk, by_session, plan, first_position)
    return tables


def _read(events: EventArrays, plan: KernelPlan, first_position: int) -> _Chunk:
    sessions = cut_sessions(events, plan)
    number, count = number_within(events.component_key, sessions.person)
    grouping = group_events(events, number, count)
    order, start = grouping.order, grouping.start
    at, kind, session = events.occurred_us[order], events.kind_ix[order], sessions.of_event[order]
    journeys = cut_journeys(start, at, session, plan.journey_timeout_us)
    stage, rule = label_events(start, at, kind, plan)
    person = sessions.person[order]
    persons = Units(
        start=start,
        unit_key=person[start[:-1]],
        rank=grouping.rank,
        at=at,
        kind=kind,
        stage=stage,
        session=session,
        event_ix=events.event_ix[order],
        position=order.astype(np.int64) + (first_position + 1),
        person_key=person,
        journey_index=journeys.index[journeys.of_place],
        following=(linked := link_sessions(start, session))[0],
        session_last=linked[1],
    )
    return _Chunk(events, sessions, order, persons, journeys, rule)


def _add(tables: Tables, more: dict[str, pa.Table]) -> None:
    for name, rows in more.items():
        tables.setdefault(name, []).append(rows)


def _add_sessions(
    tables: Tables, chunk: _Chunk, funnels: list[Funnel], plan: KernelPlan, first_position: int
) -> None:
    """Run the funnels whose unit is a session, on the events grouped anew."""
    grouping = group_events(chunk.events, chunk.sessions.of_event, len(chunk.sessions.first))
    place = np.empty(len(chunk.order), np.int64)
    place[chunk.order] = np.arange(len(chunk.order))
    keys = (chunk.sessions.first.astype(np.int64) + (first_position + 1)).astype(np.uint64)
    units = regrouped(chunk.persons, place[grouping.order], grouping.start, keys, grouping.rank)
    for funnel in funnels:
        _add(tables, run_funnel(units, funnel, plan))


def _events(chunk: _Chunk, plan: KernelPlan) -> pa.Table:
    persons, sessions = chunk.persons, chunk.sessions
    # A session is named by the position of its first event, from 1.
    offset = persons.position[0] - chunk.order[0] if len(chunk.order) else 0
    is_offline = persons.session < 0
    first = np.append(sessions.first, 0)[persons.session] + offset
    return table(
        "kernel.events",
        {
            "event_ix": persons.event_ix,
            "person_key": persons.person_key,
            "journey_index": persons.journey_index,
            "session_ix": (first, is_offline),
            "label_key": pack_labels(persons.kind, chunk.rule, plan),
        },
    )


def _sessions(chunk: _Chunk, first_position: int) -> pa.Table:
    events, sessions = chunk.events, chunk.sessions
    device = events.device_key[sessions.first]
    return table(
        "kernel.sessions",
        {
            "session_ix": sessions.first.astype(np.int64) + (first_position + 1),
            "device_key": (device, device == 0),
            "person_key": sessions.person[sessions.first],
            "session_index": sessions.index,
            "started_at": events.occurred_us[sessions.first],
            "ended_at": events.occurred_us[sessions.last],
            "event_count": sessions.event_count,
        },
    )


def _journeys(chunk: _Chunk) -> pa.Table:
    persons, journeys = chunk.persons, chunk.journeys
    first, last = journeys.start[:-1], journeys.start[1:] - 1
    return table(
        "kernel.journeys",
        {
            "person_key": persons.person_key[first],
            "journey_index": journeys.index,
            "entered_at": persons.at[first],
            "last_event_at": persons.at[last],
            "first_event_ix": persons.event_ix[first],
            "first_kind_ix": persons.kind[first],
            "event_count": last - first + 1,
            "session_count": journeys.session_count,
        },
    )


def _persons(chunk: _Chunk, plan: KernelPlan) -> pa.Table:
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
            "journey_count": np.bincount(chunk.journeys.person, minlength=len(first)),
        },
    )


def _count_by_person(persons: Units, is_counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    if not is_counted.any():
        return np.zeros(len(persons.unit_key), np.int64)
    running = np.concatenate([[0], np.cumsum(is_counted[persons.kind])])
    counts: npt.NDArray[np.int64] = running[persons.start[1:]] - running[persons.start[:-1]]
    return counts


def _event_counts(persons: Units, plan: KernelPlan) -> list[pa.Table]:
    tables = []
    for name, is_counted in plan.counted.items():
        counts = _count_by_person(persons, is_counted)
        some = counts > 0
        names = pa.array([name], pa.string()).take(pa.array(np.zeros(int(some.sum()), np.int64)))
        columns = {"person_key": persons.unit_key[some], "event_name": names, "event_count": counts[some]}
        tables.append(table("kernel.person_event_counts", columns))
    return tables


def _visits(chunk: _Chunk, m: int) -> pa.Table:
    persons, journeys = chunk.persons, chunk.journeys
    journey, index, first, last = visit_stages(journeys.start, persons.stage[m])
    entered = persons.at[first]
    is_last = np.append(journey[1:] != journey[:-1], True)[: len(journey)]
    return table(
        "kernel.stage_visits",
        {
            "model_index": np.full(len(journey), m + 1),
            "person_key": persons.person_key[first],
            "journey_index": journeys.index[journey],
            "visit_index": index,
            "stage_index": persons.stage[m][first],
            "entered_at": entered,
            "left_at": (np.append(entered[1:], 0)[: len(entered)], is_last),
            "last_seen_at": persons.at[last],
        },
    )
