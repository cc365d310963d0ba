"""The generated page of tables is the one in the repository."""

from __future__ import annotations

import os
from pathlib import Path

from tools.tables_page import tables_page

from support.few_models import all_models

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "tables.md"


def test_the_page_of_tables_is_fresh():
    page = tables_page(all_models())
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, "run `make docs`"
