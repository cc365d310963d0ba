"""The page that every night writes beside the tables it was drawn from."""

from __future__ import annotations

from pathlib import Path

from journeyflow.errors import JourneyflowError
from journeyflow.published import Published
from journeyflow.report.reading import read_atlas

PAGE = "map.html"
"""Name of the page in the folder of a generation."""


def draw_page(generation: Path) -> dict[str, bytes]:
    """Return the page of a generation, by its file name.

    Parameters
    ----------
    generation : Path
        The folder of a generation whose tables can be read.

    Raises
    ------
    JourneyflowError
        When it cannot be drawn. No value of a row is in the message.
    """
    from journeyflow.report.page import render

    try:
        with Published(generation) as published:
            return {PAGE: render(read_atlas(published)).encode()}
    except JourneyflowError:
        raise
    except Exception as error:  # Whatever it is, the night must end with a word that somebody can act on.
        raise JourneyflowError(
            f"The journey map could not be drawn from the new tables ({type(error).__name__}); nothing was published, "
            "and what was published before is untouched. Run again with --debug for the place, and report it."
        ) from error
