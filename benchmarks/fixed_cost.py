"""`python -m benchmarks.fixed_cost`: processor seconds of what does not depend on the data.

A project of ten events: its first run, a run that brings nothing, and the commands that read. With `--compile` the
warm-up too, in an empty cache. Each figure is the least of several processes, user and system.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

NAMES = ("page_view", "product_view", "add_to_cart", "checkout_started", "purchase")
CONFIG = """project: fixed-cost
state: state/
publish: published/
sources:
  web:
    format: csv
    path: events.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: device, event_name: event}
models: {four_stage: builtin}
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fixed_cost", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="processes of each figure; the least is shown")
    parser.add_argument("--compile", action="store_true", help="also compile the kernel, in an empty cache")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_project(folder)
        if arguments.compile:
            cache = {"NUMBA_CACHE_DIR": str(folder / "cache")}
            _show("warm-up in an empty cache", [_seconds(folder, ["warm-up", "--quiet"], cache)])
        _seconds(folder, ["warm-up", "--quiet"])
        figures = {
            "full refresh of 10 events": ["run", "--quiet", "--full-refresh"],
            "run that brings nothing": ["run", "--quiet"],
            'query "select 1"': ["query", "select 1"],
            "funnel": ["funnel"],
            "status": ["status"],
        }
        for title, command in figures.items():
            _show(title, [_seconds(folder, command) for _ in range(arguments.runs)])


def _write_project(folder: Path) -> None:
    (folder / "journeyflow.yml").write_text(CONFIG)
    with (folder / "events.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "at", "device", "event"])
        for number in range(10):
            day, minute = divmod(number, len(NAMES))
            rows.writerow([number, f"2026-03-0{day + 1}T10:0{minute}:00", f"d{day}", NAMES[minute]])


def _seconds(folder: Path, command: list[str], variables: dict[str, str] | None = None) -> float:
    """Return the processor seconds of a command and the processes that it started."""
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.execve(sys.executable, [sys.executable, "-m", "journeyflow", *command], os.environ | (variables or {}))
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"journeyflow {' '.join(command)} failed.")
    return used.ru_utime + used.ru_stime


def _show(title: str, seconds: list[float]) -> None:
    print(f"  {title:28} {min(seconds):6.2f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
