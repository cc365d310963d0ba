"""Every case of every model of the cut gives the expected rows in the Spark engine too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from journeyflow import models
from journeyflow.engines import DuckDBEngine
from journeyflow.engines.spark import SparkEngine
from journeyflow.models.model import Case
from journeyflow.pipeline.builder import spark_cut
from journeyflow.utils import files
from support.rows import assert_same_rows
from support.text_tables import create, rows_of

GRAPH = models.load_graph(files.sql_folder())
CASES = [
    pytest.param(GRAPH[name], case, id=f"{name}-{case.name}")
    for name in sorted(spark_cut(GRAPH))
    for case in GRAPH[name].metadata.cases
    if GRAPH[name].sql is not None
]


@pytest.fixture(scope="module")
def engine(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    found = SparkEngine(address, tmp_path_factory.mktemp("cases") / "shared")
    yield found
    found.close()


@pytest.mark.parametrize(("model", "case"), CASES)
def test_case(model: models.Model, case: Case, engine: SparkEngine) -> None:
    with DuckDBEngine(threads=1) as given:
        for name in model.inputs:
            types = {column: described.type for column, described in GRAPH[name].columns.items()}
            create(given, name, types, case.given.get(name, ""))
            engine.write(name, given.reader(f"select * from {name}", 1000), types)
        pointers = [
            value
            for name, column in (("config.goals", "value_path"), ("config.promises", "match_path"))
            if name in model.inputs
            for (value,) in given.values(f"select distinct {column} from {name} where {column} is not null")
        ]
        engine.pointers = tuple(pointers)
        promised = {column: described.type for column, described in model.columns.items()}
        engine.run("actual.rows", model.sql or "", promised)
        with given.shown("_actual", engine.reader("actual.rows")):
            given.run("actual.rows", f"select {_cast(promised)} from _actual")
        expected = rows_of(given, promised, case.expect)
        chosen = ", ".join(f'"{name}"' for name in expected.column_names)
        actual = given.rows(f"select {chosen} from actual.rows")
        is_keyed = model.grain is not None and set(model.grain) <= set(expected.column_names)
        assert_same_rows(actual, expected, list(model.grain) if is_keyed and model.grain else None)


def _cast(types: dict[str, str]) -> str:
    return ", ".join(f'cast("{name}" as {kind}) as "{name}"' for name, kind in types.items())
