"""The audit between building and publishing: every model is what its side file says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from journeyflow.engines import Engine
from journeyflow.engines.names import relation, text, word
from journeyflow.errors import CheckFailedError
from journeyflow.models import Check, Model


@dataclass(frozen=True)
class Failure:
    """A check that did not hold.

    Attributes
    ----------
    model : str
        The model's name.
    check : str
        What was demanded.
    count : int
        Rows (or keys) against it.
    """

    model: str
    check: str
    count: int

    def __str__(self) -> str:
        return f"{self.model}: {self.check} ({self.count:,} against it)"


def require(engine: Engine, models: Iterable[Model]) -> int:
    """Run all checks of `models` and return how many there were.

    Raises
    ------
    CheckFailedError
        Lists every failing check with its count; never a row.
    """
    total = 0
    failed: list[Failure] = []
    for model in models:
        for check, query in queries(model):
            total += 1
            if count := _count(engine, query):
                failed.append(Failure(model.name, check, count))
        total += 1
        failed.extend(_columns_differ(engine, model))
    if failed:
        listed = "\n".join(f"  - {failure}" for failure in failed)
        raise CheckFailedError(
            f"{len(failed)} of {total} checks of the built tables failed; nothing was published, the last generation "
            f"is still served.\n{listed}"
        )
    return total


def queries(model: Model) -> Iterator[tuple[str, str]]:
    """Yield what each check demands and the query whose one number is the count against it."""
    if model.grain is not None:
        yield from _of_grain(model)
    for check in model.paperwork.checks:
        yield from _of_check(model, check)


def _of_grain(model: Model) -> Iterator[tuple[str, str]]:
    grain = model.grain or ()
    if not grain:
        yield "has one row", f"select abs(count(*) - 1) from {relation(model.name)}"
        return
    yield f"grain ({', '.join(grain)}) is unique", _repeated(model, grain)
    for column in grain:
        yield f"{column} is not null", _where(model, f"{word(column)} is null")


def _of_check(model: Model, check: Check) -> Iterator[tuple[str, str]]:
    for column in check.not_null or ():
        yield f"{column} is not null", _where(model, f"{word(column)} is null")
    if check.unique:
        yield f"({', '.join(check.unique)}) is unique", _repeated(model, check.unique)
    for column, values in (check.accepted or {}).items():
        listed = ", ".join(text(str(value).lower() if isinstance(value, bool) else str(value)) for value in values)
        yield f"{column} is one of {listed}", _where(model, f"cast({word(column)} as varchar) not in ({listed})")
    for column, (low, high) in (check.range or {}).items():
        bounds = [f"{word(column)} < {low}"] * (low is not None) + [f"{word(column)} > {high}"] * (high is not None)
        if bounds:
            # isnan: not a number is outside every range, and greater than every bound only in some engines.
            beyond = " or ".join([*bounds, f"cast({word(column)} as varchar) = 'nan'"])
            yield f"{column} is in [{low}, {high}]", _where(model, beyond)
    if check.no_rows:
        yield f"no rows: {' '.join(check.no_rows.split())}", f"select count(*) from ({check.no_rows}) as found"


def _where(model: Model, condition: str) -> str:
    return f"select count(*) from {relation(model.name)} where {condition}"


def _repeated(model: Model, columns: tuple[str, ...]) -> str:
    listed = ", ".join(word(column) for column in columns)
    repeated = f"select {listed} from {relation(model.name)} group by {listed} having count(*) > 1"
    return f"select count(*) from ({repeated}) as repeated"


def _columns_differ(engine: Engine, model: Model) -> Iterator[Failure]:
    built = engine.columns(model.name)
    promised = {name: column.type for name, column in model.columns.items()}
    if list(built) != list(promised):
        wrong = sorted(set(built) ^ set(promised))
        yield Failure(
            model.name,
            f"columns are those of its .yml, in order; see {', '.join(wrong) or 'the order'}",
            len(wrong) or 1,
        )
        return
    for name, kind in built.items():
        if _plain(kind) != _plain(promised[name]):
            yield Failure(model.name, f"{name} is {promised[name]} and not {kind}", 1)


def _plain(kind: str) -> str:
    return kind.upper().replace(" ", "")


def _count(engine: Engine, query: str) -> int:
    return int(engine.rows(query).column(0)[0].as_py() or 0)
