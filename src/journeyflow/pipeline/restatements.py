"""Restatements: published figures that this run changes, and the likely cause."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl

from journeyflow.erasure.journal import pending_erasure
from journeyflow.errors import NotFoundError
from journeyflow.publish import Manifest, read_manifest

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


KEPT_ROWS = 100_000
"""Restatements kept, the newest first to stay: a changed rule may move every figure of every day."""

_SCHEMA = {
    "run_id": pl.String,
    "table_name": pl.String,
    "row_key": pl.String,
    "column_name": pl.String,
    "old_value": pl.Int64,
    "new_value": pl.Int64,
    "cause": pl.String,
}
_KEYS = ["funnel", "persona", "entry_date", "step_index"]
_COUNTS = ["person_count", "converted_count", "drop_off_count", "pending_count"]
_TREND = f"select {', '.join([*_KEYS, *_COUNTS])}, is_matured from marts.funnel_trend"
_SETTINGS = """
    select settings.run_id, settings.high_water_at, settings.timezone, runs.config_hash
    from config.settings
    inner join ledger.runs on runs.run_id = settings.run_id
"""
_WINDOWS = "select funnel, window_seconds from config.funnels"
# Files that a failed run loaded count too: nothing published has told of them.
_LATE = """
    select distinct events.occurred_at
    from warehouse.raw.events as events
    inner join warehouse.ledger.files as files on files.file_ix = events.file_ix
    inner join warehouse.ledger.loads as loads on loads.sha256 = files.sha256 and loads.source = files.source
    where loads.run_id > ? and events.occurred_at <= ?
"""
# Where an event took the place of one of before, more is there of the new files than they brought new events. Versions
# that came together, of which none was published, make no difference.
_REPLACED = """
    with loaded as (
        select source, sha256, arg_max(accepted_count, run_id) as accepted_count
        from warehouse.ledger.loads
        where run_id > ? and status = 'loaded'
        group by source, sha256
    ),
    landed as (
        select file_ix, count(*) as event_count from warehouse.raw.events group by file_ix
    )
    select loaded.source
    from loaded
    inner join warehouse.ledger.files as files on files.sha256 = loaded.sha256 and files.source = loaded.source
    left join landed on landed.file_ix = files.file_ix
    group by loaded.source
    having sum(coalesce(landed.event_count, 0)) > sum(loaded.accepted_count)
    limit 1
"""


def fill(engine: Engine, config: Config) -> None:
    """Fill `insights._moved_figures`: what earlier runs moved, and what this one moves.

    Parameters
    ----------
    engine : Engine
        Holds `marts.funnel_trend`, `config.funnels`, `config.settings`, `ledger.runs` and the attached warehouse.
    config : Config
        Says where the generation before lies.

    References
    ----------
    `docs/adr/0022-restatements.md`.
    """
    settings = engine.rows(_SETTINGS).to_pylist()[0]
    generation = (config.publish / "current").resolve()
    told = pl.DataFrame(schema=_SCHEMA)
    try:
        earlier = read_manifest(generation)
    except NotFoundError:
        earlier = None
    if earlier is not None:
        told = _of_generation(generation, earlier, "restatements", told)
        # A run as of an earlier day has published nothing later to compare with.
        if earlier.high_water_at.replace(tzinfo=None) <= settings["high_water_at"]:
            told = pl.concat([told, _moved(engine, config, generation, earlier, settings)])
    engine.register("insights._moved_figures", told.tail(KEPT_ROWS).to_arrow())


def _moved(
    engine: Engine, config: Config, generation: Path, earlier: Manifest, settings: dict[str, Any]
) -> pl.DataFrame:
    zone = ZoneInfo(settings["timezone"])
    told_until = _local_day(earlier.high_water_at.replace(tzinfo=None), zone)
    now = _frame(engine, _TREND)
    before = _of_generation(generation, earlier, "funnel_trend", now.clear())
    moved = compare(before, now, told_until, _entered_once(config))
    if moved.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    is_ruled_otherwise = earlier.config_hash != settings["config_hash"]
    late = _late_days(engine, earlier, zone)
    is_replaced = engine.rows(_REPLACED, [earlier.run_id]).num_rows > 0
    erasure = pending_erasure(config.state)
    erased = None if erasure is None else [date.fromisoformat(day) for day in erasure.days]
    return (
        with_causes(
            moved,
            _frame(engine, _WINDOWS),
            late,
            erased,
            is_ruled_otherwise=is_ruled_otherwise,
            is_replaced=is_replaced,
        )
        .with_columns(
            pl.lit(settings["run_id"]).alias("run_id"),
            pl.lit("funnel_trend").alias("table_name"),
            pl.struct(_KEYS).struct.json_encode().alias("row_key"),
        )
        .select(list(_SCHEMA))
        .sort("table_name", "row_key", "column_name")
    )


def compare(before: pl.DataFrame, now: pl.DataFrame, told_until: date, entered_once: frozenset[str]) -> pl.DataFrame:
    """Return the figures of `before` that were final and are others `now`.

    Parameters
    ----------
    before, now : DataFrame
        Rows of `funnel_trend`: the grain, the counts and `is_matured`.
    told_until : date
        Local day of the high-water mark of `before`; days before it were over.
    entered_once : set of str
        Funnels whose entries are final when the day is over; see `_entered_once`.

    Returns
    -------
    DataFrame
        Columns: the grain, `column_name`, `old_value`, `new_value`; one row per figure that moved, no order. Funnels
        that only one side has are left out: they are new or gone, not restated.
    """
    both = set(before["funnel"].unique()) & set(now["funnel"].unique())
    entered = (pl.col("step_index") == 1) & pl.col("funnel").is_in(sorted(entered_once))
    old, new = (_long(side.filter(pl.col("funnel").is_in(sorted(both)) & (pl.col("entry_date") < told_until)), entered)
                for side in (before, now))  # fmt: skip
    joined = old.rename({"value": "old_value"}).join(
        new.rename({"value": "new_value"}), on=[*_KEYS, "column_name"], how="full", coalesce=True
    )
    # The side that has the row says whether it was final; where only the new one does, nobody had entered before.
    was_final = pl.coalesce("is_final", "is_final_right")
    # A row that is not there counts nobody.
    has_moved = pl.col("old_value").fill_null(0) != pl.col("new_value").fill_null(0)
    return joined.filter(was_final & has_moved).select(*_KEYS, "column_name", "old_value", "new_value")


def with_causes(
    moved: pl.DataFrame,
    windows: pl.DataFrame,
    late_days: list[date],
    erased_days: list[date] | None = None,
    *,
    is_ruled_otherwise: bool,
    is_replaced: bool = False,
) -> pl.DataFrame:
    """Add the column `cause` to what `compare` found.

    Parameters
    ----------
    moved : DataFrame
        As `compare` returns it.
    windows : DataFrame
        Columns `funnel`, `window_seconds`.
    late_days : list of date
        Local days of the events that came after their day was published.
    erased_days : list of date or None
        Local days of the events that were erased since; None when nobody was.
    is_ruled_otherwise : bool
        Whether the configuration, the models or the version changed in between; then any figure may move.
    is_replaced : bool
        Whether events that came in between took the places of other versions of themselves.

    Returns
    -------
    DataFrame
        The rows of `moved`, in no order, with `cause`.
    """
    days = pl.duration(seconds="window_seconds").dt.total_days() + 1
    last_day = pl.col("entry_date").dt.offset_by(pl.format("{}d", days))

    def in_window(found: list[date]) -> pl.Expr:
        return pl.any_horizontal(pl.lit(False), *(pl.lit(day).is_between("entry_date", last_day) for day in found))

    row = ["funnel", "entry_date", "step_index", "column_name"]
    totals = moved.filter(pl.col("persona") == "all").select(*row, pl.lit(True).alias("total"))
    explained = moved.join(windows, on="funnel", how="left").join(totals, on=row, how="left")
    cause = (
        pl.when(pl.lit(is_ruled_otherwise)).then(pl.lit("changed rules"))
        .when(in_window(erased_days or [])).then(pl.lit("erasure"))
        .when(in_window(late_days)).then(pl.lit("late events"))
        # Who shared a device with somebody who was erased may own it alone now.
        .when(pl.lit(erased_days is not None)).then(pl.lit("erasure"))
        # The version that gave way may have been of another day or person.
        .when(pl.lit(is_replaced)).then(pl.lit("late events"))
        .when(pl.col("total").is_null()).then(pl.lit("changed personas"))
        .otherwise(pl.lit("merged identities"))
    )  # fmt: skip
    return explained.with_columns(cause.alias("cause")).select(*moved.columns, "cause")


def _entered_once(config: Config) -> frozenset[str]:
    """Return the funnels whose entries are final when their day is over.

    A stage funnel is entered at the journey's first event, though its first stage may come later; and an exclusion of
    the person takes entries back.
    """
    return frozenset(
        name
        for name, funnel in config.funnels.items()
        if not any(exclusion.then == "person" for exclusion in funnel.exclusions)
    )


def _long(rows: pl.DataFrame, is_entered: pl.Expr) -> pl.DataFrame:
    """Return one row per figure, and whether time alone could still move it."""
    figures = rows.unpivot(_COUNTS, index=[*_KEYS, "is_matured"], variable_name="column_name", value_name="value")
    is_final = pl.col("is_matured") | (is_entered & (pl.col("column_name") == "person_count"))
    return figures.drop_nulls("value").select(*_KEYS, "column_name", "value", is_final.alias("is_final"))


def _late_days(engine: Engine, earlier: Manifest, zone: ZoneInfo) -> list[date]:
    told = earlier.high_water_at.replace(tzinfo=None)
    stamps = engine.rows(_LATE, [earlier.run_id, told]).column(0).to_pylist()
    return sorted({_local_day(stamp, zone) for stamp in stamps})


def _local_day(stamp: datetime, zone: ZoneInfo) -> date:
    return stamp.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).date()


def _of_generation(generation: Path, manifest: Manifest, table: str, like: pl.DataFrame) -> pl.DataFrame:
    """Return a table of an earlier generation; empty, shaped as `like`, where it has none."""
    if table not in manifest.tables:
        return like
    return pl.read_parquet(generation / manifest.tables[table].file, columns=like.columns).cast(like.schema)


def _frame(engine: Engine, select: str) -> pl.DataFrame:
    found = pl.from_arrow(engine.rows(select))
    assert isinstance(found, pl.DataFrame)
    return found
