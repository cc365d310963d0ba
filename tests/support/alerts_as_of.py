"""Alerts on rates as runs as of earlier days raise them, from one build."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from journeyflow.analyses.rate_alarms import rate_alarms
from journeyflow.engines import DuckDBEngine
from journeyflow.utils import files

_READ = (
    "kernel.funnel_days", "kernel.funnel_day_steps", "analyses.journey_origins", "config.days", "config.funnels",
    "config.personas",
)  # fmt: skip


@contextmanager
def _last_build(build: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{build}' as build (read_only)")
        for name in _READ:
            connection.execute(f"create schema if not exists {name.split('.')[0]}")
            connection.execute(f"create view {name} as from build.{name}")
        yield connection


def alerts_as_of(build: Path, high_water_at: datetime) -> pl.DataFrame:
    """Return the rows of `analyses.rate_alarms` with the name of the funnel."""
    cells = (files.sql_folder() / "analyses" / "day_cells.sql").read_text(encoding="utf-8")
    with _last_build(build) as connection, DuckDBEngine(threads=1) as engine:
        connection.execute(f"create table config.settings as select timestamp '{high_water_at}' as high_water_at")
        engine.register("analyses.day_cells", connection.sql(cells).to_arrow_table())
        funnels = connection.sql("from config.funnels").to_arrow_table()
        engine.register("config.funnels", funnels)
        names = pl.DataFrame(funnels).select("funnel_index", "funnel")
        return pl.DataFrame(rate_alarms(engine)).join(names, on="funnel_index")
