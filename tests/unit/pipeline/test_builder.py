"""The order in which models are built, and the search for pain points beside them."""

from __future__ import annotations

import json
from threading import Event, current_thread

import pytest

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError
from journeyflow.models import Phase
from journeyflow.pipeline import builder as builder_module
from journeyflow.pipeline.builder import SEARCH, Builder
from journeyflow.utils.formatting import silent
from support.few_models import all_models
from support.text_tables import create


class Recorder(Builder):
    """Builds nothing and notes the order; the search ends when a model that does not read it has been built."""

    def __init__(self, graph, failure=None):
        super().__init__(DuckDBEngine(), graph, None)
        self.order, self.threads, self.failure = [], {}, failure
        self.has_built_another = Event()

    def _build_in(self, engine, model):
        assert (engine is self.engine) is (model.name != SEARCH)
        self.threads[model.name] = current_thread()
        if model.name == SEARCH:
            assert self.has_built_another.wait(20)
            if self.failure:
                raise self.failure
        elif SEARCH not in self._graph.ancestors([model.name]) and SEARCH in self.threads:
            self.has_built_another.set()
        self.order.append(model.name)


def test_the_search_is_built_beside_models_that_do_not_read_it():
    graph = all_models()
    builder = Recorder(graph)
    builder.build(Phase.BUILD, silent)
    place = {name: number for number, name in enumerate(builder.order)}
    assert sorted(place) == sorted(model.name for model in graph.of_phase(Phase.BUILD))
    for model in graph.of_phase(Phase.BUILD):
        assert all(place[name] < place[model.name] for name in model.inputs if name in place), model.name
    assert [name for name, thread in builder.threads.items() if thread is not current_thread()] == [SEARCH]


def test_a_search_that_fails_fails_the_build_before_what_reads_it():
    graph = all_models()
    builder = Recorder(graph, failure=ValueError("no search"))
    with pytest.raises(ValueError, match="no search"):
        builder.build(Phase.BUILD, silent)
    assert not graph.descendants(SEARCH) & {*builder.order}


def test_a_search_ends_soon_where_another_model_is_interrupted(monkeypatch):
    """The search here would go on for ever, but for asking now and then whether it is to."""
    has_begun, ended = Event(), []

    def search(engine):
        has_begun.set()
        while not ended:
            try:
                engine.require_running()
            except EngineError as error:
                ended.append(str(error))

    def build(self, engine, model):
        if model.name == SEARCH:
            search(engine)
        elif has_begun.is_set():
            raise KeyboardInterrupt

    monkeypatch.setattr(Builder, "_build_in", build)
    with pytest.raises(KeyboardInterrupt):
        Builder(DuckDBEngine(), all_models(), None).build(Phase.BUILD, silent)
    assert ended == ["The build was stopped."]


def test_the_search_writes_its_relation_from_a_connection_of_its_own(monkeypatch):
    graph = all_models()
    monkeypatch.setattr(Builder, "build_model", lambda self, model: None)
    monkeypatch.setattr(
        builder_module,
        "build_python_model",
        lambda engine, config, model: engine.run(model.name, "select 1 as pain_ix"),
    )
    builder = Builder(DuckDBEngine(), graph, None)
    builder.build(Phase.BUILD, silent)
    assert builder.engine.rows(f"select pain_ix from {SEARCH}")["pain_ix"].to_pylist() == [1]


def test_a_join_of_few_rows_with_the_events_builds_its_table_of_the_few():
    graph = all_models()
    with DuckDBEngine(threads=1) as engine:
        for name in ("raw.events", "config.sources", "config.settings"):
            create(engine, name, {column: described.type for column, described in graph[name].columns.items()})
        engine.execute("insert into config.sources (source) values ('web')")
        engine.execute("insert into config.settings (high_water_at) values ('2027-01-01')")
        engine.execute(
            "insert into raw.events (event_ix, source, occurred_at) "
            "select i, 'web', timestamp '2026-01-01' + interval (i) second from range(100000) as numbers(i)"
        )
        engine.run("few.known", "select i as event_ix from range(1000) as numbers(i)")
        engine.run("sources.events", graph["sources.events"].sql, kind="view")
        joined = "select occurred_at from few.known inner join sources.events as events using (event_ix)"
        ((_, plan),) = engine.values(f"explain (format json) {joined}")
    [join] = [node for node in _nodes(json.loads(plan)[0]) if "event_ix = event_ix" in str(node["extra_info"])]
    assert [node["extra_info"].get("Table") for node in _nodes(join["children"][1])] == ["memory.few.known"]


def _nodes(node):
    return [node, *(below for child in node["children"] for below in _nodes(child))]
