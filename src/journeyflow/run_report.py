"""What a night hands back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from journeyflow.publish import RunFacts
from journeyflow.published import open_published
from journeyflow.runs import RunRow, now


class RunReport(BaseModel):
    """What a night did; times are naive UTC.

    Attributes
    ----------
    status : str
        ``published``.
    phase_seconds : mapping of str to float
        Seconds of each phase, in their order.
    generation : Path
        The published folder.
    built : str
        Whether the last build was renewed, and of how many people, or why everything was built anew.
    table_rows : mapping of str to int
        Rows of each published table.
    files : tuple of str
        Names of the files beside the tables, such as ``map.html``.
    alarms : tuple of str
        Sentences about what somebody should look at (see `alarms`); each is raised as long as its cause lasts.
    critical_spots : tuple of str
        Sentences of the critical rows of `blind_spots`, most items first, those that are alarms too among them.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime
    high_water_at: datetime
    event_count: int
    record_count: int
    accepted_count: int
    quarantined_count: int
    duplicate_count: int
    filtered_count: int
    erased_count: int
    elapsed_seconds: float
    phase_seconds: dict[str, float]
    check_count: int
    built: str
    generation: Path
    table_rows: dict[str, int]
    files: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()
    critical_spots: tuple[str, ...] = ()


def facts_of(row: RunRow, project: str, high_water_at: datetime, event_count: int) -> RunFacts:
    """Return what the manifest says of a run that publishes now."""
    return RunFacts(
        run_id=row.run_id,
        project=project,
        version=row.version,
        config_hash=row.config_hash,
        started_at=row.started_at,
        published_at=max(now(), row.started_at),
        high_water_at=high_water_at,
        event_count=event_count,
    )


def report_of(
    generation: Path,
    *,
    counts: Mapping[str, int],
    phase_seconds: Mapping[str, float],
    check_count: int,
    built: str,
    alarms: tuple[str, ...],
) -> RunReport:
    """Return the report of the run that published `generation`; `counts` are the outcomes of its records."""
    with open_published(generation) as published:
        manifest, critical_spots = published.manifest, published.critical_spots
    return RunReport(
        run_id=manifest.run_id,
        status="published",
        started_at=manifest.started_at,
        finished_at=manifest.published_at,
        high_water_at=manifest.high_water_at,
        event_count=manifest.event_count,
        **counts,
        elapsed_seconds=round(sum(phase_seconds.values()), 3),
        phase_seconds=dict(phase_seconds),
        check_count=check_count,
        built=built,
        generation=generation,
        table_rows={name: entry.row_count for name, entry in manifest.tables.items()},
        files=tuple(manifest.files),
        alarms=alarms,
        critical_spots=critical_spots,
    )
