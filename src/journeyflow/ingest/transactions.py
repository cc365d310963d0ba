"""All or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from journeyflow.engines import DuckDBEngine


@contextmanager
def transaction(warehouse: DuckDBEngine) -> Iterator[None]:
    """Keep what the block does to the database if it ends well, and nothing of it otherwise."""
    warehouse.execute("begin transaction")
    try:
        yield
    except BaseException:
        warehouse.execute("rollback")
        raise
    warehouse.execute("commit")
