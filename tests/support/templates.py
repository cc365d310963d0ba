"""Folders that a session builds once, in whichever worker needs them first, and that tests read or copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

import journeyflow
from support.in_process_parser import parsing_in_process
from support.map_tables import publish_tables, rich_tables
from support.order_project import write_project


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """Return the folder that `build` fills, given a path that does not exist; tests change copies of it only."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # The workers of a session share it.
    folder = root / "templates" / name
    done = folder.with_name(f"{name}.done")
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_name(f"{name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            done.touch()
    return folder


def copy_of(template: Path, target: Path) -> Path:
    """Copy a template with its links; return the copy."""
    return Path(shutil.copytree(template, target, symlinks=True))


def finished_shop(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of `order_project` after its first run."""

    def run_once(folder: Path) -> None:
        with parsing_in_process():
            journeyflow.run(write_project(folder))

    return built_once(factory, "finished_shop", run_once)


def published_rich_tables(factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the `rich_tables` are published."""

    def build(folder: Path) -> None:
        folder.mkdir()
        publish_tables(folder, rich_tables())

    return built_once(factory, "rich_tables", build)
