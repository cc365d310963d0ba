"""One journey map as a picture for slides: an SVG of 16 to 9, and the PNG of it.

See ADR 0021 for why it is drawn this way.
"""

from __future__ import annotations

from typing import Final, Literal
from xml.etree import ElementTree

from journeyflow.report.atlas import Atlas, JourneyMap
from journeyflow.report.drawing.canvas import Box, Canvas
from journeyflow.report.drawing.frame import draw_foot, draw_heading, foot, heading
from journeyflow.report.drawing.grid import draw_grid
from journeyflow.report.drawing.lettering import FAMILY, font_files, is_lettered
from journeyflow.report.drawing.style import THEMES, define_patterns, style_of

WIDTH: Final = 1600.0
HEIGHT: Final = 900.0
PNG_WIDTH: Final = 1920
_MOST_STAGES: Final = 9
"""More than these make the letters smaller, so that columns keep a width that can be read."""
_MARGIN: Final = 26.0
_HEADING: Final = 74.0
_FOOT: Final = 46.0


def render_svg(journey_map: JourneyMap, atlas: Atlas, theme: Literal["light", "dark"] = "light") -> str:
    """Draw a map as an SVG that needs nothing else: no script, no picture, no font from elsewhere.

    Parameters
    ----------
    journey_map : JourneyMap
        One of the maps of `atlas`.
    atlas : Atlas
        For names, the run's facts and its blind spots.
    theme : {'light', 'dark'}
        Dark letters on white, or the other way round.

    Returns
    -------
    str
        A picture of 1600 by 900. Every figure is one of the atlas; what has no room is counted as "and … more".
    """
    stages = next((model.stages for model in atlas.models if model.key == journey_map.model), ())
    style = style_of(THEMES[theme], len(stages))
    words = heading(journey_map, atlas)
    scale = max(1.0, len(stages) / _MOST_STAGES)
    page = Box(0, 0, WIDTH * scale, HEIGHT * scale)
    canvas = Canvas(page, *words, width=WIDTH, height=HEIGHT)
    define_patterns(canvas, style.theme)
    canvas.rect(page, style.theme.ground)
    inner = page.inset(_MARGIN, 16)
    draw_heading(canvas, inner.line(0, _HEADING), words, style)
    draw_foot(canvas, Box(inner.x, inner.bottom - _FOOT, inner.width, _FOOT), foot(journey_map, atlas), style)
    draw_grid(canvas, inner.below(_HEADING).line(0, inner.height - _HEADING - _FOOT - 6), journey_map, stages, style)
    return canvas.svg()


def render_png(svg: str, width: int = PNG_WIDTH) -> bytes:
    """Return a picture of `render_svg` as a PNG.

    Parameters
    ----------
    svg : str
        The picture.
    width : int
        Its width in pixels.

    Returns
    -------
    bytes
        The file. Letters that the packaged font lacks are looked up in the fonts of the machine, else shown as a box.
    """
    import resvg_py

    letters = "".join(ElementTree.fromstring(svg).itertext())
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        width=width,
        skip_system_fonts=is_lettered(letters),
        font_files=font_files(),
        font_family=FAMILY,
        sans_serif_family=FAMILY,
    )
