"""Nights of small projects parse their files in the process of the test: starting another takes as long as they do."""

import pytest

from support.parsing_here import parse_here


@pytest.fixture(autouse=True)
def _parsing_here(monkeypatch):
    parse_here(monkeypatch)
