"""Sessions, stages, journeys and funnels over sorted arrays, and the slow plain reference that judges them."""

from __future__ import annotations

from journeyflow.kernel.filling import fill

__all__ = ["fill"]
