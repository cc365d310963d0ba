"""The rules of models as flat arrays, and the label that names an event's kind and rules."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from journeyflow.errors import JourneyflowError
from journeyflow.kernel.loops.stages import RuleTables
from journeyflow.kernel.plan import Bools, KernelPlan, Model, Rule

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


def _is_nth(rule: Rule) -> bool:
    return rule.nth_at_least is not None or rule.nth_is is not None


def _candidates(model: Model, offset: int, kind: int) -> list[int]:
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


def pack_labels(kind: npt.NDArray[np.int32], rule: npt.NDArray[np.int16], plan: KernelPlan) -> npt.NDArray[np.int64]:
    """Return the `label_key` of every event: its kind and its rule in each model, in mixed radix.

    Parameters
    ----------
    kind : array
        `kind_ix` by place.
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
