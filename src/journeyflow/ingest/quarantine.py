"""Quarantined records: list and replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, LockedError, NotFoundError
from journeyflow.ingest.file_registry import FileRegistry, RegisteredFile
from journeyflow.ingest.load import is_available
from journeyflow.state import lock
from journeyflow.state.paths import WAREHOUSE
from journeyflow.state.run_log import now
from journeyflow.state.warehouse import open_warehouse, transaction

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from journeyflow.config import Config


PEOPLE = "people"
"""Source name of the files of traits."""
SPEND = "spend"
"""Source name of the files of spend."""

_SOURCE = "coalesce(files.source, case quarantine.file_ix when -1 then 'spend' else 'people' end)"
_FOUND = f"""
    select {_SOURCE} as source, quarantine.source_file, quarantine.source_row,
        quarantine.reason, quarantine.detail, quarantine.raw
    from raw.quarantine as quarantine
    left join ledger.files as files on files.file_ix = quarantine.file_ix
    where ($1 is null or {_SOURCE} = $1) and ($2 is null or quarantine.reason = $2)
"""
_COUNTED = f"""
    select source, source_file, reason, count(*) as row_count, min(source_row) as first_row, max(source_row) as last_row
    from ({_FOUND}) group by source, source_file, reason order by source, source_file, reason
"""
_LISTED = f"""
    select source, source_file, source_row, reason, detail, raw from ({_FOUND})
    order by source, source_file, source_row, reason, raw
"""


@dataclass(frozen=True)
class Replay:
    """A source whose files the next run reads again, with its number of matching quarantined rows."""

    source: str
    file_count: int
    row_count: int


def quarantined(
    config: Config, source: str | None = None, reason: str | None = None, *, with_rows: bool = False
) -> pa.Table:
    """Return the quarantine, restricted to a source (`people` for traits) and a reason.

    Grain: source, source_file, reason, with row_count, first_row and last_row; `with_rows` returns one row per record
    instead, with source_row, reason, detail and raw, which hold personal data. Sorted by these columns.
    """
    path = config.state / WAREHOUSE
    if lock.holder(config.state):
        raise LockedError("A run is going on and holds the warehouse. Ask again when it has ended.")
    if not path.exists():
        raise InputError(f"There is no {path}: run `journeyflow run` first.")
    with DuckDBEngine(path, read_only=True) as warehouse:
        return warehouse.rows(_LISTED if with_rows else _COUNTED, [source, reason])


def replay(config: Config, source: str | None = None, reason: str | None = None) -> tuple[Replay, ...]:
    """Have the next run read all files again of the sources that have such rows in quarantine.

    Whole sources are read, because one row may change which version of an event counts; accepted events keep their ids.
    Records that were in the future are validated against the present time: the machine's clock may have been wrong.
    InputError when a file of such a source is missing: its events would be lost.
    """
    with lock.project_lock(config.state), open_warehouse(config.state / WAREHOUSE) as warehouse:
        found = warehouse.rows(_COUNTED, [source, reason]).to_pylist()
        names = [name for name in dict.fromkeys(row["source"] for row in found) if name in config.sources]
        if not names:
            raise NotFoundError("No row in quarantine fits. See what there is with `journeyflow quarantine list`.")
        replays = []
        for name in names:
            files = _files(warehouse, name)
            _require_files(config, name, files)
            replays.append(Replay(name, len(files), sum(row["row_count"] for row in found if row["source"] == name)))
        with transaction(warehouse):
            for name in names:
                # No settings have an empty hash, so the next run reads the source's files again.
                warehouse.execute("update ledger.files set settings_hash = '' where source = ? and is_loaded", [name])
                _reset_first_load(warehouse, name)
        return tuple(replays)


def _reset_first_load(warehouse: DuckDBEngine, source: str) -> None:
    """Set the first load of files with records of the future to now, for this replay and every rebuild."""
    warehouse.execute(
        "update ledger.files set first_loaded_at = greatest(first_loaded_at, ?) where source = ? and is_loaded "
        "and file_ix in (select file_ix from raw.quarantine where reason = 'future')",
        [now(), source],
    )


def _files(warehouse: DuckDBEngine, source: str) -> list[RegisteredFile]:
    known = FileRegistry(warehouse, "", 0).files()
    return [file for file in known if file.source == source and file.is_loaded and not file.is_empty]


def _require_files(config: Config, source: str, files: Sequence[RegisteredFile]) -> None:
    if gone := sorted(file.source_file for file in files if not is_available(config, file)):
        raise InputError(
            f"Source {source}: to try its rows again all its files must be read, but {', '.join(gone[:5])} is no "
            "longer there. Put it back first."
        )
