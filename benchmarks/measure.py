"""Run a task in a process of its own; report its seconds and its peak memory."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What one run of a task cost: seconds of the work itself, peak memory of its process, and what it answered."""

    seconds: float
    peak_bytes: int
    answer: dict[str, object]


@dataclass(frozen=True)
class Summary:
    """Median seconds and largest peak of several runs of one task."""

    task: str
    events: int
    runs: list[Measured]

    @property
    def seconds(self) -> float:
        """Median seconds."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """Largest peak memory."""
        return max(run.peak_bytes for run in self.runs)

    @property
    def events_per_second(self) -> float:
        """Events of the log over the median."""
        return self.events / self.seconds


def run_once(task: str, folder: Path) -> Measured:
    """Run `python -m benchmarks.tasks TASK FOLDER` and read the JSON line that it prints last."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.tasks", task, str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"The task {task} failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(said.pop("seconds"), said.pop("peak_bytes"), said)


def alternate(tasks: list[str], folder: Path, events: int, runs: int) -> dict[str, Summary]:
    """Run the tasks in turn, `runs` times each, so that a drift of the machine's speed meets all of them."""
    found: dict[str, list[Measured]] = {task: [] for task in tasks}
    for number in range(runs):
        for task in tasks:
            measured = run_once(task, folder)
            found[task].append(measured)
            print(
                f"  run {number + 1}  {task:28} {measured.seconds:8.2f} s  {measured.peak_bytes / 1e9:5.2f} GB",
                flush=True,
            )
    return {task: Summary(task, events, measured) for task, measured in found.items()}


def own_peak_bytes() -> int:
    """Peak memory of this process and of the largest child it waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    scale = 1 if sys.platform == "darwin" else 1024
    return max(own, children) * scale
