"""Write `docs/images/map.png`: the page of the sample, as Debian's Chromium shows it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import journeyflow
from journeyflow.cli.run import prepare_demo

PICTURE = Path(__file__).parent / "images" / "map.png"
CHOSEN = "#model=shop&persona=student&period=all"
WIDTH, HEIGHT = 1360, 4000  # so high that nothing has to be scrolled
MARGIN = 14
COLOURS = 128


def take(page_file: Path, picture: Path) -> None:
    """Write what the page shows of one persona: the map, with a figure of it pointed at."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
        )
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce"
        )
        page.goto(page_file.as_uri() + CHOSEN)
        page.locator("tr.row-pain_points .fig").first.hover()
        box = page.locator("#map").bounding_box()
        assert box is not None
        clip = {"x": 0, "y": box["y"] - MARGIN, "width": WIDTH, "height": box["height"] + 2 * MARGIN}
        page.screenshot(path=picture, clip=clip)
        browser.close()


def main() -> None:
    """Run the main job on a copy of the sample and write a small picture of its page."""
    with tempfile.TemporaryDirectory() as folder:
        config = journeyflow.load_config(prepare_demo(Path(folder)))
        journeyflow.run(config)
        take((config.publish / "current" / "map.html").resolve(), PICTURE)
    # A page has few colours: a palette makes the picture a third as large, and nobody sees it.
    Image.open(PICTURE).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        PICTURE, optimize=True
    )


if __name__ == "__main__":
    main()
