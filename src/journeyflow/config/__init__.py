"""The configuration of a project, `journeyflow.yml`: typed, validated, frozen."""

from __future__ import annotations

from journeyflow.config.base import InvalidConfigError, Problem
from journeyflow.config.config import Config
from journeyflow.config.load import check, load_config

__all__ = ["Config", "InvalidConfigError", "Problem", "check", "load_config"]
