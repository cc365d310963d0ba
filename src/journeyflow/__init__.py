"""Customer-journey maps, funnels and drop-off inferred every night from what people really did."""

from __future__ import annotations

from importlib.metadata import version as _version

from journeyflow.errors import JourneyflowError

__version__ = _version("journeyflow")
__all__ = ["JourneyflowError", "__version__"]
