"""Build the models of a graph, phase by phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from journeyflow.engines import DuckDBEngine
from journeyflow.models import Graph, Model, Phase, checks, python_models
from journeyflow.state import run_log
from journeyflow.utils.progress import Progress

if TYPE_CHECKING:
    from journeyflow.config import Config


class Builder:
    """Builds models into `engine`, each function that fills relations once.

    Parameters
    ----------
    engine : DuckDBEngine
        The build database; the warehouse is attached to it as ``warehouse``.
    graph : Graph
        All models of the project.
    config : Config
        Handed to the functions that fill relations.
    """

    def __init__(self, engine: DuckDBEngine, graph: Graph, config: Config) -> None:
        self.engine = engine
        self._graph = graph
        self._config = config
        self._filled: set[str] = set()
        self._built: set[str] = set()

    def attach_sources(self) -> None:
        """Let `raw.*` and `ledger.*` be views of the warehouse."""
        for model in self._graph.of_phase(Phase.LOAD):
            if model.layer in ("raw", "ledger"):
                self.engine.run(model.name, f"select * from warehouse.{model.name}", kind="view")

    def build(self, phase: Phase, progress: Progress) -> None:
        """Build the models of one phase in their order."""
        models = self._graph.of_phase(phase)
        for done, model in enumerate(models):
            progress(phase, model.name, done, len(models))
            self.build_model(model)
        progress(phase, "models", len(models), len(models))

    def check(self) -> int:
        """Check every model against its side file; return the number of checks.

        Raises
        ------
        CheckFailedError
            Lists all failing checks with their counts.
        """
        return checks.require_checks(
            self.engine, [model for model in self._graph if model.layer not in ("raw", "ledger")]
        )

    @property
    def next_position(self) -> int:
        """Sessions and attempts have numbers below it."""
        return self.engine.count("kernel.events") if "kernel.events" in self._built else 0

    @property
    def byte_count(self) -> int:
        """Size of the file after the last whole build; 0 while it is being written."""
        return 0

    def refresh_run_log(self, row: run_log.RunRow) -> None:
        """Let `ledger.runs`, and what was built on it, hold `row` beside the earlier runs."""
        earlier = self.engine.rows("select * from warehouse.ledger.runs where run_id <> ?", [row.run_id])
        self.engine.register("ledger.runs", pa.concat_tables([earlier.cast(run_log.RUNS_SCHEMA), row.table()]))
        for model in self._graph:
            # A build that is renewed holds them from the night before: they wait until what they read is renewed.
            if "ledger.runs" in model.inputs and model.name in self._built:
                self.build_model(model)

    def build_model(self, model: Model) -> None:
        """Build one model whose inputs are there."""
        self._built.add(model.name)
        if model.sql is not None:
            self.engine.run(model.name, model.sql, kind=model.metadata.kind)
            return
        name = model.metadata.python_model or ""
        if name not in self._filled:
            python_models.python_model(name, model.name)(self.engine, self._config)
            # A function may fill several relations at once; a compiled SELECT is of one relation only.
            self._filled.add(name)
