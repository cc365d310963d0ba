"""Runs of small projects parse their files in the process of the test: starting another takes as long as the run."""

import pytest

from support.in_process_parser import parse_in_process


@pytest.fixture(autouse=True)
def _parse_in_process(monkeypatch):
    parse_in_process(monkeypatch)
