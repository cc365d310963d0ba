"""The real inputs: named by an environment variable; skipped where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from external.projects import EXTERNAL_DATA, Project, run_project, write_config
from support.templates import built_once


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.external)


@pytest.fixture(scope="session")
def external_data() -> Path:
    named = os.environ.get(EXTERNAL_DATA)
    if not named:
        pytest.skip(f"{EXTERNAL_DATA} is not set: it names the folder of the real inputs")
    folder = Path(named).absolute()
    if not folder.is_dir():
        pytest.skip(f"{EXTERNAL_DATA} names a folder that is not there")
    return folder


@pytest.fixture(scope="module")
def project(request, external_data, tmp_path_factory) -> Project:
    """One run of the configuration beside the test module."""
    template = request.path.parent / "journeyflow.yml"

    def build(folder):
        folder.mkdir()
        run_project(write_config(template, folder, external_data))

    return Project(built_once(tmp_path_factory, template.parent.name, build))
