"""The configuration of a project, `journeyflow.yml`: typed, checked, frozen."""

from __future__ import annotations

from journeyflow.config.load import check, load_config
from journeyflow.config.problems import InvalidConfigError, Problem
from journeyflow.config.root import Config

__all__ = ["Config", "InvalidConfigError", "Problem", "check", "load_config"]
