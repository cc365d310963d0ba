"""What is measured: one function a task, each run in a process of its own. Prints one JSON line.

The generated log of `data.generator` is the input of all of them: `journeyflow.yml`, `events/*.parquet`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import incremental, kernel, small_files
from benchmarks.measure import own_peak_bytes

STEPS = ("product_view", "add_to_cart", "checkout_started", "purchase")


def load_and_sort(folder: Path) -> dict[str, object]:
    """The floor: DuckDB reads all columns of the Parquet files into a table, sorted by person and time."""
    import duckdb

    files = str(folder / "events" / "*.parquet")
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        connection = duckdb.connect(str(Path(scratch) / "floor.duckdb"))
        started = time.perf_counter()
        connection.execute(
            "create table events as select *, coalesce(customer, cookie) as person "
            f"from read_parquet('{files}') order by person, ts"
        )
        connection.execute("checkpoint")
        seconds = time.perf_counter() - started
        events = connection.sql("select count(*) from events").fetchall()[0][0]
    return {"seconds": seconds, "events": events}


def whole_job(folder: Path) -> dict[str, object]:
    """Parquet to published tables: load, identities, three journey models, personas, funnels, checks, publication."""
    import journeyflow

    for name in ("state", "published"):
        shutil.rmtree(folder / name, ignore_errors=True)
    started = time.perf_counter()
    report = journeyflow.run(journeyflow.load_config(folder / "journeyflow.yml"))
    return {
        "seconds": time.perf_counter() - started,
        "events": report.event_count,
        "phases": {name: round(seconds, 2) for name, seconds in report.phase_seconds.items()},
    }


def retentioneering(folder: Path) -> dict[str, object]:
    """Retentioneering's sessions and funnel over the same rows, given to it as the frame that it asks for."""
    import duckdb
    from retentioneering import Eventstream

    files = str(folder / "events" / "*.parquet")
    frame = (
        duckdb.connect()
        .sql(f"select coalesce(cookie, customer) as user_id, event, ts as timestamp from read_parquet('{files}')")
        .df()
        .dropna()
    )
    started = time.perf_counter()
    stream = Eventstream(frame, schema={"path_cols": ["user_id"], "event_col": "event", "timestamp_col": "timestamp"})
    sessions = stream.split_sessions(timeout="30m")
    funnel = sessions.funnel_data(steps=list(STEPS), path_col="user_id")
    return {"seconds": time.perf_counter() - started, "events": len(frame), "funnel": str(funnel)[:400]}


TASKS: dict[str, Callable[[Path], dict[str, object]]] = {
    "load_and_sort": load_and_sort,
    "whole_job": whole_job,
    "retentioneering": retentioneering,
    **kernel.TASKS,
    **incremental.TASKS,
    **small_files.TASKS,
}


def main() -> None:
    """Run the task that the arguments name and print what it cost."""
    said = TASKS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({**said, "peak_bytes": own_peak_bytes()}, default=str))


if __name__ == "__main__":
    main()
