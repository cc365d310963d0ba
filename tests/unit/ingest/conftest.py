"""A scratch project: write files, load them, query the result."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from journeyflow.config import Config, load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.ingest.load import IngestResult, load_events
from journeyflow.state.warehouse import open_warehouse
from support.in_process_parser import parse_in_process

NOW_US = 1_800_000_000_000_000
CSV = {
    "format": "csv",
    "path": "data/*",
    "columns": {"event_id": "id", "occurred_at": "ts", "anonymous_id": "cookie", "event_name": "event"},
}


@dataclass
class Project:
    folder: Path
    warehouse: object
    run: int = 0
    source: dict = field(default_factory=lambda: deepcopy(CSV))

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def config(self, **more) -> Config:
        return load_config({"sources": {"web": self.source}} | more, folder=self.folder)

    def load(self, now_us: int = NOW_US, **more) -> IngestResult:
        self.run += 1
        return load_events(self.config(**more), self.warehouse, run_id=f"run-{self.run}", now_us=now_us)

    def events(self, columns: str = "event_id") -> list:
        rows = self.warehouse.rows(f"select {columns} from raw.events order by all").to_pylist()
        return [tuple(row.values()) if len(row) > 1 else next(iter(row.values())) for row in rows]

    def quarantine(self) -> list[tuple[int, str]]:
        rows = self.warehouse.rows("select source_row, reason from raw.quarantine order by all").to_pylist()
        return [(row["source_row"], row["reason"]) for row in rows]

    def raws(self) -> list[str]:
        return self.warehouse.rows("select raw from raw.quarantine order by source_row, raw")["raw"].to_pylist()


@pytest.fixture(autouse=True)
def _parse_in_process(monkeypatch):
    parse_in_process(monkeypatch)


OF_OPENING = "blanks"
"""The variable of the session that opening sets."""
_SESSION = """
    select 'view' as kind, view_name as name from duckdb_views() where temporary and not internal
    union all
    select 'table' as kind, table_name as name from duckdb_tables() where temporary
    union all
    select 'variable' as kind, name from duckdb_variables()
"""
_opened: list[tuple[DuckDBEngine, dict]] = []
"""The warehouse of the last test and its tables: opening another takes as long as a load."""


@pytest.fixture
def project(tmp_path):
    if not _opened or not _emptied(*_opened[0]):
        warehouse = open_warehouse(threads=1)
        assert warehouse.values(_SESSION) == [("variable", OF_OPENING)]
        _opened[:] = [(warehouse, warehouse.relations())]
    return Project(tmp_path, _opened[0][0])


def _emptied(warehouse: DuckDBEngine, relations: dict) -> bool:
    """Make the warehouse as it was when it was opened; False where it can no longer be that."""
    try:
        for kind, name in warehouse.values(_SESSION):
            if kind != "variable":
                warehouse.execute(f'drop {kind} temp."{name}"')
            elif name != OF_OPENING:
                warehouse.execute(f"reset variable {name}")
        if warehouse.relations() != relations:
            return False
        for name in warehouse.tables():
            if name != "ledger.schema_version":
                warehouse.execute(f"delete from {name}")
    except EngineError:
        return False
    return True
