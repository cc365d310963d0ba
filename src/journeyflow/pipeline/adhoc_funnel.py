"""A funnel over any table of events, in memory, without a project."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from journeyflow.errors import InputError

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import DuckDBEngine
    from journeyflow.report.notebook import FunnelFrame


NAME = "funnel"
RESULT = "marts.funnel_steps"
_FIELDS = {
    "event_id": "varchar", "anonymous_id": "varchar", "session_id": "varchar", "sequence": "bigint",
    "channel": "varchar",
    "utm_source": "varchar", "utm_medium": "varchar", "utm_campaign": "varchar", "utm_term": "varchar",
    "utm_content": "varchar", "referrer_host": "varchar", "page_path": "varchar", "target": "varchar",
    "user_agent": "varchar", "revenue_amount": "decimal(18, 4)", "currency": "varchar", "properties": "json",
}  # fmt: skip
"""Columns that are read under their canonical names where the table has them."""


def funnel(
    events: Any,  # noqa: ANN401 - whatever can give an Arrow table
    steps: Sequence[str | Mapping[str, Any]],
    *,
    window: str = "14d",
    order: str = "ordered",
    by: str | None = None,
    person: str = "person_id",
    time: str = "occurred_at",
    event: str = "event_name",
    as_of: datetime | None = None,
    wide: bool = False,
    allow_empty: bool = False,
    **settings: Any,  # noqa: ANN401 - the keys of a funnel in journeyflow.yml
) -> FunnelFrame:
    """Return the steps of a funnel over a table of events.

    Parameters
    ----------
    events : frame of polars, pandas, narwhals or Arrow, or DuckDB relation
        One row per event. Rows without a person, a time or a name are left out. Columns with the canonical names of
        `docs/reference/semantics.md` §1 (`channel`, `page_path`, `sequence`, `revenue_amount`, …) are read too.
    steps : sequence of str or mapping
        From 2 to 20: an event name, or what a step says in `journeyflow.yml`: ``{"name": …, "when": …, "within": …}``.
    window : str
        Longest time from the first step to the last, with a unit: ``"7d"``.
    order : {"ordered", "strict", "any_order"}
        Whether others may come between, must not, or the steps come in any order.
    by : str or None
        A column; `persona` then holds its value at the first event of the person's journey.
    person, time, event : str
        Columns that name the person, the time (naive ones are UTC) and the event.
    as_of : datetime or None
        High-water mark; None is the latest event.
    wide : bool
        All columns and months of the published `funnel_steps`; else the counts and rates of the whole time.
    allow_empty : bool
        Warn, instead of raising InputError, when no event matches a step.
    **settings
        Further keys of a funnel: ``ties``, ``grace``, ``count``, ``unit``, ``exclusions``, ``entered``.

    Returns
    -------
    FunnelFrame
        A polars frame that a notebook shows as a funnel, with a ``plot()``. Grain step_index, with `by` after persona;
        columns `STEP_COLUMNS`. If `wide`, grain funnel, persona, period, step_index, and the columns of `funnel_steps`.

    Raises
    ------
    ConfigError
        When a step or a setting is wrong.
    InputError
        When `events` is no table, lacks a column, or holds no event; when no event matches a step; when `by` holds
        ``all`` or ``unassigned``.

    References
    ----------
    `docs/reference/semantics.md` §7.

    Examples
    --------
    >>> import polars as pl
    >>> from datetime import datetime
    >>> log = pl.DataFrame({
    ...     "person_id": ["a", "a", "b"],
    ...     "event_name": ["view", "buy", "view"],
    ...     "occurred_at": [datetime(2026, 1, 1), datetime(2026, 1, 2), datetime(2026, 1, 1)],
    ... })
    >>> steps = funnel(log, ["view", "buy"], window="1d", as_of=datetime(2026, 2, 1))
    >>> steps["person_count"].to_list()
    [2, 1]
    """
    import polars as pl

    from journeyflow.engines import DuckDBEngine
    from journeyflow.report.notebook import narrow

    if isinstance(steps, str):
        raise InputError("Steps must be a list of event names or mappings, not one text.")
    if as_of is not None and not isinstance(as_of, datetime):
        raise InputError(f"as_of must be a datetime, not {type(as_of).__name__}.")
    config = _config(steps, {"window": window, "order": order, **settings})
    with DuckDBEngine() as engine:
        columns = {"person": person, "time": time, "event": event, **({"by": by} if by else {})}
        _register_events(engine, _arrow(events), columns)
        groups = _groups(engine) if by else []
        _build(engine, config, groups, as_of)
        _require_events(engine, config, allow_empty=allow_empty)
        rows = engine.rows(f"select * from {RESULT} where funnel = ? order by persona, period, step_index", [NAME])
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame)
    return narrow(found if by else found.filter(pl.col("persona") == "all"), wide=wide, with_persona=by is not None)


def _require_events(engine: DuckDBEngine, config: Config, *, allow_empty: bool) -> None:
    """Raise InputError, or warn, with the nearest names of events, when no event matches a step."""
    from journeyflow.config.conditions import render

    found = engine.rows("select distinct predicate from config.event_type_predicates where is_true")
    matched = set(found["predicate"].to_pylist())
    empty = [step for step in config.funnels[NAME].steps if f"funnel/{NAME}/{step.name}" not in matched]
    if not empty:
        return
    names = engine.rows("select distinct event_name from journeys.event_types order by event_name")
    known: list[str] = names["event_name"].to_pylist()
    words = {word for step in empty for word in (step.name, *re.findall(r"\w+", render(step.when)))}
    near = sorted({name for word in words for name in get_close_matches(word, known, n=3)})
    hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else f"The events are named {', '.join(known[:20])}."
    message = f"No event matches the step {', '.join(repr(step.name) for step in empty)}. {hint}"
    if not allow_empty:
        raise InputError(f"{message} With allow_empty=True this is a warning.")
    warnings.warn(message, UserWarning, stacklevel=3)


def _config(steps: Sequence[str | Mapping[str, Any]], settings: Mapping[str, Any]) -> Config:
    from journeyflow.config import load_config

    source = {"format": "parquet", "path": "events.parquet", "channel": "table"}
    columns = {"occurred_at": "time", "user_id": "person", "event_name": "event"}
    given = [{"name": step, "when": {"event": step}} if isinstance(step, str) else dict(step) for step in steps]
    mapping = {
        "sources": {"table": {**source, "columns": columns}},
        "funnels": {NAME: {"steps": given, **settings}},
    }
    return load_config(mapping, folder=Path())


def _arrow(events: Any) -> pa.Table:  # noqa: ANN401 - see funnel
    if hasattr(events, "collect") and not hasattr(events, "to_arrow"):
        events = events.collect()
    for method in ("to_arrow_table", "to_arrow", "arrow"):
        if hasattr(events, method):
            found = getattr(events, method)()
            return found if isinstance(found, pa.Table) else pa.table(found)
    if isinstance(events, pa.Table):
        return events
    if hasattr(events, "__arrow_c_stream__") and not hasattr(events, "iloc"):
        return pa.table(events)
    try:
        return pa.Table.from_pandas(events, preserve_index=False)
    except (AttributeError, TypeError) as error:
        raise InputError(
            "Events must be a frame of polars, pandas or narwhals, an Arrow table or a DuckDB relation, "
            f"not {type(events).__name__}."
        ) from error


def _register_events(engine: DuckDBEngine, events: pa.Table, columns: Mapping[str, str]) -> None:
    """Give the table the shape of `raw.events`; one extra column holds the value of `by`."""
    missing = sorted({name for name in columns.values() if name not in events.column_names})
    if missing:
        raise InputError(
            f"The events have no column {', '.join(missing)}; name yours by person=, time=, event= and by=. "
            f"There are {', '.join(events.column_names)}."
        )
    if doubled := sorted({name for name in events.column_names if events.column_names.count(name) > 1}):
        raise InputError(f"The events have the column {', '.join(doubled)} more than once; keep one.")
    roles = {f"_{role}": events.column(name) for role, name in columns.items()}
    fields = {name: events.column(name) for name in _FIELDS if name in events.column_names}
    engine.register("raw.table", pa.table({**roles, **fields}))
    engine.run("raw.events", _raw_events_select(set(fields), has_groups="by" in columns))
    engine.run("raw.traits", _NO_TRAITS)


def _raw_events_select(fields: set[str], *, has_groups: bool) -> str:
    read = {name: f"cast({name if name in fields else 'null'} as {kind})" for name, kind in _FIELDS.items()}
    read["event_id"] = f"coalesce({read['event_id']}, lpad(cast(row_number() over () as varchar), 20, '0'))"
    read["channel"] = f"coalesce({read['channel']}, 'table')"
    return f"""
        select
            row_number() over () - 1 as event_ix,
            'table' as source,
            cast(_time as timestamp) as occurred_at,
            cast(null as timestamp) as received_at,
            md5_number_lower('d:' || {read["anonymous_id"]}) as device_key,
            md5_number_lower('u:' || cast(_person as varchar)) as user_key,
            cast(_person as varchar) as user_id,
            cast(_event as varchar) as event_name,
            {", ".join(f"{value} as {name}" for name, value in read.items())},
            cast({"_by" if has_groups else "null"} as varchar) as by_value,
            0 as file_ix,
            row_number() over () as source_row,
            false as has_placeholder_id
        from raw.table
        where _person is not null and _time is not null and _event is not null
    """


_NO_TRAITS = """
    select
        cast(null as ubigint) as user_key, cast(null as varchar) as user_id, cast(null as varchar) as trait,
        cast(null as varchar) as trait_value, cast(null as timestamp) as valid_from
    where false
"""


def _groups(engine: DuckDBEngine) -> list[str]:
    from journeyflow.config.config import UNASSIGNED

    found = engine.rows("select distinct by_value from raw.events where by_value is not null order by by_value")
    groups = [str(value) for value in found["by_value"].to_pylist()]
    if taken := sorted({"all", UNASSIGNED} & set(groups)):
        raise InputError(
            f"The column of `by` holds {' and '.join(taken)}, which is the name of the total or of those without a "
            "value; write it otherwise."
        )
    return groups


def _build(engine: DuckDBEngine, config: Config, groups: list[str], as_of: datetime | None) -> None:
    """Build what `funnel_steps` needs, as a run does."""
    from journeyflow.models import Phase
    from journeyflow.pipeline.builder import Builder
    from journeyflow.state.paths import built_in_graph

    _configure(engine, config, groups, as_of)
    graph = built_in_graph()
    builder = Builder(engine, graph, config)
    wanted = graph.ancestors([RESULT])
    for model in graph:
        if model.name == "journeys.personas":
            engine.run(model.name, _PERSONAS)
        elif model.name in wanted and graph.phase(model.name) != Phase.LOAD:
            builder.build_model(model)


_PERSONAS = """
    select journeys.person_key, journeys.journey_index, coalesce(events.by_value, 'unassigned') as persona
    from kernel.journeys as journeys
    inner join raw.events as events on events.event_ix = journeys.first_event_ix
"""


def _configure(engine: DuckDBEngine, config: Config, groups: list[str], as_of: datetime | None) -> None:
    from journeyflow.compile.config_tables import config_tables
    from journeyflow.pipeline.load_phase import us

    times = engine.rows("select min(occurred_at) as first, max(occurred_at) as last from raw.events").to_pylist()[0]
    if times["first"] is None:
        raise InputError("There is no event with a person, a time and a name in the table.")
    mark = as_of or times["last"]
    naive = mark.astimezone(UTC).replace(tzinfo=None) if mark.tzinfo else mark
    tables = config_tables(
        config, run_id=NAME, high_water_us=us(naive), first_event_us=us(times["first"]), person_secret=NAME
    )
    for name, table in tables.items():
        engine.register(name, table)
    for index, group in enumerate(groups, start=1):
        row = {"persona": group, "persona_index": index, "is_outcome_based": False, "is_trait_undated": False}
        schema = tables["config.personas"].schema
        engine.append("config.personas", pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema))
