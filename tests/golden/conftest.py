"""One run of the sample, shared by all workers of a session."""

from __future__ import annotations

import shutil

import pytest

from external.projects import Project, run_project
from journeyflow.utils.files import sample_folder
from support.templates import built_once


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Project:
    def build(folder):
        shutil.copytree(sample_folder(), folder)
        run_project(folder / "journeyflow.yml")

    return Project(built_once(tmp_path_factory, "sample", build))
