"""Python models: registration, what they may take and return, and errors that name the model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import ModelError
from journeyflow.models import Model, ModelMetadata
from journeyflow.models.model import arrow_schema, build_python_model, python_model

TABLE = pa.table({"a": [1, 2]})


@python_model("statistics.from_engine")
def from_engine(engine):
    return engine.rows("select 1 as a union all select 2")


@python_model("statistics.from_config")
def from_config(config):
    return f"select unnest({config}) as a"


@python_model("statistics.from_both")
def from_both(engine, config, *, most=2):
    return engine.rows(f"select unnest({config[:most]}) as a").to_reader()


@python_model("statistics.first", "statistics.second")
def filled_itself(engine):
    engine.register("statistics.first", TABLE)
    engine.register("statistics.second", TABLE)


def model(name, module=__name__, filled_with=None):
    metadata = ModelMetadata(description="A relation for a test.", python_model=module)
    return Model(name, Path("x.yml"), None, (), metadata, {}, filled_with=filled_with)


@pytest.mark.parametrize("name", ["from_engine", "from_config", "from_both", "first"])
def test_the_result_is_stored_under_the_name_of_the_model(name):
    with DuckDBEngine(threads=1) as engine:
        build_python_model(engine, [1, 2], model(f"statistics.{name}"))
        assert engine.rows(f"select a from statistics.{name} order by a").to_pydict() == {"a": [1, 2]}


def test_a_relation_filled_with_another_is_not_filled_again():
    with DuckDBEngine(threads=1) as engine:
        build_python_model(engine, None, model("statistics.first"))
        engine.execute("delete from statistics.second")
        build_python_model(engine, None, model("statistics.second", "statistics.first", "statistics.first"))
        assert engine.rows("select a from statistics.second").num_rows == 0


def test_an_unknown_module_is_named_with_the_model():
    with pytest.raises(
        ModelError, match=r"statistics\.x says python_model no\.such, which is no module.*@python_model"
    ):
        build_python_model(None, None, model("statistics.x", "no.such"))


def test_an_unregistered_relation_lists_what_the_module_registers():
    with pytest.raises(ModelError, match=r"statistics\.x .* registers statistics\.first, statistics\.from_both"):
        build_python_model(None, None, model("statistics.x"))


def test_importing_the_graph_imports_no_python_model():
    heavy = ("numba", "scipy", "statsmodels", "journeyflow.statistics", "journeyflow.kernel")
    code = (
        "import sys; from journeyflow.models import load_graph; from journeyflow.utils.files import sql_folder; "
        f"load_graph(sql_folder()); print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_schema_of_a_relation_is_that_of_its_metadata():
    schema = arrow_schema("config.rates")
    assert schema == pa.schema([("currency", pa.string()), ("rate", pa.decimal128(18, 8))])
    assert arrow_schema("kernel.sessions").field("started_at").type == pa.timestamp("us")
