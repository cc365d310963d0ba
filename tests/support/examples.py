"""How many random examples a property is given: all of them, or a share in the fast tier."""

from __future__ import annotations

import os

IS_FAST = os.environ.get("JOURNEYFLOW_TIER") == "test"
SHARE = 6


def examples(count: int) -> int:
    """Return how many of `count` examples this tier runs; never fewer than ten."""
    return max(10, count // SHARE) if IS_FAST and count > 10 else count
