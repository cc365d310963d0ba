"""The report of a run, the alerts that it raised, and the figures of the generation before that it changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from journeyflow.config import Config
from journeyflow.config.sources import remote_path
from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.apply import pending_erasure
from journeyflow.errors import JourneyflowError, NotFoundError
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.remote import attempted, object_target, store_errors
from journeyflow.models import Model
from journeyflow.models.model import python_model
from journeyflow.publish.generation import copy_generation, own_generations
from journeyflow.publish.reader import Manifest, RunFacts, open_published, read_manifest
from journeyflow.publish.targets import write_postgres
from journeyflow.report.reader import read_briefing
from journeyflow.report.view_model import Briefing
from journeyflow.state.warehouse import ALERT_KINDS, FAILURE, RunRow, clock_time
from journeyflow.utils.formatting import Progress, escaped, silent, tell

if TYPE_CHECKING:
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


INPUT_ALERT = "input"
"""The kind of alerts of the load phase: refused files, many quarantined records."""
RATE_ALERT = "rate"
"""The kind of alerts of rates that are not what they were."""
_SPOTS = "insights.blind_spots"
_RATES = "marts.rate_alarms"
# The strongest of each funnel; names of channels come with the data, and are left to the table.
_RATE_ALERTS = """
    select
        case dimension
            when 'channel'
                then 'Funnel ' || funnel || ', step ' || step || ': the rate of a channel is not what it was.'
            else headline
        end as headline,
        count(*) over (partition by funnel) as alert_count
    from marts.rate_alarms
    where is_current
    qualify row_number() over (
        partition by funnel order by dimension = 'channel', q_value, abs(statistic) desc, dimension, slice, step_index,
            day, age_days, kind
    ) = 1
    order by funnel
"""
_SHARES = "insights._run_shares"
_ALERTS = pa.schema([("run_id", pa.string()), ("kind", pa.string()), ("detail", pa.string())])


@dataclass(frozen=True)
class Alerts:
    """The alerts of one run, and the shares that later runs compare theirs with."""

    messages: tuple[tuple[str, str], ...] = ()
    """Kind and sentence: `INPUT_ALERT` first, then `ALERT_KINDS` in their order, then `RATE_ALERT`."""
    shares: pa.Table | None = None
    """Kind, subject, item_count and whole_count of what came with the run."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The messages without their kinds."""
        return tuple(sentence for _, sentence in self.messages)

    def write(self, warehouse: DuckDBEngine, run_id: str) -> None:
        """Store them for a run, in place of those stored before."""
        rows = [{"run_id": run_id, "kind": kind, "detail": sentence} for kind, sentence in self.messages]
        _replace_run(warehouse, "ledger.alerts", run_id, pa.Table.from_pylist(rows, schema=_ALERTS))
        if self.shares is not None:
            named = pa.array([run_id] * self.shares.num_rows, pa.string())
            _replace_run(warehouse, "ledger.shares", run_id, self.shares.add_column(0, "run_id", named))


def failure_of(error: BaseException) -> Alerts:
    """Return why a run failed, without any value of the data, to be written in place of its alerts."""
    if isinstance(error, JourneyflowError):
        sentence = error.message
    elif isinstance(error, KeyboardInterrupt | SystemExit):
        sentence = "It was interrupted."
    else:
        why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        sentence = f"An unexpected {type(error).__name__}{why}."
    return Alerts(((FAILURE, sentence),))


def find_alerts(engine: DuckDBEngine, load_alerts: tuple[str, ...], progress: Progress = silent) -> Alerts:
    """Return the alerts of a run from its tables and `load_alerts`, and report each to `progress`."""
    messages = [(INPUT_ALERT, sentence) for sentence in load_alerts]
    if engine.columns(_SPOTS):
        query = f"select kind, detail from {_SPOTS} where severity = 'critical' order by kind, item_count desc, subject"
        spots = engine.rows(query).to_pylist()
        messages += [(kind, spot["detail"]) for kind in ALERT_KINDS for spot in spots if spot["kind"] == kind]
    if engine.columns(_RATES):
        for row in engine.rows(_RATE_ALERTS).to_pylist():
            more = f" {row['alert_count'] - 1} more: journeyflow alerts." if row["alert_count"] > 1 else ""
            messages.append((RATE_ALERT, f"{row['headline']}{more}"))
    for kind, sentence in messages:
        tell(progress, "alert", kind=kind, detail=sentence)
    has_shares = bool(engine.columns(_SHARES))
    shares = engine.rows(f"select kind, subject, item_count, whole_count from {_SHARES}") if has_shares else None
    return Alerts(tuple(messages), shares)


def empty_maps(engine: DuckDBEngine) -> dict[str, str]:
    """Return the journey models of a build whose map says nothing, each with a sentence on what to do.

    No event is in any stage; or nobody gets beyond a stage because no event is in a later one, no goal is reached, and
    there are event names without a rule: what looks like everybody leaving is a want of rules.
    """
    if not engine.columns("kernel.classifications"):
        return {}
    rows = engine.rows(_EMPTY_MAPS).to_pylist()
    remedy = (
        "Give the event names without a stage one: `journeyflow suggest` lists them, `models` or `rename` takes them."
    )
    found = {}
    for row in rows:
        if row["last_seen_index"] == 0:
            found[row["model"]] = f"No event is in any stage of model {row['model']}: its map is empty. {remedy}"
        elif row["unknown_count"] and not row["has_goal"] and row["last_seen_index"] < row["stage_count"]:
            found[row["model"]] = (
                f"Everybody is lost after stage {row['stage']} of model {row['model']}, because no event is in a later "
                f"stage and {row['unknown_count']} event names are in none. {remedy}"
            )
    return found


_EMPTY_MAPS = """
    with seen as (
        select
            classifications.model_index,
            max(classifications.stage_index) as last_seen_index,
            count(distinct types.event_name) filter (
                where classifications.stage_index = 0 and idle.event_name is null
            ) as unknown_count,
            coalesce(bool_or(goals.event_type_ix is not null and classifications.stage_index > 0), false) as has_goal
        from kernel.classifications as classifications
        inner join journeys.event_types as types on types.event_type_ix = classifications.event_type_ix
        left join config.unstaged_events as idle on idle.event_name = types.event_name
        left join (
            select distinct event_type_ix from config.event_type_predicates where starts_with(predicate, 'goal/')
        ) as goals on goals.event_type_ix = types.event_type_ix
        group by classifications.model_index
    ),
    counted as (select model_index, count(*) as stage_count from config.stages group by model_index)
    select models.model, stages.stage, seen.*, counted.stage_count
    from seen
    inner join config.models as models on models.model_index = seen.model_index
    inner join counted on counted.model_index = seen.model_index
    left join config.stages as stages
        on stages.model_index = seen.model_index and stages.stage_index = seen.last_seen_index
    order by models.model_index
"""


def _replace_run(warehouse: DuckDBEngine, table: str, run_id: str, rows: pa.Table) -> None:
    warehouse.append(table, rows.slice(0, 0))  # Creates the table.
    warehouse.execute(f"delete from {table} where run_id = ?", [run_id])
    warehouse.append(table, rows)


class RunReport(BaseModel):
    """What a run did; times are naive UTC."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    status: str
    started_at: datetime
    finished_at: datetime
    high_water_at: datetime
    event_count: int
    record_count: int
    accepted_count: int
    quarantined_count: int
    duplicate_count: int
    filtered_count: int
    erased_count: int
    refused_file_count: int = 0
    """Files that could not be read; the next run tries them again."""
    elapsed_seconds: float
    phase_seconds: dict[str, float]
    check_count: int
    built: str
    """``incremental`` and its size, or ``full refresh`` and the reason."""
    generation: Path
    table_rows: dict[str, int]
    """Rows of each published table."""
    files: tuple[str, ...] = ()
    """Names of the files beside the tables, such as ``map.html``."""
    alerts: tuple[str, ...] = ()
    """Sentences; an alert is raised again as long as its cause lasts."""
    briefing: Briefing = Briefing()
    """What to know first, from the table `briefing`."""
    empty_maps: tuple[str, ...] = ()
    """Sentences on journey models whose map says nothing for want of rules, and what to do."""
    critical_spots: tuple[str, ...] = ()
    """Sentences of the critical rows of `blind_spots`, most items first, alerts included."""
    warnings: tuple[str, ...] = ()
    """Sentences on what of the configuration matched nothing, and on periods in which nothing can have matured yet."""


def facts_of(row: RunRow, project: str, high_water_at: datetime, event_count: int) -> RunFacts:
    """Return what the manifest says of a run that publishes now."""
    return RunFacts(
        run_id=row.run_id,
        project=project,
        version=row.version,
        config_hash=row.config_hash,
        started_at=row.started_at,
        published_at=max(clock_time(), row.started_at),
        high_water_at=high_water_at,
        event_count=event_count,
    )


def report_of(
    generation: Path,
    *,
    counts: Mapping[str, int],
    phase_seconds: Mapping[str, float],
    check_count: int,
    built: str,
    alerts: tuple[str, ...],
    empty: tuple[str, ...] = (),
    refused_file_count: int = 0,
) -> RunReport:
    """Return the report of the run that published `generation`; `counts` are the outcomes of its records."""
    with open_published(generation) as published:
        manifest, briefing = published.manifest, read_briefing(published)
        critical_spots, warnings = published.critical_spots, published.warning_spots
    return RunReport(
        run_id=manifest.run_id,
        status="published",
        started_at=manifest.started_at,
        finished_at=manifest.published_at,
        high_water_at=manifest.high_water_at,
        event_count=manifest.event_count,
        **counts,
        refused_file_count=refused_file_count,
        elapsed_seconds=round(sum(phase_seconds.values()), 3),
        phase_seconds=dict(phase_seconds),
        check_count=check_count,
        built=built,
        generation=generation,
        table_rows={name: entry.row_count for name, entry in manifest.tables.items()},
        files=tuple(manifest.files),
        alerts=alerts,
        empty_maps=empty,
        briefing=briefing,
        critical_spots=critical_spots,
        warnings=warnings,
    )


def write_targets(engine: DuckDBEngine, models: Iterable[Model], config: Config, generation: Path) -> None:
    """Copy what was published to the configured targets; JourneyflowError when one refuses, which keeps what it had.

    While an erasure is pending no older generation is kept in the object store.
    """
    write_postgres(engine, models, config)
    if config.targets.object_store is None:
        return
    place = remote_path(config.targets.object_store.url)
    kept = [] if pending_erasure(config.state) else [path.name for path in own_generations(generation.parent)]

    def copy() -> None:
        with store_errors("written"):
            copy_generation(generation, kept, *object_target(config))

    try:
        attempted(copy)
    except RefusedFileError as error:
        raise JourneyflowError(
            f"The generation was not copied to {escaped(place)}: {error.detail}. `current.json` there names the one "
            "before; the tables are published as files."
        ) from error
