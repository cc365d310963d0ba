"""Stages of events, stage visits and the stage funnel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from journeyflow.errors import JourneyflowError
from journeyflow.kernel.jit import Int16s, Int32s, Int64s, compiled, first_above
from journeyflow.kernel.plan import Bools, KernelPlan, ModelPlan, RulePlan

Integer = TypeVar("Integer", bound=np.signedinteger[Any])


@compiled
def look_up(bits: npt.NDArray[Integer], stage: Int16s, kind: Int32s) -> npt.NDArray[Integer]:
    """Return for each event its cell of `bits`, by stage and kind; an empty `stage` reads the first row."""
    found = np.empty(len(kind), bits.dtype)
    if len(stage) == 0:
        row = bits[0]
        for place in range(len(kind)):
            found[place] = row[kind[place]]
    else:
        for place in range(len(kind)):
            found[place] = bits[stage[place], kind[place]]
    return found


@compiled
def number_classifications(label: Int64s) -> tuple[Int32s, Int64s]:
    """Return dense numbers of the labels, in the order of first sight, and the place of the first event of each."""
    number = np.empty(len(label), np.int32)
    example = np.empty(1024, np.int64)
    table = np.full(4096, -1, np.int32)
    count = 0
    for place in range(len(label)):
        if place > 0 and label[place] == label[place - 1]:
            number[place] = number[place - 1]
            continue
        slot = _slot(table, label, example, label[place])
        if table[slot] < 0:
            if count == len(example):
                longer = np.empty(2 * count, np.int64)
                table = np.full(8 * count, -1, np.int32)
                for known in range(count):
                    longer[known] = example[known]
                    table[_slot(table, label, example, label[example[known]])] = known
                example = longer
                slot = _slot(table, label, example, label[place])
            example[count] = place
            table[slot] = count
            count += 1
        number[place] = table[slot]
    return number, example[:count].copy()


@compiled
def _slot(table: Int32s, label: Int64s, example: Int64s, wanted: int) -> int:
    """Return the slot of a label in an open hash table of dense numbers."""
    mask = len(table) - 1
    slot = ((wanted * 0x9E3779B1) >> 13) & mask
    while table[slot] >= 0 and label[example[table[slot]]] != wanted:
        slot = (slot + 1) & mask
    return slot


@compiled
def count_classifications(number: Int32s, at: Int64s, label_count: int) -> tuple[Int64s, Int64s, Int64s]:
    """Return (number of events, first time, last time) by label."""
    counts = np.zeros(label_count, np.int64)
    first = np.full(label_count, np.iinfo(np.int64).max, np.int64)
    last = np.full(label_count, np.iinfo(np.int64).min, np.int64)
    for place in range(len(number)):
        label = number[place]
        counts[label] += 1
        first[label] = min(first[label], at[place])
        last[label] = max(last[label], at[place])
    return counts, first, last


@compiled
def count_persons(start: Int64s, number: Int32s, cell: Int64s, cell_count: int) -> Int64s:
    """Return by `cell` (of several labels) how many persons have an event in it."""
    counts = np.zeros(cell_count, np.int64)
    seen = np.full(cell_count, -1, np.int64)
    for person in range(len(start) - 1):
        for place in range(start[person], start[person + 1]):
            its_cell = cell[number[place]]
            if seen[its_cell] != person:
                seen[its_cell] = person
                counts[its_cell] += 1
    return counts


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
def classify_events(
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


ANY_TIME = np.iinfo(np.int64).max


@lru_cache(maxsize=4)
def rule_tables(plan: KernelPlan) -> RuleTables:
    """Return the rules of a plan as flat arrays; a rule is a candidate for a kind until one without history matches."""
    rules = [rule for model in plan.models for rule in model.rules]
    with_after = [r for r, rule in enumerate(rules) if rule.after is not None]
    with_nth = [r for r, rule in enumerate(rules) if _is_nth(rule)]
    candidates: list[list[int]] = []
    offset = 0
    for model in plan.models:
        candidates += [_candidates(model, offset, kind) for kind in range(plan.kind_count)]
        offset += len(model.rules)
    after = _by_kind([rules[r].after for r in with_after], plan.kind_count)
    nth = _by_kind([rules[r].when for r in with_nth], plan.kind_count)
    return RuleTables(
        *packed(candidates),
        stage_index=np.array([rule.stage_index for rule in rules], np.int16),
        rule_index=np.array([rule.rule_index for rule in rules], np.int16),
        after=_slots(with_after, len(rules)),
        within=np.array([ANY_TIME if r.after_within_us is None else r.after_within_us for r in rules], np.int64),
        nth=_slots(with_nth, len(rules)),
        at_least=np.array([rule.nth_at_least or 0 for rule in rules], np.int64),
        exactly=np.array([rule.nth_is or 0 for rule in rules], np.int64),
        after_start=after[0],
        after_items=after[1],
        nth_start=nth[0],
        nth_items=nth[1],
    )


def _is_nth(rule: RulePlan) -> bool:
    return rule.nth_at_least is not None or rule.nth_is is not None


def _candidates(model: ModelPlan, offset: int, kind: int) -> list[int]:
    found = []
    for r, rule in enumerate(model.rules):
        if rule.when[kind]:
            found.append(offset + r)
            if rule.after is None and not _is_nth(rule):
                break
    return found


def _by_kind(masks: list[Bools | None], kinds: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return for each kind the numbers of the masks that hold for it."""
    return packed(
        [[slot for slot, mask in enumerate(masks) if mask is not None and mask[kind]] for kind in range(kinds)]
    )


def packed(rows: list[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return lists as one array of items and where each list starts in it, the end of the last included."""
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return start, np.array([item for row in rows for item in row], np.int32)


def _slots(members: list[int], count: int) -> npt.NDArray[np.int32]:
    slots = np.full(count, -1, np.int32)
    slots[members] = np.arange(len(members), dtype=np.int32)
    return slots


def pack_classifications(
    kind: npt.NDArray[np.int32], rule: npt.NDArray[np.int16], plan: KernelPlan
) -> npt.NDArray[np.int64]:
    """Return the `classification_key` of every event: its kind and its rule in each model, in mixed radix.

    Parameters
    ----------
    kind : array
        `event_type_ix` by place.
    rule : array, shape (models, places)
        Matching `rule_index`, 0 for none.
    plan : KernelPlan

    Raises
    ------
    JourneyflowError
        When kinds and rules are so many that they do not fit into 63 bits.
    """
    room = plan.kind_room
    for model in plan.models:
        room *= len(model.rules) + 1
    if room > 2**63 - 1:
        raise JourneyflowError(
            f"{plan.kind_count} event kinds and the rules of {len(plan.models)} models do not fit into one label; "
            "use fewer models in one run, or conditions that tell fewer kinds apart."
        )
    labels = np.zeros(len(kind), np.int64)
    for m in reversed(range(len(plan.models))):
        labels *= len(plan.models[m].rules) + 1
        labels += rule[m]
    labels *= plan.kind_room
    labels += kind
    return labels


def unpack_stages(label: npt.NDArray[np.int64], plan: KernelPlan) -> npt.NDArray[np.int16]:
    """Return the stage in each model, shape (models, labels), of labels that `pack_labels` made."""
    stages = np.zeros((len(plan.models), len(label)), np.int16)
    rest = label // plan.kind_room
    for m, model in enumerate(plan.models):
        stage_of_rule = np.zeros(len(model.rules) + 1, np.int16)
        for rule in model.rules:
            stage_of_rule[rule.rule_index] = rule.stage_index
        stages[m] = stage_of_rule[rest % (len(model.rules) + 1)]
        rest //= len(model.rules) + 1
    return stages
