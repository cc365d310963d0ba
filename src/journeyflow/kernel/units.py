"""The events of a chunk as a funnel reads them: grouped by person, by session, or by a property."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyflow.kernel.leaving import link_sessions


@dataclass(frozen=True, eq=False)
class Units:
    """Events grouped by unit; unit `u` has the places `[start[u], start[u + 1])`, in time order.

    All arrays but `start` and `unit_key` are by place. `position` is the event's number in the whole stream, from 1:
    it names attempts and sessions, whatever the size of the chunks. `stage` is by model and place.
    """

    start: npt.NDArray[np.int64]
    unit_key: npt.NDArray[np.uint64]
    rank: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int32]
    stage: npt.NDArray[np.int16]
    session: npt.NDArray[np.int32]
    event_ix: npt.NDArray[np.int64]
    position: npt.NDArray[np.int64]
    person_key: npt.NDArray[np.uint64]
    journey_index: npt.NDArray[np.int32]
    following: npt.NDArray[np.int32]
    session_last: npt.NDArray[np.int32]


def regrouped(
    units: Units,
    order: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    unit_key: npt.NDArray[np.uint64],
    rank: npt.NDArray[np.int32],
) -> Units:
    """Return the events in another grouping; `order` maps its places to places of `units`."""
    session = units.session[order]
    return Units(
        start,
        unit_key,
        rank,
        units.at[order],
        units.kind[order],
        np.ascontiguousarray(units.stage[:, order]),
        session,
        units.event_ix[order],
        units.position[order],
        units.person_key[order],
        units.journey_index[order],
        *link_sessions(start, session),
    )
