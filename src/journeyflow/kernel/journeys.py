"""Journeys of persons, the stage of every event in every model, and the visits of stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from journeyflow.errors import JourneyflowError
from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.plan import KernelPlan, Model, Rule

ANY_TIME = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Journeys:
    """The journeys of a chunk: journey `j` has the places `[start[j], start[j + 1])` of the grouping by person."""

    start: npt.NDArray[np.int64]
    person: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    session_count: npt.NDArray[np.int64]
    of_place: npt.NDArray[np.int32]
    person_session_count: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RuleTables:
    """The rules of all models as flat arrays: what `_label` walks; lists by kind are (start, items) pairs."""

    candidate_start: npt.NDArray[np.int64]
    candidates: npt.NDArray[np.int32]
    stage: npt.NDArray[np.int16]
    index: npt.NDArray[np.int16]
    after: npt.NDArray[np.int32]
    within: npt.NDArray[np.int64]
    nth: npt.NDArray[np.int32]
    at_least: npt.NDArray[np.int64]
    exactly: npt.NDArray[np.int64]
    after_start: npt.NDArray[np.int64]
    after_items: npt.NDArray[np.int32]
    nth_start: npt.NDArray[np.int64]
    nth_items: npt.NDArray[np.int32]
    after_count: int
    nth_count: int


def cut_journeys(
    start: npt.NDArray[np.int64], at: npt.NDArray[np.int64], session: npt.NDArray[np.int32], timeout_us: int
) -> Journeys:
    """Return the journeys of persons; `at` and `session` are by place of the grouping, `start` its persons."""
    session_count = int(session.max(initial=-1)) + 1
    return Journeys(*_cut_journeys(start, at, session, timeout_us, session_count))


@compiled
def _cut_journeys(start, at, session, timeout, session_count):  # type: ignore[no-untyped-def]
    n = len(at)
    persons = len(start) - 1
    of_place = np.empty(n, np.int32)
    first = np.empty(n + 1, np.int64)
    person = np.empty(n, np.int32)
    index = np.empty(n, np.int32)
    journey_sessions = np.zeros(n, np.int64)
    person_sessions = np.zeros(persons, np.int64)
    seen_journey = np.full(session_count, -1, np.int32)
    seen_person = np.full(session_count, -1, np.int32)
    j = -1
    for p in range(persons):
        number = 0
        for i in range(start[p], start[p + 1]):
            if i == start[p] or at[i] - at[i - 1] > timeout:
                number += 1
                j += 1
                first[j] = i
                person[j] = p
                index[j] = number
            of_place[i] = j
            s = session[i]
            if s >= 0:
                if seen_journey[s] != j:
                    seen_journey[s] = j
                    journey_sessions[j] += 1
                if seen_person[s] != p:
                    seen_person[s] = p
                    person_sessions[p] += 1
    count = j + 1
    first[count] = n
    return (
        first[: count + 1].copy(),
        person[:count].copy(),
        index[:count].copy(),
        journey_sessions[:count].copy(),
        of_place,
        person_sessions,
    )


def label_events(
    start: npt.NDArray[np.int64], at: npt.NDArray[np.int64], kind: npt.NDArray[np.int32], plan: KernelPlan
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Return (stage, rule) of every event in every model, shape (models, places); 0 is unclassified."""
    tables = rule_tables(plan)
    return _label(start, at, kind, len(plan.models), plan.kind_count, *_fields(tables))  # type: ignore[no-any-return]


@compiled
def _label(
    start, at, kind, models, kinds, candidate_start, candidates, rule_stage, rule_index, rule_after, rule_within,
    rule_nth, at_least, exactly, after_start, after_items, nth_start, nth_items, after_count, nth_count,
):  # type: ignore[no-untyped-def]  # fmt: skip
    n = len(at)
    stage = np.zeros((models, n), np.int16)
    rule = np.zeros((models, n), np.int16)
    last_at = np.zeros(after_count, np.int64)
    last_person = np.full(after_count, -1, np.int64)
    ordinal = np.zeros(nth_count, np.int64)
    for p in range(len(start) - 1):
        ordinal[:] = 0
        for i in range(start[p], start[p + 1]):
            k = kind[i]
            for c in range(nth_start[k], nth_start[k + 1]):
                ordinal[nth_items[c]] += 1
            for m in range(models):
                row = m * kinds + k
                for c in range(candidate_start[row], candidate_start[row + 1]):
                    r = candidates[c]
                    a = rule_after[r]
                    if a >= 0 and (last_person[a] != p or at[i] - last_at[a] > rule_within[r]):
                        continue
                    o = rule_nth[r]
                    if o >= 0 and (ordinal[o] < at_least[r] or (exactly[r] > 0 and ordinal[o] != exactly[r])):
                        continue
                    stage[m, i] = rule_stage[r]
                    rule[m, i] = rule_index[r]
                    break
            for c in range(after_start[k], after_start[k + 1]):
                last_at[after_items[c]] = at[i]
                last_person[after_items[c]] = p
    return stage, rule


def _fields(tables: RuleTables) -> tuple[object, ...]:
    return tuple(vars(tables).values())


@lru_cache(maxsize=4)
def rule_tables(plan: KernelPlan) -> RuleTables:
    """Return the rules of a plan as flat arrays; a rule is a candidate for a kind until a rule without history matches."""
    rules = [rule for model in plan.models for rule in model.rules]
    with_after = [r for r, rule in enumerate(rules) if rule.after is not None]
    with_nth = [r for r, rule in enumerate(rules) if _is_nth(rule)]
    candidate_rows: list[list[int]] = []
    offset = 0
    for model in plan.models:
        candidate_rows += [_candidates(model, offset, kind) for kind in range(plan.kind_count)]
        offset += len(model.rules)
    kinds = range(plan.kind_count)
    after_rows = [[s for s, r in enumerate(with_after) if _after_mask(rules[r])[kind]] for kind in kinds]
    nth_rows = [[s for s, r in enumerate(with_nth) if rules[r].when[kind]] for kind in kinds]
    return RuleTables(
        *_packed(candidate_rows),
        stage=np.array([rule.stage_index for rule in rules], np.int16),
        index=np.array([rule.rule_index for rule in rules], np.int16),
        after=_slots(with_after, len(rules)),
        within=np.array([ANY_TIME if r.after_within_us is None else r.after_within_us for r in rules], np.int64),
        nth=_slots(with_nth, len(rules)),
        at_least=np.array([rule.nth_at_least or 0 for rule in rules], np.int64),
        exactly=np.array([rule.nth_is or 0 for rule in rules], np.int64),
        after_start=_packed(after_rows)[0],
        after_items=_packed(after_rows)[1],
        nth_start=_packed(nth_rows)[0],
        nth_items=_packed(nth_rows)[1],
        after_count=len(with_after),
        nth_count=len(with_nth),
    )


def _is_nth(rule: Rule) -> bool:
    return rule.nth_at_least is not None or rule.nth_is is not None


def _after_mask(rule: Rule) -> npt.NDArray[np.bool_]:
    return rule.after if rule.after is not None else np.zeros_like(rule.when)


def _candidates(model: Model, offset: int, kind: int) -> list[int]:
    found = []
    for r, rule in enumerate(model.rules):
        if rule.when[kind]:
            found.append(offset + r)
            if rule.after is None and not _is_nth(rule):
                break
    return found


def _packed(rows: list[list[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return start, np.array([item for row in rows for item in row], np.int32)


def _slots(members: list[int], count: int) -> npt.NDArray[np.int32]:
    slots = np.full(count, -1, np.int32)
    slots[members] = np.arange(len(members), dtype=np.int32)
    return slots


def pack_labels(kind: npt.NDArray[np.int32], rule: npt.NDArray[np.int16], plan: KernelPlan) -> npt.NDArray[np.int64]:
    """Return the `label_key` of every event: its kind and its rule in each model, in mixed radix.

    Raises
    ------
    JourneyflowError
        When kinds and rules are so many that they do not fit into 63 bits.
    """
    room = plan.kind_count
    for model in plan.models:
        room *= len(model.rules) + 1
    if room > 2**63 - 1:
        raise JourneyflowError(
            f"{plan.kind_count} event kinds and the rules of {len(plan.models)} models do not fit into one label; "
            "use fewer models in one run, or conditions that tell fewer kinds apart."
        )
    labels = np.zeros(len(kind), np.int64)
    for m in reversed(range(len(plan.models))):
        labels = labels * (len(plan.models[m].rules) + 1) + rule[m]
    return labels * plan.kind_count + kind


def visit_stages(
    start: npt.NDArray[np.int64], stage: npt.NDArray[np.int16]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (journey, visit_index, first place, last place) of the stage visits; `start` are the journeys' places."""
    return _visit(start, stage)  # type: ignore[no-any-return]


@compiled
def _visit(start, stage):  # type: ignore[no-untyped-def]
    count = 0
    for j in range(len(start) - 1):
        current = 0
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
        current = 0
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
