"""What takes long once: the graph of models for forked processes, the compilation of the kernel for all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from support.few_models import all_models

all_models()


def compile_kernel() -> None:
    """Run a small project, so that the compiled code of the kernel is cached."""
    import journeyflow
    from support.order_project import write_project

    with tempfile.TemporaryDirectory() as folder:
        journeyflow.run(write_project(Path(folder) / "shop"))
