"""The tables `retention`, `repeat_purchases` and `lifecycle` of events of known persons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa

from journeyflow.compile.config_tables import config_tables
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.models.checks import require_checks
from journeyflow.models.model import build_python_model
from support.few_models import all_models

GRAPH = all_models()
MARTS = ("marts.retention", "marts.repeat_purchases", "marts.lifecycle")
BUILT = (
    GRAPH["journeys.predicate_classifications"],
    GRAPH["journeys.labelled_events"],
    *(model for model in GRAPH if model.layer == "analyses" and model.name in GRAPH.ancestors(MARTS)),
    *(GRAPH[name] for name in MARTS),
)
COLUMNS = {"occurred_at": "at", "user_id": "user", "event_name": "event"}
SOURCE = {"sources": {"web": {"format": "csv", "path": "events.csv", "columns": COLUMNS}}}


def build(
    engine: DuckDBEngine,
    events: pl.DataFrame,
    high_water_at: datetime,
    labels: dict[tuple[int, int], str] | None = None,
    **config: Any,
) -> dict[str, pl.DataFrame]:
    """Return the three tables, whose checks hold.

    Parameters
    ----------
    events : DataFrame
        person_key, journey_index, occurred_at, event_name and channel; those after the high-water mark are not read.
    labels : dict
        (person_key, journey_index) → persona, else `unassigned`.
    config : Any
        Further sections of the configuration.
    """
    loaded = load_config({**SOURCE, **config})
    events = events.filter(pl.col("occurred_at") <= high_water_at).with_row_index("event_ix", 1)
    epoch = datetime(1970, 1, 1)
    first = events["occurred_at"].min() or high_water_at
    instants = [round((at - epoch).total_seconds() * 1_000_000) for at in (high_water_at, first)]
    tables = config_tables(loaded, run_id="r", high_water_us=instants[0], first_event_us=instants[1], person_secret="s")
    for name, table in tables.items():
        engine.register(name, table)
    types = (
        events.select("event_name", "channel").unique().sort("event_name", "channel").with_row_index("event_type_ix", 1)
    )
    events = events.join(types, on=["event_name", "channel"])
    put(engine, "journeys.event_types", types.with_columns(condition_bits=pl.lit(0)))
    build_python_model(engine, loaded, GRAPH["config.event_type_predicates"])
    keys = types.select("event_type_ix", classification_key="event_type_ix")
    put(engine, "kernel.classifications", keys.with_columns(model_index=pl.lit(1)))
    put(engine, "kernel.events", events.with_columns(classification_key="event_type_ix"))
    put(
        engine,
        "staging.events",
        events.with_columns(event_id=pl.col("event_ix").cast(pl.String).str.zfill(9), source_ix=pl.lit(1)),
    )
    ordered = events.sort("occurred_at", "event_ix")
    journeys = ordered.group_by("person_key", "journey_index").agg(
        entered_at=pl.col("occurred_at").first(),
        first_event_ix=pl.col("event_ix").first(),
        first_event_type_ix=pl.col("event_type_ix").first(),
    )
    put(engine, "kernel.journeys", journeys)
    put(engine, "kernel.persons", events.group_by("person_key").agg(first_event_at=pl.col("occurred_at").min()))
    named = [(labels or {}).get(key, "unassigned") for key in journeys.select("person_key", "journey_index").rows()]
    put(engine, "journeys.journey_facts", journeys.with_columns(persona=pl.Series(named, dtype=pl.String)))
    for model in BUILT:
        if model.sql is None:
            build_python_model(engine, loaded, model)
        else:
            engine.run(model.name, model.sql)
    require_checks(engine, BUILT)
    return {name.partition(".")[2]: pl.DataFrame(engine.rows(f"from {name}")) for name in MARTS}


def put(engine: DuckDBEngine, name: str, rows: pl.DataFrame) -> None:
    """Register rows as the relation `name` of the graph; columns that they leave out are null."""
    types = {column: described.type for column, described in GRAPH[name].columns.items()}
    engine.register("support.incoming", rows.to_arrow() if rows.width else pa.table({"_": pa.array([], pa.int8())}))
    columns = ", ".join(
        f'cast({f"incoming.{name}" if name in rows.columns else "null"} as {kind}) as "{name}"'
        for name, kind in types.items()
    )
    engine.run(name, f"select {columns} from support.incoming")
