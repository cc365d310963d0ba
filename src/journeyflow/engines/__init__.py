"""Engines: the protocol that models and phases use, and DuckDB, the one implementation."""

from __future__ import annotations

from journeyflow.engines.base import Engine
from journeyflow.engines.duckdb import DuckDBEngine, default_memory_limit

__all__ = ["DuckDBEngine", "Engine", "default_memory_limit"]
