"""The whole job over one busy visitor, with twice the events each time: `python -m benchmarks.growth [events]`.

Prints the seconds of each phase. A phase that takes more than twice as long for twice the events is quadratic in the
events of a person.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from journeyflow.config import load_config
from journeyflow.pipeline import run

STEPS = ("product_view", "add_to_cart", "purchase")
DOUBLINGS = 3


def measure(folder: Path, events: int) -> dict[str, float]:
    """Run the job over so many events of one device, a millisecond apart, and return the seconds of each phase."""
    lines = [f"{1_772_355_600_000 + n},d,{STEPS[n % len(STEPS)]}\n" for n in range(events)]
    (folder / "events.csv").write_text("ts,device,event\n" + "".join(lines))
    times = {"column": "ts", "unit": "ms"}
    columns = {"occurred_at": times, "anonymous_id": "device", "event_name": "event"}
    steps = [{"name": name, "when": {"event": name}} for name in STEPS]
    config = {
        "sources": {"web": {"format": "csv", "path": "events.csv", "channel": "web", "columns": columns}},
        "funnels": {"tries": {"count": "attempts", "window": "1d", "steps": steps}},
    }
    return dict(run.run(load_config(config, folder=folder)).phase_seconds)


def main(events: int) -> None:
    """Print a line for each size."""
    for size in (100, *(events << doubling for doubling in range(DOUBLINGS))):
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), size)
        sys.stdout.write(f"{size:>10,} " + "  ".join(f"{phase} {value:.2f}" for phase, value in found.items()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
