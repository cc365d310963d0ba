"""Every format has a page, in one form; what it says of columns and configurations is what the product does."""

from __future__ import annotations

import json
import os
import re

import pytest
from ruamel.yaml import YAML

from docs.collector_pages import FOLDER, HEADINGS, page_names, refreshed
from docs.pages import REPOSITORY, blocks
from journeyflow.config import check, load_config
from journeyflow.config.sources import MAPPED_FORMATS, known_formats
from journeyflow.ingest.adapters import Adapter
from journeyflow.setup.proposal import nobody
from journeyflow.setup.sample import read_sample
from journeyflow.setup.sources import draft_sources, recognised
from support.tool_exports import TOOL_EXPORTS

NAMES = sorted(page_names())
WHERE = re.compile(r"`(where: \{[^`]+)`")


def test_every_format_and_every_export_has_a_page():
    assert sorted(path.stem for path in FOLDER.glob("*.md")) == NAMES
    assert {*known_formats()} - {*NAMES} == {*MAPPED_FORMATS}
    tables = (FOLDER / "tables.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in tables or f"`format: {name}`" in tables for name in MAPPED_FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_the_form_of_all(name):
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == HEADINGS
    assert len(text.splitlines()) < 130
    if isinstance(page_names()[name], Adapter):
        assert f"`format: {name}`" in text


@pytest.mark.parametrize("name", NAMES)
def test_the_columns_and_the_configuration_of_a_page_are_fresh(name, tmp_path):
    path = FOLDER / f"{name}.md"
    text = path.read_text(encoding="utf-8")
    expected = refreshed(text, name, tmp_path)
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        path.write_text(expected, encoding="utf-8")
        return
    assert text == expected, "run `make docs`"
    assert text.count("<!-- generated: ") == 2


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_of_a_page_passes_check(name, tmp_path):
    (block,) = (block for block in blocks(FOLDER / f"{name}.md") if block.language == "yaml")
    (tmp_path / "journeyflow.yml").write_text(block.body, encoding="utf-8")
    assert [problem for problem in check(tmp_path) if problem.severity == "error"] == []
    sources = YAML(typ="safe", pure=True).load(block.body)["sources"]
    kind = page_names()[name]
    assert {source["format"] for source in sources.values()} <= (
        {name} if isinstance(kind, Adapter) else {*MAPPED_FORMATS}
    )


def test_the_index_links_each_page():
    index = (REPOSITORY / "docs" / "how-to" / "collectors.md").read_text(encoding="utf-8")
    assert not [name for name in NAMES if f"](collectors/{name}.md)" not in index]


def test_messages_of_rudderstack_are_those_of_segment(tmp_path):
    message = {
        "messageId": "m", "type": "track", "event": "Order Completed", "anonymousId": "a", "channel": "web",
        "originalTimestamp": "2026-03-01T10:00:00.000Z", "sentAt": "2026-03-01T10:00:01.000Z", "rudderId": "r",
        "context": {"page": {"path": "/thanks"}, "library": {"name": "RudderLabs JavaScript SDK"}},
        "properties": {"revenue": 12.5, "currency": "EUR"},
    }  # fmt: skip
    path = tmp_path / "rudder.jsonl"
    path.write_text(json.dumps(message) + "\n")
    assert recognised(read_sample(path)) == "segment"


def test_the_conditions_that_pages_show_are_valid(tmp_path):
    shown = [(name, found) for name in NAMES for found in WHERE.findall((FOLDER / f"{name}.md").read_text("utf-8"))]
    assert len(shown) > 1
    for name, text in shown:
        where = YAML(typ="safe", pure=True).load(text)["where"]
        load_config({"sources": {"a": {"format": name, "path": "a", "where": where}}}, folder=tmp_path)


def test_init_names_the_page_of_what_it_recognises(tmp_path):
    for name, (make, *_) in TOOL_EXPORTS.items():
        (tmp_path / name).write_text(make())
    (tmp_path / "access.log").write_text('192.0.2.1 - - [17/May/2015:10:05:03 +0200] "GET / HTTP/1.1" 200 1 "-" "A"\n')
    notes = draft_sources([tmp_path], tmp_path, nobody).notes
    pages = {page for note in notes for page in re.findall(r"\((docs/\S+)\)$", note)}
    assert len(pages) == len(TOOL_EXPORTS) + 1
    assert all((REPOSITORY / page).is_file() for page in pages)
