"""A clock of the tests in place of the machine's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

READERS = (
    "journeyflow.state.warehouse",
    "journeyflow.pipeline.load_phase",
    "journeyflow.pipeline.partial",
    "journeyflow.pipeline.run_report",
    "journeyflow.operations.rebuild",
    "journeyflow.operations.erase",
    "journeyflow.operations.doctor",
)
"""The modules that read the clock."""


def set_clock(monkeypatch: pytest.MonkeyPatch, clock: Callable[[], datetime]) -> None:
    """Have every module read `clock`."""
    for module in READERS:
        monkeypatch.setattr(f"{module}.clock_time", clock)
