"""The schema of the warehouse: numbered steps, each carried out once, in one transaction with its number."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, InputError
from journeyflow.ingest.transactions import transaction


@cache
def steps() -> Mapping[int, str]:
    """Return the steps of `sql/schema/<number>_<name>.sql` by number: what each does to the schema before it.

    A new warehouse goes through all of them, so that there is one way to a schema and not two.

    References
    ----------
    `docs/adr/0027-a-warehouse-over-the-years.md`: what a step may hold.
    """
    folder = resources.files("journeyflow.ingest").joinpath("sql", "schema")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name.split("_", 1)[0]): file.read_text(encoding="utf-8") for file in files}


def newest() -> int:
    """Return the number of the schema that this version writes."""
    return max(steps())


def version_of(warehouse: DuckDBEngine) -> int:
    """Return the number of a warehouse's schema; 0 where there is none yet."""
    if not warehouse.columns("ledger.schema_version"):
        return 0
    found = warehouse.rows("select coalesce(max(version), 0) as version from ledger.schema_version")
    return int(found["version"][0].as_py())


def upgrade(warehouse: DuckDBEngine) -> None:
    """Carry out the steps that a warehouse has not seen, in their order.

    Each is one transaction with its number: a run that dies in the middle leaves an older schema, whole, and the next
    run goes on from there.

    Raises
    ------
    InputError
        When a newer version of journeyflow wrote the warehouse; nothing is changed then.
    EngineError
        When a step fails; the schema before it stands.
    """
    version = version_of(warehouse)
    if version > newest():
        raise InputError(
            f"The warehouse was written by a newer journeyflow (schema {version}, this one knows {newest()}); "
            "install the newer version."
        )
    for number, statements in steps().items():
        if number > version:
            _carry_out(warehouse, number, statements)


def _carry_out(warehouse: DuckDBEngine, number: int, statements: str) -> None:
    try:
        with transaction(warehouse):
            warehouse.execute(statements)
            warehouse.execute("delete from ledger.schema_version")
            warehouse.execute("insert into ledger.schema_version values (?)", [number])
    except EngineError as error:
        raise EngineError(
            f"The warehouse could not be brought to schema {number}: {error.message} It is as it was before."
        ) from error
