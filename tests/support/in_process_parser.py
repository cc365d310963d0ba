"""Parsing without a process, for tests of what is parsed: many small loads, and readers that they change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from journeyflow.ingest.parser import worker
from journeyflow.ingest.parser.client import Parser


class InProcessParser(Parser):
    """Does what the process does, in this one, which it does not limit."""

    def ask(self, jobs):
        for job in jobs:
            if job not in self._answers:
                self._queue[job] = None

    def _next(self):
        job = next(iter(self._queue))
        return json.loads(json.dumps(worker.answer(job, self.folder, self.limits, worker.Databases())))


def parse_in_process(monkeypatch):
    """Let every load of this test parse its files in the process of the test."""
    monkeypatch.setattr("journeyflow.ingest.parser.client.Parser", InProcessParser)
    monkeypatch.setattr(worker, "_allow", lambda *_: None)


@contextmanager
def parsing_in_process() -> Iterator[None]:
    """Do the same for the runs inside, for fixtures that tests share."""
    with pytest.MonkeyPatch.context() as patch:
        parse_in_process(patch)
        yield
