"""How often each label occurs: the counts behind `event_kinds`."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from journeyflow.kernel.compiled import compiled
from journeyflow.kernel.journeys import pack_labels
from journeyflow.kernel.plan import KernelPlan
from journeyflow.kernel.schemas import empty, table
from journeyflow.kernel.units import Units


def count_labels(persons: Units, rule: np.ndarray, plan: KernelPlan) -> pa.Table:  # type: ignore[type-arg]
    """Return the rows of `kernel.labels` of a chunk.

    A person counts once for (model, kind, rule): at the label of the first such event. So `person_count`, as
    `event_count`, may be added up over labels and chunks.
    """
    keys, number = np.unique(pack_labels(persons.kind, rule, plan), return_inverse=True)
    counts, first, last, example = _count(number, persons.at, len(keys))
    tables = [empty("kernel.labels")]
    for m, model in enumerate(plan.models):
        its_rule = rule[m][example]
        cell = persons.kind[example].astype(np.int64) * (len(model.rules) + 1) + its_rule
        _, cell_number = np.unique(cell, return_inverse=True)
        tables.append(
            table(
                "kernel.labels",
                {
                    "label_key": keys,
                    "model_index": np.full(len(keys), m + 1),
                    "kind_ix": persons.kind[example],
                    "stage_index": persons.stage[m][example],
                    "rule_index": its_rule,
                    "event_count": counts,
                    "person_count": _count_persons(persons.start, number, cell_number, len(keys)),
                    "first_seen_at": first,
                    "last_seen_at": last,
                },
            )
        )
    return pa.concat_tables(tables)


@compiled
def _count(number, at, label_count):  # type: ignore[no-untyped-def]
    counts = np.zeros(label_count, np.int64)
    first = np.zeros(label_count, np.int64)
    last = np.zeros(label_count, np.int64)
    example = np.zeros(label_count, np.int64)
    for place in range(len(number)):
        label = number[place]
        if counts[label] == 0:
            first[label] = last[label] = at[place]
            example[label] = place
        counts[label] += 1
        first[label] = min(first[label], at[place])
        last[label] = max(last[label], at[place])
    return counts, first, last, example


@compiled
def _count_persons(start, number, cell_of_label, label_count):  # type: ignore[no-untyped-def]
    counts = np.zeros(label_count, np.int64)
    seen = np.full(label_count, -1, np.int64)
    for person in range(len(start) - 1):
        for place in range(start[person], start[person + 1]):
            cell = cell_of_label[number[place]]
            if seen[cell] != person:
                seen[cell] = person
                counts[number[place]] += 1
    return counts
