"""`python -m benchmarks.stages`: how often `journeyflow suggest` finds the stage of a name that it must not know.

Each name that a rule puts into a stage is hidden in turn: it loses its rule, and its word leaves the vocabulary.
Counted is how often a stage is offered for it, and how often that is the right one. Data: the sample, simulated
worlds, and the real inputs in the folder that ``JOURNEYFLOW_EXTERNAL_DATA`` names.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.worlds.businesses import BUSINESSES
from benchmarks.worlds.draw import draw_world
from benchmarks.worlds.files import write_world
from benchmarks.worlds.truth import find_truth
from journeyflow.config import Config, load_config
from journeyflow.config.models_and_funnels import resolve_models
from journeyflow.setup.proposal import hide_each, words_of
from journeyflow.setup.stages import Suggestion
from journeyflow.setup.trial import build_events, loaded_trial, read_event_log, read_known_stages
from journeyflow.utils.files import read_yaml, sample_folder

ROWS = 60_000
LEAST_NAMES = 4
EXTERNAL = ("shop_personas", "snowplow_ecommerce", "otto", "eshop_2008")
_TESTS = Path(__file__).parents[1] / "tests" / "external"


def main() -> None:
    """Hide, suggest, count, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="worlds of each business")
    parser.add_argument("--first-seed", type=int, default=1)
    arguments = parser.parse_args()
    print("| data | model | names | offered | right | right of offered |\n|---|---|---|---|---|---|")
    totals = [0, 0, 0]
    with tempfile.TemporaryDirectory(prefix="stages-") as folder:
        for name, config in data_sets(
            Path(folder), range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        ):
            for model, counts in hidden_counts(config):
                print(f"| {name} | {model} | " + " | ".join(map(str, counts)) + f" | {_share(counts)} |", flush=True)
                totals = [total + count for total, count in zip(totals, counts, strict=True)]
    print("| all | | " + " | ".join(map(str, totals)) + f" | {_share(totals)} |")


def _share(counts: list[int]) -> str:
    return f"{counts[2] / counts[1]:.0%}" if counts[1] else "none offered"


def data_sets(folder: Path, seeds: range) -> Iterator[tuple[str, Config]]:
    """Yield the name and the configuration of every data set."""
    yield "sample", load_config(sample_folder() / "journeyflow.yml")
    for business in BUSINESSES:
        for seed in seeds:
            world = draw_world(seed, size=(800, 1500), business=business.name)
            place = folder / f"{business.name}-{seed}"
            write_world(world, find_truth(world).life, place)
            yield f"world {business.name} {seed}", load_config(place)
    external = os.environ.get("JOURNEYFLOW_EXTERNAL_DATA")
    for name in EXTERNAL if external else ():
        template = _TESTS / name / "journeyflow.yml"
        content = read_yaml(template.read_text(encoding="utf-8").replace("@external@", str(external)).encode()).content
        yield name, load_config(content, folder=template.parent)


def hidden_counts(config: Config) -> Iterator[tuple[str, list[int]]]:
    """Yield, for each model, how many names were hidden, how many were offered a stage, and how many rightly."""
    with loaded_trial(config, ROWS) as (engine, loaded, _):
        build_events(engine, loaded)
        events, stages = read_event_log(engine), read_known_stages(engine)
    for model in resolve_models(config.models):
        known = {name: stage for name, stage in stages.get(model.model, {}).items() if stage}
        if len(known) < LEAST_NAMES:
            continue
        found = hide_each(
            events, model.stage_names, known, lambda name, model=model: words_of(model, frozenset((name,)))
        )
        yield model.model, _counted(found, known)


def _counted(found: list[Suggestion], known: dict[str, str]) -> list[int]:
    offered = [each for each in found if each.is_offered]
    return [len(found), len(offered), sum(each.stage == known[each.name] for each in offered)]


if __name__ == "__main__":
    main()
