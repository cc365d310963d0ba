"""How many random examples a property is given: all of them, or the share of a tier."""

from __future__ import annotations

import os

SHARE = {"test": 6, "check": 3}.get(os.environ.get("JOURNEYFLOW_TIER", ""), 1)


def examples(count: int) -> int:
    """Return how many of `count` examples this tier runs; never fewer than ten."""
    return min(count, max(10, count // SHARE))
