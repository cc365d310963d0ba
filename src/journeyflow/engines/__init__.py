"""Database engines: the protocol, and its implementation for DuckDB, which is imported when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from journeyflow.engines.base import Engine

if TYPE_CHECKING:
    from journeyflow.engines.duckdb import DuckDBEngine, default_memory_limit

__all__ = ["DuckDBEngine", "Engine", "default_memory_limit"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in __all__:
        from journeyflow.engines import duckdb

        return getattr(duckdb, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
