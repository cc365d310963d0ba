"""Specifications of whole runs: a few are in the fast tier, the others in `make check`."""

from pathlib import Path

import pytest

from support.in_process_parser import parse_in_process

ALSO_FAST = {
    "test_a_late_purchase_moves_its_day",
    "test_a_rebuild_without_the_input_publishes_the_same",
    "test_nothing_is_left_in_any_file_and_every_figure_is_as_if_they_had_never_come",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        is_here = item.path.parent == Path(__file__).parent
        if is_here and item.originalname not in ALSO_FAST:
            item.add_marker(pytest.mark.check)


@pytest.fixture(autouse=True)
def _parse_in_process(monkeypatch):
    """Starting another process takes as long as a run."""
    parse_in_process(monkeypatch)
