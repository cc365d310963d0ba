"""SVG canvas: themes, boxes, shapes, and text measured and wrapped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal
from unicodedata import east_asian_width
from xml.etree import ElementTree

from PIL import ImageFont

from journeyflow.config.map_rows import Evidence
from journeyflow.utils.formatting import escaped

FAMILY: Final = "Source Sans Pro"
REGULAR: Final = 400
STRONG: Final = 600
LINE_HEIGHT: Final = 1.25
ASCENT: Final = 0.95
ELLIPSIS: Final = "…"
MAX_LENGTH: Final = 400
"""Longer texts are cut whatever their width."""
MARK: Final = 4.5
DROPPED_PATTERN: Final = "url(#dropped)"
PENDING_PATTERN: Final = "url(#pending)"
_FAMILIES: Final = f"'{FAMILY}', 'Source Sans 3', 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_FONT_FILES: Final = {REGULAR: "SourceSansPro-Regular.ttf", STRONG: "SourceSansPro-Semibold.ttf"}
_EM: Final = 1000
_NO_CHARACTER: Final = "\uffff"
_NO_XML: Final = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}
_NARROW: Final = 0.6
_NAMESPACE: Final = "http://www.w3.org/2000/svg"


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture."""

    ground: str
    band: str
    rule: str
    ink: str
    soft: str
    head: str
    on_head: str
    advanced: str
    dropped: str
    pending: str
    curve: str
    label: str


LIGHT: Final = Theme(
    ground="#ffffff",
    band="#f3f6f9",
    rule="#d3dbe3",
    ink="#16263a",
    soft="#52647a",
    head="#1f3b5c",
    on_head="#ffffff",
    advanced="#0072b2",
    dropped="#d55e00",
    pending="#8895a3",
    curve="#1f3b5c",
    label="#1f3b5c",
)
DARK: Final = Theme(
    ground="#111a26",
    band="#182434",
    rule="#33445a",
    ink="#eef3f8",
    soft="#a9b9ca",
    head="#2c5580",
    on_head="#ffffff",
    advanced="#56b4e9",
    dropped="#ef8a3c",
    pending="#8c9bac",
    curve="#9fd0f5",
    label="#eef3f8",
)
THEMES: Final = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True, slots=True)
class Style:
    """Colours and pens of one picture."""

    theme: Theme
    body: Pen
    strong: Pen
    small: Pen
    number: Pen
    label: Pen


def style_of(theme: Theme, stage_count: int) -> Style:
    """Return the pens for so many columns: the more stages, the smaller the letters."""
    body, small, number = (15.5, 13.0, 28.0) if stage_count <= 5 else (13.5, 12.0, 22.0)
    return Style(
        theme,
        Pen(body, theme.ink),
        Pen(body, theme.ink, STRONG),
        Pen(small, theme.soft),
        Pen(number, theme.ink, STRONG),
        Pen(14.5, theme.label, STRONG),
    )


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; x to the right, y down."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> float:
        """The centre from left to right."""
        return self.x + self.width / 2

    def inset(self, across: float, down: float) -> Box:
        """Return the box without a margin on all sides."""
        return Box(self.x + across, self.y + down, self.width - 2 * across, self.height - 2 * down)

    def below(self, height: float) -> Box:
        """Return the box without its first `height`."""
        return Box(self.x, self.y + height, self.width, self.height - height)

    def line(self, top: float, height: float) -> Box:
        """Return a strip of the box, `top` under its upper edge."""
        return Box(self.x, self.y + top, self.width, height)

    def part(self, left: float, width: float) -> Box:
        """Return a column of the box, `left` from its left edge."""
        return Box(self.x + left, self.y, width, self.height)


@dataclass(frozen=True, slots=True)
class Pen:
    """Size, colour and weight of text."""

    size: float
    colour: str
    weight: int = REGULAR

    @property
    def height(self) -> float:
        """The height of a line."""
        return self.size * LINE_HEIGHT


class Canvas:
    """A picture of `width` by `height` pixels with the units of `box`; the library escapes every text.

    Screen readers read `title` and `description`.
    """

    def __init__(self, box: Box, title: str, description: str, *, width: float, height: float) -> None:
        self.box = box
        attributes = {
            "xmlns": _NAMESPACE,
            "viewBox": f"0 0 {_number(box.width)} {_number(box.height)}",
            "width": _number(width),
            "height": _number(height),
            "role": "img",
            "font-family": _FAMILIES,
        }
        self._root = ElementTree.Element("svg", attributes)
        self._parents = [self._root]
        self._add("title").text = visible(title)
        self._add("desc").text = visible(description)

    def svg(self) -> str:
        """Return the picture as text."""
        return ElementTree.tostring(self._root, encoding="unicode")

    @contextmanager
    def cell(self, box: Box) -> Iterator[Box]:
        """Group what is drawn in a box; the file states the box."""
        group = self._add("g", {"data-box": " ".join(_number(side) for side in (box.x, box.y, box.right, box.bottom))})
        self._parents.append(group)
        yield box
        self._parents.pop()

    def pattern(self, name: str, ground: str, ink: str, path: str, side: float = 7) -> None:
        """Define a repeating pattern, to fill with as ``url(#name)``."""
        attributes = {"id": name, "width": _number(side), "height": _number(side), "patternUnits": "userSpaceOnUse"}
        pattern = self._add("pattern", attributes)
        ElementTree.SubElement(pattern, "rect", {"width": _number(side), "height": _number(side), "fill": ground})
        ElementTree.SubElement(pattern, "path", {"d": path, "stroke": ink, "stroke-width": "1.6", "fill": "none"})

    def rect(self, box: Box, fill: str, radius: float = 0, stroke: str = "none") -> None:
        """Draw a rectangle."""
        corners = {"x": box.x, "y": box.y, "width": max(box.width, 0), "height": max(box.height, 0), "rx": radius}
        self._add("rect", {name: _number(value) for name, value in corners.items()} | {"fill": fill, "stroke": stroke})

    def shape(self, points: Sequence[tuple[float, float]], fill: str, opacity: float = 1) -> None:
        """Draw a filled polygon."""
        self._add("polygon", {"points": _points(points), "fill": fill, "fill-opacity": f"{opacity:g}"})

    def line(self, points: Sequence[tuple[float, float]], stroke: str, width: float = 1, dashes: str = "none") -> None:
        """Draw a line through the points."""
        style = {"fill": "none", "stroke": stroke, "stroke-width": f"{width:g}", "stroke-dasharray": dashes}
        self._add("polyline", {"points": _points(points), **style, "stroke-linejoin": "round"})

    def circle(self, x: float, y: float, radius: float, fill: str, stroke: str = "none", dashes: str = "none") -> None:
        """Draw a circle."""
        place = {"cx": _number(x), "cy": _number(y), "r": _number(radius)}
        style = {"fill": fill, "stroke": stroke, "stroke-width": "1.6", "stroke-dasharray": dashes}
        self._add("circle", place | style)

    def half_circle(self, x: float, y: float, radius: float, fill: str) -> None:
        """Draw the left half of a circle."""
        top, bottom, reach = _number(y - radius), _number(y + radius), _number(radius)
        arc = f"M{_number(x)},{top} A{reach},{reach} 0 0 0 {_number(x)},{bottom} Z"
        self._add("path", {"d": arc, "fill": fill})

    def text(
        self, box: Box, text: str, pen: Pen, align: Literal["start", "end"] = "start", halo: str = "none"
    ) -> float:
        """Write one line at the top of a box, cut to its width; return how wide it is.

        The width is stated in the file, so that a viewer with another font keeps to it. A halo covers lines behind.
        """
        fitting = truncate(visible(text), box.width, pen.size, pen.weight)
        width = text_width(fitting, pen.size, pen.weight)
        left = box.x if align == "start" else box.right - width
        place = {"x": left, "y": box.y + pen.size * ASCENT, "textLength": width, "font-size": pen.size}
        style = {"font-weight": str(pen.weight), "fill": pen.colour, "lengthAdjust": "spacingAndGlyphs"}
        if halo != "none":
            style |= {"stroke": halo, "stroke-width": "4", "paint-order": "stroke", "stroke-linejoin": "round"}
        if fitting:
            self._add("text", {name: _number(value) for name, value in place.items()} | style).text = fitting
        return width

    def lines(self, box: Box, texts: Sequence[str], pen: Pen, halo: str = "none") -> float:
        """Write lines under one another and return their height."""
        for index, text in enumerate(texts):
            self.text(box.below(index * pen.height), text, pen, halo=halo)
        return len(texts) * pen.height

    def _add(self, tag: str, attributes: dict[str, str] | None = None) -> ElementTree.Element:
        return ElementTree.SubElement(self._parents[-1], tag, attributes or {})


def _number(value: float) -> str:
    return f"{round(value, 2):.9g}"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def define_patterns(canvas: Canvas, theme: Theme) -> None:
    """Define the fills of the bars of dropped and pending people."""
    canvas.pattern("dropped", theme.dropped, theme.ground, "M-2,9 L9,-2 M-2,2 L2,-2 M5,9 L9,5")
    canvas.pattern("pending", theme.ground, theme.pending, "M0,3.5 L7,3.5")


def draw_mark(canvas: Canvas, x: float, y: float, evidence: Evidence, theme: Theme, size: float = MARK) -> None:
    """Draw the symbol of an evidence: full, half, a square on its corner, or an empty broken ring."""
    if evidence == "supplied":
        reach = size * 1.2
        canvas.shape([(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)], theme.soft)
    elif evidence == "unknown":
        canvas.circle(x, y, size, theme.ground, theme.soft, dashes="2 2")
    else:
        canvas.circle(x, y, size, theme.curve if evidence == "observed" else theme.ground, theme.curve)
        if evidence == "inferred":
            canvas.half_circle(x, y, size, theme.curve)


def wrap(text: str, width: float, size: float, weight: int = REGULAR, line_count: int = 2) -> list[str]:
    """Return the text in at most so many lines, broken at blanks or, where a word is too long, inside it.

    >>> wrap("a name too long for its place", 60, 12, line_count=2)
    ['a name too', 'long for it…']
    """
    lines: list[str] = []
    rest = " ".join(word for word in visible(text[: MAX_LENGTH + 1]).split(" ") if word)
    while rest and len(lines) < line_count - 1:
        line = _first_line(rest, width, size, weight)
        lines.append(line)
        rest = rest[len(line) :].lstrip()
    return [*lines, truncate(rest, width, size, weight)] if rest else lines


def _first_line(text: str, width: float, size: float, weight: int) -> str:
    """Return the longest beginning that fits and ends before a blank, else the longest that fits, at least a letter."""
    fitting = bisect_right(range(1, len(text) + 1), width, key=lambda end: text_width(text[:end], size, weight))
    if fitting == len(text):
        return text
    blank = text.rfind(" ", 0, fitting + 1)
    return text[:blank] if blank > 0 else text[: max(fitting, 1)]


def truncate(text: str, width: float, size: float, weight: int = REGULAR) -> str:
    """Return the text, or as much of its beginning as fits the width before an ellipsis.

    >>> truncate("a name too long for its place", 60, 12)
    'a name t…'
    """
    if len(text) <= MAX_LENGTH and text_width(text, size, weight) <= width:
        return text
    room = width - text_width(ELLIPSIS, size, weight)
    lengths = range(1, min(len(text), MAX_LENGTH) + 1)
    fitting = bisect_right(lengths, room, key=lambda end: text_width(text[:end], size, weight))
    return text[:fitting].rstrip() + ELLIPSIS if room > 0 else ""


def visible(text: str) -> str:
    """Return text with escapes for invisible characters and for those that XML forbids."""
    return escaped(text).translate(_NO_XML)


def text_width(text: str, size: float, weight: int = REGULAR) -> float:
    """Return the width of a line in the unit of `size`, without kerning.

    A letter that the font lacks counts as a full square where its script is written in squares, else as 0.6 of one;
    viewers keep to the width that the picture states.
    """
    extra = 0.0 if text.isascii() else sum(_missing_width(letter, weight) for letter in text)
    return (_font(weight).getlength(text) + extra) * size / _EM


def has_glyphs(text: str) -> bool:
    """Return whether the font has every letter of the text."""
    return text.isascii() or not any(_missing_width(letter, REGULAR) for letter in text)


@lru_cache(maxsize=8192)
def _missing_width(letter: str, weight: int) -> float:
    """Return what a letter that the font lacks takes beyond the sign for a missing one; 0 for those that it has."""
    font = _font(weight, 24)
    if letter.isascii() or bytes(font.getmask(letter)) != bytes(font.getmask(_NO_CHARACTER)):
        return 0.0
    squares = 1.0 if east_asian_width(letter) in "WF" else _NARROW
    return squares * _EM - _font(weight).getlength(_NO_CHARACTER)


@lru_cache(maxsize=2 * len(_FONT_FILES))
def _font(weight: int, size: int = _EM) -> ImageFont.FreeTypeFont:
    """Return a font, by default as large as its own unit, so that no width is rounded; without the system's layout."""
    return ImageFont.truetype(str(_font_file(weight)), size, layout_engine=ImageFont.Layout.BASIC)


def font_files() -> list[str]:
    """Return the paths of the font's files, one a weight."""
    return [str(_font_file(weight)) for weight in _FONT_FILES]


def _font_file(weight: int) -> Path:
    return Path(str(files("font_source_sans_pro").joinpath("files", _FONT_FILES[weight])))
