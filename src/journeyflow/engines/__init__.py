"""The seam to databases: what an engine must do, and the one engine there is."""

from __future__ import annotations

from journeyflow.engines.base import Engine
from journeyflow.engines.duckdb import DuckDBEngine, default_memory_limit

__all__ = ["DuckDBEngine", "Engine", "default_memory_limit"]
