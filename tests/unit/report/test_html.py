from __future__ import annotations

import pytest

from journeyflow.errors import JourneyflowError
from journeyflow.publish.reader import read_manifest
from journeyflow.report import html
from journeyflow.report.html import PAGE, draw_page
from support.map_tables import MARKUP, RUN, publish_tables, rich_tables


def test_the_page_is_drawn_from_a_folder_of_tables(tmp_path):
    drawn = draw_page(publish_tables(tmp_path, rich_tables()))
    assert list(drawn) == [PAGE]
    html = drawn[PAGE].decode()
    assert RUN in html
    assert MARKUP not in html


def test_a_remedy_is_written_once_for_findings_that_follow_one_another(tmp_path):
    tables = rich_tables()
    first = tables["briefing"][0]
    briefing = [
        first | {"position": at, "headline": f"About {at}: 5 left: so it is.", "remedy": remedy}
        for at, remedy in enumerate(("Repair.", "Repair.", "Look."), start=1)
    ]
    drawn = draw_page(publish_tables(tmp_path, tables | {"briefing": briefing}))[PAGE].decode()
    assert drawn.count("<b>About ") == drawn.count("</b>: 5 left: so it is.") == len(briefing) == 3
    written = [drawn.count(f"<bdi>{remedy}</bdi>") for remedy in ("Repair.", "Look.")]
    assert [*written, drawn.count("</b>: as for the one above")] == [1, 1, 1]


def test_the_page_of_no_map_can_be_drawn(tmp_path):
    assert draw_page(publish_tables(tmp_path, {}))[PAGE]


def test_the_error_of_a_page_holds_no_value_of_the_data(tmp_path, monkeypatch):
    def fail(_):
        raise ValueError("4711")

    monkeypatch.setattr(html, "render_page", fail)
    generation = publish_tables(tmp_path, {})
    with pytest.raises(JourneyflowError, match=r"could not be drawn .*ValueError.* nothing was published") as failed:
        draw_page(generation)
    assert "4711" not in failed.value.message
    assert [*read_manifest(generation).files] == ["semantic.json"]
