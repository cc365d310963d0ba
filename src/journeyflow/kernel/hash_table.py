"""Open-addressing hash table, reused for each component without clearing (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.jit import Int32s, Int64s, UInt64s, compiled


class HashTable(NamedTuple):
    """Slots of the table; a slot is taken when its `mark` is that of the component in hand."""

    keys: UInt64s
    other_keys: UInt64s
    marks: Int32s
    values: Int64s


@compiled
def widest_run(component: UInt64s) -> int:
    """Return the number of events of the largest component."""
    widest = 1
    start = 0
    for i in range(1, len(component) + 1):
        if i == len(component) or component[i] != component[start]:
            widest = max(widest, i - start)
            start = i
    return widest


@compiled
def run_stop(component: UInt64s, start: int) -> int:
    """Return the end of the component that begins at `start`."""
    stop = start + 1
    while stop < len(component) and component[stop] == component[start]:
        stop += 1
    return stop


@compiled
def table_size(entries: int) -> int:
    """Return the size of a table that stays at most half full."""
    size = 8
    while size < 2 * entries:
        size *= 2
    return size


@compiled
def new_table(entries: int) -> HashTable:
    """Return a table with room for `entries`."""
    size = table_size(entries)
    return HashTable(
        np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.int64)
    )


@compiled
def find_slot(table: HashTable, size: int, mark: int, key: np.uint64, other_key: np.uint64) -> int:
    """Return the slot of a pair of keys among the first `size`: the one that holds it, or the free one to put it in."""
    mask = np.uint64(size - 1)
    mixed = (key ^ (other_key * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    slot = int(np.int64((mixed >> np.uint64(20)) & mask))
    while table.marks[slot] == mark and not (table.keys[slot] == key and table.other_keys[slot] == other_key):
        slot = (slot + 1) & (size - 1)
    return slot


@compiled
def take_slot(table: HashTable, slot: int, mark: int, key: np.uint64, other_key: np.uint64, value: int) -> None:
    """Put a pair of keys and its value into a free slot."""
    table.marks[slot] = mark
    table.keys[slot] = key
    table.other_keys[slot] = other_key
    table.values[slot] = value
