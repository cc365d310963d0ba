from __future__ import annotations

import pytest

from journeyflow.publish.reader import open_published
from journeyflow.report.reader import read_report_data
from support.templates import published_rich_tables


@pytest.fixture(scope="session")
def rich(tmp_path_factory):
    with open_published(published_rich_tables(tmp_path_factory)) as published:
        yield published


@pytest.fixture(scope="session")
def report_data(rich):
    return read_report_data(rich)


@pytest.fixture(scope="session")
def whole_time(rich):
    return read_report_data(rich, periods=["all"])
