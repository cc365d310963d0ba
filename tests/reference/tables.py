"""The rows of `kernel.*` as the reference finds them, from a whole log at once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from journeyflow.kernel.plan import CompiledFunnel, KernelPlan, ModelPlan, StageFunnelPlan
from reference.exits import ReadEvent, after_session, find_exit, inside
from reference.funnels import Attempt, Unit, best_of, counted_attempts, evaluate_all, is_tie_decided
from reference.log import Event, ranks_of
from reference.map_rows import add_map
from reference.sessions import Session, cut_journeys, cut_sessions
from reference.stages import classify_events, first_visit_ranks, in_model_order, read_journey, visits_of

Row = dict[str, Any]
Rows = dict[str, list[Row]]
UnitKeys = Mapping[str, Mapping[int, int]]
People = Mapping[int, list[ReadEvent]]


def reference_rows(log: list[Event], plan: KernelPlan, unit_keys: UnitKeys | None = None) -> Rows:
    """Return the rows of every `kernel.*` relation; times as microseconds, days as days since 1970.

    `log` is in the kernel's order. `unit_keys` has for each unit property the key of its value by `Event.ix`; events
    without the property are absent.
    """
    sessions, persons = cut_sessions(log, plan)
    first_of = {member: session.members[0] + 1 for session in sessions for member in session.members}
    by_person: dict[int, list[int]] = defaultdict(list)
    for i, person in enumerate(persons):
        by_person[person].append(i)
    people = {person: _read_person(person, members, log, first_of, plan) for person, members in by_person.items()}
    everything = sorted((read for reads in people.values() for read in reads), key=lambda read: read.position)
    rows: Rows = {
        "kernel.events": [_event_row(read) for read in everything],
        "kernel.event_type_persons": [row for model in plan.models for row in _event_type_rows(everything, model)],
        "kernel.sessions": [_session_row(session, log, persons) for session in sessions],
        "kernel.journeys": [
            row
            for reads in people.values()
            for row in _journey_rows(_in_model_order(reads, 0) if plan.models else reads)
        ],
        "kernel.persons": [_person_row(reads, plan) for reads in people.values()],
        "kernel.person_event_counts": [row for reads in people.values() for row in _count_rows(reads, plan)],
        "kernel.stage_visits": [row for m in plan.models for reads in people.values() for row in _visit_rows(reads, m)],
        "kernel.map_journeys": [],
        "kernel.stage_interactions": [],
        "kernel.funnel_units": [],
        "kernel.funnel_reaches": [],
        "kernel.funnel_days": [],
        "kernel.funnel_day_steps": [],
    }
    for stage_funnel in plan.stage_funnels:
        for reads in people.values():
            in_order = _in_model_order(reads, stage_funnel.model_index - 1)
            _add_stage_funnel(rows, in_order, stage_funnel, plan)
            add_map(rows, in_order, stage_funnel, plan)
    for funnel in plan.funnels:
        for unit_key, reads in _units(funnel, people, everything, unit_keys or {}).items():
            _add_funnel(rows, unit_key, reads, people, funnel, plan)
    return rows


def _read_person(
    person: int, members: list[int], log: list[Event], first_of: dict[int, int], plan: KernelPlan
) -> list[ReadEvent]:
    events = [log[i] for i in members]
    journeys = cut_journeys([event.at for event in events], plan.journey_timeout_us)
    classifications = list(zip(*(classify_events(events, model) for model in plan.models), strict=True)) or [()] * len(
        events
    )
    return [
        ReadEvent(event, i + 1, person, first_of.get(i), journey, tuple(classification))
        for event, i, journey, classification in zip(events, members, journeys, classifications, strict=True)
    ]


def _in_model_order(reads: list[ReadEvent], m: int) -> list[ReadEvent]:
    """Return the events of a person, those that tie in the order of a model (0-based)."""
    ranks = _ranks(reads)
    return [
        its[i]
        for its in _by_journey(reads).values()
        for i in in_model_order([ranks[read.position] for read in its], [read.classifications[m][0] for read in its])
    ]


def _ranks(reads: list[ReadEvent]) -> dict[int, int]:
    """Return the rank of each event of a person by position."""
    return dict(zip((read.position for read in reads), ranks_of([read.event for read in reads]), strict=True))


def _staged_exit(reads: list[ReadEvent], place: int, places: list[int], ranks: dict[int, int], m: int) -> Row:
    """Return the last event before the exit where it is unclassified and a staged one ties with it, else nothing."""
    session = reads[place].session
    of_session = [i for i in places if i > place and session is not None and reads[i].session == session]
    last = max([place, *of_session])
    tied = [
        i
        for i in [place, *of_session]
        if ranks[reads[i].position] == ranks[reads[last].position] and reads[i].classifications[m][0]
    ]
    return {"last_event_type_ix": reads[max(tied)].event.event_type} if tied else {}


def _units(
    funnel: CompiledFunnel, people: dict[int, list[ReadEvent]], everything: list[ReadEvent], unit_keys: UnitKeys
) -> dict[int, list[ReadEvent]]:
    if funnel.unit == "person":
        return people
    units: dict[int, list[ReadEvent]] = defaultdict(list)
    for read in everything:
        key = read.session if funnel.unit == "session" else unit_keys[funnel.unit].get(read.event.ix)
        if key is not None:
            units[key].append(read)
    # The value of a property may come from several components; `ix` stands for the event_id.
    return {key: sorted(reads, key=lambda read: _in_time(read.event)) for key, reads in units.items()}


def _in_time(event: Event) -> tuple[int, bool, int, int]:
    return event.at, event.sequence is None, event.sequence or 0, event.ix


def _event_row(read: ReadEvent) -> Row:
    return {
        "event_ix": read.event.ix, "person_key": read.person, "journey_index": read.journey,
        "occurred_at": read.event.at, "session_ix": read.session, "classifications": read.classifications,
    }  # fmt: skip


def _session_row(session: Session, log: list[Event], persons: list[int]) -> Row:
    first, last = session.members[0], session.members[-1]
    return {
        "session_ix": first + 1, "device_key": log[first].device, "person_key": persons[first],
        "session_index": session.index, "started_at": log[first].at, "ended_at": log[last].at,
        "event_count": len(session.members),
    }  # fmt: skip


def _by_journey(reads: list[ReadEvent]) -> dict[int, list[ReadEvent]]:
    journeys: dict[int, list[ReadEvent]] = defaultdict(list)
    for read in reads:
        journeys[read.journey].append(read)
    return journeys


def _session_count(reads: list[ReadEvent]) -> int:
    return len({read.session for read in reads} - {None})


def _journey_rows(reads: list[ReadEvent]) -> list[Row]:
    return [
        {
            "person_key": its[0].person, "journey_index": index, "entered_at": its[0].event.at,
            "last_event_at": its[-1].event.at, "first_event_ix": its[0].event.ix,
            "first_event_type_ix": its[0].event.event_type,
            "event_count": len(its), "session_count": _session_count(its),
        }
        for index, its in _by_journey(reads).items()
    ]  # fmt: skip


def _person_row(reads: list[ReadEvent], plan: KernelPlan) -> Row:
    return {
        "person_key": reads[0].person, "first_event_at": reads[0].event.at, "last_event_at": reads[-1].event.at,
        "event_count": len(reads), "session_count": _session_count(reads),
        "purchase_count": sum(bool(plan.purchase[read.event.event_type]) for read in reads),
        "journey_count": reads[-1].journey,
    }  # fmt: skip


def _count_rows(reads: list[ReadEvent], plan: KernelPlan) -> list[Row]:
    counts = Counter(
        name for read in reads for name, event_types in plan.counted.items() if event_types[read.event.event_type]
    )
    return [{"person_key": reads[0].person, "event_name": name, "event_count": count} for name, count in counts.items()]


def _event_type_rows(reads: list[ReadEvent], model: ModelPlan) -> list[Row]:
    met = {(read.event.event_type, read.classifications[model.model_index - 1][1], read.person) for read in reads}
    return [
        {"model_index": model.model_index, "event_type_ix": event_type, "rule_index": rule, "person_count": count}
        for (event_type, rule), count in Counter((event_type, rule) for event_type, rule, _ in met).items()
    ]


def _visit_rows(reads: list[ReadEvent], model: ModelPlan) -> list[Row]:
    rows = []
    ranks = _ranks(reads)
    for journey, its in _by_journey(_in_model_order(reads, model.model_index - 1)).items():
        visits = visits_of([read.classifications[model.model_index - 1][0] for read in its])
        for number, visit in enumerate(visits):
            following = visits[number + 1] if number + 1 < len(visits) else None
            rows.append({
                "model_index": model.model_index, "person_key": its[0].person, "journey_index": journey,
                "visit_index": number + 1, "stage_index": visit.stage,
                "next_stage_index": following.stage if following else None, "entered_at": its[visit.first].event.at,
                "left_at": its[following.first].event.at if following else None,
                "last_seen_at": its[visit.last].event.at,
                "is_next_tied": ranks[its[visit.last].position] == ranks[its[following.first].position]
                if following else None,
            })  # fmt: skip
    return rows


def _day(at: int, plan: KernelPlan) -> int:
    started = [day for start, day in zip(plan.day_start_us, plan.day_date, strict=True) if start <= at]
    return int(started[-1])


def _step_row(funnel_index: int, attempt_ix: int, step: int, reads: list[ReadEvent], place: int, at: int) -> Row:
    return {
        "funnel_index": funnel_index, "attempt_ix": attempt_ix, "step_index": step, "reached_at": at,
        "event_ix": reads[place].event.ix,
    }  # fmt: skip


def _add_funnel(
    rows: Rows, unit_key: int, reads: list[ReadEvent], people: People, funnel: CompiledFunnel, plan: KernelPlan
) -> None:
    unit = _unit(reads, funnel)
    for attempt in counted_attempts(unit, funnel.settings, plan.high_water_us):
        opener = reads[attempt.chain[0].position]
        row = _attempt_row(unit_key, opener, funnel.funnel_index, attempt, plan)
        row["is_tie_decided"] = is_tie_decided(unit, funnel.settings, attempt, plan.high_water_us)
        row |= dict.fromkeys(("is_in_order", "order_pair_count", "tied_pair_count"))
        rows["kernel.funnel_units"].append(row)
        for k, link in enumerate(attempt.chain):
            following = attempt.chain[k + 1] if k + 1 < attempt.depth else None
            places = inside(reads, following.position if following else None, attempt.closed_by, attempt.closes_at)
            rows["kernel.funnel_reaches"].append(
                _step_row(funnel.funnel_index, opener.position, k + 1, reads, link.position, link.at)
                | {"is_visited": True, "visited_at": link.at, "next_at": following.at if following else None}
                | find_exit(reads, link.position, places)
            )
            if funnel.unit == "session" and following is None and attempt.closed_by is None:
                read = reads[link.position]
                rows["kernel.funnel_reaches"][-1] |= after_session(people[read.person], read, attempt.closes_at)
    by_day: dict[int, list[Attempt]] = defaultdict(list)
    for attempt in evaluate_all(unit, funnel.settings, plan.high_water_us):
        by_day[_day(attempt.chain[0].at, plan)].append(attempt)
    for attempts in by_day.values():
        best = best_of(attempts)
        row = _attempt_row(unit_key, reads[best.chain[0].position], funnel.funnel_index, best, plan)
        rows["kernel.funnel_days"].append(_of_day(row))
        rows["kernel.funnel_day_steps"] += _day_steps(row, [link.at for link in best.chain])


def _day_steps(row: Row, reached: list[int]) -> list[Row]:
    keys = ("funnel_index", "unit_key", "person_key", "entry_day")
    return [
        {name: row[name] for name in keys} | {"step_index": step, "reached_at": at}
        for step, at in enumerate(reached, 1)
        if step > 1
    ]


def _of_day(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "attempt_ix"}


def _unit(reads: list[ReadEvent], funnel: CompiledFunnel) -> Unit:
    def held(bits: np.ndarray, count: int, read: ReadEvent) -> frozenset[int]:
        stage = read.classifications[funnel.model_index - 1][0] if funnel.model_index and len(bits) > 1 else 0
        return frozenset(k for k in range(count) if bits[stage, read.event.event_type] >> k & 1)

    settings = funnel.settings
    return Unit(
        times=[read.event.at for read in reads],
        ranks=ranks_of([read.event for read in reads]),
        steps=[held(funnel.step_bits, settings.steps, read) for read in reads],
        excluded=[held(funnel.exclusion_bits, len(settings.exclusions), read) for read in reads],
    )


def _attempt_row(unit_key: int, opener: ReadEvent, funnel_index: int, attempt: Attempt, plan: KernelPlan) -> Row:
    return {
        "funnel_index": funnel_index, "attempt_ix": opener.position, "unit_key": unit_key, "person_key": opener.person,
        "journey_index": opener.journey, "entered_at": opener.event.at, "entry_day": _day(opener.event.at, plan),
        "depth": attempt.depth, "closes_at": attempt.closes_at, "is_pending": attempt.is_pending,
        "is_matured": attempt.is_matured,
    }  # fmt: skip


def _add_stage_funnel(rows: Rows, reads: list[ReadEvent], funnel: StageFunnelPlan, plan: KernelPlan) -> None:
    stage_count = plan.model(funnel.model_index).stage_count
    ranks = _ranks(reads)
    found = []
    for its in _by_journey(reads).values():
        reaches = read_journey(
            [read.event.at for read in its],
            [read.classifications[funnel.model_index - 1][0] for read in its],
            funnel.window_us,
        )
        if reaches:
            found.append((its, reaches))
    if not found:
        return

    def row_of(its: list[ReadEvent], depth: int, closes_at: int) -> Row:
        end = its[0].event.at + funnel.window_us
        return {
            "funnel_index": funnel.funnel_index, "attempt_ix": its[0].position, "unit_key": its[0].person,
            "person_key": its[0].person, "journey_index": its[0].journey, "entered_at": its[0].event.at,
            "entry_day": _day(its[0].event.at, plan), "depth": depth, "closes_at": closes_at,
            "is_pending": depth < stage_count and end > plan.high_water_us, "is_matured": end <= plan.high_water_us,
        }  # fmt: skip

    its, reaches = max(found, key=lambda each: (len(each[1]), -each[0][0].journey))
    depth = len(reaches)
    closes_at = its[reaches[-1].at].event.at if depth == stage_count else its[0].event.at + funnel.window_us
    firsts = first_visit_ranks(reaches, [ranks[read.position] for read in its])
    rows["kernel.funnel_units"].append(
        row_of(its, depth, closes_at)
        | {
            "is_tie_decided": False, "is_in_order": firsts == sorted(firsts),
            "order_pair_count": max(len(firsts) - 1, 0),
            "tied_pair_count": sum(earlier == later for earlier, later in pairwise(firsts)),
        }
    )  # fmt: skip
    offset = reads.index(its[0])
    for k, reach in enumerate(reaches):
        next_place = offset + reaches[k + 1].at if k + 1 < depth else None
        places = inside(reads, next_place, None, closes_at)
        rows["kernel.funnel_reaches"].append(
            _step_row(funnel.funnel_index, its[0].position, k + 1, its, reach.at, its[reach.at].event.at)
            | {
                "is_visited": reach.visited_at is not None,
                "visited_at": None if reach.visited_at is None else its[reach.visited_at].event.at,
                "next_at": None if reach.next_at is None else its[reach.next_at].event.at,
            }
            | find_exit(reads, offset + reach.at, places)
            | _staged_exit(reads, offset + reach.at, places, ranks, funnel.model_index - 1)
        )
    by_day: dict[int, list[tuple[int, int, Row, list[Row]]]] = defaultdict(list)
    for its, reaches in found:
        is_whole = len(reaches) == stage_count
        row = row_of(
            its, len(reaches), its[reaches[-1].at].event.at if is_whole else its[0].event.at + funnel.window_us
        )
        steps = _day_steps(row, [its[reach.at].event.at for reach in reaches])
        by_day[row["entry_day"]].append((len(reaches), -its[0].journey, row, steps))
    for candidates in by_day.values():
        *_, row, steps = max(candidates, key=lambda each: each[:2])
        rows["kernel.funnel_days"].append(_of_day(row))
        rows["kernel.funnel_day_steps"] += steps
