"""Colours, sizes and the marks that say how something is known.

The colours of the bars are those of Okabe and Ito, told apart by people who are colour-blind; each has a pattern too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from journeyflow.report.atlas import Evidence
from journeyflow.report.drawing.canvas import Canvas, Pen
from journeyflow.report.drawing.lettering import STRONG

DROPPED_PATTERN: Final = "url(#dropped)"
PENDING_PATTERN: Final = "url(#pending)"
MARK: Final = 4.5


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
    went_on: str
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
    went_on="#0072b2",
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
    went_on="#56b4e9",
    dropped="#ef8a3c",
    pending="#8c9bac",
    curve="#9fd0f5",
    label="#eef3f8",
)
THEMES: Final = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True, slots=True)
class Style:
    """Colours and pens of one picture; the more stages, the smaller the letters."""

    theme: Theme
    body: Pen
    strong: Pen
    small: Pen
    number: Pen
    label: Pen


def style_of(theme: Theme, stage_count: int) -> Style:
    """Return the pens for so many columns."""
    body, small, number = (15.5, 13.0, 28.0) if stage_count <= 5 else (13.5, 12.0, 22.0)
    return Style(
        theme,
        Pen(body, theme.ink),
        Pen(body, theme.ink, STRONG),
        Pen(small, theme.soft),
        Pen(number, theme.ink, STRONG),
        Pen(14.5, theme.label, STRONG),
    )


def define_patterns(canvas: Canvas, theme: Theme) -> None:
    """Define what the bars of those who dropped and of those still pending are filled with."""
    canvas.pattern("dropped", theme.dropped, theme.ground, "M-2,9 L9,-2 M-2,2 L2,-2 M5,9 L9,5")
    canvas.pattern("pending", theme.ground, theme.pending, "M0,3.5 L7,3.5")


def draw_mark(canvas: Canvas, x: float, y: float, evidence: Evidence, theme: Theme, size: float = MARK) -> None:
    """Draw how something is known around a point: full, half, a square on its corner, or an empty broken ring."""
    if evidence == "supplied":
        reach = size * 1.2
        canvas.shape([(x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y)], theme.soft)
    elif evidence == "unknown":
        canvas.circle(x, y, size, theme.ground, theme.soft, dashes="2 2")
    else:
        canvas.circle(x, y, size, theme.curve if evidence == "observed" else theme.ground, theme.curve)
        if evidence == "inferred":
            canvas.half_circle(x, y, size, theme.curve)
