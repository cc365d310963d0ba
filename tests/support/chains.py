"""Absorbing chains of hand-written paths."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from journeyflow.report.analyses import Chain


def chain_of(paths):
    """Return the chain of (states, conversions, exits), and the index of each state."""
    names = {name: index for index, name in enumerate(sorted({name for path, _, _ in paths for name in path}), 1)}
    counts = np.zeros((len(names) + 1, len(names) + 3))
    for path, converted, left in paths:
        states = [0, *(names[name] for name in path)]
        for start, end in pairwise(states):
            counts[start, end] += converted + left
        counts[states[-1], -2:] += (converted, left)
    return Chain(counts), names
