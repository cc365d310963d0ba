"""Elements cut out of the text of a JSON object, so that every other character of it stays as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

_DECODER = json.JSONDecoder(strict=False)
_BLANKS = re.compile(r"[ \t\r\n]*")


def without_elements(text: str, path: str, cut: Collection[int], *, with_others: bool = False) -> str:
    """Return a JSON object without some elements of the list at `path`.

    Parameters
    ----------
    text : str
        One JSON object.
    path : str
        Path of the list: plain keys with points between them.
    cut : collection of int
        Which of its objects go, counted from 1 among the objects alone.
    with_others : bool
        Whether elements that are no objects go too.

    Examples
    --------
    >>> without_elements('{"a": {"b": [{"n": 1}, {"n": 2.50}]}}', "a.b", {1})
    '{"a": {"b": [{"n": 2.50}]}}'
    """
    start = _value_at(text, path.split("."))
    spans, end = _elements(text, start)
    kept, number = [], 0
    for first, last in spans:
        is_object = text[first] == "{"
        number += is_object
        if number not in cut if is_object else not with_others:
            kept.append(text[first:last])
    return f"{text[:start]}[{', '.join(kept)}]{text[end:]}"


def _value_at(text: str, keys: list[str]) -> int:
    """Return where the value at a path begins."""
    at = _skip(text, 0)
    for key in keys:
        at = next(value for name, value in _members(text, at) if name == key)
    return at


def _members(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the keys of the object that begins at `at`, each with the place of its value."""
    at = _skip(text, at + 1)
    while text[at] == '"':
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # Behind the colon.
        yield key, at
        at = _skip(text, _DECODER.raw_decode(text, at)[1])
        at = _skip(text, at + 1) if text[at] == "," else at


def _elements(text: str, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return begin and end of each element of the list that begins at `at`, and the end of the list."""
    spans: list[tuple[int, int]] = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        end = _DECODER.raw_decode(text, at)[1]
        spans.append((at, end))
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    return spans, at + 1


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at
