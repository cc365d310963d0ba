"""The generated page of tables is the one in the repository."""

from __future__ import annotations

import os
from pathlib import Path

from tools.tables_page import tables_page

from journeyflow import models
from journeyflow.utils import files

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "tables.md"


def test_the_page_of_tables_is_fresh():
    page = tables_page(models.load_graph(files.sql_folder()))
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "run `make docs`"
