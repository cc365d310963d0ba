from __future__ import annotations

import shutil

import pytest

from external.nights import Night, run_night
from journeyflow.utils.files import sample_folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Night:
    folder = tmp_path_factory.mktemp("sample") / "shop"
    shutil.copytree(sample_folder(), folder)
    return run_night(folder / "journeyflow.yml")
