"""A scratch project: write files, load them, query the result."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from journeyflow.config import Config, load_config
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


@pytest.fixture
def project(tmp_path):
    warehouse = open_warehouse(threads=1)
    yield Project(tmp_path, warehouse)
    warehouse.close()
