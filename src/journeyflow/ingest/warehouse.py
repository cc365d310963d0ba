"""The warehouse file: landed rows and the ledger, kept from run to run."""

from __future__ import annotations

import stat
from importlib import resources
from pathlib import Path

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, InputError
from journeyflow.ingest.schema import upgrade


def open_warehouse(
    path: Path | None = None,
    *,
    memory_limit: str = "1GB",
    threads: int | None = None,
    temp_folder: Path | None = None,
) -> DuckDBEngine:
    """Open the warehouse for writing, made or brought up to date where needed.

    Parameters
    ----------
    path : Path or None
        The database file, made when missing; None is in memory.
    memory_limit : str
        What the database may use before it spills, e.g. ``"1GB"``.
    threads : int or None
        Threads of the database; None lets it choose.
    temp_folder : Path or None
        Where it spills.

    Returns
    -------
    DuckDBEngine
        With the schemas `landed` and `ledger`.

    Raises
    ------
    InputError
        When the file was written by a newer version of journeyflow, or everybody may write to it.
    EngineError
        When the file cannot be opened.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            raise InputError(
                f"Everybody may write to the warehouse {path}, and so change every figure: chmod o-w {path}"
            )
    try:
        warehouse = DuckDBEngine(path, memory_limit=memory_limit, threads=threads, temp_folder=temp_folder)
    except EngineError as error:
        if not any(sign in error.message for sign in ("IO Error", "Serialization Error", "INTERNAL Error")):
            raise
        raise EngineError(
            f"{error.message} If it is damaged, put a copy of it back, or move it away: the next run then reads all "
            "files of the sources anew."
        ) from error
    try:
        upgrade(warehouse)
        warehouse.execute(packaged_sql("views"))
        warehouse.execute(packaged_sql("privacy"))
    except BaseException:
        warehouse.close()
        raise
    return warehouse


def clear_landed(warehouse: DuckDBEngine) -> None:
    """Empty the landed tables for a full rebuild; the ledger keeps when each file was first loaded."""
    for table in ("landed.events", "landed.traits", "landed.quarantine"):
        warehouse.execute(f"delete from {table}")
    warehouse.execute("update ledger.files set is_landed = false")


def packaged_sql(name: str) -> str:
    """Return the text of a statement that lies beside this module."""
    return resources.files("journeyflow.ingest").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
