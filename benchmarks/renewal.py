"""What a night costs that brings a hundredth more, beside building everything anew and beside a rebuild, in one run."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

NIGHTS = 3
NEW_EVENTS = 100_000
PERSON_GRAIN = "marts.person_stages"


def renewal(folder: Path) -> dict[str, object]:
    """Build all but the last events, then let nights bring them, `NEW_EVENTS` at a time; then build everything anew.

    At the end everything is read anew from the kept files as well. Seconds are those of a night; the tables with a row
    a person, and publication, are told apart and are in no share unless it says so.
    """
    project = folder / "renewal"
    _hold_back(folder, project)
    _night(project, is_whole=True)
    nights = [_night(project, part=part) for part in sorted((project / "later").iterdir())]
    whole = _night(project, is_whole=True)
    anew = _night(project, is_rebuild=True)
    night = statistics.median(_apart(night) for night in nights)
    return {
        "seconds": statistics.median(night["seconds"] for night in nights),
        "nights": nights,
        "whole": whole,
        "rebuild": anew,
        "share_of_rebuild": round(night / _apart(anew), 3),
        "share_of_building": round(night / _apart(whole), 3),
        "share_with_publication": round(statistics.median(night["seconds"] for night in nights) / anew["seconds"], 3),
    }


def _apart(night: dict[str, Any]) -> float:
    return float(night["seconds"] - night["publish"] - night["person_grain"])


def _hold_back(folder: Path, project: Path) -> None:
    """Lay a project beside the log whose last events come later, in files of their own."""
    import duckdb

    shutil.rmtree(project, ignore_errors=True)
    (project / "events").mkdir(parents=True)
    (project / "later").mkdir()
    for name in ("journeyflow.yml", "customers.parquet"):
        shutil.copy(folder / name, project / name)
    *earlier, last = sorted((folder / "events").glob("*.parquet"))
    for path in earlier:
        (project / "events" / path.name).hardlink_to(path)
    connection = duckdb.connect()
    rows = f"(select *, row_number() over (order by ts desc, id) as place from read_parquet('{last}'))"
    for part in range(NIGHTS + 1):
        is_held = part < NIGHTS
        bounds = f"place > {part * NEW_EVENTS}" + (f" and place <= {(part + 1) * NEW_EVENTS}" if is_held else "")
        place = project / ("later" if is_held else "events") / f"{last.stem}-{NIGHTS - part}.parquet"
        connection.execute(f"copy (select * exclude (place) from {rows} where {bounds}) to '{place}'")


def _night(
    project: Path, *, part: Path | None = None, is_whole: bool = False, is_rebuild: bool = False
) -> dict[str, Any]:
    import journeyflow
    from journeyflow.operations.rebuild import rebuild
    from journeyflow.pipeline.builder import Builder

    if part is not None:
        shutil.move(part, project / "events" / part.name)
    spent = 0.0
    build = Builder.build_model

    def watched(self: Builder, model: Any) -> None:
        nonlocal spent
        started = time.perf_counter()
        build(self, model)
        spent += time.perf_counter() - started if model.name == PERSON_GRAIN else 0.0

    started = time.perf_counter()
    with patch.object(Builder, "build_model", watched):
        config = journeyflow.load_config(project / "journeyflow.yml")
        report = rebuild(config) if is_rebuild else journeyflow.run(config, is_whole=is_whole)
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "publish": report.phase_seconds["publish"],
        "person_grain": round(spent, 2),
        "phases": {name: round(seconds, 2) for name, seconds in report.phase_seconds.items()},
        "built": report.built,
        "events": report.event_count,
    }


TASKS = {"renewal": renewal}
