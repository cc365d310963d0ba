"""The command line: arguments in, exit code out."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from io import TextIOWrapper
from types import ModuleType
from typing import Any


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with a code of `journeyflow.errors.ExitCode`; None reads `sys.argv`."""
    # The matrices of the search for pain points are small: several threads wait for one another more than they compute.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Parsed statements and code that is being compiled are many objects, of which few are in cycles.
    gc.set_threshold(50_000, 20, 20)
    from journeyflow.cli.app import app
    from journeyflow.cli.output import guarded

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # Characters that the terminal's encoding lacks are printed as escapes.
            stream.reconfigure(errors="backslashreplace")
    with _without_pandas():
        guarded(lambda: app(arguments, prog_name="journeyflow"))


class _Absent:
    """Finds pandas as a module that cannot be imported; a plain class, as `importlib.abc` takes time to import."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        loader: Any = self
        # The client of Spark needs it.
        return ModuleSpec(fullname, loader) if fullname == "pandas" and "pyspark" not in sys.modules else None

    def create_module(self, spec: ModuleSpec) -> None:
        raise ModuleNotFoundError("No command needs pandas.", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called; loaders have it."""


@contextmanager
def _without_pandas() -> Iterator[None]:
    """Hide pandas from pyarrow and duckdb, which import it, in half a second, to see whether rows are its frames."""
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)
