"""The run log: one row per run in `ledger.runs`, failed runs included."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine

if TYPE_CHECKING:
    import pyarrow as pa


ALERT_KINDS = ("silent_source", "empty_input", "jumped_share")
"""Kinds of `blind_spots` whose critical rows are alerts; the others last from run to run and stay in the table."""
FAILURE = "failure"
"""The kind under which a failed run keeps its reason beside the alerts of runs that published."""
_ID_FORM = "%Y%m%dT%H%M%S%f"
_ID = re.compile(r"\d{8}T\d{12}")


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
    began: float = field(default_factory=time.perf_counter)

    def table(self) -> pa.Table:
        """Return the row as a table of one row."""
        import pyarrow as pa

        return pa.Table.from_pylist([vars(self)], schema=runs_schema())

    def ended(self, status: str) -> RunRow:
        """Return the row of the run as it ends now."""
        # The wall clock may be set back meanwhile; the performance counter is not.
        elapsed = time.perf_counter() - self.began
        finished = self.started_at + timedelta(seconds=elapsed)
        return replace(self, status=status, finished_at=finished, elapsed_seconds=round(elapsed, 6))


def runs_schema() -> pa.Schema:
    """Return the columns of `ledger.runs`."""
    from journeyflow.models.metadata import arrow_schema

    return arrow_schema("ledger.runs")


def now() -> datetime:
    """Return the present instant as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def begin_run(warehouse: DuckDBEngine, generations: Path, config_hash: str) -> RunRow:
    """Close interrupted runs and record that a run begins; the caller holds the lock.

    Its id is the present time, or just after the latest id where the clock was set back: ids are unique and sort in the
    order of the runs, whatever the clock does.
    """
    close_interrupted(warehouse, generations)
    known = warehouse.rows("select run_id from ledger.runs").column(0).to_pylist()
    if generations.is_dir():  # A new warehouse, after the old one was lost, does not contain them.
        known += [path.name for path in generations.iterdir()]
    started = now()
    row = RunRow(next_run_id(known, started), started, config_hash, version("journeyflow"))
    write_run(warehouse, row)
    return row


LEAST_JUMP = timedelta(days=7)
"""A pause between two runs that is never taken for a wrong clock."""
JUMP_RATIO = 3
"""A pause of more than this many times the usual one is."""
_RECENT_RUNS = 11


def clock_jumped_from(warehouse: DuckDBEngine, run_id: str, at: datetime) -> datetime | None:
    """Return when the run before `run_id` began if `at` is so far from it that the clock may be ahead, else None.

    A pause is far above the usual one, the median of those between the latest runs, and above `LEAST_JUMP`: a schedule
    of once a month is no jump from its third run on.
    """
    if not warehouse.columns("ledger.runs"):
        return None
    query = f"select started_at from ledger.runs where run_id < ? order by run_id desc limit {_RECENT_RUNS}"
    starts = [row["started_at"] for row in warehouse.rows(query, [run_id]).to_pylist()]
    if not starts:
        return None
    pauses = sorted(later - earlier for later, earlier in pairwise(starts))
    usual = pauses[len(pauses) // 2] if pauses else timedelta(0)
    return starts[0] if at - starts[0] > max(LEAST_JUMP, JUMP_RATIO * usual) else None


def next_run_id(known: Iterable[str], started: datetime) -> str:
    """Return the id of a run that starts now: the present time, or just after the latest of the ids `known`."""
    latest = max((each for each in known if _ID.fullmatch(each)), default="")
    own = started.strftime(_ID_FORM)
    if own > latest:
        return own
    return (datetime.strptime(latest, _ID_FORM) + timedelta(microseconds=1)).strftime(_ID_FORM)


def write_run(warehouse: DuckDBEngine, row: RunRow) -> None:
    """Insert `row`, replacing an earlier row of the same run."""
    warehouse.append("ledger.runs", runs_schema().empty_table())
    warehouse.execute("delete from ledger.runs where run_id = ?", [row.run_id])
    warehouse.append("ledger.runs", row.table())


def close_interrupted(warehouse: DuckDBEngine, generations: Path) -> None:
    """Close the rows of killed runs: published when the generation exists, else failed; the caller holds the lock."""
    warehouse.append("ledger.runs", runs_schema().empty_table())
    left = warehouse.rows("select run_id from ledger.runs where status = 'running'").column(0).to_pylist()
    for run_id in left:
        status = "published" if (generations / run_id).is_dir() else "failed"
        warehouse.execute("update ledger.runs set status = ? where run_id = ?", [status, run_id])
