"""Files in: read, judged, accounted for to the record, and kept in the warehouse with a ledger."""

from __future__ import annotations

from journeyflow.ingest.intake import intake_of
from journeyflow.ingest.landing import Counts
from journeyflow.ingest.loading import LoadReport, load, load_again
from journeyflow.ingest.source_files import FileLoad
from journeyflow.ingest.traits import load_traits
from journeyflow.ingest.warehouse import clear_landed, open_warehouse

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
