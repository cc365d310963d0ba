"""Status of a project: publication, lock, recent runs, alerts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import JourneyflowError, NotFoundError
from journeyflow.pipeline.run_report import ALERT_KINDS
from journeyflow.publish.reader import PublishedTables, open_published
from journeyflow.state import lock
from journeyflow.state.inventory import sizes
from journeyflow.state.paths import WAREHOUSE

if TYPE_CHECKING:
    from journeyflow.config import Config


MOST_RUNS = 100
"""The latest runs that are told."""


def status_of(config: Config) -> dict[str, Any]:
    """Return how a project stands; nothing is changed.

    Parameters
    ----------
    config : Config
        The project.

    Returns
    -------
    dict
        ``current`` (figures of the manifest, the high-water mark among them, or None), ``running`` (process, start and
        machine of who holds the lock, or None when it is free), ``alerts`` (kind and detail, of the last run that
        published), ``sizes`` (see `state.sizes`), ``runs`` (the latest first). Runs and alerts are of the warehouse;
        while a run holds it, or when it is damaged, of what is published.
    """
    running = lock.holder(config.state)
    current = _current(config)
    runs, alerts = _of_the_warehouse(config) if running is None else (None, None)
    if runs is None:
        runs, alerts = _of_the_tables(config)
    return {
        "current": current,
        "running": asdict(running) if running else None,
        "alerts": alerts,
        "sizes": sizes(config),
        "runs": runs,
    }


_Rows = list[dict[str, Any]]


def _current(config: Config) -> dict[str, Any] | None:
    from journeyflow.publish import read_manifest

    try:
        manifest = read_manifest((config.publish / "current").resolve())
    except NotFoundError:
        return None
    facts = manifest.model_dump(
        mode="json", include={"run_id", "published_at", "high_water_at", "event_count", "version"}
    )
    return facts | {
        "folder": str(config.publish / "current"),
        "table_count": len(manifest.tables),
        "critical_spots": _critical_spots(config),
    }


def _critical_spots(config: Config) -> list[str]:
    try:
        with open_published(config.publish) as published:
            return list(published.critical_spots)
    except JourneyflowError:  # A damaged database must not hide what is known of it.
        return []


def _of_the_warehouse(config: Config) -> tuple[_Rows | None, _Rows | None]:
    """Return runs and alerts; None when there is no warehouse, or none that can be read."""
    if not (config.state / WAREHOUSE).exists():
        return None, None
    with suppress(JourneyflowError), DuckDBEngine(config.state / WAREHOUSE, read_only=True) as warehouse:
        runs = warehouse.rows(f"select * from ledger.runs order by run_id desc limit {MOST_RUNS}").to_pylist()
        return runs, _alerts(warehouse, runs)
    return None, None


def _alerts(warehouse: DuckDBEngine, runs: _Rows) -> _Rows:
    published = next((run["run_id"] for run in runs if run["status"] == "published"), None)
    if published is None or not warehouse.columns("ledger.alerts"):  # No run, or none since there are alerts.
        return []
    query = "select kind, detail from ledger.alerts where run_id = ? order by kind, detail"
    found: _Rows = warehouse.rows(query, [published]).to_pylist()
    return found


def _of_the_tables(config: Config) -> tuple[_Rows, _Rows]:
    try:
        with open_published(config.publish) as published:
            rows = published.table("runs").sort("run_id", descending=True).head(MOST_RUNS)
            return rows.to_dicts(), _spots(published)
    except JourneyflowError:
        return [], []


def _spots(published: PublishedTables) -> _Rows:
    if "blind_spots" not in published.tables:
        return []
    kinds = ", ".join(f"'{kind}'" for kind in ALERT_KINDS)
    query = f"select kind, detail from blind_spots where severity = 'critical' and kind in ({kinds}) order by all"
    return published.sql(query).to_dicts()
