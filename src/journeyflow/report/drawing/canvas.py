"""An SVG under construction: boxes, shapes and lines of text that stay inside their boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from journeyflow.report.drawing.lettering import FAMILY, REGULAR, cut, harmless, text_width

LINE_HEIGHT: Final = 1.25
ASCENT: Final = 0.95
DESCENT: Final = 0.25
_FAMILIES: Final = f"'{FAMILY}', 'Source Sans 3', 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_NAMESPACE: Final = "http://www.w3.org/2000/svg"


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
        """Return what is left under the first `height`."""
        return Box(self.x, self.y + height, self.width, self.height - height)

    def line(self, top: float, height: float) -> Box:
        """Return a strip of the box, `top` under its upper edge."""
        return Box(self.x, self.y + top, self.width, height)

    def part(self, left: float, width: float) -> Box:
        """Return a column of the box, `left` from its left edge."""
        return Box(self.x + left, self.y, width, self.height)


@dataclass(frozen=True, slots=True)
class Pen:
    """How text is written."""

    size: float
    colour: str
    weight: int = REGULAR

    @property
    def height(self) -> float:
        """What a line takes from top to bottom."""
        return self.size * LINE_HEIGHT


class Canvas:
    """A picture of a fixed size. Text given to it is only ever text: the library escapes what it writes.

    Parameters
    ----------
    box : Box
        The units to draw in, from (0, 0).
    title, description : str
        What a screen reader says.
    width, height : float
        The size of the picture in pixels.
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
        self._add("title").text = harmless(title)
        self._add("desc").text = harmless(description)

    def svg(self) -> str:
        """Return the picture as text."""
        return ElementTree.tostring(self._root, encoding="unicode")

    @contextmanager
    def cell(self, box: Box) -> Iterator[Box]:
        """Group what is drawn in a box, for readers of the file."""
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

        The width is written down too, so that a viewer with another font keeps to it. A halo keeps lines behind off.
        """
        fitting = cut(harmless(text), box.width, pen.size, pen.weight)
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
        """Write lines under one another; return how high they are."""
        for index, text in enumerate(texts):
            self.text(box.below(index * pen.height), text, pen, halo=halo)
        return len(texts) * pen.height

    def _add(self, tag: str, attributes: dict[str, str] | None = None) -> ElementTree.Element:
        return ElementTree.SubElement(self._parents[-1], tag, attributes or {})


def _number(value: float) -> str:
    return f"{round(value, 2):.9g}"


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
