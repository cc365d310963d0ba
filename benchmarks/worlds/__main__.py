"""`python -m benchmarks.worlds`: run the product on simulated worlds and print how much of what it says is true.

Examples
--------
``python -m benchmarks.worlds --seeds 100-159 --jobs 2`` prints the table;
``python -m benchmarks.worlds --seed 7 --show`` prints one world's truth beside the first ten rows;
``python -m benchmarks.worlds --seeds 1-40 --pains 0`` counts false alarms;
``--keep DIR`` keeps the folders, ``--kinds gap_browser,chat`` plants these pains in each world.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.worlds.businesses import BUSINESSES
from benchmarks.worlds.draw import PAINS, World, draw_world
from benchmarks.worlds.figures import WorldFigures, figures_of, table
from benchmarks.worlds.files import write_world
from benchmarks.worlds.score import LEADING, Verdict, judge, read_rows, run_product
from benchmarks.worlds.truth import Truth, find_truth


def main() -> None:
    """Simulate, run, judge, print."""
    arguments = _arguments()
    seeds = [arguments.seed] if arguments.seed is not None else _seeds(arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        worlds = list(pool.map(lambda seed: _one(seed, arguments), seeds))
    print(table(worlds))
    if arguments.json:
        arguments.json.write_text(json.dumps([world.as_dict() for world in worlds], indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worlds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="100-109", help="e.g. 100-159 or 3,5,8")
    parser.add_argument("--seed", type=int, help="one world only")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--size", default="1500-20000", help="persons, from-to")
    parser.add_argument("--pains", type=int, help="how many pains each world has; drawn if not given")
    parser.add_argument("--kinds", help=f"plant these pains: {', '.join(PAINS)}")
    parser.add_argument("--decoys", type=int, help="how many decoys each world has; drawn (4 to 8) if not given")
    parser.add_argument("--business", choices=[one.name for one in BUSINESSES], help="drawn if not given")
    parser.add_argument("--model", help="read the rows of this model; by default the one the world configures")
    parser.add_argument("--slices", choices=("auto", "yes", "no"), default="auto", help="write `slices` and `passive`")
    parser.add_argument("--show", action="store_true", help="print each world's truth beside the first ten rows")
    parser.add_argument("--keep", type=Path, help="keep each world in a folder of its own here")
    parser.add_argument("--reuse", action="store_true", help="judge what is in --keep, where it was run before")
    parser.add_argument("--dry", action="store_true", help="write the worlds and print their truth; run nothing")
    parser.add_argument("--json", type=Path, help="write the figures of each world here too")
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _one(seed: int, arguments: argparse.Namespace) -> WorldFigures:
    low, _, high = arguments.size.partition("-")
    world = draw_world(
        seed,
        size=(int(low), int(high or low)),
        pains=arguments.pains,
        kinds=tuple(arguments.kinds.split(",")) if arguments.kinds else None,
        business=arguments.business,
        decoys=arguments.decoys,
    )
    truth = find_truth(world)
    if arguments.keep:
        return _run(world, truth, arguments.keep / f"world-{seed}", arguments)
    with tempfile.TemporaryDirectory(prefix="world-") as folder:
        return _run(world, truth, Path(folder), arguments)


def _run(world: World, truth: Truth, folder: Path, arguments: argparse.Namespace) -> WorldFigures:
    begun = time.perf_counter()
    try:
        if not (arguments.reuse and (folder / "published" / "current").exists()):
            slices = {"auto": None, "yes": True, "no": False}[arguments.slices]
            write_world(world, truth.life, folder, with_slices=slices)
            if not arguments.dry:
                run_product(folder)
        model = arguments.model or world.business.model
        opportunities, pains = ([], []) if arguments.dry else read_rows(folder, model)
    except RuntimeError as error:
        print(f"seed {world.seed}: {error}", file=sys.stderr, flush=True)
        return WorldFigures(
            world.seed, world.business.name, world.persons, truth.order_count, error=str(error).splitlines()[-1]
        )
    verdicts = judge(world, opportunities[:LEADING])
    made = figures_of(world, truth, verdicts, opportunities, pains)
    made.seconds = time.perf_counter() - begun
    if arguments.show:
        print(show(world, truth, verdicts), flush=True)
    else:
        big = [pain for pain in made.pains if pain.is_big]
        found = sum(pain.position is not None for pain in big)
        rows = " ".join(row[0].upper() if row == "true" else row[0] for row in made.rows)
        print(
            f"seed {world.seed:5} {world.business.name:12} {world.persons:6} persons {truth.order_count:6} orders"
            f"  big pains found {found}/{len(big)}  rows {rows}",
            file=sys.stderr,
            flush=True,
        )
    return made


def show(world: World, truth: Truth, verdicts: list[Verdict]) -> str:
    """Return a world's truth beside the rows, as text."""
    rate = "generous" if world.is_generous else "real"
    lines = [
        f"\nworld {world.seed}: {world.business.name}, {world.persons:,} persons, {world.days} days, {rate} rates, "
        f"{truth.order_count:,} orders of {truth.converted_count:,} persons",
    ]
    for loss in truth.losses:
        pain = loss.pain
        where = ", ".join(f"{column}={value}" for column, value in pain.slice)
        when = f"{world.day(pain.first_day)} to {world.day(pain.last_day)}" if pain.first_day is not None else ""
        step = world.business.steps[pain.step].event if pain.step < len(world.business.steps) else "a second order"
        named = " ".join(part for part in (where, when, pain.event or "", pain.promise or "") if part)
        lines.append(
            f"  pain {pain.number} {pain.kind:16} before {step}, -{pain.strength:.0%} {named}: "
            f"met {loss.met_count}, settled {loss.settled_count}, lost {loss.lost_count} "
            f"({loss.lost_count / max(truth.order_count, 1):.1%} of orders, z {loss.oracle_z:.1f}), "
            f"{loss.lost_stage_count} to the next stage, {loss.lost_orders} orders, {loss.lost_amount:,.0f} EUR"
        )
    for decoy in world.decoys:
        when = f"{world.day(decoy.first_day)} to {world.day(decoy.last_day)}" if decoy.first_day is not None else ""
        lines.append(f"  decoy {decoy.kind} {decoy.event or ''} {when}".rstrip())
    for position, verdict in enumerate(verdicts, start=1):
        row = verdict.row
        which = f"pain {verdict.pain}" if verdict.pain is not None else verdict.decoy or ""
        days = f" {row['first_day']} to {row['last_day']}" if row["first_day"] is not None else ""
        lines.append(
            f"  {position:2} {verdict.is_what:8} {which:16} {row['kind']} {row['grade'] or ''} {row['stage']}: "
            f"{row['subject']} {row['slice'] or ''}{days} "
            f"lost {row['lost_count']} [{row['lost_low']}, {row['lost_high']}] of {row['person_count']}, to the goal "
            f"{row['goal_lost_count']} [{row['goal_lost_low']}, {row['goal_lost_high']}]"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
