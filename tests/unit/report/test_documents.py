"""PDF and slides show the briefing and the map of each persona, with names as data."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace

import pytest
import typst

from journeyflow.errors import JourneyflowError
from journeyflow.report import documents
from journeyflow.report.documents import MAX_MAPS, TEMPLATE, TEMPLATES, compiled, render_pdf, render_pptx
from support.map_tables import PERSONAS

pptx = pytest.importorskip("pptx", reason="the extra `documents` is not installed")


def slides_of(report_data):
    return list(pptx.Presentation(io.BytesIO(render_pptx(report_data))).slides)


def texts_of(slide):
    return [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]


def test_a_pdf_has_a_page_of_findings_and_one_for_each_map(whole_time):
    found = render_pdf(whole_time)
    assert found.startswith(b"%PDF-")
    assert found == render_pdf(whole_time), "the same bytes for the same tables"
    content = asdict(documents._document(whole_time))
    assert len(content["maps"]) == len(PERSONAS)
    pages = typst.compile(TEMPLATE, root=TEMPLATES, sys_inputs=inputs(content), format="png", ppi=10)
    assert len(pages) >= 1 + len(PERSONAS)


def inputs(content):
    return {"content": json.dumps(content), "family": "Source Sans Pro"}


def test_names_are_no_markup(whole_time):
    """A name that Typst would evaluate stops the compilation if it is ever read as markup."""
    content = asdict(documents._document(whole_time))
    hostile = '#panic("read as markup") $ [ ] \\ #read("map.typ")'
    finding = {"text": hostile, "note": hostile}
    content |= dict.fromkeys(("title", "run", "people", "stages", "blind_spots", "left_out"), hostile)
    page = content["maps"][0] | {"title": hostile, "subtitle": hostile, "text": hostile, "findings": [finding]}
    content |= {"parts": [{"title": hostile, "start": 1, "findings": [finding]}], "maps": [page]}
    assert compiled(TEMPLATE, content, format="pdf").startswith(b"%PDF-")


def test_letters_that_no_font_has_do_not_stop_it(whole_time):
    rare = "\U00012345 \u6f22\u5b57"
    briefed = replace(whole_time.briefing, people=rare)
    assert render_pdf(replace(whole_time, briefing=briefed, maps=whole_time.maps[:1])).startswith(b"%PDF-")


def test_slides_have_titles_texts_and_pictures_with_their_words(whole_time):
    slides = slides_of(whole_time)
    assert all(slide.shapes.title.text_frame.text for slide in slides)
    briefing = "\n".join(texts_of(slides[0]))
    assert all(line.headline in briefing for line in whole_time.briefing.lines)
    pictures = [shape for slide in slides for shape in slide.shapes if hasattr(shape, "image")]
    assert len(pictures) == len(PERSONAS)
    words = [shape._element.nvPicPr.cNvPr.get("descr") for shape in pictures]
    assert all(text.startswith("Journey map: ") and "People reached: " in text for text in words)
    assert len(set(words)) == len(PERSONAS)


def test_a_project_without_a_map_has_its_findings(whole_time):
    empty = replace(whole_time, models=(), maps=())
    assert render_pdf(empty).startswith(b"%PDF-")
    assert [shape for slide in slides_of(empty) for shape in slide.shapes if hasattr(shape, "image")] == []


def test_maps_beyond_the_most_are_counted(whole_time, monkeypatch):
    monkeypatch.setattr(documents, "MAX_MAPS", 1)
    found = documents._document(whole_time)
    assert len(found.maps) == 1 < MAX_MAPS
    assert found.left_out == f"{len(PERSONAS) - 1} more maps are on the page."


def test_without_the_extra_it_is_named(whole_time, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pptx", None)
    with pytest.raises(JourneyflowError, match=r"journeyflow\[documents\]"):
        render_pptx(whole_time)
