import os
import re
from pathlib import Path

import pytest
from tools.configuration_page import configuration_page

from journeyflow.config import Config
from journeyflow.config.base import PATTERN
from journeyflow.config.load import json_schema, meanings, sections

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"


@pytest.fixture(scope="module")
def page():
    return configuration_page()


def test_the_page_of_the_configuration_is_fresh():
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        PAGE.write_text(configuration_page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == configuration_page(), "run `make docs`"


@pytest.mark.parametrize("section", [Config, *sections().values()], ids=lambda section: section.__name__)
def test_every_key_is_described(section):
    keys = {field.alias or name for name, field in section.model_fields.items()}
    assert set(meanings(section)) == keys
    assert all(meaning.endswith(".") for meaning in meanings(section).values())


@pytest.mark.parametrize("section", [Config, *sections().values()], ids=lambda section: section.__name__)
def test_every_key_is_on_the_page(section, page):
    for field, info in section.model_fields.items():
        assert f"| `{info.alias or field}` |" in page


def test_the_page_links_only_to_its_own_headings(page):
    headings = {re.sub(r"[^a-z0-9_ -]", "", line[3:].lower()) for line in page.splitlines() if line.startswith("## ")}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) <= headings


def test_the_schema_writes_durations_as_in_the_yaml():
    schema = json_schema()
    assert schema["$defs"]["Funnel"]["properties"]["window"]["default"] == "14d"
    parts = [schema, *schema["$defs"].values()]
    defaults = [
        value["default"]
        for part in parts
        for value in part["properties"].values()
        if value.get("pattern") == PATTERN and "default" in value
    ]
    assert defaults
    assert all(re.fullmatch(PATTERN, default) for default in defaults)


def test_the_schema_has_the_meaning_of_a_key():
    described = json_schema()["properties"]["timezone"]["description"]
    assert described == meanings(Config)["timezone"]
