from __future__ import annotations

import pytest

from journeyflow.publish.reader import open_published
from journeyflow.report.reader import read_report_data
from support.map_tables import publish_tables, rich_tables


@pytest.fixture(scope="session")
def rich(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rich")
    publish_tables(folder, rich_tables())
    with open_published(folder) as published:
        yield published


@pytest.fixture(scope="session")
def report_data(rich):
    return read_report_data(rich)


@pytest.fixture(scope="session")
def whole_time(rich):
    return read_report_data(rich, periods=["all"])
