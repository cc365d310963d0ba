"""Intervals and survival: the figures that a statistics library computes, as relations that marts join."""

from __future__ import annotations

from journeyflow.statistics.intervals import fill_stage_intervals, fill_step_intervals, wilson_interval
from journeyflow.statistics.survival import fill_step_survival, rate_within_horizon

__all__ = [
    "fill_stage_intervals", "fill_step_intervals", "fill_step_survival", "rate_within_horizon", "wilson_interval",
]  # fmt: skip
