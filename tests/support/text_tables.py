"""Tables as text, for tests that a person can read: a header, then rows, columns parted by `|`, blank = null."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from journeyflow.engines import DuckDBEngine

EMPTY_TEXT = "''"


def parse(text: str) -> tuple[list[str], list[list[str | None]]]:
    """Return the header and the rows of a text table; ``''`` is the empty text."""
    lines = [line for line in text.splitlines() if line.strip() and not set(line.strip()) <= set("-|+ ")]
    header, *body = [[cell.strip() for cell in line.split("|")] for line in lines]
    for row in body:
        if len(row) != len(header):
            raise ValueError(
                f"a row of the text table has {len(row)} cells, its header {len(header)}: {' | '.join(row)}"
            )
    return header, [[None if cell == "" else "" if cell == EMPTY_TEXT else cell for cell in row] for row in body]


def create(engine: DuckDBEngine, name: str, types: Mapping[str, str], text: str = "") -> None:
    """Create the table `name` with the columns `types` and the rows of `text`; columns that it leaves out are null."""
    header, body = parse(text) if text.strip() else ([], [])
    if unknown := set(header) - set(types):
        raise ValueError(f"{name} has no column {', '.join(sorted(unknown))}")
    known = header if body else []
    columns = ", ".join(f'cast({_cell(column, known)} as {kind}) as "{column}"' for column, kind in types.items())
    if not body:
        engine.run(name, f"select {columns} limit 0")
        return
    incoming = pa.table({column: pa.array([row[at] for row in body], pa.string()) for at, column in enumerate(header)})
    with engine.shown("_incoming", incoming):
        engine.run(name, f"select {columns} from _incoming")


def rows_of(engine: DuckDBEngine, types: Mapping[str, str], text: str) -> pa.Table:
    """Return a text table as typed rows; only the columns of its header."""
    header, _ = parse(text)
    create(engine, "support.expected", {column: types[column] for column in header}, text)
    return engine.rows("select * from support.expected")


def _cell(column: str, header: list[str]) -> str:
    return f'"{column}"' if column in header else "null"
