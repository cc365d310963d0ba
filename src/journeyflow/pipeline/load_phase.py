"""The load phase: sources into the warehouse, configuration into the build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.state.warehouse import clock_jumped_from, clock_time
from journeyflow.utils.formatting import Progress

if TYPE_CHECKING:
    import pyarrow as pa

    from journeyflow.config import Config
    from journeyflow.config.models_and_funnels import Step
    from journeyflow.ingest.files import RawStore, RegistrySnapshot


_EPOCH = datetime(1970, 1, 1)
_COUNTS = ("record_count", "accepted_count", "quarantined_count", "duplicate_count", "filtered_count", "erased_count")
LAST_YEAR = 2200
"""Every day up to the high-water mark is a row of `config.days`."""
QUARANTINE_ALERT_RATE = 0.05
"""Share of a file's records in quarantine from which a run raises an alert."""


@dataclass(frozen=True)
class LoadResult:
    """What the load phase found."""

    config: Config
    """Without a default funnel whose events do not occur."""
    high_water_at: datetime
    """Naive UTC."""
    first_event_at: datetime
    event_count: int
    """Events up to the high-water mark."""
    counts: dict[str, int]
    """Outcomes of the records that this run read."""
    alerts: tuple[str, ...]
    """Refused files, and files with many quarantined records."""
    refused_count: int = 0
    """Files that this run could not read, those of traits included."""
    why_nothing: str = ""
    """Where no event was accepted: what happened to the records."""


def load_sources(
    config: Config,
    warehouse: DuckDBEngine,
    run_id: str,
    as_of: datetime | None,
    progress: Progress,
    archived: tuple[RegistrySnapshot, RawStore] | None = None,
) -> LoadResult:
    """Load events and traits into `warehouse`, and return what it holds now.

    `archived` is the file registry of another warehouse and its raw store: then only its files are loaded.

    Raises
    ------
    InputError
        When the high-water mark is after `LAST_YEAR`, or no file of a source can be read.
    """
    from journeyflow.ingest.load import load_events, reload_events
    from journeyflow.ingest.parser.client import open_input_parser
    from journeyflow.ingest.people_and_spend import load_spend, load_traits

    if as_of and as_of.year > LAST_YEAR:
        raise InputError(f"The high-water mark is after the year {LAST_YEAR}; give a day of the data as --as-of.")
    now_us = us(clock_time())
    with open_input_parser(config, run_id) as input_parser:
        if archived:
            reload_events(
                config, warehouse, *archived, run_id=run_id, now_us=now_us, progress=progress, input_parser=input_parser
            )
        else:
            load_events(config, warehouse, run_id=run_id, now_us=now_us, progress=progress, input_parser=input_parser)
        load_traits(config, warehouse, run_id=run_id, input_parser=input_parser, must_read=archived is not None)
        load_spend(config, warehouse, run_id=run_id, input_parser=input_parser)
    # What `sources.events` reads: events of a source that was removed from the configuration stay stored, unread.
    found = warehouse.rows(
        """
        select min(occurred_at) as first, max(occurred_at) as last, count(*) as n
        from raw.events
        where source in (select unnest(?)) and occurred_at <= coalesce(?, timestamp 'infinity')
        """,
        [list(config.sources), as_of],
    ).to_pylist()[0]
    high_water = as_of or found["last"] or _EPOCH
    return LoadResult(
        config=_without_idle_default(config, warehouse, high_water),
        high_water_at=high_water,
        first_event_at=found["first"] or high_water,
        event_count=found["n"],
        counts=_counts(warehouse, run_id),
        alerts=_alerts(warehouse, run_id),
        refused_count=_refused_count(warehouse, run_id),
        why_nothing="" if found["n"] else _why_nothing(warehouse, run_id, as_of),
    )


def register_configuration(engine: DuckDBEngine, config: Config, loaded: LoadResult, run_id: str) -> None:
    """Register the configuration in `engine` as the relations `config.*`."""
    for name, table in configuration_tables(config, loaded, run_id).items():
        engine.register(name, table)


def configuration_tables(config: Config, loaded: LoadResult, run_id: str) -> dict[str, pa.Table]:
    """Return the relations `config.*` of a run by their names."""
    from journeyflow.compile.config_tables import config_tables
    from journeyflow.state.folder import person_secret

    return config_tables(
        config,
        run_id=run_id,
        high_water_us=us(loaded.high_water_at),
        first_event_us=us(loaded.first_event_at),
        person_secret=person_secret(config),
    )


def us(instant: datetime) -> int:
    """Return naive UTC in microseconds since the epoch."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _without_idle_default(config: Config, warehouse: DuckDBEngine, high_water: datetime) -> Config:
    """Leave out a default funnel one of whose events never occurs: it would show that every person drops out there."""
    idle = {
        name
        for name, funnel in config.funnels.items()
        if funnel.is_default and not _occur(funnel.steps, config, warehouse, high_water)
    }
    if not idle:
        return config
    return config.model_copy(
        update={"funnels": {name: item for name, item in config.funnels.items() if name not in idle}}
    )


def _occur(steps: tuple[Step, ...], config: Config, warehouse: DuckDBEngine, high_water: datetime) -> bool:
    from journeyflow.config.conditions import leaves

    names = {str(value) for step in steps for leaf in leaves(step.when) for value in leaf.values}
    query = """
        select count(distinct event_name)
        from raw.events
        where event_name in (select unnest(?)) and source in (select unnest(?)) and occurred_at <= ?
    """
    return bool(
        warehouse.rows(query, [sorted(names), list(config.sources), high_water]).column(0)[0].as_py() == len(names)
    )


def _counts(warehouse: DuckDBEngine, run_id: str) -> dict[str, int]:
    sums = ", ".join(f"cast(coalesce(sum({name}), 0) as bigint) as {name}" for name in _COUNTS)
    # Traits and spend are read again at every run and are not events.
    query = f"select {sums} from ledger.loads where run_id = ? and coalesce(source, '') not in ('people', 'spend')"
    counted: dict[str, int] = warehouse.rows(query, [run_id]).to_pylist()[0]
    return counted


def _refused_count(warehouse: DuckDBEngine, run_id: str) -> int:
    query = "select count(distinct source_file) as n from ledger.loads where run_id = ? and status = 'refused'"
    return int(warehouse.rows(query, [run_id])["n"][0].as_py())


def _reasons(warehouse: DuckDBEngine, source_file: str | None = None) -> str:
    """Count the quarantined rows by reason; codes and counts only, as rows hold personal data."""
    query = """
        select reason, count(*) as n
        from raw.quarantine
        where source_file = coalesce(?, source_file)
        group by reason
        order by n desc, reason
    """
    return ", ".join(f"{row['reason']} {row['n']:,}" for row in warehouse.rows(query, [source_file]).to_pylist())


def _why_nothing(warehouse: DuckDBEngine, run_id: str, as_of: datetime | None) -> str:
    later = warehouse.count("raw.events")
    if as_of and later:
        return f"No accepted event is at or before {as_of} UTC; all {later:,} are later. Choose a later --as-of."
    query = "select source_file, detail from ledger.loads where run_id = ? and status = 'refused' limit 1"
    for row in warehouse.rows(query, [run_id]).to_pylist():
        return f"No event was accepted: {row['source_file']} was refused: {row['detail']}."
    reasons = _reasons(warehouse)
    where = "`journeyflow quarantine list --rows` shows those of a run"
    found = f"the quarantine holds {reasons}; {where}" if reasons else "the files hold no record that was kept"
    return f"No event was accepted: {found}. See `path`, `columns`, `where` and `encoding` of the sources."


def _alerts(warehouse: DuckDBEngine, run_id: str) -> tuple[str, ...]:
    query = """
        select source_file, status, detail, quarantined_count, record_count
        from ledger.loads
        where run_id = ? and (status = 'refused' or quarantined_count > ? * record_count)
        order by source_file
    """
    found = warehouse.rows(query, [run_id, QUARANTINE_ALERT_RATE]).to_pylist()
    alerts = [_alert(row, _reasons(warehouse, row["source_file"])) for row in found]
    return (*_clock_jump(warehouse, run_id), *alerts, *_late_arrivals(warehouse, run_id))


def _clock_jump(warehouse: DuckDBEngine, run_id: str) -> Iterator[str]:
    now = clock_time()
    if last := clock_jumped_from(warehouse, run_id, now):
        yield (
            f"The clock says {now:%Y-%m-%d}, {(now - last).days:,} days after the last run, far more than usual. "
            "In case it is ahead, nothing was removed for its age, and events later than their files are in quarantine "
            "(future). If it is right, the next run removes what is over, and "
            "`journeyflow quarantine replay --reason future` reads such events."
        )


def _late_arrivals(warehouse: DuckDBEngine, run_id: str) -> Iterator[str]:
    from journeyflow.ingest.insert import LATE_ARRIVAL

    query = """
        select source_file, count(*) as n
        from raw.quarantine
        where detail = ? and source_file in (select source_file from ledger.loads where run_id = ?)
        group by source_file
        order by source_file
    """
    for row in warehouse.rows(query, [LATE_ARRIVAL, run_id]).to_pylist():
        yield (
            f"{row['source_file']}: {row['n']:,} records say that they arrived after the file was read (future): "
            "the clock of the collector or of this machine is wrong."
        )


def _alert(row: dict[str, Any], reasons: str) -> str:
    if row["status"] == "refused":
        return f"{row['source_file']} was refused: {row['detail']}."
    share = f"{row['quarantined_count']:,} of {row['record_count']:,}"
    return f"{row['source_file']}: {share} records are in quarantine ({reasons})."
