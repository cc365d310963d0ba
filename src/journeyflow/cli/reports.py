"""What `run`, `demo`, `rebuild` and `plan` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeyflow.text import count, escaped

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console

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
    print_critical_spots(report.critical_spots, out, report.alarms)


def print_critical_spots(spots: Sequence[str], out: Console, told: Collection[str] = (), most: int = 3) -> None:
    """Print how many critical blind spots there are, and the first of those that were not told yet."""
    from rich.text import Text

    if spots:
        out.print(Text(f"  blind   {len(spots)} critical in the table blind_spots"), style="yellow")
    for spot in [spot for spot in spots if spot not in told][:most]:
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
