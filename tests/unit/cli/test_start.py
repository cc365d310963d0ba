"""What is imported, and how fast."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = {
    "prefect",
    "duckdb",
    "polars",
    "numba",
    "numpy",
    "sqlglot",
    "pyarrow",
    "pydantic",
    "scipy",
    "statsmodels",
    "rich",
}
CALL = """
import sys
from journeyflow.cli import main
try:
    main(sys.argv[1:])
finally:
    print(' '.join({name.split('.')[0] for name in sys.modules}), file=sys.stderr)
"""


def modules_after(arguments: list[str], folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", CALL, *arguments], capture_output=True, text=True, cwd=folder, check=False
    )
    return set(done.stderr.splitlines()[-2].split() if done.returncode else done.stderr.splitlines()[-1].split())


def test_nothing_heavy_is_imported_to_start(tmp_path: Path) -> None:
    assert not modules_after(["--version"], tmp_path) & HEAVY


@pytest.mark.parametrize("arguments", [["check"], ["init"], ["schema"]])
def test_reading_the_configuration_needs_no_database_and_no_kernel(arguments: list[str], tmp_path: Path) -> None:
    assert not modules_after(arguments, tmp_path) & {"prefect", "duckdb", "numba", "polars", "statsmodels"}


def test_it_starts_in_half_a_second(tmp_path: Path) -> None:
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "journeyflow", "--version"], check=True, capture_output=True, cwd=tmp_path
        )
        taken.append(time.perf_counter() - started)
    assert min(taken) < 0.5
