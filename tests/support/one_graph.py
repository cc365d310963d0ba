"""The graph of the built-in models, read once a process: it takes longer than a small night."""

from __future__ import annotations

from functools import cache

from journeyflow import project, resources, runner, verifying
from journeyflow.config import Config
from journeyflow.models import Graph, load

_graph_of = project.graph_of


@cache
def _built_in() -> Graph:
    return load(resources.sql_folder())


def graph_of(config: Config) -> Graph:
    """Return what `project.graph_of` does."""
    return _graph_of(config) if project.own_folder(config.folder) else _built_in()


def use() -> None:
    """Let nights of this process, and those forked from it, share the graph."""
    _built_in()
    runner.graph_of = graph_of
    verifying.graph_of = graph_of
