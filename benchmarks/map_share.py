"""What the journey map adds to a night: processor seconds of all that is built, checked and drawn for it alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

SPINE = (
    "funnel_steps", "funnel_trend", "drop_offs", "drop_off_next", "event_kinds", "stage_crosswalk", "stage_transitions",
    "paths", "personas", "person_stages", "load_audit", "identity_audit", "runs", "dictionary",
)  # fmt: skip
"""The published tables that are no part of the map; what only the others need is the map's."""
KERNEL = ("kernel.map_", "kernel.stage_interactions")


def map_share(folder: Path) -> dict[str, object]:
    """Run a night and say which share of its processor time the map takes, over the time of all the rest."""
    import journeyflow

    for name in ("state", "published"):
        shutil.rmtree(folder / name, ignore_errors=True)
    config = journeyflow.load_config(folder / "journeyflow.yml")
    costs = _Costs(_map_models(config))
    started, began = time.process_time(), time.perf_counter()
    with costs.watched():
        report = journeyflow.run(config)
    total, on_map = time.process_time() - started, sum(costs.seconds.values())
    return {
        "seconds": time.perf_counter() - began,
        "events": report.event_count,
        "map_cpu_seconds": round(on_map, 2),
        "other_cpu_seconds": round(total - on_map, 2),
        "added": round(on_map / (total - on_map), 3),
        "parts": {name: round(seconds, 2) for name, seconds in costs.seconds.items()},
    }


def _map_models(config: Any) -> set[str]:
    from journeyflow.state.paths import graph_of

    graph = graph_of(config)
    spine = {f"marts.{table}" for table in SPINE}
    return {model.name for model in graph} - spine - set(graph.ancestors(tuple(spine))) | {
        model.name for model in graph if model.name.startswith(KERNEL)
    }


class _Costs:
    """Adds up the processor time of the calls that are about the map."""

    def __init__(self, models: set[str]) -> None:
        self.models = models
        self.seconds: dict[str, float] = {}

    def watched(self) -> ExitStack:
        from journeyflow.kernel import chunk
        from journeyflow.models import checks
        from journeyflow.pipeline import run
        from journeyflow.pipeline.builder import Builder
        from journeyflow.publish import generation

        stack = ExitStack()
        whole: Callable[..., int] = checks.require_checks

        def required(engine: Any, models: list[Any]) -> int:
            ours = [model for model in models if model.name in self.models]
            rest = whole(engine, [model for model in models if model.name not in self.models])
            return rest + self._timed("checks", time.process_time, whole)(engine, ours)

        replaced = [
            (Builder, "build_model", self._of_model("models", Builder.build_model)),
            # Appends overlap with the kernel's threads: an upper bound.
            (run, "_append", self._of_relation("kernel, written", run._append)),
            (chunk, "map_tables", self._timed("kernel, found", time.thread_time, chunk.map_tables)),
            (generation, "_write_parquet", self._of_model("published", generation._write_parquet)),
            (run, "draw_page", self._timed("page", time.process_time, run.draw_page)),
            (checks, "require", required),
        ]
        for owner, name, value in replaced:
            stack.enter_context(patch.object(owner, name, value))
        return stack

    def _timed(self, part: str, clock: Callable[[], float], call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = clock()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds[part] = self.seconds.get(part, 0.0) + clock() - started

        return timed

    def _of_model(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        timed = self._timed(part, time.process_time, call)

        def chosen(first: Any, model: Any, *rest: Any) -> Any:
            return (timed if model.name in self.models else call)(first, model, *rest)

        return chosen

    def _of_relation(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        timed = self._timed(part, time.process_time, call)

        def chosen(engine: Any, name: str, tables: Any) -> Any:
            return (timed if name in self.models else call)(engine, name, tables)

        return chosen


TASKS: dict[str, Callable[[Path], dict[str, object]]] = {"map_share": map_share}
