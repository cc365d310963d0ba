"""Database engines: the protocol, and its implementation for DuckDB."""

from __future__ import annotations

from journeyflow.engines.base import Engine
from journeyflow.engines.duckdb import DuckDBEngine, default_memory_limit

__all__ = ["DuckDBEngine", "Engine", "default_memory_limit"]
