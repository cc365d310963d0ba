"""What a run with `engine: spark` builds there follows from the graph, and its exceptions are listed."""

from __future__ import annotations

import pytest

from journeyflow.config import load_config
from journeyflow.models import load_graph
from journeyflow.models.python_models import select_of
from journeyflow.pipeline.builder import ON_DRIVER, READ_LATER, is_of_entities, spark_cut
from journeyflow.utils.files import sample_folder, sql_folder

GRAPH = load_graph(sql_folder(), own=sample_folder() / "sql")
CUT = spark_cut(GRAPH)
PEOPLE = {model.name for model in GRAPH if is_of_entities(model)}


def test_each_relation_of_people_is_in_the_cut_or_a_listed_exception() -> None:
    assert {name for name in ON_DRIVER if is_of_entities(GRAPH[name])} == PEOPLE - CUT


def test_nothing_else_reads_a_relation_of_people_in_duckdb() -> None:
    readers = {model.name for model in GRAPH if PEOPLE & {*model.inputs} and not model.is_own}
    assert readers - CUT <= set(ON_DRIVER)


def test_exceptions_are_models_that_would_be_in_the_cut() -> None:
    readers = {model.name for model in GRAPH if PEOPLE & {*model.inputs}}
    assert set(ON_DRIVER) <= PEOPLE | readers
    assert set(READ_LATER) <= CUT & PEOPLE


def test_a_users_own_models_stay_in_duckdb() -> None:
    assert not [name for name in CUT if GRAPH[name].is_own]


@pytest.mark.parametrize("name", sorted(CUT))
def test_each_model_of_the_cut_is_a_select_or_of_the_kernel(name: str) -> None:
    model = GRAPH[name]
    if model.layer == "kernel" and model.sql is None:
        return
    config = load_config(sample_folder() / "journeyflow.yml")
    assert model.sql or select_of(config, model)


def test_the_kernel_of_the_cut_is_whole() -> None:
    filled = {model.name for model in GRAPH if model.layer == "kernel"}
    assert filled <= CUT
