"""What each pain cost: the lives with it and without it, compared.

The true loss of a pain is the number of persons who went on to the goal without it and did not with it, less those few
the other way round. Somebody *went on* who reached the goal, as recorded in the data, within `WINDOW_DAYS` after first
meeting the pain (for a promise that is broken after the goal: reached the goal again). Only persons count whose window
was over when the data ended. The first meeting is the same in both lives, because until then they are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.worlds.draw import PERSONAS, Pain, World
from benchmarks.worlds.simulate import DAY, Bools, Floats, Ints, Life, is_within, live

WINDOW_DAYS = 30


@dataclass(frozen=True)
class TrueLoss:
    """What one pain cost."""

    pain: Pain
    met_count: int
    settled_count: int
    lost_count: int
    """Persons, settled."""
    lost_stage_count: int
    """Persons, settled: the same for the next stage in place of the goal."""
    lost_orders: int
    """Goals reached fewer, by everybody and over the whole data."""
    lost_amount: float
    oracle_z: float
    """Lost persons ÷ the standard error of a comparison with as many persons alike who did not meet the pain."""
    by_group: pl.DataFrame
    """`persona`, `period` (month of the meeting), `met_count`, `lost_count`; adds up to the totals."""


@dataclass(frozen=True)
class Truth:
    """The life with all pains, and what each pain cost."""

    life: Life
    order_count: int
    converted_count: int
    losses: tuple[TrueLoss, ...]

    def is_big(self, loss: TrueLoss, share: float = 0.02) -> bool:
        """Whether a pain cost at least this share of the orders."""
        return loss.lost_count >= max(share * self.order_count, 1)


def find_truth(world: World) -> Truth:
    """Let the people live with all pains, and again without each."""
    life = live(world)
    ever = np.full(world.persons, np.inf)
    converted = int(_went_on(world, life, len(world.business.steps) - 1, -ever, ever).sum())
    losses = tuple(_loss(world, life, live(world.without(pain)), pain) for pain in world.pains)
    return Truth(life, _order_count(world, life), converted, losses)


def persona_names(world: World) -> tuple[str, ...]:
    """Return the names of the personas, as the configuration has them."""
    return PERSONAS[world.persona_rule]


def _loss(world: World, life: Life, other: Life, pain: Pain) -> TrueLoss:
    met_at = life.met_at[pain.number]
    met = met_at < world.days * DAY
    until = met_at + WINDOW_DAYS * DAY
    settled = met & (until <= world.days * DAY)
    last = len(world.business.steps) - 1
    target = world.business.next_stage_step(pain.step) if pain.step <= last else last

    def lost(one_life: Life, other_life: Life, step: int) -> Ints:
        would = _went_on(world, other_life, step, met_at, until).astype(np.int64)
        return settled * (would - _went_on(world, one_life, step, met_at, until))

    goal, stage = lost(life, other, last), lost(life, other, target)
    lives = [_went_on(world, one, last, met_at, until) & settled for one in (life, other)]
    who = np.flatnonzero(met)
    names = np.array(persona_names(world))
    months = [str(world.day(int(met_at[one] // DAY)))[:7] for one in who]
    groups = (
        pl.DataFrame({"persona": names[life.people.persona[who]], "period": months, "lost_count": goal[who]})
        .group_by("persona", "period")
        .agg(met_count=pl.len(), lost_count=pl.col("lost_count").sum())
        .sort("persona", "period")
    )
    count = int(settled.sum())
    rates = [float(one.sum()) / max(count, 1) for one in lives]
    variance = count * sum(rate * (1 - rate) for rate in rates)
    return TrueLoss(
        pain=pain,
        met_count=int(met.sum()),
        settled_count=count,
        lost_count=int(goal.sum()),
        lost_stage_count=int(stage.sum()),
        lost_orders=_order_count(world, other) - _order_count(world, life),
        lost_amount=_money(world, other) - _money(world, life),
        oracle_z=float(goal.sum() / np.sqrt(max(variance, 1.0))),
        by_group=groups,
    )


def _went_on(world: World, life: Life, step: int, since: Floats, until: Floats) -> Bools:
    """Whether each person took a step, as the data hold it, after `since` and not after `until`."""
    reached = np.zeros(world.persons, dtype=np.bool_)
    chunks = [(persons, at) for index, persons, at in life.taken if index == step]
    if step == len(world.business.steps) - 1:
        # Purchases in the store reach the goal too.
        chunks = [(persons, at) for persons, at, _ in life.goals]
    for persons, at in chunks:
        kept = _is_recorded(world, step, at) & (at > since[persons]) & (at <= until[persons])
        reached[persons[kept]] = True
    return reached


def _is_recorded(world: World, step: int, at: Floats) -> Bools:
    """Whether the data hold a step taken at these seconds: inside the window, and not in a tracking gap."""
    gap = world.decoy("tracking_gap")
    kept = at < world.days * DAY
    if gap is not None and world.business.steps[step].source == gap.source:
        kept &= ~is_within(gap, at)
    return kept


def _order_count(world: World, life: Life) -> int:
    goal = len(world.business.steps) - 1
    return sum(int(_is_recorded(world, goal, at).sum()) for _, at, _ in life.goals)


def _money(world: World, life: Life) -> float:
    goal = len(world.business.steps) - 1
    earned = sum(float(amounts[_is_recorded(world, goal, at)].sum()) for _, at, amounts in life.goals)
    return earned - sum(float(amounts.sum()) for _, _, amounts in life.refunds)
