"""What an incremental run costs that brings 1 %, beside a full refresh of the same warehouse, in one process."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any

RUNS = 3
SHARE = 0.01


def incremental(folder: Path) -> dict[str, object]:
    """Load all but the last events, let each run bring `SHARE` of them all, and refresh everything at last.

    Seconds are the median of the incremental runs, publication included.
    """
    import journeyflow

    project = folder / "incremental"
    _hold_back(folder, project)

    def run(*, full_refresh: bool) -> dict[str, Any]:
        started = time.perf_counter()
        report = journeyflow.run(journeyflow.load_config(project / "journeyflow.yml"), full_refresh=full_refresh)
        return {
            "seconds": round(time.perf_counter() - started, 2),
            "phases": {name: round(seconds, 2) for name, seconds in report.phase_seconds.items()},
            "built": report.built,
            "events": report.event_count,
        }

    run(full_refresh=True)
    runs = []
    for part in sorted((project / "later").iterdir()):
        shutil.move(part, project / "events" / part.name)
        runs.append(run(full_refresh=False))
    refresh = run(full_refresh=True)
    seconds = statistics.median(one["seconds"] for one in runs)
    return {
        "seconds": seconds,
        "runs": runs,
        "full_refresh": refresh,
        "share_of_full_refresh": round(seconds / refresh["seconds"], 3),
    }


def _hold_back(folder: Path, project: Path) -> None:
    """Lay a project beside the log whose last events come later, in files of their own."""
    import duckdb

    shutil.rmtree(project, ignore_errors=True)
    (project / "events").mkdir(parents=True)
    (project / "later").mkdir()
    for name in ("journeyflow.yml", "customers.parquet"):
        shutil.copy(folder / name, project / name)
    connection = duckdb.connect()
    files = str(folder / "events" / "*.parquet")
    total = connection.sql(f"select count(*) from read_parquet('{files}')").fetchall()[0][0]
    size = max(int(total * SHARE), 1)
    connection.execute(
        f"create table rows as select *, row_number() over (order by ts desc, id) as place from read_parquet('{files}')"
    )
    for part in range(RUNS + 1):
        is_held = part < RUNS
        bounds = f"place > {part * size}" + (f" and place <= {(part + 1) * size}" if is_held else "")
        path = project / ("later" if is_held else "events") / f"part-{RUNS - part}.parquet"
        connection.execute(f"copy (select * exclude (place) from rows where {bounds}) to '{path}'")


TASKS = {"incremental": incremental}
