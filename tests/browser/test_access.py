"""The page is usable by keyboard and screen reader, in light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page

from support.page_reader import plain

Opener = Callable[..., Page]
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
FAULTS = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
    .filter((fault) => ["serious", "critical"].includes(fault.impact))
    .map((fault) => [fault.id, fault.nodes.length, ...fault.nodes.slice(0, 2).map((node) =>
         node.html.slice(0, 150))])"""


@pytest.mark.parametrize(("theme", "other"), [("light", "&with=student"), ("dark", "")])
def test_axe_finds_no_serious_fault(opened: Opener, theme: str, other: str) -> None:
    page = opened(f"#model=shop{other}", theme=theme, width=1920, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    page.locator("#map .fig").first.hover()
    page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    assert page.evaluate(FAULTS) == []


def test_the_button_of_the_theme_turns_it(opened: Opener) -> None:
    page = opened(theme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator("#theme").click()
    assert page.evaluate(background) != light
    assert page.locator("#theme").inner_text() == "Light"


def test_the_map_is_a_table_with_headers_for_every_cell(opened: Opener) -> None:
    page = opened("#model=shop")
    assert page.locator("#map table caption").inner_text()
    assert page.locator("#map thead th[scope=col]").count() == 4
    assert page.locator("#map tbody th[scope=row]").count() == 14
    for landmark in ("main", "nav[aria-label]", "html[lang=en]"):
        assert page.locator(landmark).count() == 1
    assert page.title() == "Journey map of acme-shop"


def test_the_keyboard_skips_chooses_and_is_informed_of_changes(opened: Opener) -> None:
    page = opened("#model=shop")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    assert "model=shop" in page.url
    page.locator("#choose-persona").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#live').textContent.includes('Student')")
    assert page.locator("#map-gist").inner_text() == "Student, Shop, the whole time"
    assert page.evaluate("document.activeElement.id") == "choose-persona"


def test_the_keyboard_reaches_a_figure_its_panel_and_back(opened: Opener) -> None:
    page = opened("#model=shop")
    page.locator("#map").focus()
    while not page.evaluate("document.activeElement.matches('#map-body .fig')"):
        page.keyboard.press("Tab")
    assert focused(page) == "4,000"
    assert page.locator("#tip").is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "tip-copy"
    page.keyboard.press("Escape")
    assert focused(page) == "4,000"
    assert not page.locator("#tip").is_visible()
    page.keyboard.press("Tab")
    assert page.locator("#tip").is_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    assert "fig" in page.evaluate("document.activeElement.className")
    assert not page.locator("#tip").is_visible()


def test_the_focus_can_be_seen(opened: Opener) -> None:
    page = opened("#model=shop")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def focused(page: Page) -> str:
    return plain(page.evaluate("document.activeElement.innerText || ''"))
