"""Merge a delta into the last build: delete and insert, surrogate keys, counts, maturity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from journeyflow.compile.config_tables import funnel_indexes
from journeyflow.config.base import microseconds

if TYPE_CHECKING:
    from datetime import datetime

    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.models import Model


def delete_insert(base: DuckDBEngine, model: Model) -> None:
    """Replace the rows of affected keys: delete them, insert those of `delta`; the `unique_key` says whose a row is."""
    base.execute(f"delete from {model.name} where {' or '.join(map(_affected, model.metadata.unique_key))}")
    columns = ", ".join(base.columns(model.name))
    base.execute(f"insert into {model.name} by name select {columns} from delta.{model.name}", model=model.name)


def _affected(key: str) -> str:
    if key == "attempt_ix":  # Attempts are numbered within a funnel.
        return f"(funnel_index, attempt_ix) in (select (funnel_index, attempt_ix) from delta.affected.{key})"
    return f"{key} in (select {key} from delta.affected.{key})"


def append_rows(base: DuckDBEngine, model: Model) -> None:
    """Insert the rows of new events and delete those of superseded ones, where a row is an event and never changes."""
    base.execute(f"delete from {model.name} where event_ix in (select event_ix from delta.affected.superseded_events)")
    base.execute(
        f"insert into {model.name} by name select * from delta.{model.name} "
        "where event_ix in (select event_ix from delta.affected.new_events)",
        model=model.name,
    )


def replace_table(base: DuckDBEngine, model: Model) -> None:
    """Replace all rows of a small relation by those of `delta`."""
    replace_rows(base, model.name, f"delta.{model.name}")


def replace_rows(base: DuckDBEngine, name: str, source: str) -> None:
    """Replace all rows of a table; unlike a new table, a rollback undoes it."""
    base.execute(f"delete from {name}")
    base.execute(f"insert into {name} by name select * from {source}", model=name)


def assign_surrogate_keys(base: DuckDBEngine, delta: DuckDBEngine, model: Model) -> None:
    """Number the rows of a `delta` relation as the last build does; new rows get the numbers after its last."""
    ((number, names),) = model.metadata.surrogate_key.items()
    columns = [name for name in model.columns if name != number]
    is_known = " and ".join(f"old.{name} is not distinct from new.{name}" for name in names)
    last = f"(select coalesce(max({number}), 0) from {model.name})"
    numbered = f"cast({last} + row_number() over (order by {', '.join(f'new.{name}' for name in names)}) as integer)"
    listed = {number: numbered, **{name: f"new.{name}" for name in columns}}
    base.execute(
        f"""
        create table delta.affected.numbered as
        select {", ".join(model.columns)} from {model.name}
        union all
        select {", ".join(f"{listed[name]} as {name}" for name in model.columns)}
        from delta.{model.name} as new
        where not exists (select 1 from {model.name} as old where {is_known})
        """
    )
    delta.execute(f"create or replace table {model.name} as select * from affected.numbered")
    delta.execute("drop table affected.numbered")


_CLASSIFICATIONS_BEFORE = """
    select
        events.classification_key,
        count(*) as event_count,
        min(times.occurred_at) as first_seen_at,
        max(times.occurred_at) as last_seen_at
    from kernel.events as events
    inner join (
        select event_ix, occurred_at from delta.raw.events
        union all
        select event_ix, occurred_at from delta.affected.superseded_events
    ) as times on times.event_ix = events.event_ix
    where events.person_key in (select person_key from delta.affected.person_key)
    group by events.classification_key
"""
_PERSONS_BEFORE = """
    select
        classes.model_index, classes.event_type_ix, classes.rule_index,
        count(distinct events.person_key) as person_count
    from kernel.events as events
    inner join kernel.classifications as classes on classes.classification_key = events.classification_key
    where events.person_key in (select person_key from delta.affected.person_key)
    group by classes.model_index, classes.event_type_ix, classes.rule_index
"""
# Classifications that may have lost their first or last event: only the events show which is first now.
_UNCERTAIN = """
    select distinct old.classification_key
    from kernel.classifications as old
    inner join classifications_before as before on before.classification_key = old.classification_key
    left join delta.kernel.classifications as after
        on after.classification_key = old.classification_key and after.model_index = old.model_index
    where
        (before.first_seen_at = old.first_seen_at and coalesce(after.first_seen_at > before.first_seen_at, true))
        or (before.last_seen_at = old.last_seen_at and coalesce(after.last_seen_at < before.last_seen_at, true))
"""
_SEEN = """
    select events.classification_key, min(staged.occurred_at) as first_seen_at, max(staged.occurred_at) as last_seen_at
    from kernel.events as events
    inner join staging.events as staged on staged.event_ix = events.event_ix
    where events.classification_key in (select classification_key from classifications_uncertain)
    group by events.classification_key
"""
_CLASSIFICATIONS = """
    select
        coalesce(old.classification_key, after.classification_key) as classification_key,
        coalesce(old.model_index, after.model_index) as model_index,
        coalesce(old.event_type_ix, after.event_type_ix) as event_type_ix,
        coalesce(old.stage_index, after.stage_index) as stage_index,
        coalesce(old.rule_index, after.rule_index) as rule_index,
        coalesce(old.event_count, 0) - coalesce(before.event_count, 0) + coalesce(after.event_count, 0) as event_count,
        coalesce(
            seen.first_seen_at,
            case when old.first_seen_at < after.first_seen_at then old.first_seen_at end,
            after.first_seen_at,
            old.first_seen_at
        ) as first_seen_at,
        coalesce(
            seen.last_seen_at,
            case when old.last_seen_at > after.last_seen_at then old.last_seen_at end,
            after.last_seen_at,
            old.last_seen_at
        ) as last_seen_at
    from kernel.classifications as old
    full join delta.kernel.classifications as after
        on after.classification_key = old.classification_key and after.model_index = old.model_index
    left join classifications_before as before on before.classification_key = old.classification_key
    left join classifications_seen as seen on seen.classification_key = old.classification_key
    where coalesce(old.event_count, 0) - coalesce(before.event_count, 0) + coalesce(after.event_count, 0) > 0
"""
_PERSONS = """
    select
        coalesce(old.model_index, after.model_index) as model_index,
        coalesce(old.event_type_ix, after.event_type_ix) as event_type_ix,
        coalesce(old.rule_index, after.rule_index) as rule_index,
        coalesce(old.person_count, 0) - coalesce(before.person_count, 0) + coalesce(after.person_count, 0)
            as person_count
    from kernel.event_type_persons as old
    full join delta.kernel.event_type_persons as after
        on after.model_index = old.model_index and after.event_type_ix = old.event_type_ix
        and after.rule_index = old.rule_index
    left join persons_before as before
        on before.model_index = old.model_index and before.event_type_ix = old.event_type_ix
        and before.rule_index = old.rule_index
    where coalesce(old.person_count, 0) - coalesce(before.person_count, 0) + coalesce(after.person_count, 0) > 0
"""


def count_before(base: DuckDBEngine) -> None:
    """Keep in temporary tables what affected persons count for, before their rows are replaced."""
    base.execute(f"create or replace temp table classifications_before as {_CLASSIFICATIONS_BEFORE}")
    base.execute(f"create or replace temp table persons_before as {_PERSONS_BEFORE}")
    base.execute(f"create or replace temp table classifications_uncertain as {_UNCERTAIN}")


def count_after(base: DuckDBEngine) -> None:
    """Update the counts of `kernel.classifications` and `kernel.event_type_persons` after rows were replaced."""
    is_certain = base.rows("select count(*) as n from classifications_uncertain")["n"][0].as_py() == 0
    # Where all are certain the events need not be read.
    base.execute(f"create or replace temp table classifications_seen as {_SEEN}{' limit 0' if is_certain else ''}")
    for name, select in (("kernel.classifications", _CLASSIFICATIONS), ("kernel.event_type_persons", _PERSONS)):
        base.execute(f"create or replace temp table counted as {select}")
        replace_rows(base, name, "counted")


def update_maturity(base: DuckDBEngine, config: Config, high_water_at: datetime) -> None:
    """Update the flags pending and matured of `kernel.*` for a later high-water mark.

    See `docs/reference/semantics.md`, section 7.
    """
    for statement, params in _statements(config, high_water_at):
        base.execute(statement, params)


def _statements(config: Config, high_water_at: datetime) -> Iterator[tuple[str, list[object]]]:
    for table in ("funnel_units", "funnel_days"):
        yield f"update kernel.{table} set is_pending = false where is_pending and closes_at <= ?", [high_water_at]
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


def _is_over(start: str) -> str:
    return f"date_diff('microsecond', {start}, cast(? as timestamp)) >= ?"


def _windows(config: Config) -> dict[int, int]:
    """Return the window of every funnel in microseconds, by its index."""
    indexes = funnel_indexes(config)
    windows = {indexes[model.model]: microseconds(config.journeys.window) for model in config.journey_models}
    return windows | {indexes[name]: microseconds(funnel.window) for name, funnel in config.funnels.items()}
