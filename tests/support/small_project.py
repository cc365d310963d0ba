"""A project so small that whole runs take milliseconds: five models, and loading that is given its events."""

from __future__ import annotations

import contextlib
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from journeyflow.config import Config, load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.utils import files

EPOCH = datetime(1970, 1, 1)
MODELS = (
    "raw/events",
    "raw/traits",
    "raw/spend",
    "ledger/loads",
    "ledger/runs",
    "config/settings",
    "config/columns",
    "config/sources",
    "sources/events",
)
MARTS = ("marts/runs", "marts/load_audit", "marts/dictionary")
DAY = datetime(2026, 1, 1)

VISITS_SQL = """-- Events of each name, so that a run has a mart to publish.
-- Grain: one row per event_name.
with events as (
    select event_name
    from sources.events
)

select
    event_name,
    count(*) as visit_count,
from events
group by event_name
"""
VISITS_YML = """
description: Events of each name in this run.
grain: [event_name]
columns:
  event_name:
  visit_count: {type: BIGINT, unit: events, meaning: How often it happened.}
checks:
  - range: {visit_count: [1, null]}
"""


def make_sql_folder(folder: Path) -> Path:
    """Copy the few models that need nothing but loading, and add one journeys table and one mart over it."""
    for name in (*MODELS, *MARTS):
        for path in files.sql_folder().glob(f"{name}.*"):
            (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / path.parent.name)
    (folder / "marts" / "visits.sql").write_text(VISITS_SQL)
    (folder / "marts" / "visits.yml").write_text(VISITS_YML)
    return folder


def fake_loading(monkeypatch, names=("page_view", "page_view", "purchase")) -> dict[str, list[str]]:
    """Let `ingest.load` insert one event a day for each of `names`; change the returned mapping between runs."""
    given = {"names": list(names)}
    columns = _types("raw/events")

    def load(config, warehouse, *, run_id, now_us, progress, **_):
        progress("load", "records", len(given["names"]), len(given["names"]))
        rows = [
            {"event_ix": at, "event_id": str(at), "source": "web", "event_name": name}
            | {"occurred_at": DAY + timedelta(days=at)}
            for at, name in enumerate(given["names"])
        ]
        _put(warehouse, "raw.events", columns, rows)
        _put(warehouse, "raw.quarantine", {"source_file": "VARCHAR", "reason": "VARCHAR", "detail": "VARCHAR"}, [])
        counted = {name: 0 for name in _types("ledger/loads") if name.endswith("_count")}
        counted |= {"record_count": len(rows), "accepted_count": len(rows)}
        _put(warehouse, "ledger.loads", _types("ledger/loads"), [{"run_id": run_id, "source_file": "a.csv", **counted}])

    def load_traits(config, warehouse, **_):
        _put(warehouse, "raw.traits", _types("raw/traits"), [])

    def load_spend(config, warehouse, **_):
        _put(warehouse, "raw.spend", _types("raw/spend"), [])

    def settings(config, *, run_id, high_water_us, first_event_us, person_secret):
        mark = pa.array([high_water_us], pa.timestamp("us"))
        return {
            "config.settings": _conformed(pa.table({"high_water_at": mark, "run_id": [run_id]}), "config/settings"),
            "config.sources": _conformed(pa.table({"source": list(config.sources)}), "config/sources"),
        }

    def open_warehouse(path, **limits):
        path.parent.mkdir(parents=True, exist_ok=True)
        return DuckDBEngine(path, **limits)

    monkeypatch.setattr("journeyflow.ingest.parser.client.open_input_parser", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("journeyflow.ingest.load.load_events", load)
    monkeypatch.setattr("journeyflow.ingest.people_and_spend.load_traits", load_traits)
    monkeypatch.setattr("journeyflow.ingest.people_and_spend.load_spend", load_spend)
    monkeypatch.setattr("journeyflow.state.warehouse.open_warehouse", open_warehouse)
    monkeypatch.setattr("journeyflow.compile.config_tables.config_tables", settings)
    return given


def make_config(folder: Path) -> Config:
    """Return a configuration of a project in `folder`."""
    source = {
        "format": "csv",
        "path": "a.csv",
        "columns": {"occurred_at": "at", "user_id": "who", "event_name": "what"},
    }
    return load_config({"sources": {"web": source}}, folder=folder)


def _types(name: str) -> dict[str, str]:
    from journeyflow.models import model

    words = model.read_metadata(files.sql_folder() / f"{name}.yml")
    return {column: described.type for column, described in words.columns.items() if described}


def _put(engine, name, types, rows):
    used = list(rows[0]) if rows else []
    incoming = pa.Table.from_pylist(rows) if rows else pa.table({"_": pa.array([], pa.int8())})
    engine.register("support.incoming", incoming)
    columns = ", ".join(
        f'cast({column if column in used else "null"} as {kind}) as "{column}"' for column, kind in types.items()
    )
    engine.run(name, f"select {columns} from support.incoming")


def _conformed(table: pa.Table, name: str) -> pa.Table:
    with DuckDBEngine() as engine:
        engine.register("support.given", table)
        columns = ", ".join(
            f'cast({column if column in table.column_names else "null"} as {kind}) as "{column}"'
            for column, kind in _types(name).items()
        )
        return engine.rows(f"select {columns} from support.given")
