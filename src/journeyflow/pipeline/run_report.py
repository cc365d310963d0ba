"""The report of a run, and the alerts that it raised."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from journeyflow.config import Config
from journeyflow.config.urls import remote_path
from journeyflow.engines import DuckDBEngine
from journeyflow.erasure.journal import pending_erasure
from journeyflow.errors import JourneyflowError
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.remote import attempted, object_system, store_errors
from journeyflow.models import Model
from journeyflow.publish.generation import copy_generation, own_generations
from journeyflow.publish.manifest import RunFacts
from journeyflow.publish.postgres import write_postgres
from journeyflow.publish.reader import open_published
from journeyflow.report.reader import read_briefing
from journeyflow.report.view_model import Briefing
from journeyflow.state.run_log import ALERT_KINDS, FAILURE, RunRow, now
from journeyflow.utils.formatting import escaped
from journeyflow.utils.progress import Progress, silent, tell

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
        published_at=max(now(), row.started_at),
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
            copy_generation(generation, kept, object_system(place, os.environ), f"{place.place}/{place.key}")

    try:
        attempted(copy)
    except RefusedFileError as error:
        raise JourneyflowError(
            f"The generation was not copied to {escaped(place)}: {error.detail}. `current.json` there names the one "
            "before; the tables are published as files."
        ) from error
