"""Build published tables from hand-written relations of the kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from journeyflow import models
from journeyflow.engines import DuckDBEngine
from journeyflow.models import checks
from journeyflow.models.model import build_python_model, declared
from support.few_models import all_models
from support.text_tables import create

GRAPH = all_models()
GIVEN = ("kernel", "config", "sources", "staging", "raw", "ledger")
"""Layers that a test writes by hand; the rest is built from them."""

PERSONAS = "journeys.personas"


@contextmanager
def built(marts: tuple[str, ...], given: Mapping[str, str]) -> Iterator[DuckDBEngine]:
    """Build `marts` and all they need from the text tables `given`, check every model, and give the engine.

    Relations of the kernel, the configuration and the sources that are not given are empty.
    """
    needed = _needed(marts, given)
    with DuckDBEngine(threads=1) as engine:
        audited = []
        for model in GRAPH:
            if model.name in needed and _is_given(model, given):
                types = {name: column.type for name, column in model.columns.items()}
                create(engine, model.name, types, given.get(model.name, ""))
            elif model.name in needed:
                _build(engine, model)
                audited.append(model)
        checks.require_checks(engine, audited)
        yield engine


def _needed(marts: tuple[str, ...], given: Mapping[str, str]) -> set[str]:
    """Return `marts` and what they and their checks read, directly or not, up to what is written by hand."""
    needed: set[str] = set()
    waiting = [*marts]
    while waiting:
        model = GRAPH[waiting.pop()]
        if model.name not in needed:
            needed.add(model.name)
            waiting.extend(() if _is_given(model, given) else _read_by(model.name))
    return needed


@cache
def _read_by(name: str) -> tuple[str, ...]:
    model = GRAPH[name]
    queries = (check.no_rows for check in model.metadata.checks if check.no_rows)
    return (*model.inputs, *(table for query in queries for table in declared(query, model.path).inputs))


def _is_given(model: models.Model, given: Mapping[str, str]) -> bool:
    return model.layer in GIVEN or model.name == PERSONAS or model.name in given


def _build(engine: DuckDBEngine, model: models.Model) -> None:
    if model.sql:
        engine.run(model.name, model.sql, kind=model.metadata.kind)
    else:
        build_python_model(engine, None, model)
