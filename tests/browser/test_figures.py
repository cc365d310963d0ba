"""The panel of a figure, and the SQL that returns it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from journeyflow.publish.reader import PublishedTables
from journeyflow.report.formatting import figure_text, range_text, value_text
from journeyflow.report.view_model import ReportData
from support.page_reader import plain
from support.report_figures import figures_of

Opener = Callable[..., Page]
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"
CLIPBOARD = """Object.defineProperty(navigator, 'clipboard', { value: {
    writeText: async (text) => { window.copied = text; } } });"""
# The figures as the page has them, by SQL: it decodes them with its own functions.
ON_PAGE = """() => {
    const found = [];
    const visit = (value) => {
        if (Array.isArray(value)) value.forEach(visit);
        else if (value && typeof value === "object") {
            if ("sql" in value) found.push([
                value.sql, value.label, valueText(value.value, value.unit, value.currency), rangeText(value) || "",
                value.n, value.evidence, value.small, value.meaning]);
            else Object.values(value).forEach(visit);
        }
    };
    for (const model of MODELS) for (const persona of PERSONAS) {
        visit(flowOf(model.key, persona.key));
        for (const period of PERIODS) visit(mapOf(model.key, persona.key, period.key));
    }
    visit([configuredFunnels(), PERSONAS, DATA.spots.map(spotOf)]);
    visit(Object.keys(DATA.analyses).map((name) => entriesOf(name)));
    return found;
}"""


def test_the_page_has_every_figure_of_the_report_data_as_text(opened: Opener, report_data: ReportData) -> None:
    page = opened()
    on_page = {(sql, label): tuple(map(normalized, rest)) for sql, label, *rest in page.evaluate(ON_PAGE)}
    shown = (report_data.maps, report_data.funnels, report_data.flows, report_data.personas, report_data.blind_spots)
    shown += (report_data.analyses,)
    expected = {
        (figure.sql, figure.label): (
            figure_text(figure), range_text(figure), figure.n, figure.evidence, figure.is_small,
            report_data.meanings.get(f"{figure.source.table}.{figure.key}", ""),
        )
        for figure in figures_of(shown)
    }  # fmt: skip
    assert len(expected) > 5_000
    assert on_page == expected


def normalized(value: object) -> object:
    return plain(value) if isinstance(value, str) else value


def test_the_panel_shows_value_interval_base_and_how_it_is_known(opened: Opener) -> None:
    page = opened("#model=shop")
    page.locator("tr.row-touchpoints td.cell").first.locator(".fig", has_text="1.25").first.hover()
    text = plain(page.locator("#tip").inner_text())
    assert "1.25 lift" in text
    assert re.search(r"95 % interval\s+1\.10 to 1\.42", text)
    assert re.search(r"n = 3,591", text)
    assert "● observed" in text


def test_the_panel_turns_to_the_other_figures_of_the_entry(opened: Opener) -> None:
    page = opened("#model=shop")
    page.locator("tr.row-touchpoints td.cell .fig").first.click()
    page.locator("#tip-others button", has_text="went on, without it").click()
    assert plain(page.locator("#tip-value").inner_text()) == "40.0 %"


@pytest.mark.parametrize("row", ["people", "touchpoints", "next", "emotion", "pain_points", "promises", "desired"])
def test_the_copied_sql_gives_the_figure(opened: Opener, published: PublishedTables, row: str) -> None:
    page = opened("#model=shop&persona=student", script=CLIPBOARD)
    figure = page.locator(f"tr.row-{row} td.cell .fig").last
    figure.click()
    page.locator("#tip-copy").click()
    page.wait_for_function("window.copied")
    assert page.locator("#tip-said").inner_text() == "Copied"
    [found] = published.sql(page.evaluate("window.copied")).rows()
    assert number(figure.inner_text()) == pytest.approx(in_unit(found[0], figure.inner_text()), abs=0.051)


def test_without_a_clipboard_the_sql_is_selected_to_be_copied(opened: Opener) -> None:
    page = opened("#model=shop", script=NO_CLIPBOARD)
    page.locator("tr.row-people td.cell .fig").first.click()
    page.keyboard.press("Enter")
    area = page.locator("#tip-sql")
    assert area.is_visible()
    assert area.input_value().startswith("select person_count from \"map_stages\" where model = 'shop'")
    assert page.evaluate("document.getSelection().toString()") == area.input_value()
    assert page.locator("#tip-said").inner_text() == "Press Ctrl+C to copy"


def test_the_panel_stays_while_the_pointer_goes_into_it(opened: Opener) -> None:
    page = opened("#model=shop")
    page.locator("tr.row-people td.cell .fig").first.hover()
    page.locator("#tip-copy").hover()
    page.wait_for_timeout(300)
    assert page.locator("#tip").is_visible()
    page.mouse.move(5, 5)
    page.wait_for_timeout(300)
    assert not page.locator("#tip").is_visible()


def number(text: str) -> float:
    return float(re.sub(r"[^\d.-]", "", plain(text)))


def in_unit(value: float, text: str) -> float:
    return value * 100 if text.rstrip().endswith("%") else value


def test_the_page_writes_every_number_as_the_other_forms_do(opened: Opener) -> None:
    page = opened("#model=shop")
    sixteenths = [number / 16 for number in range(33)]
    values = {
        "rate": sixteenths,
        "sentiment": [-0.001, 0.0, 0.125, -0.375, 1.0, -1.0],
        "ratio": [*sixteenths, 0.15, 2.675],
        "seconds": [0.4, 0.5, 59.5, 59.6, 74.5, 86_399.7, 93_784.0, -129_600.0],
        "amount": [0.5, 92.5, 93.5, 1_234.5, -2.5],
        "people": [0, 999, 1_000, 1_234_567],
    }
    asked = [(value, unit) for unit, numbers in values.items() for value in numbers]
    texts = page.evaluate("(asked) => asked.map(([value, unit]) => valueText(value, unit, null))", asked)
    assert [plain(text) for text in texts] == [value_text(value, unit) for value, unit in asked]


def test_what_is_withheld_says_so_once(opened: Opener) -> None:
    page = opened("#model=shop")
    say = "(value) => figureButton({ value, small: 1, unit: 'rate', sql: '' }, '', null, []).textContent"
    assert page.evaluate(say, None) == "too few"
    assert plain(page.evaluate(say, 0.5)) == "50.0 % (few)"
