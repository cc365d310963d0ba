"""The Prefect flows, loaded from their folder only when they are asked for."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from journeyflow import resources
from journeyflow.errors import InputError


def nightly_module() -> ModuleType:
    """Return `pipelines/nightly.py` as a module.

    Raises
    ------
    InputError
        When Prefect is not installed.
    """
    folder = str(resources.pipelines_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module("nightly")
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != "prefect":
            raise
        raise InputError("`serve` needs Prefect, which is not installed: pip install 'prefect>=3.8,<4'") from error
