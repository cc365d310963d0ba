"""How wide text is in the font of the pictures, and how it is broken and cut to fit."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final
from unicodedata import east_asian_width

from PIL import ImageFont

from journeyflow.text import escaped

FAMILY: Final = "Source Sans Pro"
REGULAR: Final = 400
STRONG: Final = 600
ELLIPSIS: Final = "…"
LONGEST: Final = 400
_FILES: Final = {REGULAR: "SourceSansPro-Regular.ttf", STRONG: "SourceSansPro-Semibold.ttf"}
_EM: Final = 1000
_NO_CHARACTER: Final = "\uffff"
_NO_XML: Final = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}
_NARROW: Final = 0.6


def font_files() -> list[str]:
    """Return the paths of the font's files, one a weight."""
    return [str(_path(weight)) for weight in _FILES]


def text_width(text: str, size: float, weight: int = REGULAR) -> float:
    """Return how wide a line of text is.

    Parameters
    ----------
    text : str
        One line.
    size : float
        Size of the font, in the unit of the answer.
    weight : int
        `REGULAR` or `STRONG`.

    Returns
    -------
    float
        Kerning is not taken off. A letter that the font lacks counts as a full square where its script is written in
        squares, else as somewhat more than half of one; the picture makes viewers keep to the width.
    """
    font = _font(weight)
    extra = 0.0 if text.isascii() else sum(_missing_width(letter, weight) for letter in text)
    return (font.getlength(text) + extra) * size / _EM


def cut(text: str, width: float, size: float, weight: int = REGULAR) -> str:
    """Return the text, or as much of its beginning as fits the width with an ellipsis behind it.

    >>> cut("a name too long for its place", 60, 12)
    'a name t…'
    """
    if len(text) <= LONGEST and text_width(text, size, weight) <= width:
        return text
    room = width - text_width(ELLIPSIS, size, weight)
    kept = bisect_right(
        range(1, min(len(text), LONGEST) + 1), room, key=lambda end: text_width(text[:end], size, weight)
    )
    return text[:kept].rstrip() + ELLIPSIS if room > 0 else ""


def harmless(text: str) -> str:
    """Return text with codes for what acts on its surroundings and for what no XML may hold."""
    return escaped(text).translate(_NO_XML)


def wrap(text: str, width: float, size: float, weight: int = REGULAR, line_count: int = 2) -> list[str]:
    """Return the text in at most so many lines, broken at blanks or, where a word is too long, inside it.

    >>> wrap("a name too long for its place", 60, 12, line_count=2)
    ['a name too', 'long for it…']
    """
    lines: list[str] = []
    rest = " ".join(word for word in harmless(text[: LONGEST + 1]).split(" ") if word)
    while rest and len(lines) < line_count - 1:
        line = _first_line(rest, width, size, weight)
        lines.append(line)
        rest = rest[len(line) :].lstrip()
    return [*lines, cut(rest, width, size, weight)] if rest else lines


def is_lettered(text: str) -> bool:
    """Tell whether the font has every letter of the text."""
    return text.isascii() or not any(_missing_width(letter, REGULAR) for letter in text)


def _first_line(text: str, width: float, size: float, weight: int) -> str:
    """Return the longest beginning that fits and ends before a blank, else the longest that fits, at least a letter."""
    fitting = bisect_right(range(1, len(text) + 1), width, key=lambda end: text_width(text[:end], size, weight))
    if fitting == len(text):
        return text
    blank = text.rfind(" ", 0, fitting + 1)
    return text[:blank] if blank > 0 else text[: max(fitting, 1)]


def _path(weight: int) -> Path:
    return Path(str(files("font_source_sans_pro").joinpath("files", _FILES[weight])))


@lru_cache(maxsize=len(_FILES))
def _font(weight: int) -> ImageFont.FreeTypeFont:
    """Return a font as large as its own unit, so that no width is rounded; without the layout of a system's library."""
    return ImageFont.truetype(str(_path(weight)), _EM, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def _missing_width(letter: str, weight: int) -> float:
    """Return what a letter that the font lacks takes beyond the sign for a missing one; 0 for those that it has."""
    font = _small_font(weight)
    if letter.isascii() or bytes(font.getmask(letter)) != bytes(font.getmask(_NO_CHARACTER)):
        return 0.0
    squares = 1.0 if east_asian_width(letter) in "WF" else _NARROW
    return squares * _EM - _font(weight).getlength(_NO_CHARACTER)


@lru_cache(maxsize=len(_FILES))
def _small_font(weight: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_path(weight)), 24, layout_engine=ImageFont.Layout.BASIC)
