"""What `run`, `demo`, `plan` and `status` print."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.text import count, duration, escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from rich.console import Console

    from journeyflow.publish import Manifest
    from journeyflow.runner import PlanEntry, RunReport

OUTCOMES = ("quarantined", "duplicate", "filtered", "erased")


def print_report(report: RunReport, out: Console) -> None:
    """Print what a night did, in a few lines."""
    from rich.text import Text

    seconds = report.elapsed_seconds
    rate = f", {report.event_count / seconds:,.0f} events/s" if seconds else ""
    out.print(Text(f"Published {escaped(report.run_id)} in {seconds:.1f} s{rate}"), style="bold")
    for label, line in (
        ("read", _records(report)),
        ("events", f"{count(report.event_count)} up to {report.high_water_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("phases", ", ".join(f"{phase} {spent:.1f} s" for phase, spent in report.phase_seconds.items())),
        ("built", report.built),
        ("checks", f"{count(report.check_count)}, all held"),
        ("tables", f"{len(report.table_rows)} in {report.generation}"),
        *(("page", str(report.generation / name)) for name in report.files),
    ):
        out.print(Text(f"  {label:<8}{line}"))
    for alarm in report.alarms:
        out.print(Text(f"  look at  {escaped(alarm)}"), style="yellow")
    _print_critical_spots(report.critical_spots, out)


def _print_critical_spots(spots: Sequence[str], out: Console, most: int = 3) -> None:
    """Print how many critical blind spots there are, and the first of them."""
    from rich.text import Text

    if spots:
        out.print(Text(f"  blind   {len(spots)} critical in the table blind_spots"), style="yellow")
    for spot in spots[:most]:
        out.print(Text(f"          {escaped(spot)}"), style="yellow")


def _records(report: RunReport) -> str:
    """Return what became of the records that this run read."""
    if not report.record_count:
        return "no new file"
    others = [
        f"{count(getattr(report, f'{name}_count'))} {name}" for name in OUTCOMES if getattr(report, f"{name}_count")
    ]
    return ", ".join([f"{count(report.record_count)} new records", f"{count(report.accepted_count)} accepted", *others])


def print_plan(entries: Sequence[PlanEntry], out: Console) -> None:
    """Print the models of a night in order, by phase: why each runs and what it reads."""
    from itertools import groupby

    from rich.text import Text

    width = max((len(entry.model) for entry in entries), default=0)
    for phase, group in groupby(entries, key=lambda entry: entry.phase):
        out.print(Text(str(phase)), style="bold")
        for entry in group:
            out.print(Text(f"  {entry.model:<{width}}  {entry.why}"), soft_wrap=True)
            if entry.reads:
                out.print(Text(f"  {'':<{width}}  <- {', '.join(entry.reads)}"), style="dim", soft_wrap=True)


def status_of(state: Path, publish: Path) -> dict[str, Any]:
    """Return what is published, whether a run is going on, and the last runs.

    Parameters
    ----------
    state, publish : Path
        Folders of the project.

    Returns
    -------
    dict
        ``current`` (the manifest's figures or None), ``running`` (process and start, or None), ``runs`` (the latest
        first; from the warehouse, or from what is published while a run holds the warehouse).
    """
    from journeyflow.lock import holder

    running = holder(state)
    return {
        "current": _current(publish),
        "running": asdict(running) if running else None,
        "runs": _runs(state, publish, is_busy=running is not None),
    }


def _current(publish: Path) -> dict[str, Any] | None:
    from journeyflow.errors import NotFoundError
    from journeyflow.publish import read_manifest

    try:
        manifest: Manifest = read_manifest((publish / "current").resolve())
    except NotFoundError:
        return None
    facts = manifest.model_dump(
        mode="json", include={"run_id", "published_at", "high_water_at", "event_count", "version"}
    )
    return facts | {
        "folder": str(publish / "current"),
        "table_count": len(manifest.tables),
        "critical_spots": _critical_spots(publish),
    }


def _critical_spots(publish: Path) -> list[str]:
    from journeyflow.errors import JourneyflowError
    from journeyflow.published import open_published

    try:
        with open_published(publish) as published:
            return list(published.critical_spots)
    except JourneyflowError:  # A damaged database must not hide what is known of it.
        return []


def _runs(state: Path, publish: Path, *, is_busy: bool) -> list[dict[str, Any]]:
    from journeyflow.errors import JourneyflowError
    from journeyflow.published import open_published

    has_warehouse = (state / "warehouse.duckdb").exists() and not is_busy
    try:
        if has_warehouse:
            with contextlib.suppress(JourneyflowError):  # A damaged one must not hide what is published.
                return _newest_first(_warehouse_runs(state))
        with open_published(publish) as published:
            return _newest_first(published.table("runs"))
    except JourneyflowError:
        return []


def _warehouse_runs(state: Path) -> pl.DataFrame:
    import polars as pl

    from journeyflow.engines import DuckDBEngine

    with DuckDBEngine(state / "warehouse.duckdb", read_only=True) as warehouse:
        return pl.DataFrame(warehouse.rows("select * from ledger.runs"))


def _newest_first(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return rows.sort("run_id", descending=True).to_dicts()


def print_status(status: dict[str, Any], out: Console) -> None:
    """Print what `status_of` found."""
    from rich.text import Text

    current, running = status["current"], status["running"]
    if current is None:
        out.print("Nothing is published yet. Run `journeyflow run` first.")
    else:
        age = duration(
            (datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(current["published_at"])).total_seconds()
        )
        out.print(Text(f"Published {current['run_id']}, {age} ago"), style="bold")
        out.print(
            Text(f"  events  {count(current['event_count'])} up to {current['high_water_at'].replace('T', ' ')} UTC")
        )
        out.print(Text(f"  tables  {current['table_count']} in {current['folder']}"))
        _print_critical_spots(current["critical_spots"], out)
    if running:
        who = f": process {running['pid']}, since {running['started_at']}" if running["pid"] else ""
        out.print(Text(f"A run is going on{who}"), style="yellow")
    _print_runs(status["runs"], out)


def _print_runs(runs: list[dict[str, Any]], out: Console, most: int = 5) -> None:
    from rich import box
    from rich.table import Table

    if not runs:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title=None)
    for title in ("run", "status"):
        table.add_column(title)
    for title in ("events", "took", "events up to"):
        table.add_column(title, justify="right")
    for row in runs[:most]:
        high_water = f"{row['high_water_at']:%Y-%m-%d %H:%M}" if row["high_water_at"] else "-"
        style = "red" if row["status"] == "failed" else None
        table.add_row(
            row["run_id"],
            row["status"],
            count(row["event_count"]),
            duration(row["elapsed_seconds"]),
            high_water,
            style=style,
        )
    out.print(table)
