"""Every case of every side file, those of the sample too: the model gives the expected rows from the given ones."""

from __future__ import annotations

import pytest

from journeyflow import models
from journeyflow.engines import DuckDBEngine
from journeyflow.utils import files
from support.rows import assert_same_rows
from support.text_tables import create, rows_of

GRAPH = models.load_graph(files.sql_folder(), own=files.sample_folder() / "sql")
CASES = [
    pytest.param(model, case, id=f"{model.name}-{case.name}")
    for model in GRAPH
    for case in model.metadata.cases
    if model.sql is not None
]


@pytest.fixture(scope="module")
def engine():
    """One for all cases: each writes all that its model reads."""
    with DuckDBEngine(threads=1) as engine:
        yield engine


@pytest.mark.parametrize(("model", "case"), CASES)
def test_case(engine, model, case):
    assert set(case.given) <= set(model.inputs), "a case may give only what the model reads"
    for name in model.inputs:
        types = {column: described.type for column, described in GRAPH[name].columns.items()}
        create(engine, name, types, case.given.get(name, ""))
    engine.run("actual.rows", model.sql)
    promised = {column: described.type for column, described in model.columns.items()}
    built = engine.columns("actual.rows")
    assert {name: _plain(kind) for name, kind in built.items()} == {
        name: _plain(kind) for name, kind in promised.items()
    }
    expected = rows_of(engine, promised, case.expect)
    chosen = ", ".join(f'"{name}"' for name in expected.column_names)
    actual = engine.rows(f"select {chosen} from actual.rows")
    is_keyed = model.grain is not None and set(model.grain) <= set(expected.column_names)
    assert_same_rows(actual, expected, list(model.grain) if is_keyed and model.grain else None)


def test_every_sql_model_with_a_rule_has_a_case():
    missing = [model.name for model in GRAPH if model.sql and model.is_published and not model.metadata.cases]
    assert not missing, f"published models need a case each: {', '.join(missing)}"


def _plain(kind: str) -> str:
    return kind.upper().replace(" ", "")
