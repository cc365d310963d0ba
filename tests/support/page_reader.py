"""The visible page: cells of the map and rows of tables."""

from __future__ import annotations

from playwright.sync_api import Page

MAP_ROW = """(row) => [...document.querySelectorAll(`#map tr.row-${row}`)].map((line) =>
    [...line.querySelectorAll("td.cell")].map((cell) => cell.innerText))"""


def map_row(page: Page, row: str) -> list[list[str]]:
    """Return the texts of a row of the map: a list a persona, or one list with pairs side by side."""
    return [[plain(text) for text in line] for line in page.evaluate(MAP_ROW, row)]


def body_rows(page: Page, table: str) -> list[list[str]]:
    """Return the texts of a table's body."""
    script = """(table) => [...document.querySelectorAll(`${table} tbody tr`)].map((row) =>
        [...row.cells].map((cell) => cell.textContent))"""
    return [[plain(text) for text in row] for row in page.evaluate(script, table)]


def choose(page: Page, what: str, label: str) -> None:
    """Choose an entry of one of the lists at the top."""
    page.select_option(f"#choose-{what}", label=label)


def show_all(page: Page) -> None:
    """Open what is folded up, so that every text is there."""
    page.evaluate("document.querySelectorAll('.more').forEach((button) => button.click())")
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")


def plain(text: str) -> str:
    """Return text with plain blanks and hyphens."""
    return text.replace("\u00a0", " ").replace("\u2212", "-").strip()
