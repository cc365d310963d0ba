"""What loading a thousand small files costs, beside the same rows in one file."""

from __future__ import annotations

import shutil
from pathlib import Path

FILES = 1_000
ROWS = 100_000


def small_files(folder: Path) -> dict[str, object]:
    """Load `ROWS` rows of the log from `FILES` files, then from one; seconds are those of loading alone."""
    spread, whole = _project(folder, "spread"), _project(folder, "whole")
    _cut(folder, spread, FILES)
    _cut(folder, whole, 1)
    seconds, count = _load_seconds(spread)
    return {"seconds": seconds, "files": FILES, "events": count, "one_file_seconds": _load_seconds(whole)[0]}


def _project(folder: Path, name: str) -> Path:
    project = folder / f"small_files_{name}"
    shutil.rmtree(project, ignore_errors=True)
    (project / "events").mkdir(parents=True)
    shutil.copy(folder / "customers.parquet", project)
    text = (folder / "journeyflow.yml").read_text(encoding="utf-8")
    text = text.replace("format: parquet\n    path: events/*.parquet", "format: csv\n    path: events/*.csv")
    (project / "journeyflow.yml").write_text(text, encoding="utf-8")
    return project


def _cut(folder: Path, project: Path, count: int) -> None:
    import duckdb

    first = min((folder / "events").glob("*.parquet"))
    connection = duckdb.connect()
    connection.execute(f"create table rows as select * from read_parquet('{first}') limit {ROWS}")
    size = ROWS // count
    for number in range(count):
        bounds = f"rowid >= {number * size} and rowid < {(number + 1) * size}"
        target = project / "events" / f"{number:05}.csv"
        connection.execute(f"copy (select * from rows where {bounds}) to '{target}' (header)")


def _load_seconds(project: Path) -> tuple[float, int]:
    import journeyflow

    report = journeyflow.run(journeyflow.load_config(project / "journeyflow.yml"))
    return round(report.phase_seconds["load"], 2), report.event_count


TASKS = {"small_files": small_files}
