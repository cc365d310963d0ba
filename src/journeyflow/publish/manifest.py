"""`manifest.json`: what a generation holds and which run made it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from journeyflow.errors import NotFoundError

FILE_NAME = "manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TableEntry(_Frozen):
    """One published table: its rows, its Parquet file and the SHA-256 of that file."""

    row_count: int
    file: str
    sha256: str


class FileEntry(_Frozen):
    """A file beside the tables: its size and its SHA-256."""

    byte_count: int
    sha256: str


class Manifest(_Frozen):
    """A generation in numbers; times are UTC. `files` are what was drawn from the tables, such as ``map.html``."""

    run_id: str
    project: str
    version: str
    config_hash: str
    started_at: datetime
    published_at: datetime
    high_water_at: datetime
    event_count: int
    tables: dict[str, TableEntry]
    files: dict[str, FileEntry] = {}


def read_manifest(generation: Path) -> Manifest:
    """Return the manifest of the folder of a generation.

    Raises
    ------
    NotFoundError
        When there is none, or it cannot be read.
    """
    path = generation / FILE_NAME
    try:
        return Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(
            f"Nothing is published in {generation}: there is no {FILE_NAME}. Run `journeyflow run` first."
        ) from error
    except ValidationError as error:
        raise NotFoundError(
            f"{path} is not a manifest of journeyflow; publish again with `journeyflow run`."
        ) from error
