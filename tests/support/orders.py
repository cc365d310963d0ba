"""Effects of factors by listing the orders in which they can change: slow, and right for any function."""

from __future__ import annotations

from itertools import permutations

import numpy as np


def mean_over_orders(rate, old, new):
    """Return the mean, over all orders, of what the change of each factor (first axis) adds to the rate."""
    effects = np.zeros(len(old))
    orders = list(permutations(range(len(old))))
    for order in orders:
        now = np.array(old, float)
        before = rate(now)
        for factor in order:
            now[factor] = new[factor]
            effects[factor] += rate(now) - before
            before = rate(now)
    return effects / len(orders)
