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
from benchmarks.worlds.simulate import DAY, Bools, Floats, Life, live

WINDOW_DAYS = 30


@dataclass(frozen=True)
class TrueLoss:
    """What one pain cost."""

    pain: Pain
    met_count: int
    settled_count: int
    lost_count: int
    """Persons, settled."""
    lost_orders: int
    """Goals reached fewer, by everybody and over the whole data."""
    lost_amount: float
    oracle_z: float
    """Lost persons ÷ the standard error of a comparison that knew the rate without the pain."""
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
    orders = sum(len(persons) for persons, _, _ in _recorded(world, life))
    converted = int(_is_recorded(world, life, np.full(world.persons, -np.inf), np.full(world.persons, np.inf)).sum())
    losses = tuple(_loss(world, life, live(world.without(pain)), pain) for pain in world.pains)
    return Truth(life, orders, converted, losses)


def persona_names(world: World) -> tuple[str, ...]:
    """Return the names of the personas, as the configuration has them."""
    return PERSONAS[world.persona_rule]


def _loss(world: World, life: Life, other: Life, pain: Pain) -> TrueLoss:
    met_at = life.met_at[pain.number]
    met = np.isfinite(met_at)
    until = met_at + WINDOW_DAYS * DAY
    settled = met & (until <= world.days * DAY)
    went_on = _is_recorded(world, life, met_at, until)
    would = _is_recorded(world, other, met_at, until)
    lost = settled * (would.astype(np.int64) - went_on.astype(np.int64))
    who = np.flatnonzero(met)
    names = np.array(persona_names(world))
    months = [str(world.day(int(met_at[one] // DAY)))[:7] for one in who]
    groups = (
        pl.DataFrame({"persona": names[life.people.persona[who]], "period": months, "lost_count": lost[who]})
        .group_by("persona", "period")
        .agg(met_count=pl.len(), lost_count=pl.col("lost_count").sum())
        .sort("persona", "period")
    )
    money = _money(world, other) - _money(world, life)
    orders = sum(len(one[0]) for one in _recorded(world, other)) - sum(len(one[0]) for one in _recorded(world, life))
    count = int(settled.sum())
    rate = float((would & settled).sum() / count) if count else 0.0
    error = np.sqrt(max(count * rate * (1 - rate), 1.0))
    return TrueLoss(pain, int(met.sum()), count, int(lost.sum()), orders, money, float(lost.sum() / error), groups)


def _recorded(world: World, life: Life) -> list[tuple[np.ndarray, Floats, Floats]]:
    """Goals that the data hold: those of a source that was lost for some days are not among them."""
    gap = world.decoy("tracking_gap")
    found = []
    for persons, at, amounts in life.goals:
        kept = np.ones(len(at), dtype=np.bool_)
        if gap is not None and world.business.steps[-1].source == gap.source:
            assert gap.first_day is not None and gap.last_day is not None
            kept = ~((at >= gap.first_day * DAY) & (at < (gap.last_day + 1) * DAY))
        found.append((persons[kept], at[kept], amounts[kept]))
    return found


def _is_recorded(world: World, life: Life, since: Floats, until: Floats) -> Bools:
    """Whether each person reached the goal after `since` and not after `until`."""
    reached = np.zeros(world.persons, dtype=np.bool_)
    for persons, at, _ in _recorded(world, life):
        reached[persons[(at > since[persons]) & (at <= until[persons])]] = True
    return reached


def _money(world: World, life: Life) -> float:
    earned = sum(float(amounts.sum()) for _, _, amounts in _recorded(world, life))
    return earned - sum(float(amounts.sum()) for _, _, amounts in life.refunds)
