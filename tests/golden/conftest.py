from __future__ import annotations

import shutil

import pytest

from external.projects import Project, run_project
from journeyflow.utils.files import sample_folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Project:
    folder = tmp_path_factory.mktemp("sample") / "shop"
    shutil.copytree(sample_folder(), folder)
    return run_project(folder / "journeyflow.yml")
