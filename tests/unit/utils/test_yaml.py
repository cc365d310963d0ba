from __future__ import annotations

import pytest

from journeyflow.utils.files import read_yaml, sql_folder

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        (BOMB, "yaml_anchor", 1),
        ("a: 1\nb: *a\n", "yaml_alias", 2),
        ("a: !!python/object/apply:os.system [ls]\n", "yaml_tag", 1),
        ("a: !include secret.yml\n", "yaml_tag", 1),
        ("a: 1\nb: 2\na: 3\n", "yaml_duplicate_key", 3),
        ("a: {b: 1, b: 1}\n", "yaml_duplicate_key", 1),
        ("a: 1\n---\nb: 2\n", "yaml_documents", 2),
        ("? [a]\n: 1\n", "yaml_key", 1),
        ("a: [1\nb: 2\n", "yaml_syntax", 2),
        ('a: 1\nb: "x\nc: 2\n', "yaml_syntax", 2),
        ("a: \0\n", "yaml_syntax", 1),
        ("[" * 100, "yaml_depth", 1),
        ("a: {" * 10_000, "yaml_depth", 1),
        ("a: " + "x" * 1_048_576, "yaml_size", None),
    ],
)
def test_unsafe_or_invalid_yaml_is_refused(text, code, line):
    mistakes = read_yaml(text.encode()).mistakes
    assert [(mistake.code, mistake.line) for mistake in mistakes] == [(code, line)]


def test_other_encodings_are_refused():
    assert [mistake.code for mistake in read_yaml("a: ü".encode("latin-1")).mistakes] == ["yaml_encoding"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12:30:00", "12:30:00"),
        ("2026-01-01", "2026-01-01"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("-7", -7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("9" * 5000, "9" * 5000),
        ("'7'", "7"),
        ("<<", "<<"),
    ],
)
def test_plain_values_are_not_guessed(text, value):
    read = read_yaml(f"a: {text}\n".encode()).content["a"]
    assert (read, type(read)) == (value, type(value))


def test_keys_are_texts():
    assert read_yaml(b"1: a\ntrue: b\n").content == {"1": "a", "true": "b"}


def test_every_key_and_item_knows_its_line():
    document = read_yaml(b"a:\n  b: 1\n  c:\n    - x\n    - {d: 2}\n")
    assert document.content == {"a": {"b": 1, "c": ["x", {"d": 2}]}}
    assert document.lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
    }
    assert document.line(("a", "c", 1, "missing")) == 5


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    assert read_yaml("\ufeffa: 1".encode()).content == {"a": 1}


def test_a_duplicate_key_keeps_its_place():
    assert read_yaml(b"a: {x: 1}\nb: 2\na: {y: [1]}\n").content == {"a": {"y": [1]}, "b": 2}


METADATA_FILES = sorted(sql_folder().rglob("*.yml"))


@pytest.mark.parametrize("path", METADATA_FILES, ids=[f"{path.parent.name}.{path.stem}" for path in METADATA_FILES])
def test_both_parsers_read_metadata_alike(path):
    data = path.read_bytes()
    assert read_yaml(data, is_fast=True) == read_yaml(data)


@pytest.mark.parametrize("text", [BOMB, "a: [1\nb: 2\n", "a: 1\nb: 2\na: 3\n", "a: \0\n", "[" * 100, "a: !t 1\n", "'"])
def test_what_the_fast_parser_refuses_has_the_messages_of_the_other(text):
    mistakes = read_yaml(text.encode(), is_fast=True).mistakes
    assert mistakes == read_yaml(text.encode()).mistakes
    assert mistakes


def test_quoted_texts_stay_texts_for_the_fast_parser():
    text = b"a: '7'\nb: \"true\"\nc: |\n  1\nd: 7\n"
    assert read_yaml(text, is_fast=True).content == {"a": "7", "b": "true", "c": "1\n", "d": 7}
