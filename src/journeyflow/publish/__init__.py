"""Publishing: a generation is written beside the others, and one pointer is swapped."""

from __future__ import annotations

from journeyflow.publish.generation import KEPT_GENERATIONS, Draw, RunFacts, publish
from journeyflow.publish.manifest import FileEntry, Manifest, TableEntry, read_manifest

__all__ = ["KEPT_GENERATIONS", "Draw", "FileEntry", "Manifest", "RunFacts", "TableEntry", "publish", "read_manifest"]
