"""Names of the data as YAML: read as the very name, whatever it holds."""

from __future__ import annotations

import pytest

from journeyflow.setup.proposal import comment, quoted
from journeyflow.utils.files import read_yaml

NAMES = (
    "a\x7fb",
    "a\x80b",
    "a\x85b",
    "a\u2028b",
    "a\ufffeb",
    "a\ufeffb",
    "a\u00a0b",
    "\U000e0001",
    "\U0001f600",
    'a"\\b',
    "a\nb",
    "a\0b",
    "null",
)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_is_read_as_it_is(name):
    document = read_yaml(f"# {comment(name)}\n# {comment(quoted(name))}\n{quoted(name)}: {quoted(name)}\n".encode())
    assert (document.content, document.mistakes) == ({name: name}, [])


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_copied_from_a_comment_is_the_name(name):
    assert read_yaml(comment(quoted(name)).encode()).content == name
