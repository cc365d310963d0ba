"""What the generation before this run said: figures that this run changes with the likely cause, and findings."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from journeyflow.erasure.journal import pending_erasure
from journeyflow.errors import NotFoundError
from journeyflow.models.python_models import python_model
from journeyflow.publish.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


MOST_ROWS = 100_000
"""The newest restatements that are kept: a changed rule may move every figure of every day."""

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
_WINDOWS = "select funnel, window_us from config.funnels"
# Files that a failed run loaded count too: their events are not published yet.
_LATE = """
    select distinct events.occurred_at
    from warehouse.raw.events as events
    inner join warehouse.ledger.files as files on files.file_ix = events.file_ix
    inner join warehouse.ledger.loads as loads on loads.sha256 = files.sha256 and loads.source = files.source
    where loads.run_id > ? and events.occurred_at <= ?
"""
# Where an event superseded an earlier one, the warehouse holds more events of the new files than were accepted as new.
# Versions that came together, none of them published, make no difference.
_REPLACED = """
    with loaded as (
        select source, sha256, arg_max(accepted_count, run_id) as accepted_count
        from warehouse.ledger.loads
        where run_id > ? and status = 'loaded'
        group by source, sha256
    ),
    stored as (
        select file_ix, count(*) as event_count from warehouse.raw.events group by file_ix
    )
    select loaded.source
    from loaded
    inner join warehouse.ledger.files as files on files.sha256 = loaded.sha256 and files.source = loaded.source
    left join stored on stored.file_ix = files.file_ix
    group by loaded.source
    having sum(coalesce(stored.event_count, 0)) > sum(loaded.accepted_count)
    limit 1
"""


@python_model("insights._moved_figures")
def moved_figures(engine: Engine, config: Config) -> pa.Table:
    """Return the published figures that earlier runs and this one changed (ADR 22)."""
    settings = engine.rows(_SETTINGS).to_pylist()[0]
    generation = (config.publish / "current").resolve()
    published = pl.DataFrame(schema=_SCHEMA)
    try:
        earlier = read_manifest(generation)
    except NotFoundError:
        earlier = None
    if earlier is not None:
        published = _published_table(generation, earlier, "restatements", published)
        # A run as of an earlier day has published nothing later to compare with.
        if earlier.high_water_at.replace(tzinfo=None) <= settings["high_water_at"]:
            published = pl.concat([published, _moved(engine, config, generation, earlier, settings)])
    return published.tail(MOST_ROWS).to_arrow()


def _moved(
    engine: Engine, config: Config, generation: Path, earlier: Manifest, settings: dict[str, Any]
) -> pl.DataFrame:
    zone = ZoneInfo(settings["timezone"])
    known_until = _local_day(earlier.high_water_at.replace(tzinfo=None), zone)
    now = _frame(engine, _TREND)
    before = _published_table(generation, earlier, "funnel_trend", now.clear())
    moved = compare(before, now, known_until, _entered_once(config))
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


_FINDINGS = {
    "table_name": pl.String,
    "model": pl.String,
    "persona": pl.String,
    "stage": pl.String,
    "cause_kind": pl.String,
    "subject": pl.String,
    "slice": pl.String,
    "finding_rank": pl.Int64,
    "figure_count": pl.Int64,
    "is_briefed": pl.Boolean,
}
_OPPORTUNITIES = {
    "model": pl.String,
    "persona": pl.String,
    "period": pl.String,
    "opportunity_rank": pl.Int64,
    "stage": pl.String,
    "kind": pl.String,
    "grade": pl.String,
    "subject": pl.String,
    "slice": pl.String,
    "lost_count": pl.Int64,
}
_STEPS = {
    "funnel": pl.String,
    "persona": pl.String,
    "period": pl.String,
    "step_index": pl.Int64,
    "step": pl.String,
    "drop_off_count": pl.Int64,
}


@python_model("insights._previous_findings")
def previous_findings(engine: Engine, config: Config) -> pa.Table:
    """Return the opportunities and losses of the generation before, over the whole time; see the metadata.

    Empty on the first run, for a run as of an earlier time than that generation, and where that generation has no
    briefing: an earlier version counted otherwise.
    """
    settings = engine.rows(_SETTINGS).to_pylist()[0]
    generation = (config.publish / "current").resolve()
    try:
        earlier = read_manifest(generation)
    except NotFoundError:
        return pl.DataFrame(schema=_FINDINGS).to_arrow()
    is_later = earlier.high_water_at.replace(tzinfo=None) > settings["high_water_at"]
    if is_later or "briefing" not in earlier.tables:
        return pl.DataFrame(schema=_FINDINGS).to_arrow()
    is_total = pl.col("period") == "all"
    opportunities = _published_table(generation, earlier, "opportunities", pl.DataFrame(schema=_OPPORTUNITIES))
    steps = _published_table(generation, earlier, "funnel_steps", pl.DataFrame(schema=_STEPS))
    briefed = _briefed_opportunities(generation, earlier)
    found = [
        pl.DataFrame({"table_name": ["runs"]}),
        opportunities.filter(is_total & (pl.col("grade") != "association"))
        .join(briefed, on=["model", "persona", "opportunity_rank"], how="left")
        .rename({"kind": "cause_kind", "opportunity_rank": "finding_rank", "lost_count": "figure_count"})
        .with_columns(pl.lit("opportunities").alias("table_name"), pl.col("is_briefed").fill_null(value=False)),
        steps.filter(is_total & (pl.col("persona") == "all") & pl.col("drop_off_count").is_not_null())
        .rename({"funnel": "model", "step": "stage", "step_index": "finding_rank", "drop_off_count": "figure_count"})
        .with_columns(pl.lit("funnel_steps").alias("table_name")),
    ]
    rows = pl.concat(found, how="diagonal_relaxed")
    missing = [pl.lit(None, kind).alias(name) for name, kind in _FINDINGS.items() if name not in rows.columns]
    return rows.with_columns(missing).select(list(_FINDINGS)).cast(_FINDINGS).to_arrow()  # type: ignore[arg-type]


def _briefed_opportunities(generation: Path, manifest: Manifest) -> pl.DataFrame:
    """Return the keys of the opportunities that the briefing of a generation led with."""
    lines = _published_table(
        generation, manifest, "briefing", pl.DataFrame(schema={"table_name": pl.String, "row_key": pl.String})
    )
    keys = lines.filter((pl.col("table_name") == "opportunities") & pl.col("row_key").is_not_null())["row_key"]
    schema = {"model": pl.String, "persona": pl.String, "opportunity_rank": pl.Int64}
    found = [{name: key[name] for name in schema} for key in map(json.loads, keys)]
    return pl.DataFrame(found, schema=schema).with_columns(pl.lit(value=True).alias("is_briefed"))


def compare(before: pl.DataFrame, now: pl.DataFrame, known_until: date, entered_once: frozenset[str]) -> pl.DataFrame:
    """Return the figures of `before` that were final and differ `now`.

    Both are rows of `funnel_trend`: the grain, the counts and `is_matured`. `known_until` is the local day of the
    high-water mark of `before`; entries into the funnels `entered_once` are final after their day.

    Returns one row per figure, unordered: the grain, `column_name`, `old_value`, `new_value`. Funnels that only one
    side has are left out: they are new or removed, not restated.
    """
    both = set(before["funnel"].unique()) & set(now["funnel"].unique())
    entered = (pl.col("step_index") == 1) & pl.col("funnel").is_in(sorted(entered_once))
    old, new = (_long(side.filter(pl.col("funnel").is_in(sorted(both)) & (pl.col("entry_date") < known_until)), entered)
                for side in (before, now))  # fmt: skip
    joined = old.rename({"value": "old_value"}).join(
        new.rename({"value": "new_value"}), on=[*_KEYS, "column_name"], how="full", coalesce=True
    )
    # The side that has the row says whether it was final; where only the new one does, no person had entered before.
    was_final = pl.coalesce("is_final", "is_final_right")
    # A missing row counts no person.
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
    """Add the column `cause` to the result of `compare`, unordered.

    `windows` has the columns `funnel` and `window_us`. `late_days` are local days of events that came after their
    day was published; `erased_days` those of erased events, None without an erasure. `is_ruled_otherwise` says that
    configuration, models or version changed, so that any figure may move; `is_replaced` that new events superseded
    others.
    """
    days = pl.duration(microseconds="window_us").dt.total_days() + 1
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
        # A person who shared a device with an erased one may be its only user now.
        .when(pl.lit(erased_days is not None)).then(pl.lit("erasure"))
        # The superseded version may have been of another day or person.
        .when(pl.lit(is_replaced)).then(pl.lit("late events"))
        .when(pl.col("total").is_null()).then(pl.lit("changed personas"))
        .otherwise(pl.lit("merged identities"))
    )  # fmt: skip
    return explained.with_columns(cause.alias("cause")).select(*moved.columns, "cause")


def _entered_once(config: Config) -> frozenset[str]:
    """Return the funnels whose entries are final when their day is over.

    Not so a stage funnel, which is entered at the journey's first event though its first stage may come later, nor a
    funnel with an exclusion of the person, which takes entries back.
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
    known_until = earlier.high_water_at.replace(tzinfo=None)
    stamps = engine.rows(_LATE, [earlier.run_id, known_until]).column(0).to_pylist()
    return sorted({_local_day(stamp, zone) for stamp in stamps})


def _local_day(stamp: datetime, zone: ZoneInfo) -> date:
    return stamp.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone).date()


def _published_table(generation: Path, manifest: Manifest, table: str, like: pl.DataFrame) -> pl.DataFrame:
    """Return a table of an earlier generation; empty, shaped as `like`, where it has none."""
    if table not in manifest.tables:
        return like
    return pl.read_parquet(generation / manifest.tables[table].file, columns=like.columns).cast(like.schema)


def _frame(engine: Engine, select: str) -> pl.DataFrame:
    found = pl.from_arrow(engine.rows(select))
    assert isinstance(found, pl.DataFrame)
    return found
