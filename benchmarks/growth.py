"""The whole job over one busy visitor, with twice the events each time: `python -m benchmarks.growth [events] [log]`.

Prints the seconds of processor time of each phase. A phase that takes more than twice as long for twice the events is
quadratic in the events of a person. Each log strains other paths: `steps` has attempts and sessions, `answers` has
answers and clicks between the visits of stages, `instants` has many events at each instant.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from journeyflow.config import load_config
from journeyflow.pipeline.run import Run

STEPS = ("product_view", "add_to_cart", "purchase")
MIXED = (
    "page_view",
    "csat_answer",
    "click",
    "add_to_cart",
    "support_chat",
    "click",
    "purchase",
    "hover",
    "click",
    "refund",
)
LOGS = {"steps": (STEPS, 1), "answers": (MIXED, 1), "instants": (MIXED, 500)}
"""Log → events in their order, and events of one instant."""
DOUBLINGS = 3
PHASES = ("load", "stitch", "classify", "build", "check")


def config_of(folder: Path) -> dict[str, object]:
    """Return a configuration that uses every path that orders the events of a person."""
    columns = {"occurred_at": {"column": "ts", "unit": "ms"}, "anonymous_id": "device", "event_name": "event"}
    columns |= {"target": "target", "revenue_amount": "amount", "currency": {"constant": "EUR"}}
    source = {
        "format": "csv",
        "path": "events.csv",
        "channel": "web",
        "columns": columns,
        "properties": ["score", "key"],
    }
    steps = [{"name": name, "when": {"event": name}} for name in STEPS]
    promise = {"stage": "decision", "from": {"event": "add_to_cart"}, "to": {"event": "purchase"}, "within": "1s"}
    return {
        "sources": {"web": source},
        "models": {"four_stage": "builtin", "value_journey": "builtin"},
        "funnels": {
            "tries": {"count": "attempts", "window": "1d", "steps": steps},
            "strict": {"count": "attempts", "order": "strict", "window": "1d", "steps": steps[:2]},
            "visits": {"unit": "session", "window": "1d", "steps": steps},
            "keys": {"unit": {"property": "key"}, "window": "1d", "steps": steps},
            "any": {"order": "any_order", "window": "1d", "steps": steps},
        },
        "goals": {"order": {"when": {"event": "purchase"}, "value": "revenue_amount"}},
        "promises": [{"name": "soon", **promise}, {"name": "matched", "match": "key", **promise}],
        "friction": [{"name": "chat", "when": {"event": "support_chat"}}],
        "surveys": {"csat": {"event": "csat_answer", "score": "properties.score", "scale": [1, 5]}},
        "slices": ["key"],
        "currency": {"report": "EUR"},
        "min_count": 1,
    }


def measure(folder: Path, events: int, log: str = "steps") -> dict[str, float]:
    """Run the job over so many events of one device, a millisecond apart, and return the seconds of each phase."""
    names, per_instant = LOGS[log]
    lines = [
        f"{1_772_355_600_000 + n // per_instant * 7},d,{names[n % len(names)]},buy,{n % 9},{n % 5 + 1},{n % 4}\n"
        for n in range(events)
    ]
    (folder / "events.csv").write_text("ts,device,event,target,amount,score,key\n" + "".join(lines))
    found = {}
    with Run(load_config(config_of(folder), folder=folder)) as run:
        for phase in PHASES:
            began = time.process_time()
            getattr(run, phase)()
            found[phase] = time.process_time() - began
    return found


def main(events: int, logs: tuple[str, ...]) -> None:
    """Print a line for each log and size."""
    for log in logs:
        for size in (100, *(events << doubling for doubling in range(DOUBLINGS))):
            with tempfile.TemporaryDirectory() as folder:
                found = measure(Path(folder), size, log)
            phases = "  ".join(f"{phase} {value:.2f}" for phase, value in found.items())
            sys.stdout.write(f"{log:>9} {size:>10,} {phases}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000, tuple(sys.argv[2:]) or tuple(LOGS))
