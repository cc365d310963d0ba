"""Write the pictures of the page in `docs/images`: the sample, as Chromium shows it on a screen, a phone and paper."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import journeyflow
from journeyflow.cli.run import prepare_demo

IMAGES = Path(__file__).parent / "images"
STUDENTS = "#model=shop&persona=student&period=all"
EVERYBODY = "#model=shop&persona=all&period=all"
MARGIN = 14
COLOURS = 128


def map_of_students(page: Page, picture: Path) -> None:
    """Show the map of one persona, with a figure of it pointed at."""
    page.locator("tr.row-pain_points .fig").first.hover()
    _part(page, "#map", picture)


def first_screen(page: Page, picture: Path) -> None:
    """Show what is seen without scrolling."""
    page.screenshot(path=picture)


def differences(page: Page, picture: Path) -> None:
    """Show a persona compared with another."""
    page.locator("#differences").scroll_into_view_if_needed()
    _part(page, "#differences", picture)


def paper(page: Page, picture: Path) -> None:
    """Show the map as it is printed, over the width of an A3 page."""
    page.emulate_media(media="print")
    _part(page, "#map", picture)


def _part(page: Page, selector: str, picture: Path) -> None:
    box = page.locator(selector).bounding_box()
    size = page.viewport_size
    assert box is not None
    assert size is not None
    clip = {"x": 0, "y": box["y"] - MARGIN, "width": size["width"], "height": box["height"] + 2 * MARGIN}
    page.screenshot(path=picture, clip=clip)


# The height of a part is such that nothing has to be scrolled. A3 is 420 mm wide, at 96 dots an inch less its margins.
PICTURES: tuple[tuple[str, Callable[[Page, Path], None], str, int, int], ...] = (
    ("map", map_of_students, STUDENTS, 1360, 4000),
    ("first-screen", first_screen, EVERYBODY, 1280, 800),
    ("phone", first_screen, EVERYBODY, 390, 844),
    ("differences", differences, STUDENTS, 1280, 12000),
    ("paper", paper, STUDENTS, 1512, 6000),
)
"""Name, what is shown, the choice on the page, and the width and height of the window."""


def take(browser: Browser, page_file: Path) -> None:
    """Write all pictures. A page has few colours: with a palette a file is a third as large, and nobody sees it."""
    for name, show, chosen, width, height in PICTURES:
        picture = IMAGES / f"{name}.png"
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme="light", reduced_motion="reduce"
        )
        page.goto(page_file.as_uri() + chosen)
        show(page, picture)
        page.close()
        small = Image.open(picture).convert("RGB")
        small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Run the main job on a copy of the sample and take the pictures of its page."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        config = journeyflow.load_config(prepare_demo(Path(folder)))
        journeyflow.run(config)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
        )
        take(browser, (config.publish / "current" / "map.html").resolve())
        browser.close()


if __name__ == "__main__":
    main()
