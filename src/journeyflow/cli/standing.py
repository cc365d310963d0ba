"""What `status` prints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from journeyflow.text import count, duration, escaped

if TYPE_CHECKING:
    from rich.console import Console

_MEBIBYTE = 1 << 20


def print_status(status: dict[str, Any], out: Console) -> None:
    """Print what `status.status_of` found."""
    from rich.text import Text

    from journeyflow.cli.reports import print_critical_spots

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
    out.print(Text(f"  disk    {_sizes(status['sizes'])}"))
    for alarm in status["alarms"]:
        out.print(Text(f"  look at {escaped(alarm['detail'])}"), style="yellow")
    if current is not None:
        print_critical_spots(current["critical_spots"], out, {alarm["detail"] for alarm in status["alarms"]})
    if running:
        where = f", on {escaped(running['host'])}" if running["host"] else ""
        who = f": process {running['pid']}, since {running['started_at']}{where}" if running["pid"] else ""
        out.print(Text(f"A run is going on{who}"), style="yellow")
    else:
        out.print(Text("  lock    free: no run is going on"))
    _print_runs(status["runs"], out)


def _sizes(sizes: dict[str, int]) -> str:
    parts = (
        ("warehouse", sizes["warehouse_bytes"]),
        ("last build", sizes["build_bytes"]),
        (f"{count(sizes['kept_count'])} kept files", sizes["kept_bytes"]),
        (f"{count(sizes['generation_count'])} generations", sizes["generations_bytes"]),
    )
    return ", ".join(f"{name} {size / _MEBIBYTE:,.1f} MiB" for name, size in parts)


def _print_runs(runs: list[dict[str, Any]], out: Console, most: int = 5) -> None:
    from rich import box
    from rich.table import Table

    if not runs:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, title=None)
    for title in ("run", "status"):
        table.add_column(title)
    for title in ("alarms", "events", "took", "events up to"):
        table.add_column(title, justify="right")
    for row in runs[:most]:
        alarms = row.get("alarm_count")  # A table of an older version has no such column.
        table.add_row(
            row["run_id"],
            row["status"],
            count(alarms),
            count(row["event_count"]),
            duration(row["elapsed_seconds"]),
            f"{row['high_water_at']:%Y-%m-%d %H:%M}" if row["high_water_at"] else "-",
            style="red" if row["status"] == "failed" else "yellow" if alarms else None,
        )
    out.print(table)
