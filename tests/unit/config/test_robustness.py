"""Any input gives a configuration or a list of problems, never a traceback."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.config import Config, InvalidConfigError, load_config
from journeyflow.utils.files import read_yaml
from support.examples import examples

WORDS = """
sources web format path columns occurred_at event_name user_id channel where models four_stage shop stages
rules id name when after within nth is builtin extends personas trait.a count.b first.event funnels steps
order window unit property goals value promises from to match measure target surveys score scale map owners
needs privacy any all not event in between regex
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["csv", "7d", "builtin", "a", "(", "\0", "é", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
SECTIONS = st.sampled_from(sorted(Config.model_fields))


def problems_of(mapping):
    """Return the problems of a mapping; none when it is a configuration."""
    try:
        assert load_config(mapping).hash
    except InvalidConfigError as error:
        return error.problems or pytest.fail("an error without a problem")
    return ()


@given(st.dictionaries(SECTIONS, VALUES, max_size=4))
@settings(max_examples=examples(300), deadline=None)
def test_any_mapping_is_validated(mapping):
    assert all(str(problem) for problem in problems_of(mapping))


@given(SECTIONS, VALUES)
@settings(max_examples=examples(300), deadline=None)
def test_any_section_beside_valid_sources_is_validated(section, value):
    problems = problems_of({"sources": {"web": {"format": "access_log", "path": "a"}}, section: value})
    assert all(problem.path.startswith(section) for problem in problems if problem.severity == "error")


@given(st.binary(max_size=200))
@settings(max_examples=examples(300), deadline=None)
def test_any_bytes_are_read(data):
    document = read_yaml(data)
    assert document.mistakes or isinstance(document.content, type(None) | str | int | float | bool | list | dict)


@pytest.mark.parametrize(
    "text", ["a: " * 2000, "- " * 2000, "{" * 2000, "? " * 2000, "a:\n" + " x:\n" * 100, "\t", "%YAML 9.9\n---\na: 1"]
)
def test_odd_texts_are_read(text):
    read_yaml(text.encode())
