"""Nothing overflows, on screens and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from journeyflow.publish.reader import PublishedTables
from journeyflow.report.html import render_page
from journeyflow.report.reader import read_report_data
from support.map_tables import publish_tables, rich_tables
from support.page_reader import show_all

Opener = Callable[..., Page]
LONGEST = "#model=shop&persona=unassigned&with=student&period=2026-01"
OVERFLOWING = """() => {
    const wrong = [];
    const unseen = ".sr, .skip, script, [hidden], option, select, noscript";
    const tell = (node, why) => wrong.push(`${why}: ${node.tagName} ${node.getAttribute("class")} ${node.textContent.slice(0, 60)}`);
    const leaves = (node, holder, slack) => {
        const [inner, outer] = [node.getBoundingClientRect(), holder.getBoundingClientRect()];
        return inner.right > outer.right + 1 || inner.left < outer.left - 1 || inner.bottom > outer.bottom + slack;
    };
    for (const node of document.body.querySelectorAll("*")) {
        if (node.closest(unseen) || !node.getClientRects().length) continue;
        if (node.clientWidth && node.scrollWidth > node.clientWidth + 1) tell(node, "wider than its box");
        const holder = node.closest("td, th, .flow-names > div");
        if (holder && node !== holder && !node.closest("svg") && leaves(node, holder, 1000)) tell(node, "out of its cell");
        if (node.tagName === "text" && leaves(node, node.ownerSVGElement, 2)) tell(node, "out of its picture");
    }
    if (document.documentElement.scrollWidth > window.innerWidth) wrong.push("the page scrolls sideways");
    return wrong;
}"""  # noqa: E501


@pytest.mark.parametrize("width", [390, 768, 1024, 1280, 1920])
def test_no_text_leaves_its_cell_and_the_page_does_not_scroll_sideways(opened: Opener, width: int) -> None:
    page = opened("", width=width)
    for address in ("", "#model=shop", "#model=shop&with=student&funnel=checkout", LONGEST):
        page.evaluate("(hash) => { window.location.hash = hash; }", address)
        page.wait_for_function("(part) => window.location.hash.includes(part)", arg=address[1:20])
        show_all(page)
        # On a narrow screen a wide table scrolls in its sheet.
        found = [fault for fault in page.evaluate(OVERFLOWING) if width > 1100 or not fault.startswith("wider")]
        assert found == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
    columns = page.locator("#map thead .stage").evaluate_all("(heads) => heads.map((head) => head.offsetWidth)")
    assert min(columns) >= 130


def test_names_that_are_cut_show_whole_when_they_have_the_focus(opened: Opener) -> None:
    page = opened("#persona=student")
    rule = page.locator("#who .clamp", has_text="Rule:")
    cut = rule.bounding_box()["height"]
    rule.focus()
    assert rule.evaluate("(node) => node.scrollHeight <= node.clientHeight")
    assert rule.bounding_box()["height"] >= cut


@pytest.mark.parametrize(("paper", "width"), [("A4", 842), ("A3", 1191)])
def test_it_prints(opened: Opener, paper: str, width: int) -> None:
    page = opened("#model=shop&with=student")
    document = page.pdf(format=paper, landscape=True, print_background=True)
    assert document.startswith(b"%PDF")
    sizes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+)", document)
    assert {round(float(size)) for size in sizes} <= {width, width + 1, width - 1}
    assert len(re.findall(rb"/Type\s*/Page\b", document)) >= 3


def test_on_paper_there_is_everything_but_the_controls(opened: Opener) -> None:
    page = opened("#model=shop", theme="dark")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for section in page.locator("main section").all():
        assert section.is_visible()
    for control in ("#theme", "#print", ".sections", "#tip", ".more", "#choose-funnel"):
        assert not page.locator(control).first.is_visible()
    assert page.locator("#chances-body tbody tr").last.is_visible()
    assert page.locator("#flow-body details table").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(OVERFLOWING) == []


def test_outcomes_differ_by_pattern_as_well_as_by_colour(opened: Opener) -> None:
    page = opened("#model=shop")
    script = "(name) => getComputedStyle(document.querySelector(`.seg-${name}`)).backgroundImage"
    drawn: list[Any] = [page.evaluate(script, name) for name in ("converted", "dropped", "pending")]
    assert drawn[0] == "none"
    assert len(set(drawn)) == 3


def test_what_is_unknown_says_so(opened: Opener) -> None:
    page = opened("#model=shop&persona=unassigned&period=2026-02")
    assert page.locator("#map td.cell-unknown .known").first.inner_text() == "○ unknown"


def test_a_page_without_a_journey_says_so(browser: Browser, tmp_path: Path) -> None:
    runs = {"runs": rich_tables()["runs"]}
    with PublishedTables(publish_tables(tmp_path, runs)) as published:
        (tmp_path / "map.html").write_text(render_page(read_report_data(published)), encoding="utf-8")
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri() + "#model=shop")
    assert page.locator("#map-body").inner_text() == "No journey reached a stage yet."
    page.locator("#blind > summary").click()
    assert page.locator("#blind-body").inner_text() == "None was found."
    page.close()
    assert faults == []


def test_without_configured_personas_there_is_one_card(browser: Browser, tmp_path: Path) -> None:
    named = ("all", "unassigned")
    tables = {name: [row for row in rows if row.get("persona", "all") in named] for name, rows in rich_tables().items()}
    with PublishedTables(publish_tables(tmp_path, tables)) as published:
        (tmp_path / "map.html").write_text(render_page(read_report_data(published)), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "map.html").as_uri() + "#model=shop")
    assert page.locator("#cards-body h3").all_inner_texts() == ["Everybody"]
    assert page.locator("#briefing").get_by_text("no personas are configured").count() == 1
    assert page.locator("#choose-persona option").count() == 2
    page.close()


def test_what_is_far_below_the_screen_is_laid_out_when_it_comes_near(opened):
    page = opened(is_whole=False)
    last = page.locator("#facts")
    shown = "node => node.firstElementChild.checkVisibility({ contentVisibilityAuto: true })"
    assert page.locator("#cards").evaluate(shown)
    assert not last.evaluate(shown)
    page.locator("nav a[data-to=facts]").click()
    settled = (
        "node => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(node.innerText))))"
    )
    assert "Facts of the run" in last.evaluate(settled)
    assert last.evaluate(shown)
    assert last.evaluate("node => node.getBoundingClientRect().top < window.innerHeight / 2")
