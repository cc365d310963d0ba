"""Connected components of user ids and of persons who share devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


Keys = npt.NDArray[np.uint64]

_ALIASES = """
    select distinct alias_key as previous_key, user_key
    from staging.events
    where alias_key is not null and user_key is not null and alias_key <> user_key and not is_bot and not is_internal
"""
_MEETINGS = "select device_key, person_key from identity.shared_device_persons"


def group_keys(left: Keys, right: Keys) -> tuple[Keys, npt.NDArray[np.int32]]:
    """Number the groups of keys that pairs connect, directly or through others.

    Parameters
    ----------
    left, right : array of uint64
        One pair a position; the order of pairs and of their two sides does not matter.

    Returns
    -------
    keys : array of uint64
        Every key named, once, ascending.
    groups : array of int32
        The group of each key, from 0, numbered by their least keys.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys, positions = np.unique(np.concatenate((left, right)), return_inverse=True)
    rows, columns = positions[: len(left)], positions[len(left) :]
    links = coo_array((np.ones(len(left), dtype=np.int8), (rows, columns)), shape=(len(keys), len(keys)))
    _, groups = connected_components(links, directed=False)
    return keys, groups


def resolve_aliases(previous: Keys, current: Keys) -> tuple[Keys, Keys]:
    """Choose one key for each group of user_ids that alias events join.

    The least id that was never a previous one gives the key, because it is in use; in a circle the least of all does.

    Parameters
    ----------
    previous, current : array of uint64
        The keys of the previous and of the present user_id of each alias event.

    Returns
    -------
    keys, person_keys : arrays of uint64
        Every key named, ascending, and the key of its person.
    """
    keys, groups = group_keys(previous, current)
    is_previous = np.isin(keys, previous)
    order = np.lexsort((keys, is_previous, groups))
    firsts = np.concatenate(([True], groups[order][1:] != groups[order][:-1])) if len(keys) else np.array([], bool)
    chosen = keys[order][firsts]
    return keys, chosen[groups]


def user_aliases(engine: Engine, config: Config) -> None:
    """Fill `identity.user_aliases`: one row per user_id of an alias event, with the key of its person.

    Parameters
    ----------
    engine : Engine
        Holds `staging.events`.
    config : Config
        Not read.
    """
    del config
    aliases = engine.rows(_ALIASES)
    keys, person_keys = resolve_aliases(_keys(aliases, "previous_key"), _keys(aliases, "user_key"))
    engine.register("identity.user_aliases", pa.table({"user_key": keys, "person_key": person_keys}))


def person_components(engine: Engine, config: Config) -> None:
    """Fill `identity.person_components`: persons and devices tied by shared devices, each with their component.

    A shared device is in it under its own key, as the anonymous person who owns its unnamed events.

    Parameters
    ----------
    engine : Engine
        Holds `identity.shared_device_persons`.
    config : Config
        Not read.
    """
    del config
    meetings = engine.rows(_MEETINGS)
    keys, groups = group_keys(_keys(meetings, "device_key"), _keys(meetings, "person_key"))
    _, firsts = np.unique(groups, return_index=True)
    table = {"person_key": keys, "component_key": keys[firsts][groups]}
    engine.register("identity.person_components", pa.table(table))


def _keys(table: pa.Table, column: str) -> Keys:
    keys: Keys = table.column(column).to_numpy().astype(np.uint64, copy=False)
    return keys
