"""Where the packaged folders lie: beside `src/` in a checkout, inside the package in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from journeyflow.errors import JourneyflowError

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def sql_folder() -> Path:
    """Return the folder of the built-in models."""
    return _found("sql", "sql")


def sample_folder() -> Path:
    """Return the folder of the sample data and its configuration."""
    return _found("sample", "data/sample")


def pipelines_folder() -> Path:
    """Return the folder of the Prefect flows."""
    return _found("pipelines", "pipelines")


def _found(installed: str, checkout: str) -> Path:
    for folder in (_PACKAGE / installed, _CHECKOUT / checkout):
        if folder.is_dir():
            return folder
    raise JourneyflowError(f"The packaged folder {installed}/ is missing; install journeyflow again.")
