"""A connection that reads no file but those it was given, and cannot be talked out of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from journeyflow.engines.names import text
from journeyflow.errors import EngineError

_ORDERED = (
    "set allowed_directories = [{folders}]",
    "set enable_external_access = false",
    "set lock_configuration = true",
)
"""Folders can only be named while access is open, and nothing can be set once the configuration is locked."""
_STATE = """
    select current_setting('enable_external_access') as is_open, current_setting('lock_configuration') as is_locked,
        current_setting('allowed_directories') as folders
"""


def lock(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path]) -> None:
    """Let a connection reach its own databases, its temporary folder and `folders`, and nothing else, for good.

    Files are opened by the database only where it allows them itself: other files, `..`, links that lead out, the
    network, extensions and Python variables are closed to any statement, whatever made it.

    Raises
    ------
    EngineError
        When the lock does not hold: nothing of a stranger is read then.
    """
    allowed = ", ".join(text(str(folder.absolute())) for folder in folders)
    for statement in _ORDERED:
        connection.execute(statement.format(folders=allowed))
    prove(connection)


def prove(connection: duckdb.DuckDBPyConnection) -> None:
    """See that a connection is locked: by what it says of itself, and by doing what must fail.

    Raises
    ------
    EngineError
        When it is not.
    """
    found = connection.execute(_STATE).fetchall()[0]
    is_said = found[:2] == (False, True) and not any(Path(folder) in Path(__file__).parents for folder in found[2])
    # What a connection says of itself is no proof: this file is there, and no connection has business with it.
    attempts = (f"select count(*) from read_blob({text(__file__)})", "set enable_external_access = true")
    if not is_said or any(_succeeds(connection, statement) for statement in attempts):
        raise EngineError(
            "The database could not be locked: it would read files that it was not given. Nothing was read. Install "
            "the version of duckdb that this journeyflow asks for."
        )


def _succeeds(connection: duckdb.DuckDBPyConnection, statement: str) -> bool:
    try:
        connection.execute(statement).fetchall()
    except (duckdb.PermissionException, duckdb.InvalidInputException):
        return False
    return True
