"""The conditions that hold for each event."""

from __future__ import annotations

import numpy as np

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Int16s, Int32s, Int64s


@compiled
def look_up(bits: Int64s, stage: Int16s, kind: Int32s) -> Int64s:
    """Return for each event its row of `bits`, by stage and kind; an empty `stage` reads the first row."""
    found = np.empty(len(kind), np.int64)
    if len(stage) == 0:
        row = bits[0]
        for place in range(len(kind)):
            found[place] = row[kind[place]]
    else:
        for place in range(len(kind)):
            found[place] = bits[stage[place], kind[place]]
    return found
