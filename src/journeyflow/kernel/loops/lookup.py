"""The conditions that hold for each event."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from journeyflow.kernel.loops.compiled import compiled
from journeyflow.kernel.loops.values import Int16s, Int32s

Integer = TypeVar("Integer", bound=np.signedinteger[Any])


@compiled
def look_up(bits: npt.NDArray[Integer], stage: Int16s, kind: Int32s) -> npt.NDArray[Integer]:
    """Return for each event its cell of `bits`, by stage and kind; an empty `stage` reads the first row."""
    found = np.empty(len(kind), bits.dtype)
    if len(stage) == 0:
        row = bits[0]
        for place in range(len(kind)):
            found[place] = row[kind[place]]
    else:
        for place in range(len(kind)):
            found[place] = bits[stage[place], kind[place]]
    return found
