from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from journeyflow.utils import files
from support.order_project import write_project

sys.path.insert(0, str(files.pipelines_folder()))
importlib.import_module("offline")  # Before any test module imports Prefect.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "shop")
