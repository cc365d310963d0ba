"""Add up the judgements of many worlds, and print them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.worlds.draw import PAINS, World
from benchmarks.worlds.score import LEADING, Row, Verdict, found_pains, has_alert
from benchmarks.worlds.truth import Truth

BIG_SHARE = 0.02
CLEAR = 4.0
MET = 30
"""A loss is clear from this many standard errors on, if this many settled persons (the default `min_count`) met it:
then a comparison with as many like persons sees it among the hundreds of slices, spans and events searched."""


@dataclass
class Estimate:
    """A published figure and its interval."""

    value: float
    low: float
    high: float

    def holds(self, truth: float) -> bool:
        """Say whether the truth is inside the interval."""
        return self.low <= truth <= self.high

    def error(self, truth: float) -> float:
        """Return the relative error."""
        return abs(self.value - truth) / truth


@dataclass
class PainFigures:
    """One pain of one world, and what the product made of it."""

    kind: str
    lost: int
    is_big: bool
    is_clear: bool
    """Whether data of this size can show it at all; see `CLEAR`."""
    lost_stage: int
    """Lost to the next stage in place of the goal."""
    position: int | None
    """Of the first true row among the first ten, from 1."""
    stage: Estimate | None = None
    """Persons lost to the next stage, as published."""
    goal: Estimate | None = None
    """Of them those lost to the goal, as published."""


@dataclass
class WorldFigures:
    """One world, as far as the table needs it. Plain values, so that it travels between processes."""

    seed: int
    business: str
    persons: int
    orders: int
    rows: list[str] = field(default_factory=list)
    """What each of the first ten is: `true`, `neutral`, `decoy`, `false`."""
    decoys: list[str] = field(default_factory=list)
    pains: list[PainFigures] = field(default_factory=list)
    is_alerted: bool = False
    seconds: float = 0.0
    error: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


def figures_of(
    world: World, truth: Truth, verdicts: list[Verdict], listed: list[Row], pains: list[Row]
) -> WorldFigures:
    """Condense one world; `verdicts` are of the first ten rows, `listed` and `pains` all rows published."""
    leading = verdicts[:LEADING]
    found = found_pains(truth, leading)
    made = WorldFigures(world.seed, world.business.name, world.persons, truth.order_count)
    made.rows = [verdict.is_what for verdict in leading]
    made.decoys = [str(verdict.decoy) for verdict in leading if verdict.decoy]
    made.is_alerted = has_alert(listed, pains)
    for loss in truth.losses:
        position = found.get(loss.pain.number)
        is_clear = loss.oracle_z >= CLEAR and loss.settled_count >= MET
        one = PainFigures(
            loss.pain.kind,
            loss.lost_count,
            truth.is_big(loss, BIG_SHARE),
            is_clear,
            loss.lost_stage_count,
            position,
        )
        if position is not None:
            row = leading[position - 1].row
            one.stage, one.goal = _estimate(row, "lost"), _estimate(row, "goal_lost")
        made.pains.append(one)
    return made


def _estimate(row: Row, name: str) -> Estimate | None:
    values = [row[f"{name}_{end}"] for end in ("count", "low", "high")]
    return None if None in values else Estimate(*(float(str(value)) for value in values))


def table(worlds: list[WorldFigures]) -> str:
    """Return the figures of §13's aims, and those by kind of pain, as text."""
    good = [world for world in worlds if world.error is None]
    pains = [pain for world in good for pain in world.pains]
    big = [pain for pain in pains if pain.is_big]
    clear = [pain for pain in big if pain.is_clear]
    five = [row for world in good for row in world.rows[:5] if row != "neutral"]
    ten = [row for world in good for row in world.rows]
    calm = [world for world in good if not world.pains]
    to_goal = [(pain.goal, pain.lost) for pain in pains if pain.goal]
    to_stage = [(pain.stage, pain.lost_stage) for pain in pains if pain.stage]
    lines = [
        f"worlds {len(good)}, with pains {len(good) - len(calm)}; seconds a run: "
        + _round(_median([world.seconds for world in good])),
        _line(
            "big pains (2 % of the orders) among the first ten",
            _found(big),
            len(big),
            "80 %",
        ),
        _line(
            f"... those of {CLEAR:.0f} standard errors and {MET} persons or more",
            sum(p.position is not None for p in clear),
            len(clear),
            "",
        ),
        _line("true rows among the first five (neutral ones aside)", five.count("true"), len(five), "90 %"),
        _plain("decoys in the first ten, a world", _mean(ten.count("decoy"), good), "0.2"),
        _plain("rows about nothing in the first ten, a world", _mean(ten.count("false"), good), ""),
        _plain("neutral rows in the first ten, a world", _mean(ten.count("neutral"), good), ""),
        _line(
            "worlds without pain that list incident or matched", sum(w.is_alerted for w in calm), len(calm), "<= 5 %"
        ),
        _line("true loss to the next stage inside its interval, true rows", *_inside(to_stage), "85 %"),
        _plain("... median relative error", _median(_errors(to_stage)), "0.25"),
        _line("true loss to the goal inside its interval, true rows", *_inside(to_goal), "85 %"),
        _plain("... median relative error", _median(_errors(to_goal)), "0.25"),
        "",
        f"{'kind':20} {'found/big':>10} {'found/all':>10} {'mean rank':>10} {'stage in':>9} {'error':>7} "
        f"{'goal in':>9} {'error':>7}",
    ]
    for kind in PAINS:
        some = [pain for pain in pains if pain.kind == kind]
        if some:
            lines.append(_kind_line(kind, some))
    names = [name for world in good for name in world.decoys]
    if names:
        counts = ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names), key=lambda n: -names.count(n)))
        lines.append(f"\ndecoys listed: {counts}")
    lines += [f"seed {world.seed} failed: {world.error}" for world in worlds if world.error]
    lines.append("seeds: " + ", ".join(str(world.seed) for world in worlds))
    return "\n".join(lines)


def _kind_line(kind: str, some: list[PainFigures]) -> str:
    big = [pain for pain in some if pain.is_big]
    found = [pain for pain in some if pain.position is not None]
    ranks = [pain.position for pain in found if pain.position is not None]
    columns = ""
    for pairs in (
        [(pain.stage, pain.lost_stage) for pain in found if pain.stage],
        [(pain.goal, pain.lost) for pain in found if pain.goal],
    ):
        inside, held = _inside(pairs)
        columns += f" {inside:>4}/{held:<4} {_round(_median(_errors(pairs))):>7}"
    return (
        f"{kind:20} {_found(big):>5}/{len(big):<4} {len(found):>5}/{len(some):<4} "
        f"{_round(statistics.mean(ranks) if ranks else None):>10}{columns}"
    )


def _inside(pairs: Sequence[tuple[Estimate, float]]) -> tuple[int, int]:
    return sum(estimate.holds(truth) for estimate, truth in pairs), len(pairs)


def _errors(pairs: Sequence[tuple[Estimate, float]]) -> list[float]:
    return [estimate.error(truth) for estimate, truth in pairs if truth > 0]


def _line(title: str, part: int, whole: int, aim: str) -> str:
    share = f"{part / whole:.0%}" if whole else "-"
    return f"{title:56} {share:>8}   {part}/{whole}" + (f"   aim {aim}" if aim else "")


def _found(pains: list[PainFigures]) -> int:
    return sum(pain.position is not None for pain in pains)


def _plain(title: str, value: float | None, aim: str) -> str:
    return f"{title:56} {_round(value):>8}" + (f"   aim {aim}" if aim else "")


def _mean(count: int, worlds: list[WorldFigures]) -> float | None:
    return count / len(worlds) if worlds else None


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _round(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
