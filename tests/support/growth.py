"""Logs of one busy person and the time that the kernel takes for their funnel."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from journeyflow.kernel.funnels import evaluate_funnel
from journeyflow.kernel.plan import Exclusion, compile_funnel

DAY_US = 86_400_000_000


def funnel(letters: str = "abcx", steps: str = "abc", **settings: Any) -> Any:
    """Compile a funnel whose steps are the events of the letters `steps`; event types are the letters of `letters`."""
    excluded = settings.pop("excluded", None)
    if excluded:
        between, is_void = excluded
        bits = np.array([[letter == "x" for letter in letters]])
        settings["exclusions"] = [Exclusion(*between, bits, is_void)]
    conditions = [np.array([[letter == step for letter in letters]]) for step in steps]
    return compile_funnel(1, conditions, window_us=DAY_US, is_attempts=True, **settings)


def seconds(log: str, size: int, compiled: Any, per_instant: int = 1, letters: str = "abcx") -> float:
    """Return the processor seconds for one unit of `size` events: the letters of `log` again and again."""
    event_type = np.array([letters.index(letter) for letter in log], np.int32)[np.arange(size) % len(log)]
    rank = (np.arange(size) // per_instant).astype(np.int32)
    began = time.process_time()
    evaluate_funnel(
        np.array([0, size]), rank.astype(np.int64), rank, event_type, None, compiled, np.array([0, DAY_US, 2 * DAY_US])
    )
    return time.process_time() - began
