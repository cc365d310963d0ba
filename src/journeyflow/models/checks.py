"""Data tests: every model compared with its metadata before publication."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from journeyflow.engines import Engine
from journeyflow.engines.base import relation, text, word
from journeyflow.errors import CheckFailedError
from journeyflow.models.metadata import Scalar
from journeyflow.models.model import Model

KEY_ROWS = 2_000_000
"""Internal tables of more rows are not searched for duplicate keys: the search costs as much as building them."""


@dataclass(frozen=True)
class Failure:
    """A check that failed, with the number of rows or keys that violate it."""

    model: str
    check: str
    count: int

    def __str__(self) -> str:
        return f"{self.model}: {self.check} ({self.count:,} against it)"


def require_checks(engine: Engine, models: Iterable[Model]) -> int:
    """Run all checks of `models` and return how many there were.

    Views are skipped, because the tables built from them are checked. Keys of internal tables over `KEY_ROWS` rows are
    assumed unique; those of published tables are always searched.

    Raises
    ------
    CheckFailedError
        Lists every failing check with its count; never a row.
    """
    total = 0
    failed: list[Failure] = []
    for model in models:
        if model.metadata.kind == "view":
            continue
        failed += [*_columns_differ(engine, model)]
        searched = queries(model, has_keys=_is_searched(engine, model))
        counted = {**_count_rows(engine, model), **_count_queries(engine, searched)}
        failed += [Failure(model.name, check, count) for check, count in counted.items() if count]
        total += 1 + len(counted)
    if failed:
        listed = "\n".join(f"  - {failure}" for failure in failed)
        raise CheckFailedError(
            f"{len(failed)} of {total} checks of the built tables failed; nothing was published, the last generation "
            f"is still served.\n{listed}"
        )
    return total


def row_conditions(model: Model) -> dict[str, str]:
    """Return the name of each row check, and the condition that holds where a row violates it."""
    named = dict.fromkeys(model.grain or ())
    for check in model.metadata.checks:
        named |= dict.fromkeys(check.not_null or ())
    conditions = {f"{column} is not null": f"{word(column)} is null" for column in named}
    for check in model.metadata.checks:
        for column, values in (check.accepted or {}).items():
            listed = ", ".join(text(_as_text(value)) for value in values)
            conditions[f"{column} is one of {listed}"] = f"cast({word(column)} as varchar) not in ({listed})"
        for column, bounds in (check.range or {}).items():
            conditions[f"{column} is in {_shown(bounds)}"] = _out_of_range(model, column, bounds)
    return conditions


def queries(model: Model, *, has_keys: bool = True) -> dict[str, str]:
    """Return the name of each check of a whole table, and the query of the number of violations."""
    found: dict[str, str] = {}
    if model.grain:
        found |= _unique(model, model.grain) if has_keys else {}
    elif model.grain is not None:
        found["has one row"] = f"select abs(count(*) - 1) from {relation(model.name)}"
    for check in model.metadata.checks:
        if check.unique and has_keys:
            found |= _unique(model, check.unique)
        if check.no_rows:
            found[f"no rows: {' '.join(check.no_rows.split())}"] = f"select count(*) from ({check.no_rows}) as found"
    return found


def _count_rows(engine: Engine, model: Model) -> dict[str, int]:
    """Count violations of all conditions in one scan: a table may have a hundred million rows."""
    conditions = row_conditions(model)
    if not conditions:
        return {}
    counts = ", ".join(f"count(*) filter (where {condition})" for condition in conditions.values())
    row = engine.rows(f"select {counts} from {relation(model.name)}")
    return {check: int(row.column(at)[0].as_py()) for at, check in enumerate(conditions)}


def _is_searched(engine: Engine, model: Model) -> bool:
    if model.is_published:
        return True
    return int(engine.rows(f"select count(*) from {relation(model.name)}").column(0)[0].as_py()) <= KEY_ROWS


def _count_queries(engine: Engine, searched: dict[str, str]) -> dict[str, int]:
    return {check: int(engine.rows(query).column(0)[0].as_py() or 0) for check, query in searched.items()}


def _unique(model: Model, columns: tuple[str, ...]) -> dict[str, str]:
    listed = ", ".join(word(column) for column in columns)
    repeated = f"select {listed} from {relation(model.name)} group by {listed} having count(*) > 1"
    return {f"({', '.join(columns)}) is unique": f"select count(*) from ({repeated}) as repeated"}


def _out_of_range(model: Model, column: str, bounds: tuple[float | None, float | None]) -> str:
    low, high = bounds
    parts = [f"{word(column)} < {low}"] * (low is not None) + [f"{word(column)} > {high}"] * (high is not None)
    if model.columns[column].type == "DOUBLE":
        parts.append(f"isnan({word(column)})")  # Not a number is outside every range.
    return " or ".join(parts) or "false"


def _shown(bounds: tuple[float | None, float | None]) -> str:
    low, high = ("…" if bound is None else f"{bound:g}" for bound in bounds)
    return f"[{low}, {high}]"


def _as_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns_differ(engine: Engine, model: Model) -> Iterator[Failure]:
    built = engine.columns(model.name)
    declared = {name: column.type for name, column in model.columns.items()}
    if model.metadata.is_shaped_by_configuration:
        built = {name: declared[name] for name in built if name in declared}
    if list(built) != list(declared):
        wrong = sorted(set(built) ^ set(declared))
        yield Failure(
            model.name,
            f"columns are those of its .yml, in order; see {', '.join(wrong) or 'the order'}",
            len(wrong) or 1,
        )
        return
    for name, built_type in built.items():
        if _plain(built_type) != _plain(declared[name]):
            yield Failure(model.name, f"{name} is {declared[name]} and not {built_type}", 1)


def _plain(sql_type: str) -> str:
    return sql_type.upper().replace(" ", "")
