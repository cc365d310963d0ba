"""The stages of persons' events, their visits, and the stage funnel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.search import first_above
from journeyflow.kernel.loops.values import Int16s, Int32s, Int64s

PERSON, JOURNEY, DEPTH, PENDING, IN_ORDER = range(5)
FIRST, VISITED, BEYOND = range(3)


class RuleTables(NamedTuple):
    """The rules of all models as flat arrays; a list by kind is a pair (start, items).

    `candidates` are by model and kind: the rules to try, in order. `after` and `nth` are the rule's slot, -1 for no
    such demand; the slots that an event of a kind fills are in `after_items` and `nth_items`.
    """

    candidate_start: Int64s
    candidates: Int32s
    stage_index: Int16s
    rule_index: Int16s
    after: Int32s
    within: Int64s
    nth: Int32s
    at_least: Int64s
    exactly: Int64s
    after_start: Int64s
    after_items: Int32s
    nth_start: Int64s
    nth_items: Int32s


@compiled
def label_events(
    start: Int64s, at: Int64s, kind: Int32s, models: int, kinds: int, rules: RuleTables
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
            k = kind[i]
            for c in range(rules.nth_start[k], rules.nth_start[k + 1]):
                ordinal[rules.nth_items[c]] += 1
            for m in range(models):
                row = m * kinds + k
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


@compiled
def visit_stages(start: Int64s, stage: Int16s) -> tuple[Int32s, Int32s, Int64s, Int64s]:
    """Return (journey, visit_index, first place, last place) of the visits; `start` are the places of the journeys."""
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


@compiled
def read_persons(
    journey_start: Int64s, journey_person: Int32s, at: Int64s, rank: Int32s, stage: Int16s, stages: int, window: int,
    high_water: int, day_start: Int64s,
) -> tuple[Int64s, Int64s, Int64s]:  # fmt: skip
    """Return each person's furthest journey, the places of its stages, and the best journey of each person and day.

    Rows are (person, journey, furthest stage, is pending, is in order). Places are by row and stage: where it was first
    reached, first visited, and first passed after the visit.
    """
    journeys = len(journey_person)
    best = np.zeros((journeys, 5), np.int64)
    days = np.zeros((journeys, 5), np.int64)
    places = np.empty((journeys, 3, stages), np.int64)
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
        is_pending = depth < stages and at[lo] + window > high_water
        if depth > best[count - 1, DEPTH]:
            _write(best, count - 1, journey_person[j], j, depth, is_pending, _is_in_order(rank, seen[VISITED], depth))
            for s in range(stages):
                for each in (FIRST, VISITED, BEYOND):
                    places[count - 1, each, s] = seen[each, s]
        if depth > days[day_count - 1, DEPTH]:
            _write(days, day_count - 1, journey_person[j], j, depth, is_pending, False)
    return best[:count].copy(), places[:count].copy(), days[:day_count].copy()


@compiled
def _write(rows: Int64s, row: int, person: int, journey: int, depth: int, is_pending: bool, is_in_order: bool) -> None:
    rows[row, PERSON] = person
    rows[row, JOURNEY] = journey
    rows[row, DEPTH] = depth
    rows[row, PENDING] = is_pending
    rows[row, IN_ORDER] = is_in_order


@compiled
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


@compiled
def _is_in_order(rank: Int32s, visited: Int64s, depth: int) -> bool:
    """Do the first visits come in the model's order; tied ones do."""
    latest = -1
    for s in range(depth):
        if visited[s] >= 0:
            if rank[visited[s]] < latest:
                return False
            latest = rank[visited[s]]
    return True
