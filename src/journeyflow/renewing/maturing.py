"""What time alone changes: attempts and journeys whose window is over, nothing of which was touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from journeyflow.config.durations import microseconds
from journeyflow.config_tables import funnel_indexes

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine


def mature(base: DuckDBEngine, config: Config, high_water_at: datetime) -> None:
    """Let the marks of `kernel.*` that depend on the high-water mark hold at a later one.

    Parameters
    ----------
    base : DuckDBEngine
        A build; its rows hold as of an earlier mark or of this one.
    config : Config
    high_water_at : datetime
        Naive UTC.

    References
    ----------
    `docs/reference/semantics.md`, section 7: pending, and matured.
    """
    for statement, params in _statements(config, high_water_at):
        base.execute(statement, params)


def _statements(config: Config, high_water_at: datetime) -> Iterator[tuple[str, list[object]]]:
    for table, until in (("funnel_units", "closes_at"), ("funnel_days", "pending_until")):
        emptied = ", pending_until = null" if until == "pending_until" else ""
        yield (
            f"update kernel.{table} set is_pending = false{emptied} where is_pending and {until} <= ?",
            [high_water_at],
        )
        for funnel_index, window_us in _windows(config).items():
            yield (
                f"update kernel.{table} set is_matured = true "
                f"where not is_matured and funnel_index = ? and {_is_over('entered_at')}",
                [funnel_index, high_water_at, window_us],
            )
    window_us = microseconds(config.journeys.window)
    yield (
        "update kernel.map_journeys set is_matured = true, is_pending = false "
        f"where not is_matured and {_is_over('entered_at')}",
        [high_water_at, window_us],
    )
    yield (
        f"update kernel.stage_passes set is_matured = true where not is_matured and {_is_over('opened_at')}",
        [high_water_at, window_us],
    )


def _is_over(start: str) -> str:
    return f"date_diff('microsecond', {start}, cast(? as timestamp)) >= ?"


def _windows(config: Config) -> dict[int, int]:
    """Return the window of every funnel by its index, in microseconds."""
    indexes = funnel_indexes(config)
    windows = {indexes[model.model]: microseconds(config.journeys.window) for model in config.journey_models}
    return windows | {indexes[name]: microseconds(funnel.window) for name, funnel in config.funnels.items()}
