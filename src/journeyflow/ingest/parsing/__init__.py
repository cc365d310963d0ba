"""Files of strangers, taken apart in a process of their own, so that whatever they do to it they do to themselves."""

from __future__ import annotations

from journeyflow.ingest.parsing.jobs import Answer, Job, Limits
from journeyflow.ingest.parsing.parser import Parser

__all__ = ["Answer", "Job", "Limits", "Parser"]
