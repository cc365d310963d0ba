"""Imports point downwards only, and each heavy library has one door."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "journeyflow"
PIPELINES = ROOT / "pipelines"

LAYERS = (
    {"errors"},
    {"utils"},
    {"config", "engines"},
    {"models"},
    {"compile"},
    {"state"},
    {"publish"},
    {"ingest", "kernel", "statistics"},
    {"analyses", "pains"},
    {"erasure", "report"},
    {"pipeline"},
    {"operations", "setup"},
    {"cli", "__init__"},
    {"__main__"},
)
"""Packages from the bottom up; each may import what stands before it. Nothing else lies loose."""
DOORS = {
    "duckdb": ("engines/",),
    "prefect": (),
    "pyspark": ("engines/spark.py",),
    "sqlglot": ("models/", "compile/", "engines/spark_sql.py", "ingest/mapping.py"),
    "numba": ("kernel/",),
    "ruamel": ("utils/files.py",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "xlsxwriter": ("report/",),
    "mcp": ("cli/mcp.py",),
    "openpyxl": ("ingest/parser/excel.py",),
    "pptx": ("report/",),
    "typst": ("report/",),
    "starlette": ("operations/viewer.py",),
    "uvicorn": ("operations/viewer.py",),
    "adbc_driver_postgresql": ("ingest/postgres.py", "publish/targets.py"),
}
"""Library → the only places of the package that import it."""
MOST_MODULES = 140


def modules():
    return sorted(PACKAGE.rglob("*.py"))


@cache
def imports_of(path):
    """Return the statements of a file that import, inside functions too; many tests ask for the same."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path):
    """Yield every module that a file imports."""
    for node in imports_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{path.name} imports relatively"
            names = [f"journeyflow.{alias.name}" for alias in node.names]
            yield from names if node.module == "journeyflow" else [node.module or ""]


def unit(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rank(name):
    return next((height for height, names in enumerate(LAYERS) if name in names), None)


def test_every_module_has_its_layer():
    homeless = {unit(path) for path in modules()} - set().union(*LAYERS)
    assert not homeless, f"say in LAYERS where {', '.join(sorted(homeless))} belongs"


def test_there_are_few_modules_and_none_is_loose():
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__", "__main__", "errors"}
    assert len(modules()) <= MOST_MODULES


def test_no_modules_import_one_another_in_a_circle():
    names = {name_of(path): path for path in modules()}
    arrows = {
        name: {found for found in (module_of(each, names) for each in imported_names(path)) if found} - {name}
        for name, path in names.items()
    }
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def name_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(path):
    """Yield every imported name in full, `package.module.name`."""
    for node in imports_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name, names):
    """Return the module that an imported name belongs to: itself, or the longest prefix."""
    parts = name.split(".")
    return next((found for end in range(len(parts), 0, -1) if (found := ".".join(parts[:end])) in names), None)


def test_imports_point_downwards():
    upwards = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in imported(path)
        if name.startswith("journeyflow.") and not _is_allowed(unit(path), name.split(".")[1])
    ]
    assert not upwards, "\n".join(upwards)


def _is_allowed(importer, imported_unit):
    if importer == imported_unit:
        return True
    if rank(imported_unit) is None:
        return importer in ("cli", "__main__") and imported_unit == "__version__"
    return rank(imported_unit) < rank(importer)


@pytest.mark.parametrize(("library", "doors"), DOORS.items())
def test_a_library_has_one_door(library, doors):
    others = [
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(name.split(".")[0] == library for name in imported(path))
        and not str(path.relative_to(PACKAGE)).startswith(doors or ("nowhere",))
    ]
    assert not others


def test_pipelines_use_the_runner_and_hold_no_logic_of_the_kernel():
    below = {"kernel", "ingest", "engines", "compile", "models", "publish", "statistics"}
    reached = [
        f"{path.name} imports {name}"
        for path in sorted(PIPELINES.glob("*.py"))
        for name in imported(path)
        if name.startswith("journeyflow.") and name.split(".")[1] in below
    ]
    assert not reached


def test_importing_the_package_is_cheap():
    heavy = "('duckdb', 'polars', 'pyarrow', 'numba', 'sqlglot', 'prefect', 'pydantic')"
    code = f"import sys, journeyflow; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
