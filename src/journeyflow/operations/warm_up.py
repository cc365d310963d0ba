"""Warm-up: compile the kernel before the first run, such as while a container image is built."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.config import load_config
from journeyflow.pipeline.run import Run

if TYPE_CHECKING:
    from journeyflow.utils.progress import Progress


_EVENTS = """id,at,device,user,event,key
1,2026-01-01T10:00:00,a,,page_view,k
2,2026-01-01T10:00:00,a,,product_view,k
3,2026-01-01T10:05:00,a,u,purchase,k
4,2026-01-09T10:00:00,a,u,page_view,k
5,2026-01-09T10:00:00,b,,product_view,k
"""
_STEPS = [{"name": "seen", "when": {"event": "product_view"}}, {"name": "paid", "when": {"event": "purchase"}}]
_EXCLUSION = {"when": {"event": "page_view"}, "between": ["seen", "paid"]}
_PROJECT = {
    "project": "warm-up",
    "sources": {
        "events": {
            "format": "csv",
            "path": "events.csv",
            "channel": "web",
            "columns": {
                "event_id": "id",
                "occurred_at": "at",
                "anonymous_id": "device",
                "user_id": "user",
                "event_name": "event",
            },
        }
    },
    "models": {"four_stage": "builtin"},
    # The kinds of units, and exclusions: every function that funnels of a project may need.
    "funnels": {
        "of_persons": {"steps": _STEPS, "window": "7d", "exclusions": [_EXCLUSION]},
        "of_sessions": {"steps": _STEPS, "window": "7d", "unit": "session"},
    },
}


def warm_up(progress: Progress) -> None:
    """Put a few invented events through the phases up to the kernel's, so that all compiled code is in the cache.

    The cache is beside the installed kernel, or in the user's cache folder, or where ``NUMBA_CACHE_DIR`` says.
    """

    def compiling(phase: str, what: str, done: int, total: int | None = None) -> None:
        if phase == "compile":
            progress(phase, what, done, total)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "events.csv").write_text(_EVENTS)
        with Run(load_config(_PROJECT, folder=folder), progress=compiling) as started:
            started.load()
            started.stitch()
            started.classify()
