"""The rows that the screens show, out of the published tables."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.errors import NotFoundError

if TYPE_CHECKING:
    import polars as pl

    from journeyflow.published import Published


def open_marts(config: Path, published: Path | None) -> Published:
    """Open a published folder, or the one that a configuration names."""
    from journeyflow.published import open_published

    if published is None:
        from journeyflow.config import load_config

        published = load_config(config).publish
    return open_published(published)


def matching(marts: Published, table: str, funnel: str, persona: str, period: str) -> pl.DataFrame:
    """Return the rows of `table` of one funnel, persona and period, by step; there may be none."""
    import polars as pl

    is_wanted = (pl.col("funnel") == funnel) & (pl.col("persona") == persona) & (pl.col("period") == period)
    return marts.table(table).filter(is_wanted).sort("step_index", maintain_order=True)


def steps_of(marts: Published, funnel: str, persona: str, period: str) -> pl.DataFrame:
    """Return the steps of one funnel in order: rows of `funnel_steps`.

    Raises
    ------
    NotFoundError
        When there are none; says which of the three names is unknown.
    """
    steps = matching(marts, "funnel_steps", funnel, persona, period)
    if steps.is_empty():
        known = marts.table("funnel_steps")
        for column, value in (("funnel", funnel), ("persona", persona), ("period", period)):
            require_known(column, value, known[column].unique().sort().to_list())
        raise NotFoundError("Nobody of this persona entered this funnel in this period.")
    return steps


def personas_of(marts: Published, funnel: str) -> pl.DataFrame:
    """Return one row per persona of a funnel: who entered, who reached the end, the matured rate; most people first."""
    import polars as pl

    steps = marts.table("funnel_steps").filter((pl.col("funnel") == funnel) & (pl.col("period") == "all"))
    is_last = pl.col("step_index") == pl.col("step_index").max().over("persona")
    entered = steps.filter(pl.col("step_index") == 1).select("persona", entered_count="person_count")
    reached = steps.filter(is_last).select(
        "persona", "step", "person_count", "conversion_rate", "is_small", "is_outcome_based"
    )
    return entered.join(reached, on="persona").sort("entered_count", "persona", descending=[True, False])


def require_known(what: str, value: str, known: Sequence[str]) -> None:
    """Raise when `value` is not one of `known`, with the nearest name.

    Raises
    ------
    NotFoundError
        Naming what there is.
    """
    if value in known:
        return
    like = get_close_matches(value, known, n=1)
    hint = f" Did you mean {like[0]!r}?" if like else ""
    raise NotFoundError(f"There is no {what} {value!r} in the published tables; there is: {', '.join(known)}.{hint}")
