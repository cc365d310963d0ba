"""Stages of events, stage visits and the stage funnel."""

from __future__ import annotations

import numpy as np

from journeyflow.errors import JourneyflowError
from journeyflow.kernel.jit import Int16s, Int32s, Int64s, allocating, compiled, first_above, inner, longer
from journeyflow.kernel.plan import KernelPlan, RuleTables

LEAST_PLACES = 1024


@compiled
def number_classifications(key: Int64s) -> tuple[Int32s, Int64s]:
    """Return dense numbers of the keys by first sight, and the place of the first event of each."""
    number = np.empty(len(key), np.int32)
    example = np.empty(1024, np.int64)
    table = np.full(4096, -1, np.int32)
    count = 0
    for place in range(len(key)):
        if place > 0 and key[place] == key[place - 1]:
            number[place] = number[place - 1]
            continue
        slot = _slot(table, key, example, key[place])
        if table[slot] < 0:
            if count == len(example):
                example = _longer(example, count)
                table = np.full(8 * count, -1, np.int32)
                for known in range(count):
                    table[_slot(table, key, example, key[example[known]])] = known
                slot = _slot(table, key, example, key[place])
            example[count] = place
            table[slot] = count
            count += 1
        number[place] = table[slot]
    return number, example[:count].copy()


@inner
def _slot(table: Int32s, key: Int64s, example: Int64s, wanted: int) -> int:
    """Return the slot of a key in an open hash table of dense numbers."""
    mask = len(table) - 1
    slot = ((wanted * 0x9E3779B1) >> 13) & mask
    while table[slot] >= 0 and key[example[table[slot]]] != wanted:
        slot = (slot + 1) & mask
    return slot


@compiled
def count_classifications(number: Int32s, at: Int64s, count: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return (number of events, first time, last time) by classification."""
    counts = np.zeros(count, np.int64)
    first = np.full(count, np.iinfo(np.int64).max, np.int64)
    last = np.full(count, np.iinfo(np.int64).min, np.int64)
    for place in range(len(number)):
        c = number[place]
        counts[c] += 1
        first[c] = min(first[c], at[place])
        last[c] = max(last[c], at[place])
    return counts, first, last


@compiled
def count_persons(start: Int64s, number: Int32s, cell: Int64s, cell_count: int) -> Int64s:
    """Return by `cell` (several classifications) how many persons have an event in it."""
    counts = np.zeros(cell_count, np.int64)
    seen = np.full(cell_count, -1, np.int64)
    for person in range(len(start) - 1):
        for place in range(start[person], start[person + 1]):
            its_cell = cell[number[place]]
            if seen[its_cell] != person:
                seen[its_cell] = person
                counts[its_cell] += 1
    return counts


@compiled
def classify_events(
    start: Int64s, at: Int64s, event_type: Int32s, models: int, event_types: int, rules: RuleTables
) -> tuple[Int16s, Int16s]:
    """Return (stage, rule) of every event in every model, shape (models, places)."""
    stage = np.zeros((models, len(at)), np.int16)
    rule = np.zeros((models, len(at)), np.int16)
    last_at = np.zeros(len(rules.after_items) + len(rules.after), np.int64)
    last_person = np.full(len(last_at), -1, np.int64)
    ordinal = np.zeros(len(rules.nth), np.int64)
    for person in range(len(start) - 1):
        ordinal[:] = 0
        for i in range(start[person], start[person + 1]):
            k = event_type[i]
            for c in range(rules.nth_start[k], rules.nth_start[k + 1]):
                ordinal[rules.nth_items[c]] += 1
            for m in range(models):
                row = m * event_types + k
                for c in range(rules.candidate_start[row], rules.candidate_start[row + 1]):
                    r = rules.candidates[c]
                    a = rules.after[r]
                    if a >= 0 and (last_person[a] != person or at[i] - last_at[a] > rules.within[r]):
                        continue
                    o = rules.nth[r]
                    if o >= 0 and (
                        ordinal[o] < rules.at_least[r] or (rules.exactly[r] > 0 and ordinal[o] != rules.exactly[r])
                    ):
                        continue
                    stage[m, i] = rules.stage_index[r]
                    rule[m, i] = rules.rule_index[r]
                    break
            for c in range(rules.after_start[k], rules.after_start[k + 1]):
                last_at[rules.after_items[c]] = at[i]
                last_person[rules.after_items[c]] = person
    return stage, rule


JOURNEY_START, TIE_START, TIE_STOP = range(3)


@compiled
def find_ties(journey_start: Int64s, rank: Int32s) -> Int64s:
    """Return the ties of several events as (start of the journey, start, stop), places each."""
    ties = np.empty((LEAST_PLACES, 3), np.int64)
    count = 0
    for j in range(len(journey_start) - 1):
        tie = -1
        for place in range(journey_start[j] + 1, journey_start[j + 1]):
            if rank[place] != rank[place - 1]:
                tie = -1
                continue
            if tie < 0:
                if count == len(ties):
                    ties = longer(ties, count, 2 * count)
                tie = count
                count += 1
                ties[tie, JOURNEY_START], ties[tie, TIE_START] = journey_start[j], place - 1
            ties[tie, TIE_STOP] = place + 1
    return ties[:count].copy()


@compiled
def order_ties(ties: Int64s, stage: Int16s, stages: int) -> tuple[Int64s, Int64s]:
    """Return the places whose events change when ties take the model's order, and the place each takes its event from.

    `ties` are those of `find_ties`. Tied events are ordered by stage, equal ones as they come. The unclassified ones
    among them come first, in the visit in progress; where no visit has begun yet, directly after those of the earliest
    stage.

    References
    ----------
    docs/adr/0014-transitions-and-paths.md
    """
    places = np.empty(LEAST_PLACES, np.int64)
    sources = np.empty(LEAST_PLACES, np.int64)
    count = 0
    # By key, twice the stage or one more: where the next event with it goes.
    free = np.empty(2 * stages + 3, np.int64)
    journey = -1
    # Is an event of the journey before `read` in a stage.
    has_visit = False
    read = 0
    for tie in range(len(ties)):
        start, stop = ties[tie, TIE_START], ties[tie, TIE_STOP]
        if ties[tie, JOURNEY_START] != journey:
            journey = ties[tie, JOURNEY_START]
            read = journey
            has_visit = False
        while read < start and not has_visit:
            has_visit = stage[read] > 0
            read += 1
        unclassified = 0 if has_visit else 2 * _earliest_stage(stage, start, stop) + 1
        if _is_ordered(stage, start, stop, unclassified):
            continue
        free[:] = 0
        for place in range(start, stop):
            free[(2 * stage[place] if stage[place] > 0 else unclassified) + 1] += 1
        free[0] = start
        for key in range(1, len(free)):
            free[key] += free[key - 1]
        size = stop - start
        if count + size > len(places):
            places = _longer(places, count + size)
            sources = _longer(sources, count + size)
        for place in range(start, stop):
            key = 2 * stage[place] if stage[place] > 0 else unclassified
            places[count + place - start] = free[key]
            sources[count + place - start] = place
            free[key] += 1
        count += size
    return places[:count].copy(), sources[:count].copy()


@inner
def _earliest_stage(stage: Int16s, start: int, stop: int) -> int:
    """Return the earliest stage in `[start, stop)`, 0 when all are unclassified."""
    earliest = 0
    for place in range(start, stop):
        if stage[place] > 0 and (earliest == 0 or stage[place] < earliest):
            earliest = int(stage[place])
    return earliest


@inner
def _is_ordered(stage: Int16s, start: int, stop: int, unclassified: int) -> bool:
    """Are the tied events in `[start, stop)` in the model's order; `unclassified` is the key of those in no stage."""
    latest = 0
    for place in range(start, stop):
        key = 2 * stage[place] if stage[place] > 0 else unclassified
        if key < latest:
            return False
        latest = key
    return True


@allocating
def _longer(values: Int64s, size: int) -> Int64s:
    """Return a copy of `values` with room for `size` or more."""
    found = np.empty(2 * size, np.int64)
    for place in range(len(values)):
        found[place] = values[place]
    return found


@compiled
def visit_stages(start: Int64s, stage: Int16s) -> tuple[Int32s, Int32s, Int64s, Int64s]:
    """Return (journey, visit_index, first place, last place) of stage visits; `start` are the places of journeys."""
    count = 0
    for j in range(len(start) - 1):
        current = np.int16(0)
        for i in range(start[j], start[j + 1]):
            if stage[i] != 0 and stage[i] != current:
                current = stage[i]
                count += 1
    journey = np.empty(count, np.int32)
    index = np.empty(count, np.int32)
    first = np.empty(count, np.int64)
    last = np.empty(count, np.int64)
    v = -1
    for j in range(len(start) - 1):
        current = np.int16(0)
        number = 0
        for i in range(start[j], start[j + 1]):
            if stage[i] == 0:
                continue
            if stage[i] != current:
                current = stage[i]
                number += 1
                v += 1
                journey[v] = j
                index[v] = number
                first[v] = i
            last[v] = i
    return journey, index, first, last


PERSON, JOURNEY, DEPTH, IN_ORDER, PAIRS, TIED_PAIRS = range(6)
FIRST, VISITED, BEYOND = range(3)


@compiled
def furthest_journeys(
    journey_start: Int64s, journey_person: Int32s, at: Int64s, rank: Int32s, stage: Int16s, stages: int, window: int,
    day_start: Int64s,
) -> tuple[Int64s, Int64s, Int64s, Int64s]:  # fmt: skip
    """Return each person's furthest journey, the places of its stages, and both of the furthest journey of each day.

    Rows are (person, journey, furthest stage, is in order, pairs of neighbours among the visited stages, pairs whose
    first visits tie); the last three are 0 for days. Places are by row and stage: where it was first reached,
    first visited, and first passed after the visit; of days only where it was first reached.
    """
    journeys = len(journey_person)
    best = np.zeros((journeys, 6), np.int64)
    days = np.zeros((journeys, 6), np.int64)
    places = np.empty((journeys, 3, stages), np.int64)
    day_reached = np.empty((journeys, stages), np.int64)
    seen = np.empty((3, stages), np.int64)
    count = 0
    day_count = 0
    day = -1
    for j in range(journeys):
        lo, hi = journey_start[j], journey_start[j + 1]
        depth = _read_journey(lo, hi, at, stage, window, seen)
        if depth == 0:
            continue
        if count == 0 or best[count - 1, PERSON] != journey_person[j]:
            count += 1
            day = -1
        its_day = first_above(day_start, 0, len(day_start), at[lo])
        if its_day != day:
            day = its_day
            day_count += 1
        if depth > best[count - 1, DEPTH]:
            _write(best, count - 1, journey_person[j], j, depth)
            is_in_order, pairs, tied = _compare_first_visits(rank, seen[VISITED], depth)
            best[count - 1, IN_ORDER], best[count - 1, PAIRS], best[count - 1, TIED_PAIRS] = is_in_order, pairs, tied
            for s in range(stages):
                for each in (FIRST, VISITED, BEYOND):
                    places[count - 1, each, s] = seen[each, s]
        if depth > days[day_count - 1, DEPTH]:
            _write(days, day_count - 1, journey_person[j], j, depth)
            for s in range(stages):
                day_reached[day_count - 1, s] = seen[FIRST, s]
    return best[:count].copy(), places[:count].copy(), days[:day_count].copy(), day_reached[:day_count].copy()


@inner
def _write(rows: Int64s, row: int, person: int, journey: int, depth: int) -> None:
    rows[row, PERSON] = person
    rows[row, JOURNEY] = journey
    rows[row, DEPTH] = depth


@inner
def _read_journey(lo: int, hi: int, at: Int64s, stage: Int16s, window: int, seen: Int64s) -> int:
    """Read a journey within `window` of its first event; return its furthest stage and fill `seen`."""
    seen[:] = -1
    furthest = 0
    place = lo
    while place < hi and at[place] - at[lo] <= window:
        k = stage[place]
        if k > 0:
            for s in range(furthest, k):
                seen[FIRST, s] = place
            furthest = max(furthest, k)
            for s in range(k - 1):
                if seen[VISITED, s] >= 0 and seen[BEYOND, s] < 0:
                    seen[BEYOND, s] = place
            if seen[VISITED, k - 1] < 0:
                seen[VISITED, k - 1] = place
        place += 1
    return furthest


@inner
def _compare_first_visits(rank: Int32s, visited: Int64s, depth: int) -> tuple[int, int, int]:
    """Return whether first visits come in the model's order (ties do), how many pairs there are, and how many tie."""
    is_in_order, pairs, tied = 1, 0, 0
    before = -1
    for s in range(depth):
        if visited[s] < 0:
            continue
        its_rank = rank[visited[s]]
        if before >= 0:
            pairs += 1
            if its_rank < before:
                is_in_order = 0
            elif its_rank == before:
                tied += 1
        before = its_rank
    return is_in_order, pairs, tied


def pack_classifications(event_type: Int32s, rule: Int16s, plan: KernelPlan) -> Int64s:
    """Return the `classification_key` of every event: its event type and its rule in each model, in mixed radix.

    `rule` has the matching `rule_index` by model and place, 0 for none. Raises JourneyflowError when event types and
    rules do not fit into 63 bits.
    """
    room = plan.event_type_room
    for model in plan.models:
        room *= len(model.rules) + 1
    if room > 2**63 - 1:
        raise JourneyflowError(
            f"{plan.event_type_count} event types and the rules of {len(plan.models)} models do not fit into one "
            "classification key; use fewer models in one run, or conditions that distinguish fewer event types."
        )
    keys = np.zeros(len(event_type), np.int64)
    for m in reversed(range(len(plan.models))):
        keys *= len(plan.models[m].rules) + 1
        keys += rule[m]
    keys *= plan.event_type_room
    keys += event_type
    return keys


def unpack_stages(key: Int64s, plan: KernelPlan) -> Int16s:
    """Return the stage in each model, shape (models, keys), from classification keys."""
    stages = np.zeros((len(plan.models), len(key)), np.int16)
    rest = key // plan.event_type_room
    for m, model in enumerate(plan.models):
        stage_of_rule = np.zeros(len(model.rules) + 1, np.int16)
        for rule in model.rules:
            stage_of_rule[rule.rule_index] = rule.stage_index
        stages[m] = stage_of_rule[rest % (len(model.rules) + 1)]
        rest //= len(model.rules) + 1
    return stages
