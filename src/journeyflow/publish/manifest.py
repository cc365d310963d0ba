"""The manifest of a generation: what was published, and by which run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from journeyflow.errors import NotFoundError

MANIFEST = "manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TableEntry(_Frozen):
    """A published table and its Parquet file."""

    row_count: int
    file: str
    sha256: str


class FileEntry(_Frozen):
    """A file published beside the tables."""

    byte_count: int
    sha256: str


class RunFacts(_Frozen):
    """What a manifest records of the run; times are UTC."""

    run_id: str
    project: str
    version: str
    config_hash: str
    started_at: datetime
    published_at: datetime
    high_water_at: datetime
    event_count: int


class Manifest(RunFacts):
    """Metadata of a generation; `files` are those beside its tables, such as ``map.html``."""

    tables: dict[str, TableEntry]
    files: dict[str, FileEntry] = {}


def read_manifest(generation: Path) -> Manifest:
    """Return the manifest of a generation's folder; NotFoundError when it is missing or invalid."""
    path = generation / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"Nothing is published in {generation}: there is no {MANIFEST}. Run `journeyflow run` first."
        ) from error
    except ValidationError as error:
        raise NotFoundError(f"{path} is not a valid manifest. Publish again with `journeyflow run`.") from error
