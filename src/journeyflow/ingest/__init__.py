"""Files in: read, judged, accounted for to the record, and kept in the warehouse with a ledger."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from journeyflow.ingest.intake import intake_of
    from journeyflow.ingest.landing import Counts
    from journeyflow.ingest.loading import LoadReport, load, load_again
    from journeyflow.ingest.source_files import FileLoad
    from journeyflow.ingest.traits import load_traits
    from journeyflow.ingest.warehouse import clear_landed, open_warehouse

_LAZY = {
    "Counts": "landing",
    "FileLoad": "source_files",
    "LoadReport": "loading",
    "clear_landed": "warehouse",
    "intake_of": "intake",
    "load": "loading",
    "load_again": "loading",
    "load_traits": "traits",
    "open_warehouse": "warehouse",
}
__all__ = [
    "Counts",
    "FileLoad",
    "LoadReport",
    "clear_landed",
    "intake_of",
    "load",
    "load_again",
    "load_traits",
    "open_warehouse",
]


def __getattr__(name: str) -> object:
    """Import a name when it is first used, so that the process that parses starts with little."""
    if name not in _LAZY:
        raise AttributeError(f"module 'journeyflow.ingest' has no attribute {name!r}")
    return getattr(import_module(f"journeyflow.ingest.{_LAZY[name]}"), name)
