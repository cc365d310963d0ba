"""Each kind of check finds what is against it, and counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import CheckFailedError
from journeyflow.models import Check, Column, Model, ModelMetadata, checks

COLUMNS = {
    "k": Column(type="INTEGER", meaning="A key."),
    "word": Column(type="VARCHAR", meaning="A word."),
    "rate": Column(type="DOUBLE", meaning="A rate."),
    "is_on": Column(type="BOOLEAN", meaning="On or off."),
}
GOOD = "(1, 'a', 0.5, true), (2, 'b', null, false), (3, null, 1.0, null)"


def failures(rows, grain=("k",), name="marts.t", **check):
    wanted = (Check(**check),) if check else ()
    words = ModelMetadata(description="A table for a test.", grain=grain, columns=dict(COLUMNS), checks=wanted)
    model = Model(name, Path("t.sql"), "select 1", (), words, COLUMNS)
    with DuckDBEngine() as engine:
        values = f"values {rows}"
        casts = ", ".join(f"cast({name} as {column.type}) as {name}" for name, column in COLUMNS.items())
        engine.run(name, f"select {casts} from ({values}) as v ({', '.join(COLUMNS)})")
        try:
            checks.require_checks(engine, [model])
        except CheckFailedError as error:
            return str(error).split("\n")[1:]
    return []


@pytest.mark.parametrize(
    ("rows", "check", "message"),
    [
        ("(1, 'a', 0.5, true), (1, 'b', 0.5, true)", {}, "marts.t: (k) is unique (1 against it)"),
        ("(null, 'a', 0.5, true)", {}, "marts.t: k is not null (1 against it)"),
        (
            "(1, null, 0.5, true), (2, null, 0.5, true)",
            {"not_null": ["word"]},
            "marts.t: word is not null (2 against it)",
        ),
        ("(1, 'a', 0.5, true), (2, 'a', 0.5, true)", {"unique": ["word"]}, "marts.t: (word) is unique (1 against it)"),
        ("(1, 'c', 0.5, true)", {"accepted": {"word": ["a", "b"]}}, "marts.t: word is one of 'a', 'b' (1 against it)"),
        ("(1, 'c', 0.5, true)", {"accepted": {"is_on": [False]}}, "marts.t: is_on is one of 'false' (1 against it)"),
        (
            "(1, 'a', 1.1, true), (2, 'a', -1, true)",
            {"range": {"rate": [0, 1]}},
            "marts.t: rate is in [0, 1] (2 against it)",
        ),
        ("(1, 'a', 'nan', true)", {"range": {"rate": [None, None]}}, "marts.t: rate is in […, …] (1 against it)"),
        (
            "(1, 'a', 0.5, true)",
            {"no_rows": "select k from marts.t"},
            "marts.t: no rows: select k from marts.t (1 against it)",
        ),
    ],
)
def test_a_check_finds_and_counts(rows, check, message):
    assert failures(rows, **check) == [f"  - {message}"]


@pytest.mark.parametrize(
    "check",
    [
        {},
        {"not_null": ["k"]},
        {"unique": ["word"]},
        {"accepted": {"word": ["a", "b"], "is_on": [True, False]}},
        {"range": {"rate": [0, 1]}},
        {"no_rows": "select k from marts.t where k > 3"},
    ],
)
def test_nulls_are_for_not_null_alone(check):
    assert failures(GOOD, **check) == []


@pytest.mark.parametrize("end", ["-- why", ";", "  ;  \n"])
def test_a_query_may_end_as_people_end_it(end):
    [failure] = failures(GOOD, no_rows=f"select k from marts.t where k = 3 {end}")
    assert failure.endswith("(1 against it)")


def test_a_query_that_cannot_be_executed_is_listed_with_the_other_failures():
    repeated, broken = failures("(1, 'a', 2, true), (1, 'a', 2, true)", no_rows="select k from marts.nowhere")
    assert repeated == "  - marts.t: (k) is unique (1 against it)"
    assert broken.startswith("  - marts.t: no rows: select k from marts.nowhere (cannot be executed: ")


def test_a_table_of_one_row_has_one_row():
    assert failures("(1, 'a', 0.5, true)", grain=()) == []
    assert failures(GOOD, grain=()) == ["  - marts.t: has one row (2 against it)"]


def test_keys_of_large_tables_are_searched_only_where_they_are_published(monkeypatch):
    repeated = "(1, 'a', 0.5, true), (1, 'b', 0.5, true)"
    assert failures(repeated, name="journeys.t") == ["  - journeys.t: (k) is unique (1 against it)"]
    monkeypatch.setattr(checks, "KEY_ROWS", 1)
    assert failures(repeated, name="journeys.t") == []
    assert failures("(null, 'a', 0.5, true), (1, 'b', 0.5, true)", name="journeys.t") != []
    assert failures(repeated) == ["  - marts.t: (k) is unique (1 against it)"]
