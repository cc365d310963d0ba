"""The pictures beside the map: their numbers are those of the published tables, and what is open says so."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page

from journeyflow.publish.reader import PublishedTables
from journeyflow.report.compare import compare_maps
from journeyflow.report.formatting import value_text
from journeyflow.utils.formatting import count, percent
from support.page_reader import body_rows, choose, plain

Opener = Callable[..., Page]


def points(value: float) -> str:
    return value_text(value, "points").replace(" points", "")


def test_the_triangle_shows_each_cell_of_its_table_and_which_are_open(
    opened: Opener, published: PublishedTables
) -> None:
    page = opened("#model=shop")
    cells = published.sql(
        "from retention where start = 'first_event' and persona = 'all' and channel = 'all' and rule = 'on' "
        "and person_count > 0 order by cohort = 'all', cohort, age_index"
    ).to_dicts()
    found = body_rows(page, "#retention-body table")
    assert [row[0] for row in found] == ["2026-01", "2026-02", "All whose ages are over"]
    shown = [text for row in found for text in row[2:]]
    for text, cell in zip(shown, cells, strict=True):
        if cell["retention_rate"] is None:
            assert text == "open"
        else:
            base = "" if cell["matured_count"] == cell["person_count"] else f" of {cell['matured_count']}"
            assert text == percent(cell["retention_rate"]) + base
    assert page.locator("#retention-body td.age-open").count() == sum(cell["pending_count"] > 0 for cell in cells)
    page.select_option("#choose-start", index=1)
    assert page.locator("#choose-start option:checked").inner_text().startswith("=HYPERLINK")
    assert page.locator("#retention-body table caption").inner_text()


def test_channels_show_what_each_method_credits(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop")
    page.select_option("#choose-method", label="linear")
    rows = published.sql(
        "select *, row_number() over (partition by method order by channel = 'none', most_conversion_count desc) as n "
        "from attribution where persona = 'all' and method = 'linear' order by n"
    ).to_dicts()
    found = body_rows(page, "#channels-body table")
    assert len(found) == len(rows) == 4
    for text, row in zip(found, rows, strict=True):
        ends = [value_text(row[f"conversion_{end}"], "cases") for end in ("low", "high")]
        assert text[1] == f"{value_text(row['conversion_count'], 'cases')} {' to '.join(ends)}"
        spread = [value_text(row[f"{end}_conversion_count"], "cases") for end in ("least", "most")]
        assert text[3] == " to ".join(spread)
        assert text[4] == value_text(row["value_amount"], "amount", "EUR")
        assert text[6] == ("\u2013" if row["return_ratio"] is None else value_text(row["return_ratio"], "ratio"))
    assert page.locator("#channels-body .track .whisker").count() == 4


def test_personas_found_in_the_data_stand_beside_the_configured_ones(
    opened: Opener, published: PublishedTables
) -> None:
    page = opened("#model=shop&persona=student")
    rows = published.sql("from discovered_personas where kind = 'class' order by person_count desc").to_dicts()
    cards = page.locator("#discovered-body .card")
    configured = page.locator("#cards-body .card").count()
    assert cards.count() == len(rows) == 2
    known = published.sql("select count(distinct persona) as n from map_stages where model = 'shop'")
    assert configured == known["n"][0]
    for row, card in zip(rows, (cards.nth(at) for at in range(2)), strict=True):
        text = card.inner_text()
        assert row["discovered_persona"][:20] in text.replace("\n", "")
        assert f"{count(row['person_count'])} people" in text
        assert ("do not build on it" in text) == row["is_unstable"]
        assert f"of {count(row['matured_count'])}" in text
    assert "Student: 50.0 % of them, 1.80 times" in plain(cards.first.text_content() or "")
    assert page.locator("#choose-persona option").count() == configured


def test_an_action_shows_what_changed_since(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop")
    judged, early = body_rows(page, "#actions-body table")
    assert judged[1] == f"{points(0.05)} points {points(0.02)} to {points(0.08)} points beyond chance"
    assert judged[3:] == ["50.0 % of 100", "55.0 % of 90"]
    assert [early[1], early[4]] == ["\u2013", "\u2013"]
    assert "Since <img" in page.locator("#actions-body").inner_text()


def test_an_opportunity_says_what_mending_its_stage_would_bring(opened: Opener) -> None:
    page = opened("#model=shop&persona=student&period=all")
    assert "What if a tenth of the 400 journeys" in plain(page.locator("#chances-body").text_content() or "")
    choose(page, "period", "2026-02")
    assert "What if" not in plain(page.locator("#chances-body").text_content() or "")


def test_the_parts_of_a_change_are_those_of_the_table(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop&period=2026-01")
    rows = published.sql(
        "from rate_changes where funnel = 'shop' and period = '2026-01' and slice = 'all' order by step_index"
    ).to_dicts()
    first, *steps, last = body_rows(page, "#changes-body table:first-of-type")[: len(rows) + 2]
    assert first[:2] == ["2025-12", "20.0 %"]
    assert last[:2] == ["2026-01", "24.0 %"]
    for text, row in zip(steps, rows, strict=True):
        ends = " to ".join(points(row[f"effect_{end}"]) for end in ("low", "high"))
        mark = " beyond chance" if row["is_beyond_noise"] else ""
        assert text[1] == f"{points(row['effect'])} points {ends} points{mark}"
    assert "Student" in page.locator("#changes-body").inner_text()


def test_differences_are_those_of_the_comparison(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop&persona=student")
    expected = compare_maps(published, ("everybody", "student"), model="shop").rows
    beyond = expected.filter(expected["is_beyond_chance"])
    assert beyond.height
    sentence = page.locator("#differences-body caption").first.inner_text()
    assert f"{beyond.height} of {expected.height} figures differ beyond chance" in sentence
    found = body_rows(page, "#differences-body > div:first-child table")
    for text, row in zip(found, beyond.iter_rows(named=True), strict=False):
        assert text[3] == f"{percent(row['rate_a'])} of {count(row['base_a'])}"
        assert text[4] == f"{percent(row['rate_b'])} of {count(row['base_b'])}"
        ends = " to ".join(points(row[f"difference_{end}"]) for end in ("low", "high"))
        assert text[1] == f"{points(row['difference'])} points {ends}"
    choose(page, "other", "Unassigned")
    assert "Student against Unassigned" in page.locator("#differences-body").inner_text()


def test_the_weeks_of_a_funnel_say_which_are_open(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop")
    days = published.sql(
        "select entry_date, is_matured, person_count from funnel_trend "
        "where funnel = 'shop' and persona = 'all' and step_index = 1 order by entry_date"
    ).to_dicts()
    page.locator("#funnel-body details summary").click()
    found = body_rows(page, "#funnel-body details table")
    assert [row[1] for row in found] == [count(day["person_count"]) for day in days]
    assert [row[3] == "open" for row in found] == [not day["is_matured"] for day in days]
    assert page.locator(".trend .point").count() == sum(day["is_matured"] for day in days)
    assert page.locator(".trend").get_attribute("aria-label")


def test_what_those_who_are_pending_are_expected_to_do(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop")
    rows = published.sql(
        "from pending_forecast where funnel = 'shop' and persona = 'all' and pending_count > 0 order by step_index"
    ).to_dicts()
    found = body_rows(page, "#funnel-body table.forecast")
    assert len(found) == len(rows) == 2
    for text, row in zip(found, rows, strict=True):
        assert text[1] == count(row["pending_count"])
        ends = " to ".join(value_text(row[end], "cases") for end in ("low", "high"))
        assert text[2] == f"{value_text(row['expected_count'], 'cases')} {ends}"
        assert text[4] == value_text(row["expected_amount"], "amount", "EUR")
    assert page.locator("#funnel-body .forecast .track .whisker").count() == 2


def test_behind_a_drop_off_are_touchpoints_actions_ways_personas_and_months(
    opened: Opener, published: PublishedTables
) -> None:
    page = opened("#model=shop")
    page.locator("#map button.behind").nth(1).click()
    assert page.evaluate("document.activeElement.id") == "drops"
    assert page.locator("#choose-step option:checked").inner_text() == "Consideration"
    captions = page.locator("#drops-body caption").all_inner_texts()
    assert [caption.split(" ")[0] for caption in captions] == ["Where", "What", "By", "By", "The"]
    rates = published.sql(
        "select persona, drop_off_count from funnel_steps where funnel = 'shop' and period = 'all' and step_index = 2"
    )
    personas = body_rows(page, "#drops-body > div:nth-of-type(3) table")
    assert sorted(int(row[4].replace(",", "")) for row in personas) == sorted(rates["drop_off_count"].to_list())
    assert [row[0] for row in body_rows(page, "#drops-body > div:nth-of-type(5) table")] == [
        "Awareness → Consideration",
        "Awareness → Consideration → Awareness",
    ]


def test_who_has_not_come_again_yet_did_not_drop_out(opened: Opener) -> None:
    page = opened("#model=shop")
    cells = page.locator("#map tr.row-people td.cell").all_inner_texts()
    assert ["not again yet" in text for text in cells] == [False, False, True, False]
    assert ["dropped" in text for text in cells] == [True, True, False, False]
    assert "not again yet" in page.locator("#funnel-body tbody tr").nth(2).inner_text()
