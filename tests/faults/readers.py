"""Readers of what is published, each in a process of its own, and the generations they read."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from pathlib import Path

from faults import run_process

ROWS = 300


def published(engine, folder: Path, number: int) -> None:
    """Publish a generation in whose every row its number stands."""
    from journeyflow.models import Column, Model, ModelMetadata
    from journeyflow.publish.generation import publish
    from journeyflow.publish.reader import RunFacts

    models = []
    for name in ("things", "others"):
        engine.run(f"marts.{name}", f"select {number} as generation, i as item from range({ROWS}) as t (i)")
        columns = {c: Column(type="BIGINT", meaning="A number.") for c in ("generation", "item")}
        words = ModelMetadata(description="Things of one generation.", grain=("item",), columns=dict(columns))
        models.append(Model(f"marts.{name}", Path(f"{name}.sql"), "select 1", (), words, columns))
    at = datetime(2026, 1, 1)
    facts = RunFacts(
        run_id=f"r{number:05}",
        project="shop",
        version="1",
        config_hash="h",
        started_at=at,
        published_at=at,
        high_water_at=at,
        event_count=number,
    )
    publish(engine, models, folder, facts)


def by_database(generation: Path) -> list[list[int]]:
    """Read both tables in DuckDB."""
    import duckdb

    with duckdb.connect(str(generation / "marts.duckdb"), read_only=True) as base:
        return [base.sql(f"select generation from {name}").fetchnumpy()["generation"].tolist() for name in _TABLES]


def by_parquet(generation: Path) -> list[list[int]]:
    """Read both Parquet files with polars."""
    import polars as pl

    return [pl.read_parquet(generation / f"{name}.parquet")["generation"].to_list() for name in _TABLES]


def by_csv(generation: Path) -> list[list[int]]:
    """Read both tables as the command writes them in CSV."""
    import journeyflow
    from journeyflow.cli.output import defused

    found = []
    with journeyflow.open(generation) as marts:
        for name in _TABLES:
            written = defused(marts.sql(f"select * from {name}")).write_csv()
            found.append([int(row["generation"]) for row in csv.DictReader(io.StringIO(written))])
    return found


_TABLES = ("things", "others")
READERS = (by_database, by_parquet, by_csv)


def start(reader: int, folder: Path, stop):
    """Start a reader that loops until `stop`; return its process and the end of the pipe on which it reports."""
    heard, told = run_process.CONTEXT.Pipe(duplex=False)
    process = run_process.CONTEXT.Process(target=_read, args=(reader, folder, stop, told))
    process.start()
    return process, heard


def _read(reader, folder, stop, told):
    passes, longest, seen, errors = 0, 0.0, set(), []
    while not stop.is_set() and not errors:
        started = _now()
        try:
            generation = (folder / "current").resolve(strict=True)
            tables = READERS[reader](generation)
            found, rows = {number for numbers in tables for number in numbers}, [len(numbers) for numbers in tables]
            named = json.loads((generation / "manifest.json").read_text(encoding="utf-8"))["event_count"]
            if found != {named} or rows != [ROWS, ROWS]:
                errors.append(f"mixed: {found}, {rows} in {generation.name}")
            seen.add(named)
        except Exception as error:  # What a reader meets is what is tested.
            errors.append(f"{type(error).__name__}: {error}"[:300])
        passes += 1
        longest = max(longest, _now() - started)
    told.send((passes, longest, len(seen), errors))


def _now() -> float:
    import time

    return time.monotonic()
