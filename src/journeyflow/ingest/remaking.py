"""A warehouse made anew: the ledger of the old one, and the copies of the files that it says are landed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.keeping import Kept
from journeyflow.publish.files import sync

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine

LIST = "files.parquet"
"""Beside the kept files: what the ledger says of them, for a warehouse that is gone."""
_FILES = (
    "select file_ix, source, source_file, sha256, byte_count, first_loaded_at, record_count, settings_hash, is_landed, "
    "kept_sha256 from ledger.files order by file_ix"
)
REMEMBERED = ("loads", "runs", "alarms", "shares", "tombstones")
"""Tables of the ledger besides `files` that landing does not make again: a rebuild takes them over."""


@dataclass(frozen=True)
class Past:
    """What a warehouse remembers of its files and runs.

    Attributes
    ----------
    files : Table
        Rows of `ledger.files`.
    others : mapping of str to Table
        Rows of the tables of `REMEMBERED`; none where only the list beside the kept files is left.
    """

    files: pa.Table
    others: Mapping[str, pa.Table] = field(default_factory=dict)

    def known_to(self, run_id: str) -> Past:
        """Leave out the files that came after a run."""
        if "loads" not in self.others:
            return self
        firsts: dict[tuple[str, str], str] = {}
        for row in self.others["loads"].select(["run_id", "source", "sha256", "status"]).to_pylist():
            if row["status"] == "loaded":
                key = (row["source"], row["sha256"])
                firsts[key] = min(row["run_id"], firsts.get(key, row["run_id"]))
        rows = self.files.select(["source", "sha256"]).to_pylist()
        is_known = [firsts.get((row["source"], row["sha256"]), "") <= run_id for row in rows]
        return Past(self.files.filter(pa.array(is_known, pa.bool_())), self.others)


def remembered(warehouse: DuckDBEngine, kept: Kept) -> Past:
    """Return the past of a warehouse; of an empty one, what lies beside the kept files.

    Raises
    ------
    InputError
        When neither knows of a file.
    """
    files = warehouse.rows(_FILES)
    if files.num_rows:
        return Past(files, {table: warehouse.rows(f"select * from ledger.{table}") for table in REMEMBERED})
    path = kept.folder / LIST
    try:
        return Past(_as_listed(pq.read_table(path), files.schema))
    except FileNotFoundError as error:
        raise InputError(
            f"Nothing is known of any file: the warehouse is empty and there is no {path}. Run `journeyflow run`."
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}, the list of the kept files, cannot be read; put a copy of it back.") from error


def _as_listed(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a list that an older version wrote the columns that came since, all of them null."""
    for column in schema:
        if column.name not in found.column_names:
            found = found.append_column(column, pa.nulls(found.num_rows, column.type))
    return found.select(schema.names).cast(schema)


def recall(warehouse: DuckDBEngine, past: Past) -> None:
    """Write a past into an empty warehouse; no file is landed yet."""
    warehouse.append("ledger.files", past.files)
    warehouse.execute("update ledger.files set is_landed = false")
    for table, rows in past.others.items():
        warehouse.append(f"ledger.{table}", rows)


def write_list(warehouse: DuckDBEngine, kept: Kept) -> None:
    """Write down beside the kept files what the ledger says of them; wholly or not at all.

    Raises
    ------
    JourneyflowError
        When it cannot be written.
    """
    if not kept.folder.is_dir():
        return
    try:
        _write_list(warehouse.rows(_FILES), kept.folder / LIST)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {LIST} in {kept.folder}: {error.strerror or type(error).__name__}. Make room."
        ) from error


def _write_list(rows: pa.Table, final: Path) -> None:
    fresh = final.with_name(f"{LIST}.unfinished")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        pq.write_table(rows, file)
    sync(fresh)
    fresh.replace(final)
    sync(final.parent)


def settle(fresh: Path, place: Path) -> None:
    """Let the database `fresh` take the place of another one; both are closed, and so without a log of their own."""
    sync(fresh)
    # A log of the older file beside the new one would make it unopenable.
    place.with_name(f"{place.name}.wal").unlink(missing_ok=True)
    fresh.replace(place)
    sync(place.parent)
