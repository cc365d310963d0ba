"""What less leaving at a stage would bring: an absorbing chain over the stages, changed at one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from journeyflow.errors import JourneyflowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from journeyflow.publish.reader import PublishedTables

DRAWS = 1_000
SEED = 20260101
TOLERANCE = 1e-9
_CHAIN = """
    select from_stage, to_stage, from_index, to_index, journey_count from stage_chains
    where model = $1 and persona = $2 order by from_index, to_index
"""
_GOAL = "select max(stage_index) as goal from map_stages where model = $1"


@dataclass(frozen=True)
class Chain:
    """Counts of moves; the row of state 0 are entries, and the last two columns conversions and exits."""

    counts: NDArray[np.float64]

    @property
    def observed_rate(self) -> float:
        """The share of those who entered that converted."""
        entered = self.counts[0].sum()
        return float(self.counts[:, -2].sum() / entered) if entered else 0.0

    def checked_rate(self) -> float:
        """Return the chance to convert by the chain; JourneyflowError where it is not what was observed."""
        rate = float(_conversion(_shares(self.counts[None]))[0])
        if abs(rate - self.observed_rate) > TOLERANCE:
            raise JourneyflowError(
                f"The chain converts {rate:.6f} of those who enter, and {self.observed_rate:.6f} did; what comes into "
                "a stage does not leave it. Nothing can be said of a change; please report this."
            )
        return rate

    def gain(self, state: int, share: float) -> tuple[float, float, float] | None:
        """Return the conversions gained when `share` of the exits from `state` do not happen, with a 95 % interval.

        Who stays moves on as those did who went on from there. Rows of the chain are drawn from the Dirichlet
        distribution of their counts. None where nobody went on from the state, so that nothing is known of it.
        """
        row = self.counts[state]
        if not row[:-1].sum():
            return None
        entered = self.counts[0].sum()
        shares = _shares(self.counts[None])
        best = float((_conversion(_changed(shares, state, share)) - _conversion(shares))[0])
        chance = np.random.default_rng(SEED)
        # Normalized gamma variates are a Dirichlet draw; a move that was never seen stays impossible.
        drawn = _shares(chance.gamma(np.broadcast_to(self.counts, (DRAWS, *self.counts.shape))))
        gains = _conversion(_changed(drawn, state, share)) - _conversion(drawn)
        low, high = np.quantile(gains, [0.025, 0.975])
        return best * entered, float(low) * entered, float(high) * entered


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows that add up to 1; of a state without moves everything exits."""
    totals = counts.sum(axis=-1, keepdims=True)
    found: NDArray[np.float64] = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    found[..., -1] += totals[..., 0] == 0
    return found


def _conversion(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance to convert from state 0, exactly: (1 - Q) x = r."""
    moves = shares[..., :-2]
    found = np.linalg.solve(np.eye(moves.shape[-1]) - moves, shares[..., -2:-1])
    return np.asarray(found[..., 0, 0], dtype=np.float64)


def _changed(shares: NDArray[np.float64], state: int, share: float) -> NDArray[np.float64]:
    found = shares.copy()
    left = found[:, state, -1]
    # What is freed is spread as among those who went on.
    found[:, state, :-1] *= (1 + left * share / (1 - left))[:, None]
    found[:, state, -1] = left * (1 - share)
    return found


def what_if(marts: PublishedTables, model: str, persona: str, share: float) -> pl.DataFrame:
    """Return what keeping `share` of the exits from each stage would bring, the greatest gain first.

    A row per stage that journeys left from: exits, exits kept, rates before and after, conversions gained with their
    interval. It rests on journeys that have ended; open ones are in `open_count`.
    """
    rows = marts.sql(_CHAIN, [model, persona])
    goal = marts.sql(_GOAL, [model])["goal"][0]
    open_count = int(rows.filter(rows["to_index"] == -1)["journey_count"].sum())
    ended = rows.filter(rows["to_index"] >= 0)
    if goal is None or ended.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    chain = _chain(ended, int(goal))
    rate, entered = chain.checked_rate(), int(chain.counts[0].sum())
    exits = ended.filter(ended["to_index"] == 0).select("from_stage", "from_index", "journey_count")
    found = [
        (stage, left, left * share, entered, rate, rate + gained[0] / entered, *gained, open_count)
        for stage, index, left in exits.iter_rows()
        if (gained := chain.gain(index, share)) is not None
    ]
    return pl.DataFrame(found, schema=_SCHEMA, orient="row").sort("gain_count", "stage", descending=[True, False])


_SCHEMA = {
    "stage": pl.String, "exit_count": pl.Int64, "kept_count": pl.Float64, "journey_count": pl.Int64,
    "conversion_rate": pl.Float64, "changed_rate": pl.Float64, "gain_count": pl.Float64, "gain_low": pl.Float64,
    "gain_high": pl.Float64, "open_count": pl.Int64,
}  # fmt: skip


def _chain(rows: pl.DataFrame, goal: int) -> Chain:
    """Return the chain of moves between stages before the last, `goal`: it is where journeys convert."""
    counts = np.zeros((goal, goal + 2))
    for start, end, count in rows.select("from_index", "to_index", "journey_count").iter_rows():
        counts[start, goal if end == goal else goal + 1 if end == 0 else end] += count
    return Chain(counts)
