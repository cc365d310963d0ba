"""Forecasts as runs as of earlier moments make them, beside what came, from the units of one build."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from journeyflow.analyses.forecasts import FUNNELS, moments_of, pending_forecast
from journeyflow.engines import DuckDBEngine
from journeyflow.utils import files

_READ = (
    "config.funnels",
    "config.personas",
    "funnels.funnel_step_counts",
    "journeys.journey_facts",
    "analyses.step_records",
)
_PENDING = """
    select records.funnel_index, facts.persona, records.step_index as depth, records.entered_at, true as is_pending,
        records.is_converted
    from analyses.step_records as records
    inner join journeys.journey_facts as facts
        on facts.person_key = records.person_key and facts.journey_index = records.journey_index
    where records.reached_at <= $1 and records.left_at > $1
"""
_CAME = """
    select funnel_index, coalesce(persona, 'all') as persona, depth as step_index,
        count(*) filter (where is_converted) as came
    from funnels.funnel_attempts
    group by grouping sets ((funnel_index, persona, depth), (funnel_index, depth))
"""
Tables = dict[str, pa.Table]


def tables_of(build: Path) -> tuple[Tables, datetime]:
    """Return what `backtest` reads of a build, and its high-water mark."""
    with duckdb.connect(str(build), read_only=True) as source:
        tables = {name: source.sql(f"from {name}").to_arrow_table() for name in _READ}
        return tables, source.sql("select high_water_at from config.settings").fetchall()[0][0]


def repeats(times: dict[str, list[datetime]], steps: int, window: timedelta) -> Tables:
    """Return the tables of a funnel whose steps are the first, second, … event of each unit; times ascend."""
    records = [
        {
            "funnel_index": 1, "unit_key": key, "person_key": key, "journey_index": 1, "step_index": number + 1,
            "entered_at": its[0], "reached_at": its[number],
            "left_at": min([its[0] + window, *its[number + 1 : number + 2]]),
            "is_converted": len(its) >= steps and its[steps - 1] <= its[0] + window,
        }
        for key, its in enumerate(times.values())
        for number in range(min(len(its), steps - 1))
        if its[number] <= its[0] + window
    ]  # fmt: skip
    facts = [{"person_key": key, "journey_index": 1, "persona": "anybody"} for key in range(len(times))]
    window_us = window // timedelta(microseconds=1)
    counts = [
        {"funnel_index": 1, "persona": persona, "period": "all", "step_index": 1} for persona in ("all", "anybody")
    ]
    return {
        "config.funnels": pa.Table.from_pylist(
            [{"funnel_index": 1, "funnel": "repeats", "step_count": steps, "window_us": window_us}]
        ),
        "config.personas": pa.table({"persona": ["anybody"], "is_as_of_now": [False]}),
        "funnels.funnel_step_counts": pa.Table.from_pylist(counts),
        "journeys.journey_facts": pa.Table.from_pylist(facts),
        "analyses.step_records": pl.DataFrame(records).to_arrow(),
    }


def backtest(tables: Tables, high_water_at: datetime, moments: Iterable[datetime]) -> pl.DataFrame:
    """Return the forecasts of earlier moments whose windows are over, with the column `came`: who did convert.

    Of each moment only rows with somebody pending, and with an earlier unit to forecast from.
    """
    cells = (files.sql_folder() / "analyses" / "pending_cells.sql").read_text(encoding="utf-8")
    windows = pl.DataFrame(tables["config.funnels"]).select("funnel_index", "window_us")
    found = []
    with DuckDBEngine(threads=1) as engine:
        for name, table in tables.items():
            engine.register(name, table)
        for at in moments:
            engine.run("config.settings", f"select cast('{at}' as timestamp) as high_water_at")
            engine.register("analyses.forecast_origins", moments_of(engine.rows(FUNNELS).to_pylist(), {}))
            engine.register("funnels.funnel_attempts", engine.rows(_PENDING, [at]))
            engine.run("analyses.pending_cells", cells)
            rows = pl.DataFrame(pending_forecast(engine)).join(
                pl.DataFrame(engine.rows(_CAME)), on=["funnel_index", "persona", "step_index"]
            )
            found.append(rows.join(windows, on="funnel_index").with_columns(pl.lit(at).alias("forecast_at")))
    is_due = pl.col("forecast_at") + pl.duration(microseconds="window_us") <= high_water_at
    return pl.concat(found).filter(is_due, pl.col("expected_count").is_not_null())


def coverage(rows: pl.DataFrame) -> float:
    """Return the share of forecasts whose interval holds what came."""
    return rows.select(pl.col("came").is_between("low", "high").mean()).item()
