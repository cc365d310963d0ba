"""Status of a project: publication, lock, recent runs, alerts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import JourneyflowError, NotFoundError
from journeyflow.publish.reader import PublishedTables, open_published, read_manifest
from journeyflow.state.folder import holder, sizes
from journeyflow.state.paths import WAREHOUSE
from journeyflow.state.warehouse import ALERT_KINDS, FAILURE

if TYPE_CHECKING:
    from journeyflow.state.paths import Folders


MOST_RUNS = 100
"""How many of the latest runs are listed."""


def status_of(config: Folders) -> dict[str, Any]:
    """Return the status of a project; read-only.

    Returns
    -------
    dict
        ``current`` (facts of the current manifest, or None), ``running`` (process, start and host of the active run, or
        None), ``failure`` (run_id and detail, why the last run failed, or None), ``alerts`` (kind and detail, of the
        last run that published), ``sizes`` (see `inventory.sizes`), ``runs`` (the latest first). Runs and
        alerts come from the warehouse or, while a run holds it and when it is damaged, from the published tables.
    """
    running = holder(config.state)
    found = _from_warehouse(config) if running is None else None
    runs, alerts, failure = found or (*_from_published(config), None)
    return {
        "current": _current(config),
        "running": asdict(running) if running else None,
        "failure": failure,
        "alerts": alerts,
        "sizes": sizes(config),
        "runs": runs,
    }


_Rows = list[dict[str, Any]]


def _current(config: Folders) -> dict[str, Any] | None:
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


def _critical_spots(config: Folders) -> list[str]:
    try:
        with open_published(config.publish) as published:
            return list(published.critical_spots)
    except JourneyflowError:  # A damaged database must not hide the rest of the status.
        return []


def _from_warehouse(config: Folders) -> tuple[_Rows, _Rows, dict[str, Any] | None] | None:
    """Return runs, alerts and why the last run failed; None without a readable warehouse."""
    if not (config.state / WAREHOUSE).exists():
        return None
    with suppress(JourneyflowError), DuckDBEngine(config.state / WAREHOUSE, read_only=True) as warehouse:
        runs = warehouse.records(f"select * from ledger.runs order by run_id desc limit {MOST_RUNS}")
        return runs, _alerts(warehouse, runs), last_failure(warehouse)
    return None


def last_failure(warehouse: DuckDBEngine) -> dict[str, Any] | None:
    """Return run_id and detail of the last run if it failed, else None."""
    runs = warehouse.records("select run_id, status from ledger.runs order by run_id desc limit 1")
    if not runs or runs[0]["status"] != "failed":
        return None
    run_id, details = runs[0]["run_id"], []
    if warehouse.columns("ledger.alerts"):  # An older schema has none.
        query = "select detail from ledger.alerts where run_id = ? and kind = ?"
        details = [detail for (detail,) in warehouse.values(query, [run_id, FAILURE])]
    return {"run_id": run_id, "detail": details[0] if details else "It was killed, or the machine went down."}


def run_alerts(config: Folders) -> _Rows:
    """Return run_id and detail of the alerts of the latest runs; none while a run holds the warehouse."""
    if holder(config.state) is not None or not (config.state / WAREHOUSE).exists():
        return []
    with suppress(JourneyflowError), DuckDBEngine(config.state / WAREHOUSE, read_only=True) as warehouse:
        if warehouse.columns("ledger.alerts"):
            latest = f"select run_id from ledger.runs order by run_id desc limit {MOST_RUNS}"
            return warehouse.records(
                f"select run_id, detail from ledger.alerts where run_id in ({latest}) order by run_id, kind, detail"
            )
    return []


def _alerts(warehouse: DuckDBEngine, runs: _Rows) -> _Rows:
    published = next((run["run_id"] for run in runs if run["status"] == "published"), None)
    if published is None or not warehouse.columns("ledger.alerts"):  # Nothing published, or an older schema.
        return []
    query = "select kind, detail from ledger.alerts where run_id = ? order by kind, detail"
    return warehouse.records(query, [published])


def _from_published(config: Folders) -> tuple[_Rows, _Rows]:
    try:
        with open_published(config.publish) as published:
            runs = f"select * from runs order by run_id desc limit {MOST_RUNS}"
            return published.records(runs), _published_alerts(published)
    except JourneyflowError:
        return [], []


def _published_alerts(published: PublishedTables) -> _Rows:
    if "blind_spots" not in published.tables:
        return []
    kinds = ", ".join(f"'{kind}'" for kind in ALERT_KINDS)
    query = f"select kind, detail from blind_spots where severity = 'critical' and kind in ({kinds}) order by all"
    return published.records(query)
