"""What takes long once: the graph of models for forked processes, the compilation of the kernel for all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

from journeyflow.state.paths import graph_of

graph_of(SimpleNamespace(folder=Path(__file__).parent, state=Path(__file__).parent))


def compile_kernel() -> None:
    """Run a small project, so that the compiled code of the kernel is cached."""
    import journeyflow
    from support.order_project import write_project

    with tempfile.TemporaryDirectory() as folder:
        journeyflow.run(write_project(Path(folder) / "shop"))
