"""How often each label occurs."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Int32s, Int64s


@compiled
def number_labels(label: Int64s) -> tuple[Int32s, Int64s]:
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
def count_labels(number: Int32s, at: Int64s, label_count: int) -> tuple[Int64s, Int64s, Int64s]:
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
