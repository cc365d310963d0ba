"""The one comparison of tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

RELATIVE = 1e-9


def assert_same_rows(actual: pa.Table, expected: pa.Table, key: Sequence[str] | None = None) -> None:
    """Assert that two tables hold the same rows.

    Parameters
    ----------
    actual, expected : pyarrow.Table
        With the same columns in any order and the same types; the order of rows does not matter.
    key : sequence of str or None
        Unique in both; None sorts by all columns and allows repeats.

    Raises
    ------
    AssertionError
        Says which column of which row differs. Floats are equal to a relative 1e-9, all else exactly.
    """
    assert sorted(actual.column_names) == sorted(expected.column_names), "the columns differ"
    actual = actual.select(expected.column_names)
    for field in expected.schema:
        assert actual.schema.field(field.name).type == field.type, (
            f"{field.name} is {actual.schema.field(field.name).type}"
        )
    order = list(key or expected.column_names)
    left, right = (_sorted(table, order, is_key=key is not None) for table in (actual, expected))
    assert [_key(row, order) for row in left] == [_key(row, order) for row in right], "the keys differ"
    wrong = [
        f"{_key(mine, order)}: {name} is {mine[name]!r} and should be {theirs[name]!r}"
        for mine, theirs in zip(left, right, strict=True)
        for name in expected.column_names
        if not _equal(mine[name], theirs[name])
    ]
    assert not wrong, "\n".join(wrong)


def _sorted(table: pa.Table, order: list[str], *, is_key: bool) -> list[dict[str, Any]]:
    rows = sorted(table.to_pylist(), key=lambda row: [(row[name] is not None, str(row[name])) for name in order])
    if is_key:
        keys = [_key(row, order) for row in rows]
        assert len({str(item) for item in keys}) == len(keys), f"the key {order} is not unique"
    return rows


def _key(row: dict[str, Any], order: list[str]) -> tuple[Any, ...]:
    return tuple(round(row[name], 9) if isinstance(row[name], float) else row[name] for name in order)


def _equal(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=RELATIVE) or (math.isnan(mine) and math.isnan(theirs))
    return bool(mine == theirs)
