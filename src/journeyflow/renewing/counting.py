"""Counts over everybody: what people touched counted for is taken off, and what they count for now is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeyflow.renewing.exchanging import replace_rows

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine

_LABELS_BEFORE = """
    select
        events.label_key,
        count(*) as event_count,
        min(times.occurred_at) as first_seen_at,
        max(times.occurred_at) as last_seen_at
    from kernel.events as events
    inner join (
        select event_ix, occurred_at from delta.landed.events
        union all
        select event_ix, occurred_at from delta.touched.gone_events
    ) as times on times.event_ix = events.event_ix
    where events.person_key in (select person_key from delta.touched.person_key)
    group by events.label_key
"""
_PERSONS_BEFORE = """
    select labels.model_index, labels.kind_ix, labels.rule_index, count(distinct events.person_key) as person_count
    from kernel.events as events
    inner join kernel.labels as labels on labels.label_key = events.label_key
    where events.person_key in (select person_key from delta.touched.person_key)
    group by labels.model_index, labels.kind_ix, labels.rule_index
"""
# Whose first or last event may have got another label: nothing but the events can tell which is first now.
_DOUBTFUL = """
    select distinct old.label_key
    from kernel.labels as old
    inner join labels_before as before on before.label_key = old.label_key
    left join delta.kernel.labels as after
        on after.label_key = old.label_key and after.model_index = old.model_index
    where
        (before.first_seen_at = old.first_seen_at and coalesce(after.first_seen_at > before.first_seen_at, true))
        or (before.last_seen_at = old.last_seen_at and coalesce(after.last_seen_at < before.last_seen_at, true))
"""
_SEEN = """
    select events.label_key, min(staged.occurred_at) as first_seen_at, max(staged.occurred_at) as last_seen_at
    from kernel.events as events
    inner join staging.events as staged on staged.event_ix = events.event_ix
    where events.label_key in (select label_key from labels_doubtful)
    group by events.label_key
"""
_LABELS = """
    select
        coalesce(old.label_key, after.label_key) as label_key,
        coalesce(old.model_index, after.model_index) as model_index,
        coalesce(old.kind_ix, after.kind_ix) as kind_ix,
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
    from kernel.labels as old
    full join delta.kernel.labels as after
        on after.label_key = old.label_key and after.model_index = old.model_index
    left join labels_before as before on before.label_key = old.label_key
    left join labels_seen as seen on seen.label_key = old.label_key
    where coalesce(old.event_count, 0) - coalesce(before.event_count, 0) + coalesce(after.event_count, 0) > 0
"""
_PERSONS = """
    select
        coalesce(old.model_index, after.model_index) as model_index,
        coalesce(old.kind_ix, after.kind_ix) as kind_ix,
        coalesce(old.rule_index, after.rule_index) as rule_index,
        coalesce(old.person_count, 0) - coalesce(before.person_count, 0) + coalesce(after.person_count, 0)
            as person_count
    from kernel.kind_persons as old
    full join delta.kernel.kind_persons as after
        on after.model_index = old.model_index and after.kind_ix = old.kind_ix and after.rule_index = old.rule_index
    left join persons_before as before
        on before.model_index = old.model_index and before.kind_ix = old.kind_ix
        and before.rule_index = old.rule_index
    where coalesce(old.person_count, 0) - coalesce(before.person_count, 0) + coalesce(after.person_count, 0) > 0
"""


def count_before(base: DuckDBEngine) -> None:
    """Remember what people touched count for, before their rows are exchanged.

    Parameters
    ----------
    base : DuckDBEngine
        The last build; ``delta`` is attached.
    """
    base.execute(f"create or replace temp table labels_before as {_LABELS_BEFORE}")
    base.execute(f"create or replace temp table persons_before as {_PERSONS_BEFORE}")
    base.execute(f"create or replace temp table labels_doubtful as {_DOUBTFUL}")


def count_after(base: DuckDBEngine) -> None:
    """Let `kernel.labels` and `kernel.kind_persons` count everybody as they are now, when rows were exchanged."""
    is_certain = base.rows("select count(*) as n from labels_doubtful")["n"][0].as_py() == 0
    # Without a doubtful label the events need not be read.
    base.execute(f"create or replace temp table labels_seen as {_SEEN}{' limit 0' if is_certain else ''}")
    for name, select in (("kernel.labels", _LABELS), ("kernel.kind_persons", _PERSONS)):
        base.execute(f"create or replace temp table counted as {select}")
        replace_rows(base, name, "counted")
