"""What is imported: the time to start is mostly this."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from journeyflow.cli import main
from support.templates import copy_of, finished_shop

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
    parts = (name.split('.') for name in sys.modules)
    print(' '.join({'.'.join(part[:length]) for part in parts for length in (1, 2)}), file=sys.stderr)
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


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project that has run."""
    return copy_of(finished_shop(tmp_path_factory), tmp_path_factory.mktemp("started") / "shop")


@pytest.mark.parametrize("arguments", [["query", "select 1"], ["query", "from paths"], ["status"]])
def test_reading_what_is_published_needs_no_data_frame_and_no_model(arguments: list[str], published: Path) -> None:
    heavy = HEAVY - {"duckdb", "pydantic", "rich"}  # Typer imports pydantic.
    assert not modules_after(arguments, published) & (heavy | {"pandas"})


@pytest.mark.parametrize("arguments", [["query", "select 1"], ["status"]])
def test_where_the_folders_are_named_the_rest_of_the_configuration_is_not_read(
    arguments: list[str], published: Path, tmp_path: Path
) -> None:
    folder = copy_of(published, tmp_path / "shop")
    with (folder / "journeyflow.yml").open("a", encoding="utf-8") as file:
        file.write("\nstate: state\npublish: published\n")
    assert "journeyflow.config" not in modules_after(arguments, folder)


def test_a_run_that_brings_nothing_compiles_nothing_and_fits_no_model(published: Path) -> None:
    """The page, which is drawn by every run, compares personas: exact tests need the functions of SciPy alone."""
    heavy = {"numba", "scipy.stats", "scipy.optimize", "statsmodels", "pandas", "prefect"}
    assert not modules_after(["run"], published) & heavy


def test_no_run_imports_pandas_or_statsmodels(published: Path) -> None:
    assert not modules_after(["run", "--full-refresh"], published) & {"statsmodels", "pandas", "prefect"}


def test_what_hides_pandas_does_so_only_while_a_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pandas", raising=False)

    def work(_: object) -> None:
        with pytest.raises(ModuleNotFoundError, match="No command needs pandas"):
            import_module("pandas")
        assert find_spec("numpy") is not None

    monkeypatch.setattr("journeyflow.cli.output.guarded", work)
    before = list(sys.meta_path)
    main(["--version"])
    assert sys.meta_path == before
