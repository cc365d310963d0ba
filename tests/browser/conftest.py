"""A page of hand-written tables in Debian's Chromium, offline."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from journeyflow.publish.reader import PublishedTables
from journeyflow.report.html import render_page
from journeyflow.report.reader import read_report_data
from journeyflow.report.view_model import ReportData
from support.map_tables import analysis_tables, publish_tables, rich_tables

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishedTables]:
    tables = rich_tables() | analysis_tables()
    for row in tables["touchpoints"]:
        # A cell shows those that were met most: for one persona these are the longest names.
        if row["persona"] == "unassigned":
            row["person_count"] = 10_000 - row["person_count"]
    with PublishedTables(publish_tables(tmp_path_factory.mktemp("published"), tables)) as found:
        yield found


@pytest.fixture(scope="session")
def report_data(published: PublishedTables) -> ReportData:
    return read_report_data(published)


@pytest.fixture(scope="session")
def page_file(report_data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "map.html"
    path.write_text(render_page(report_data), encoding="utf-8")
    return path


# Not for the whole session: while it is open, nothing else in the same process can run an event loop of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("There is no Chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--headless", "--no-sandbox"])
        yield found
        found.close()


_WHOLE = """
    document.addEventListener("DOMContentLoaded", () => {
      for (const part of document.querySelectorAll(".part")) part.style.contentVisibility = "visible";
    });
"""
"""Lays out at once what the page lays out when it comes near, so that all of it is measured and read."""


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Opener]:
    """Open the page; in the end nothing may have gone wrong in it, and nothing may have been asked for but itself."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []
    asked: set[str] = set()

    def open_page(
        address: str = "",
        *,
        width: int = 1280,
        theme: str = "light",
        script: str = "",
        is_faulty: bool = False,
        bypass_csp: bool = False,
        is_whole: bool = True,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            offline=True,
            reduced_motion="reduce",
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        if is_whole:
            context.add_init_script(_WHOLE)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        if not is_faulty:
            page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: asked.add(request.url.split("#")[0]))
        page.goto(page_file.as_uri() + address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
    assert {url for url in asked if url != "data:,"} == {page_file.as_uri()}
