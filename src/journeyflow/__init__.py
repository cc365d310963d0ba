"""Customer-journey maps, funnels and drop-off analysis from clickstream data."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from journeyflow.errors import JourneyflowError

if TYPE_CHECKING:
    from journeyflow.config import Config, load_config
    from journeyflow.pipeline.partial import funnel
    from journeyflow.pipeline.run import RunReport, run
    from journeyflow.publish.reader import PublishedTables
    from journeyflow.report.notebook import open_published as open

    __version__: str

_LAZY = {
    "Config": "journeyflow.config:Config",
    "PublishedTables": "journeyflow.publish.reader:PublishedTables",
    "RunReport": "journeyflow.pipeline.run:RunReport",
    "funnel": "journeyflow.pipeline.partial:funnel",
    "load_config": "journeyflow.config:load_config",
    "open": "journeyflow.report.notebook:open_published",
    "run": "journeyflow.pipeline.run:run",
}
__all__ = [
    "Config",
    "JourneyflowError",
    "PublishedTables",
    "RunReport",
    "__version__",
    "funnel",
    "load_config",
    "open",
    "run",
]


def __dir__() -> list[str]:
    """List the public names, which are imported on first use, for completion."""
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the command line starts quickly."""
    if name == "__version__":
        return import_module("importlib.metadata").version("journeyflow")
    if name not in _LAZY:
        raise AttributeError(f"module 'journeyflow' has no attribute {name!r}")
    module, attribute = _LAZY[name].split(":")
    return getattr(import_module(module), attribute)
