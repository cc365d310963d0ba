"""Data tests: every model compared with its metadata before publication."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from journeyflow.engines import Engine
from journeyflow.engines.base import relation, text, word
from journeyflow.errors import CheckFailedError, EngineError
from journeyflow.models.metadata import Scalar
from journeyflow.models.model import Model

KEY_ROWS = 2_000_000
"""Internal tables of more rows are not searched for duplicate keys: the search costs as much as building them."""
STATEMENT_ROWS = 1_000_000
"""Rows that the queries of one statement read together. Planning a statement costs more than reading a small table, but
what a statement groups stays in memory until its end."""
STATEMENT_QUERIES = 50
"""Most queries of one statement."""


@dataclass(frozen=True)
class Failure:
    """A check that failed: the number of rows or keys that violate it, or why it could not be executed."""

    model: str
    check: str
    count: int
    error: str = ""

    def __str__(self) -> str:
        why = f"cannot be executed: {self.error}" if self.error else f"{self.count:,} against it"
        return f"{self.model}: {self.check} ({why})"


@dataclass(frozen=True)
class _Query:
    """Numbers read from one relation or subquery, which reads about `row_count` rows."""

    numbers: tuple[str, ...]
    source: str
    row_count: int = 0


def require_checks(engine: Engine, models: Iterable[Model]) -> int:
    """Run all checks of `models` and return how many there were.

    Views are skipped, because the tables built from them are checked. Keys of internal tables over `KEY_ROWS` rows are
    assumed unique; those of published tables are always searched. Keys of tables without rows need no search.

    Raises
    ------
    CheckFailedError
        Lists every failing check with its count; never a row.
    """
    tables = [model for model in models if model.metadata.kind != "view"]
    built = engine.relations()
    failed = [failure for model in tables for failure in _columns_differ(model, built.get(model.name, {}))]
    total = len(tables)
    # A table that lacks columns cannot be read.
    tables = [model for model in tables if set(model.columns) <= set(built.get(model.name, ()))]
    row_counts: dict[str, int] = {}
    for model, (row_count, *against) in zip(tables, _read(engine, map(_row_query, tables)), strict=True):
        row_counts[model.name] = row_count
        found = dict(zip(row_conditions(model), against, strict=True)) | _one_row(model, row_count)
        failed += [Failure(model.name, check, count) for check, count in found.items() if count]
        total += len(found)
    queries = {check: query for model in tables for check, query in _queries(model, row_counts).items()}
    total += len(queries)
    wanted = {check: query for check, query in queries.items() if query.row_count}
    found_failures: list[Failure] = []
    try:
        for (name, check), (count,) in zip(wanted, _read(engine, wanted.values()), strict=True):
            found_failures += [Failure(name, check, count)] if count else []
    except EngineError:
        found_failures = [*_one_by_one(engine, wanted)]
    failed += found_failures
    if failed:
        listed = "\n".join(f"  - {failure}" for failure in failed)
        raise CheckFailedError(
            f"{len(failed)} of {total} checks of the built tables failed; nothing was published, the last generation "
            f"is still served.\n{listed}"
        )
    return total


def tables_checked(model: Model) -> tuple[str, ...]:
    """Return the other relations that the checks of a model read."""
    from journeyflow.models.sql import parsed, tables_read

    found = (
        tables_read(parsed(check.no_rows, model.path), model.path) for check in model.metadata.checks if check.no_rows
    )
    return tuple(dict.fromkeys(name for names in found for name in names if name != model.name))


def _one_by_one(engine: Engine, queries: Mapping[tuple[str, str], _Query]) -> Iterator[Failure]:
    """Yield the failures of queries one of which cannot be executed."""
    for (name, check), query in queries.items():
        try:
            ((count,),) = _answers(engine, [query])
        except EngineError as error:
            yield Failure(name, check, 1, str(error))
        else:
            if count:
                yield Failure(name, check, count)


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


def _one_row(model: Model, row_count: int) -> dict[str, int]:
    return {"has one row": abs(row_count - 1)} if model.grain == () else {}


def _row_query(model: Model) -> _Query:
    """Count rows, and violations of all conditions, in one scan: a table may have a hundred million rows."""
    against = (f"count(*) filter (where {condition})" for condition in row_conditions(model).values())
    return _Query(("count(*)", *against), relation(model.name))


def _queries(model: Model, row_counts: Mapping[str, int]) -> dict[tuple[str, str], _Query]:
    """Return the queries of the number of violations of a whole table, by model and name of the check."""
    found: dict[str, _Query] = {}
    row_count = row_counts[model.name]
    if model.is_published or row_count <= KEY_ROWS:
        keys = [model.grain, *(check.unique for check in model.metadata.checks)]
        found = {f"({', '.join(key)}) is unique": _repeated(model, key, row_count) for key in keys if key}
    for check in model.metadata.checks:
        if check.no_rows:  # It may read any table, and at least one row of a table that says it has rows.
            source = f"(\n{check.no_rows.rstrip().rstrip(';')}\n) as found"
            name = f"no rows: {' '.join(check.no_rows.split())}"
            found[name] = _Query(("count(*)",), source, max(1, *row_counts.values()))
    return {(model.name, name): query for name, query in found.items()}


def _repeated(model: Model, key: tuple[str, ...], row_count: int) -> _Query:
    listed = ", ".join(word(column) for column in key)
    repeated = f"select {listed} from {relation(model.name)} group by {listed} having count(*) > 1"
    return _Query(("count(*)",), f"({repeated}) as repeated", row_count)


def _read(engine: Engine, queries: Iterable[_Query]) -> Iterator[list[int]]:
    """Yield the numbers of each query, many queries in one statement."""
    batch: list[_Query] = []
    for query in queries:
        is_full = sum(each.row_count for each in batch) + query.row_count > STATEMENT_ROWS
        if batch and (is_full or len(batch) == STATEMENT_QUERIES):
            yield from _answers(engine, batch)
            batch = []
        batch.append(query)
    if batch:
        yield from _answers(engine, batch)


def _answers(engine: Engine, queries: list[_Query]) -> list[list[int]]:
    selects = (
        f"select {at} as position, [{', '.join(query.numbers)}] as numbers from {query.source}"
        for at, query in enumerate(queries)
    )
    answers = dict(engine.values(" union all ".join(selects)))
    return [answers[at] for at in range(len(queries))]


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


def _columns_differ(model: Model, built: Mapping[str, str]) -> Iterator[Failure]:
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
