"""`python -m benchmarks.first_maps`: what `journeyflow init` proposes for exports as they come, and the map of it.

Each export goes from `init` to a published map without an edit. Printed are the time of both, what was proposed, the
share of events in a stage, and the persons of each stage. Exports: those that the tests generate, and the real ones in
the folder that ``JOURNEYFLOW_EXTERNAL_DATA`` names. `--doubts` adds what `init` says of each.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import journeyflow
from journeyflow.config import Config, load_config
from journeyflow.config.models_and_funnels import resolve_models
from journeyflow.errors import JourneyflowError
from journeyflow.setup.proposal import propose

_ROOT = Path(__file__).parents[1]
COLLECTORS = ("ga4/events.ndjson", "ga4/event_data.csv", "amplitude", "mixpanel", "pendo", "aws", "adobe")
_HEADER = ("export", "s", "format", "person", "stages", "goal", "in a stage", "persons of each stage")


def main() -> None:
    """Propose, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_maps", description=__doc__)
    parser.add_argument("--doubts", action="store_true", help="print what init says of each export")
    parser.add_argument("--only", default="", help="exports whose name holds this text")
    arguments = parser.parse_args()
    print("| " + " | ".join(_HEADER) + " |\n|" + "---|" * len(_HEADER))
    said: dict[str, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="first-maps-") as folder:
        for name, given in exports(Path(folder)):
            if arguments.only in name:
                project = Path(folder) / "projects" / name.replace("/", "-")
                project.mkdir(parents=True)
                row, said[name] = first_map(given, project)
                print(f"| {name} | " + " | ".join(row) + " |", flush=True)
    for name, sentences in said.items() if arguments.doubts else ():
        print(f"\n{name}", *sentences, sep="\n  ")


def exports(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each export, and the file or folder to name to `init`."""
    external = os.environ.get("JOURNEYFLOW_EXTERNAL_DATA")
    for name in COLLECTORS if external else ():
        yield name, Path(str(external)) / "collectors" / name
    sys.path.append(str(_ROOT / "tests"))
    from support.exports import SHAPES
    from support.tool_exports import TOOL_EXPORTS

    for name, write in SHAPES.items():
        yield f"shape {name}", write(folder / name)
    for name, (make, label, *_) in TOOL_EXPORTS.items():
        (folder / name).write_text(make(), encoding="utf-8")
        yield label, folder / name


def first_map(given: Path, project: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the cells of an export, and what `init` said of it."""
    started = time.perf_counter()
    proposal = propose([given], project)
    seconds = f"{time.perf_counter() - started:.0f}"
    path = project / "journeyflow.yml"
    path.write_text(proposal.text, encoding="utf-8")
    config = load_config(path)
    started = time.perf_counter()
    try:
        journeyflow.run(config)
        reached = _reached(project)
    except JourneyflowError as error:
        reached = f"no map: {error.message}"
    seconds += f" + {time.perf_counter() - started:.0f}"
    share = f"{proposal.trial.staged_rate:.0%}" if proposal.trial else "no trial"
    return [seconds, *_proposed(config), share, reached], (*proposal.notes, *proposal.doubts)


def _proposed(config: Config) -> list[str]:
    sources = config.sources.values()
    names = (source.columns.get(each) for source in sources for each in ("anonymous_id", "user_id"))
    persons = {str(c.column or f"hash of {', '.join(c.hash or ())}") for c in names if c}
    model = resolve_models(config.models)[0]
    stages = ", ".join(stage.name for stage in model.stages)
    goals = ", ".join(config.goals)
    forms = ", ".join(sorted({source.format for source in sources}))
    return [forms, ", ".join(sorted(persons)) or "of the format", stages, goals or "none"]


def _reached(project: Path) -> str:
    with journeyflow.open(project / "published") as tables:
        rows = tables.sql(
            "select model, stage, person_count from map_stages where persona = 'all' and period = 'all' "
            "order by model, stage_index"
        )
    return ", ".join(f"{stage} {count:,}" for _, stage, count in rows.iter_rows())


if __name__ == "__main__":
    main()
