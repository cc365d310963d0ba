"""The shape of the Python: short, documented, silent."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

import journeyflow

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "pipelines").glob("*.py")])
MOST_LINES = 600
MOST_FUNCTION_LINES = 60


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def is_public(name):
    return not name.startswith("_")


def docstring_lines(node):
    """A long explanation does not make a function long."""
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return first.end_lineno - first.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_its_functions_shorter(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: look for the two things in it"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1 - docstring_lines(node)
            assert length <= MOST_FUNCTION_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_name_has_a_docstring(path):
    module = tree(path)
    missing = [] if not module.body or ast.get_docstring(module) else ["the module"]
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and is_public(node.name):
            missing += [] if ast.get_docstring(node) else [node.name]
            methods = node.body if isinstance(node, ast.ClassDef) else []
            missing += [
                f"{node.name}.{method.name}"
                for method in methods
                if isinstance(method, ast.FunctionDef) and is_public(method.name) and not ast.get_docstring(method)
            ]
    assert not missing, f"no docstring: {', '.join(missing)}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_print_no_todo_no_logging_set_up(path):
    text = path.read_text(encoding="utf-8")
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    assert not [call for call in calls if isinstance(call, ast.Attribute) and call.attr == "basicConfig"]
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)


def test_a_dozen_public_names_at_most_and_each_is_there():
    assert len(journeyflow.__all__) <= 12
    for name in journeyflow.__all__:
        assert getattr(journeyflow, name) is not None


def test_every_error_says_its_code_and_exit_code():
    errors = importlib.import_module("journeyflow.errors")
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.JourneyflowError)
    ]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))
    for kind in kinds:
        assert kind.exit_code in errors.ExitCode


def test_paths_of_a_machine_are_in_no_file():
    # Spelled so that this test does not find itself.
    places = [re.compile(f"(?<![\\w.])/{name}/") for name in ("work", "root", "home/[a-z]+")]
    kept = [*SOURCES, *(ROOT / "sql").rglob("*.*"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.py")]
    found = [
        str(path.relative_to(ROOT)) for path in kept if any(p.search(path.read_text(encoding="utf-8")) for p in places)
    ]
    assert not found
