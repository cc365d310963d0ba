"""Connected components of user ids and of persons who share devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from journeyflow.models.python_models import python_model

if TYPE_CHECKING:
    from journeyflow.engines import Engine


Keys = npt.NDArray[np.uint64]

# A login (`is_login` of the collectors' adapters) names the id of its device before it. As with any device, that ties
# nobody together when several users logged in from it. All logins of a device are in its component.
_ALIASES = """
    with named as (
        select
            event_ix,
            coalesce(
                json_extract_string(properties, '/is_login') = 'true'
                and anonymous_id = json_extract_string(properties, '/previous_id'),
                false
            ) as is_login
        from sources.events
        where event_name = 'alias'
    ),

    stated as (
        select distinct
            events.alias_key as previous_key,
            events.user_key,
            coalesce(named.is_login, false) as is_login
        from staging.events as events
        left join named on named.event_ix = events.event_ix
        where
            events.alias_key is not null and events.user_key is not null and events.alias_key <> events.user_key
            and not events.is_bot and not events.is_internal
    )

    select previous_key, user_key
    from stated
    qualify not is_login or count(*) filter (where is_login) over (partition by previous_key) = 1
"""
_MEETINGS = "select device_key, person_key from identity.shared_device_persons"
_IS_CLEAR = "select is_clear_person_id from config.settings where is_clear_person_id"
# Where clear ids are published, a device and a user of the same text: the id of one depends on the other.
_NAMESAKES = """
    with devices as (
        select distinct device_key
        from staging.events
        where device_key is not null and not is_bot and not is_internal
    ),

    users as (
        select distinct events.user_key, md5_number_lower('d:' || named.user_id) as device_key
        from staging.events as events
        inner join sources.events as named on named.event_ix = events.event_ix
        where events.user_key is not null and not events.is_bot and not events.is_internal
    )

    select
        coalesce(
            case when device_persons.person_count = 1 then device_persons.person_key end, devices.device_key
        ) as device_key,
        coalesce(aliases.person_key, users.user_key) as person_key
    from users
    inner join devices on devices.device_key = users.device_key
    left join identity._device_persons as device_persons on device_persons.device_key = devices.device_key
    left join identity.user_aliases as aliases on aliases.user_key = users.user_key
"""


def group_keys(left: Keys, right: Keys) -> tuple[Keys, npt.NDArray[np.int32]]:
    """Return every key of the pairs, ascending, and the number of the connected group of each.

    Groups are numbered from 0 by their least keys; the order of pairs and of their two sides does not matter.
    """
    if not len(left):
        return np.array([], np.uint64), np.array([], np.int32)  # The imports take longer than a small run.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys, positions = np.unique(np.concatenate((left, right)), return_inverse=True)
    rows, columns = positions[: len(left)], positions[len(left) :]
    links = coo_array((np.ones(len(left), dtype=np.int8), (rows, columns)), shape=(len(keys), len(keys)))
    _, groups = connected_components(links, directed=False)
    return keys, groups


def resolve_aliases(previous: Keys, current: Keys) -> tuple[Keys, Keys]:
    """Return every key of the alias events, ascending, and the key of its person.

    A person has the least key that was never a previous one, because it is in use; in a circle the least of all.
    """
    keys, groups = group_keys(previous, current)
    is_previous = np.isin(keys, previous)
    order = np.lexsort((keys, is_previous, groups))
    firsts = np.concatenate(([True], groups[order][1:] != groups[order][:-1])) if len(keys) else np.array([], bool)
    chosen = keys[order][firsts]
    return keys, chosen[groups]


@python_model("identity.user_aliases")
def user_aliases(engine: Engine) -> pa.Table:
    """Return one row per user_id of an alias event, with the key of its person."""
    aliases = engine.rows(_ALIASES)
    keys, person_keys = resolve_aliases(_keys(aliases, "previous_key"), _keys(aliases, "user_key"))
    return pa.table({"user_key": keys, "person_key": person_keys})


@python_model("identity.person_components")
def person_components(engine: Engine) -> pa.Table:
    """Return persons and devices tied by shared devices, each with the component they form.

    A shared device appears under its own key, as the anonymous person who owns its unnamed events. Where clear ids are
    published, a device and a user of the same text are tied too.
    """
    is_clear = engine.rows(_IS_CLEAR).num_rows > 0
    meetings = engine.rows(f"{_MEETINGS} union ({_NAMESAKES})" if is_clear else _MEETINGS)
    keys, groups = group_keys(_keys(meetings, "device_key"), _keys(meetings, "person_key"))
    _, firsts = np.unique(groups, return_index=True)
    return pa.table({"person_key": keys, "component_key": keys[firsts][groups]})


def _keys(table: pa.Table, column: str) -> Keys:
    keys: Keys = table.column(column).to_numpy().astype(np.uint64, copy=False)
    return keys
