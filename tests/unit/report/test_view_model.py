from __future__ import annotations

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.report.view_model import LONGEST_LITERAL, FigureSource, conjunction, literal


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


@given(text=st.text())
@settings(deadline=None)
def test_a_literal_is_the_text_whatever_it_holds(connection, text):
    assert literal(text).isprintable()
    assert connection.sql(f"select {literal(text)}").fetchall() == [(text,)]


@pytest.mark.parametrize(
    "value", ["x' or 1 = 1 --", "", "a" * LONGEST_LITERAL, "a" * (LONGEST_LITERAL + 1), "é" * 500, 7, None]
)
def test_a_condition_holds_for_its_value_and_no_other(connection, value):
    condition = conjunction((("name", value),))
    kind = "integer" if isinstance(value, int) else "varchar"
    names = f"select unnest([cast($1 as {kind}), null, cast(9 as {kind})]) as name"
    query = f"select count(*) from ({names}) where {condition}"
    assert connection.sql(query, params=[value]).fetchall() == [(2 if value is None else 1,)]
    assert len(condition) < 300


def test_a_source_without_a_condition_reads_the_whole_table():
    assert FigureSource("runs", (), ("event_count",)).sql == 'select event_count from "runs"'
