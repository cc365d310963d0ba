"""Customer-journey maps, funnels and drop-off inferred every night from what people really did."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from journeyflow.errors import JourneyflowError

if TYPE_CHECKING:
    from journeyflow.ad_hoc import funnel
    from journeyflow.config import Config, load_config
    from journeyflow.published import Published
    from journeyflow.published import open_published as open
    from journeyflow.runner import RunReport, run

    __version__: str

_LAZY = {
    "Config": "journeyflow.config:Config",
    "Published": "journeyflow.published:Published",
    "RunReport": "journeyflow.runner:RunReport",
    "funnel": "journeyflow.ad_hoc:funnel",
    "load_config": "journeyflow.config:load_config",
    "open": "journeyflow.published:open_published",
    "run": "journeyflow.runner:run",
}
__all__ = [
    "Config",
    "JourneyflowError",
    "Published",
    "RunReport",
    "__version__",
    "funnel",
    "load_config",
    "open",
    "run",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that the command line starts at once."""
    if name == "__version__":
        return import_module("importlib.metadata").version("journeyflow")
    if name not in _LAZY:
        raise AttributeError(f"module 'journeyflow' has no attribute {name!r}")
    module, attribute = _LAZY[name].split(":")
    return getattr(import_module(module), attribute)
