"""Open-addressing hash table, reused for each component without clearing (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from journeyflow.kernel.jit import Int32s, Int64s, UInt64s, inner


class HashTable(NamedTuple):
    """Slots of the table; a slot is taken when its `owner` is the number of the current component."""

    keys: UInt64s
    other_keys: UInt64s
    owners: Int32s
    values: Int64s


@inner
def largest_component(component: UInt64s) -> int:
    """Return the number of events of the largest component."""
    largest = 1
    start = 0
    while start < len(component):
        stop = component_stop(component, start)
        largest = max(largest, stop - start)
        start = stop
    return largest


@inner
def component_stop(component: UInt64s, start: int) -> int:
    """Return the end of the component that begins at `start`."""
    stop = start + 1
    while stop < len(component) and component[stop] == component[start]:
        stop += 1
    return stop


@inner
def table_size(entries: int) -> int:
    """Return the size of a table that stays at most half full."""
    size = 8
    while size < 2 * entries:
        size *= 2
    return size


@inner
def new_table(entries: int) -> HashTable:
    """Return a table with room for `entries`."""
    size = table_size(entries)
    return HashTable(
        np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.int64)
    )


@inner
def find_slot(table: HashTable, size: int, owner: int, key: np.uint64, other_key: np.uint64) -> int:
    """Return the slot of a pair of keys among the first `size`: the one that holds it, or the free one to put it in."""
    mask = np.uint64(size - 1)
    mixed = (key ^ (other_key * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    slot = int(np.int64((mixed >> np.uint64(20)) & mask))
    while table.owners[slot] == owner and not (table.keys[slot] == key and table.other_keys[slot] == other_key):
        slot = (slot + 1) & (size - 1)
    return slot


@inner
def take_slot(table: HashTable, slot: int, owner: int, key: np.uint64, other_key: np.uint64, value: int) -> None:
    """Put a pair of keys and its value into a free slot."""
    table.owners[slot] = owner
    table.keys[slot] = key
    table.other_keys[slot] = other_key
    table.values[slot] = value
