"""`python -m benchmarks`: make the log, run everything in turn, print a table.

Examples
--------
``make bench`` (10 million events, three runs), ``make bench ARGS='--events 1000000 --runs 5'``.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import Summary, alternate

GROUPS = {
    "floor and whole job": ["load_and_sort", "whole_job"],
    "a run that brings 1 %": ["incremental"],
    "a thousand small files": ["small_files"],
    "kernel beside ClickHouse": ["kernel", "clickhouse"],
    "other modes of the kernel": ["kernel_strict", "kernel_any_order", "kernel_strictly_later", "kernel_exclusion"],
    "beside retentioneering": ["kernel", "retentioneering"],
}
RATIOS = [("whole_job", "load_and_sort"), ("kernel", "clickhouse"), ("retentioneering", "kernel")]


def main() -> None:
    """Measure what the arguments ask for."""
    arguments = _arguments()
    # The peers must not call home from somebody's benchmark.
    os.environ.update({"RETENTIONEERING_NO_TRACK": "1", "DO_NOT_TRACK": "1"})
    folder = arguments.folder / f"{arguments.events}"
    _make_log(folder, arguments.events)
    print(f"{arguments.events:,} events, {arguments.runs} runs, {_machine()}", flush=True)
    found: dict[str, Summary] = {}
    for title, tasks in GROUPS.items():
        if arguments.only and not set(tasks) & set(arguments.only):
            continue
        print(f"\n{title}", flush=True)
        summaries = alternate(tasks, folder, arguments.events, arguments.runs)
        found |= summaries
        _show(tasks, summaries)
    _phases(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="size of the generated log")
    parser.add_argument("--runs", type=int, default=3, help="runs of each task; the median is shown")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where the log and the tables go")
    parser.add_argument("--only", nargs="*", help="only the groups with these tasks, e.g. whole_job")
    return parser.parse_args()


def _make_log(folder: Path, events: int) -> None:
    if (folder / "journeyflow.yml").exists():
        return
    command = [sys.executable, "-m", "data.generator", "--events", str(events), "--out", str(folder), "--seed", "7"]
    subprocess.run(command, check=True)
    subprocess.run([sys.executable, "-m", "benchmarks.tasks", "classify", str(folder)], check=True)


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _show(tasks: list[str], summaries: dict[str, Summary]) -> None:
    for task in tasks:
        row = summaries[task]
        seconds = sorted(run.seconds for run in row.runs)
        print(
            f"  {task:24} median {row.seconds:7.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})"
            f"  {row.events_per_second:13,.0f} events/s  peak {row.peak_bytes / 1e9:.2f} GB"
        )
    for over, under in RATIOS:
        if over in summaries and under in summaries:
            print(f"  {over} / {under} = {summaries[over].seconds / summaries[under].seconds:.2f}")


def _phases(found: dict[str, Summary]) -> None:
    if "whole_job" in found:
        print(f"\nphases of the last whole job, seconds: {found['whole_job'].runs[-1].answer['phases']}")
    for run in found["incremental"].runs if "incremental" in found else []:
        print(
            f"a run with 1 % new is {run.answer['share_of_full_refresh']:.1%} of a full refresh: {run.answer['runs']}"
        )


if __name__ == "__main__":
    main()
