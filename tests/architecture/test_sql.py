"""The SQL graph: layers, portable subset, one description a column, and the published interface."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tools.tables_page import tables_page

from journeyflow.models import checks
from journeyflow.models.model import registered as registered_in
from support.few_models import all_models

_SPEC = importlib.util.spec_from_file_location("interface", Path(__file__).with_name("interface.py"))
interface = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(interface)

GRAPH = all_models()
PUBLISHED = {model.table: model for model in GRAPH.published()}
SCALARS = ("VARCHAR", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN", "DATE", "TIMESTAMP", "DECIMAL")
SUFFIXES = {
    "_count": "BIGINT",
    "_rate": "DOUBLE",
    "_at": "TIMESTAMP",
    "_date": "DATE",
    "_amount": "DECIMAL",
    "_index": "INTEGER",
}
CREDITED = ("conversion_count", "least_conversion_count", "most_conversion_count", "expected_count")
"""Counts of goals of which several channels have parts, or that are expected, so that they are exact decimals."""


def test_the_models_keep_to_the_portable_subset_and_the_style():
    findings = checks.lint(GRAPH)
    assert not findings, "\n".join(str(finding) for finding in findings)


@pytest.mark.parametrize("table", interface.PUBLIC)
def test_the_interface_is_whole(table):
    grain, columns = (words.split() for words in interface.PUBLIC[table])
    assert list(PUBLISHED[table].grain) == grain
    assert not set(columns) - set(PUBLISHED[table].columns)


def test_what_python_fills_is_registered():
    filled = [model for model in GRAPH if model.sql is None and not model.metadata.is_loaded]
    leaders = {model.name: GRAPH[model.filled_with or model.name] for model in filled}
    modules = {name: leader.metadata.python_model for name, leader in leaders.items()}
    registered = {name for module in set(modules.values()) for name in registered_in(module)}
    assert registered == set(modules)
    assert all(name in registered_in(module) for name, module in modules.items())


def test_every_model_is_read_or_published():
    read = {name for model in GRAPH for name in model.inputs}
    idle = [model.name for model in GRAPH if model.name not in read and not model.is_published]
    # Compiled code and the kernel read these without a FROM that the graph could see.
    assert set(idle) <= {
        "config.counted_events",
        "config.persona_traits",
        "config.rules",
        "config.sources",
        "kernel.sessions",
    }


@pytest.mark.parametrize("model", PUBLISHED.values(), ids=PUBLISHED)
def test_published_columns_are_scalars_named_for_their_type(model):
    for name, column in model.columns.items():
        assert column.type.startswith(SCALARS), f"{name} is {column.type}"
        for suffix, kind in SUFFIXES.items():
            if name.endswith(suffix):
                wanted = "DECIMAL" if name in CREDITED else kind
                assert column.type.startswith(wanted), f"{name} is {column.type}, and {suffix} says {wanted}"
        if name.startswith(("is_", "has_")):
            assert column.type == "BOOLEAN", name


@pytest.mark.parametrize("model", PUBLISHED.values(), ids=PUBLISHED)
def test_a_published_model_has_a_key_a_case_and_a_source(model):
    assert model.grain, "its grain"
    assert model.metadata.cases, "a given/expect case"
    assert model.metadata.source, "where its definition comes from"


def test_a_column_passed_on_is_described_once():
    again = [
        f"{model.name}.{column}"
        for model in GRAPH
        for column, described in model.metadata.columns.items()
        if described and described.has_meaning and column in model.origins
    ]
    assert not again


def test_a_name_has_one_type_in_all_published_tables():
    types = {}
    for model in PUBLISHED.values():
        for name, column in model.columns.items():
            types.setdefault(name, {}).setdefault(column.type, []).append(model.table)
    assert not {name: kinds for name, kinds in types.items() if len(kinds) > 1}


def test_the_page_of_tables_names_every_published_column():
    page = tables_page(GRAPH)
    for model in PUBLISHED.values():
        assert f"### {model.table}" in page
        for column in model.columns:
            assert f"| `{column}` |" in page


def test_what_is_incremental_reads_nothing_global():
    """Beside the last build there are only people touched: a count over them would be taken for one over all."""
    of_everybody = [
        f"{model.name} reads {name}"
        for model in GRAPH
        if model.metadata.unique_key
        for name in sorted(GRAPH.ancestors(model.inputs))
        if not _is_of_people_touched(name)
    ]
    assert not of_everybody, "\n".join(of_everybody)


def _is_of_people_touched(name):
    words = GRAPH[name].metadata
    if words.unique_key or words.surrogate_key or words.kind == "view":
        return True
    # The kernel is asked of people touched; what it counts is added up. Conditions are true of kinds, of whomever.
    if name.startswith("kernel.") or GRAPH.phase(name) == "load":
        return True
    known = [each for each in GRAPH.ancestors(GRAPH[name].inputs) if GRAPH[each].layer not in ("config", "raw")]
    return all(_is_of_people_touched(each) for each in known) and name in (
        "config.event_type_predicates",
        "journeys.predicate_classifications",
        "map.exposure_event_types",
    )


def test_unique_keys_are_those_that_a_run_knows():
    from journeyflow.pipeline.build_state import KEYS

    assert {key for model in GRAPH for key in model.metadata.unique_key} <= set(KEYS)
    assert all(len(model.metadata.surrogate_key) <= 1 for model in GRAPH)
