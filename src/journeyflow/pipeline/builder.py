"""Full refresh: every model of the graph, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.models import Graph, Model, Phase, checks, python_models
from journeyflow.state import run_log
from journeyflow.utils.progress import Progress

if TYPE_CHECKING:
    from journeyflow.config import Config


SEARCH = "statistics.pains"
"""Computes for long, outside the database and on one core: it is built beside other models."""


class Builder:
    """Builds models in `engine`, to which the warehouse is attached as ``warehouse``."""

    def __init__(self, engine: DuckDBEngine, graph: Graph, config: Config) -> None:
        self.engine = engine
        self._graph = graph
        self._config = config
        self._built: set[str] = set()

    def attach_sources(self) -> None:
        """Create `raw.*` and `ledger.*` as views of the warehouse."""
        for model in self._graph.of_phase(Phase.LOAD):
            if model.name.startswith(("raw.", "ledger.")):
                self.engine.run(model.name, f"select * from warehouse.{model.name}", kind="view")

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build the models of one phase, upstream before downstream."""
        self._build_models(self._graph.of_phase(phase), phase, progress)

    def _build_models(self, models: Sequence[Model], phase: Phase, progress: Progress) -> None:
        """Build some models, upstream before downstream: the search as early as can be, what reads it as late."""
        upstream, downstream = self._graph.ancestors([SEARCH]), self._graph.descendants(SEARCH)
        ordered = sorted(models, key=lambda model: (model.name in downstream) - (model.name in upstream))
        with ThreadPoolExecutor(1) as pool:
            searching: Future[None] | None = None
            for done, model in enumerate(ordered):
                progress(phase, model.name, done, len(ordered))
                if model.name == SEARCH:
                    self.engine.make_schema(SEARCH)  # Two connections must not make it at once.
                    searching = pool.submit(self._search, self.engine.beside(), model)
                    continue
                if searching and model.name in downstream:
                    searching.result()
                self.build_model(model)
            if searching:
                searching.result()
        progress(phase, "models", len(ordered), len(ordered))

    def _search(self, engine: DuckDBEngine, model: Model) -> None:
        with engine:
            self._build_in(engine, model)

    def check(self) -> int:
        """Check every model against its metadata; return the number of checks. Raises CheckFailedError."""
        return checks.require_checks(
            self.engine, [model for model in self._graph if not model.name.startswith(("raw.", "ledger."))]
        )

    @property
    def next_position(self) -> int:
        """The first number that no session or attempt has."""
        return self.engine.count("kernel.events") if "kernel.events" in self._built else 0

    @property
    def runs_kernel(self) -> bool:
        """Events are put through the kernel."""
        return True

    @property
    def byte_count(self) -> int:
        """Size of the file after the last full refresh; 0 while it is being written."""
        return 0

    def refresh_run_log(self, row: run_log.RunRow) -> None:
        """Add `row` to the earlier runs in `ledger.runs`, and rebuild what has been built from it."""
        earlier = self.engine.rows("select * from warehouse.ledger.runs where run_id <> ?", [row.run_id])
        self.engine.register("ledger.runs", pa.concat_tables([earlier.cast(run_log.runs_schema()), row.table()]))
        for model in self._graph:
            # An incremental build holds them from the run before: they wait until their other inputs are updated.
            if "ledger.runs" in model.inputs and model.name in self._built and model.sql is not None:
                self.build_model(model)

    def build_model(self, model: Model) -> None:
        """Build one model; its inputs exist."""
        self._build_in(self.engine, model)

    def _build_in(self, engine: DuckDBEngine, model: Model) -> None:
        self._built.add(model.name)
        if model.sql is not None:
            engine.run(model.name, model.sql, kind=model.metadata.kind)
            return
        python_models.build_python_model(engine, self._config, model)
