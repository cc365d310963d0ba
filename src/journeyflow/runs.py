"""The ledger of runs: one row a run in `ledger.runs` of the warehouse, failed ones included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from journeyflow.engines import DuckDBEngine

SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("started_at", pa.timestamp("us")),
        ("finished_at", pa.timestamp("us")),
        ("status", pa.string()),
        ("high_water_at", pa.timestamp("us")),
        ("config_hash", pa.string()),
        ("version", pa.string()),
        ("event_count", pa.int64()),
        ("elapsed_seconds", pa.float64()),
        ("alarm_count", pa.int64()),
    ]
)


@dataclass(frozen=True)
class RunRow:
    """One run; times are naive UTC, None while unknown."""

    run_id: str
    started_at: datetime
    config_hash: str
    version: str
    status: str = "running"
    finished_at: datetime | None = None
    high_water_at: datetime | None = None
    event_count: int | None = None
    elapsed_seconds: float | None = None
    alarm_count: int | None = None

    def table(self) -> pa.Table:
        """Return the row as a table of `SCHEMA`."""
        return pa.Table.from_pylist([vars(self)], schema=SCHEMA)


def now() -> datetime:
    """Return the present instant as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def write(warehouse: DuckDBEngine, row: RunRow) -> None:
    """Put `row` in the place of an earlier row of the same run."""
    warehouse.append("ledger.runs", SCHEMA.empty_table())
    warehouse.execute("delete from ledger.runs where run_id = ?", [row.run_id])
    warehouse.append("ledger.runs", row.table())


def close_interrupted(warehouse: DuckDBEngine, generations: Path) -> None:
    """Settle rows that a killed run left `running`: published when its generation stands, else failed.

    Call it only while holding the lock.
    """
    warehouse.append("ledger.runs", SCHEMA.empty_table())
    left = warehouse.rows("select run_id from ledger.runs where status = 'running'").column(0).to_pylist()
    for run_id in left:
        status = "published" if (generations / run_id).is_dir() else "failed"
        warehouse.execute("update ledger.runs set status = ? where run_id = ?", [status, run_id])
