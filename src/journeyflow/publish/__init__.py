"""Publication of tables in generations, behind one atomically swapped link."""

from __future__ import annotations

from journeyflow.publish.generation import (
    KEPT_GENERATIONS,
    Draw,
    FileEntry,
    Manifest,
    RunFacts,
    TableEntry,
    publish,
    read_manifest,
)

__all__ = ["KEPT_GENERATIONS", "Draw", "FileEntry", "Manifest", "RunFacts", "TableEntry", "publish", "read_manifest"]
