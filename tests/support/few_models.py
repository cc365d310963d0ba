"""Runs of some of the models, at a third of the cost of all: for tests of what a run does rather than of its figures.

A module of tests names them: `BUILT = ("insights.blind_spots",)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from journeyflow import models
from journeyflow.models import Graph
from journeyflow.state import paths

RUN_TABLES = ("marts.runs", "marts.load_audit", "marts.dictionary")
_read = models.load_graph


@cache
def all_models() -> Graph:
    """Return the built-in models."""
    return paths.built_in_graph()


@contextmanager
def building_only(names: Sequence[str]) -> Iterator[None]:
    """Let the runs inside build these models with all that is built incrementally, and draw no page.

    Their upstream, `RUN_TABLES` and the project's own models are built too.
    """
    key_of, built_in = paths._graph_key, all_models()

    def load_some(folder: Path, own: Path | None = None) -> Graph:
        graph = built_in if own is None else _read(folder, own)
        fixed = (
            model.name for model in graph
            if model.is_own or model.metadata.unique_key or model.layer in ("raw", "ledger")
        )  # fmt: skip
        wanted = graph.ancestors([*names, *RUN_TABLES, *fixed])
        return Graph({model.name: model for model in graph if model.name in wanted})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load_graph", load_some)
        patch.setattr(paths, "_graph_key", lambda own: f"{' '.join(names)} of {key_of(own)}")
        patch.setattr(paths, "_shared_cache", list)
        patch.setattr(paths, "_graphs", {})
        drawing_no_page(patch)
        yield


def drawing_no_page(patch: pytest.MonkeyPatch) -> None:
    """Let runs publish tables only."""
    patch.setattr("journeyflow.pipeline.run.draw_page", lambda _: {})
