"""Switching model, persona and period, and reading numbers that equal the published tables."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from journeyflow.publish.reader import PublishedTables
from journeyflow.report.formatting import display_text, label_text
from journeyflow.report.view_model import ReportData
from journeyflow.utils.formatting import count, percent
from support.map_tables import FORMULA, MARKUP
from support.page_reader import body_rows, choose, map_row, plain

Opener = Callable[..., Page]
CHOICES = (
    ("shop", "all", "all"),
    ("shop", "student", "2026-01"),
    ("shop", MARKUP, "2026-02"),
    (FORMULA, "unassigned", "all"),
)


def chosen(page: Page, model: str, persona: str, period: str) -> None:
    choose(page, "model", label_text(model))
    choose(page, "persona", "Everybody" if persona == "all" else label_text(persona))
    choose(page, "period", "the whole time" if period == "all" else period)


def rows(published: PublishedTables, table: str, model: str, persona: str, period: str, order: str) -> list[dict]:
    key = "funnel" if table == "funnel_steps" else "model"
    name, person = model.replace("'", "''"), persona.replace("'", "''")
    where = f"{key} = '{name}' and persona = '{person}' and period = '{period}'"
    return published.sql(f"select * from {table} where {where} order by {order}").to_dicts()


@pytest.mark.parametrize(("model", "persona", "period"), CHOICES)
def test_the_map_shows_the_numbers_of_the_tables(
    opened: Opener, published: PublishedTables, model: str, persona: str, period: str
) -> None:
    page = opened()
    chosen(page, model, persona, period)
    stages = rows(published, "map_stages", model, persona, period, "stage_index")
    [people] = map_row(page, "people")
    for text, step in zip(people, stages, strict=True):
        assert text.startswith(count(step["person_count"]))
        if step["drop_off_rate"] is not None:
            again = model == "shop" and step["stage"] == "decision"
            words = "not again yet" if again else "drop off"
            assert re.search(rf"(^|\s){percent(step['drop_off_rate'])}( \(few\))? {words}", text)
            left = "not again yet" if again else "dropped"
            for column, words in (("converted", "went on"), ("drop_off", left), ("pending", "pending")):
                assert re.search(rf"(^|\s){count(step[f'{column}_count'])} {words}", text)
    [sentiments] = map_row(page, "emotion")
    by_stage = {row["stage"]: row for row in rows(published, "stage_sentiment", model, persona, period, "stage")}
    for text, stage in zip(sentiments, stages, strict=True):
        row = by_stage[stage["stage"]]
        assert row["evidence"] in text
        assert row["sentiment"] is None or text.startswith(f"{row['sentiment']:+.2f}")


def test_a_month_says_which_of_its_figures_are_of_the_people_of_the_funnel(opened: Opener) -> None:
    page = opened()
    chosen(page, "shop", "student", "2026-01")
    [times] = map_row(page, "time")
    assert all("as in the funnel: each person once" in text for text in times[:-1])
    chosen(page, "shop", "student", "all")
    [times] = map_row(page, "time")
    assert not any("as in the funnel" in text for text in times)


@pytest.mark.parametrize(("model", "persona", "period"), CHOICES)
def test_every_entry_shows_the_number_of_its_row(
    opened: Opener, published: PublishedTables, model: str, persona: str, period: str
) -> None:
    page = opened()
    chosen(page, model, persona, period)
    stages = [row["stage"] for row in rows(published, "map_stages", model, persona, period, "stage_index")]
    [affected], [pains] = map_row(page, "touchpoints"), map_row(page, "pain_points")
    touchpoints = rows(published, "touchpoints", model, persona, period, "person_count desc, touchpoint")
    pain_points = rows(published, "pain_points", model, persona, period, "pain_rank")
    for at, stage in enumerate(stages):
        of_stage = [row for row in touchpoints if row["stage"] == stage][:6]
        rates = re.findall(r"^\d+\.\d %", affected[at], re.MULTILINE)
        assert rates == [percent(row["reach_rate"]) for row in of_stage]
        lost = [row["lost_count"] for row in pain_points if row["stage"] == stage][:5]
        assert re.findall(r"([\d,]+) people lost", pains[at]) == [count(number) for number in lost]


def test_the_ranked_opportunities_are_those_of_the_table(opened: Opener, published: PublishedTables) -> None:
    page = opened()
    chosen(page, "shop", "student", "2026-02")
    listed = rows(published, "opportunities", "shop", "student", "2026-02", "opportunity_rank")
    expected = [row for row in listed if row["grade"] != "association"]
    found = body_rows(page, "#chances-body table")
    assert len(found) == len(expected)
    for cells, row in zip(found, expected, strict=True):
        assert cells[0] == str(row["opportunity_rank"])
        assert cells[1].startswith(display_text(row["headline"], 600))
        assert display_text(row["subject"]) in cells[1]
        assert cells[4].startswith(count(row["lost_count"]))
        assert cells[5].startswith("\u2013" if row["worth_amount"] is None else f"{row['worth_amount']:,.0f} EUR")
        assert cells[6] == row["owner"]


def test_the_address_remembers_the_choice(opened: Opener) -> None:
    page = opened()
    chosen(page, FORMULA, MARKUP, "2026-02")
    choose(page, "other", "Student")
    before = map_row(page, "people")
    page.reload()
    assert map_row(page, "people") == before
    assert page.locator("#choose-other option:checked").inner_text() == "Student"
    page.go_back()
    page.wait_for_function(
        "document.querySelector('#choose-other').selectedOptions[0].textContent === 'everybody else'"
    )


def test_a_card_tells_of_each_persona_and_chooses_it(opened: Opener, published: PublishedTables) -> None:
    page = opened("#model=shop")
    cards = page.locator("#cards-body .card")
    people = {row["persona"]: row["person_count"] for row in published.sql("select * from personas").to_dicts()}
    reached = published.sql("select * from map_stages where model = 'shop' and period = 'all'").to_dicts()
    assert cards.count() == len({row["persona"] for row in reached})
    student = cards.filter(has=page.locator("h3", has_text="Student"))
    assert count(people["student"]) in student.locator(".card-size").inner_text()
    mine = sorted((row for row in reached if row["persona"] == "student"), key=lambda row: row["stage_index"])
    shown = student.locator(".card-funnel .number").all_inner_texts()
    assert shown == [count(row["person_count"]) for row in mine]
    worst = max(mine[:-1], key=lambda row: row["drop_off_count"])
    told = plain(student.locator(".card-facts div").first.inner_text())
    assert f"{label_text(worst['stage'])}: {count(worst['drop_off_count'])}" in told
    assert page.locator("#map .worst").count() == 1
    student.locator(".card-name").click()
    assert page.locator("#choose-persona option:checked").inner_text() == "Student"
    assert page.locator(".card-chosen h3").inner_text() == "Student"


def test_rows_of_which_nothing_is_known_are_one_line(opened: Opener) -> None:
    page = opened("#model=shop&persona=student")
    missing = page.locator("#map .missing")
    names = page.locator("#map .row-label").all_inner_texts()
    assert len(names) + (missing.inner_text().count(",") + 1 if missing.count() else 0) == 14
    assert (
        not page.locator("#map tbody tr")
        .filter(has=page.locator("td"))
        .evaluate_all(
            "(rows) => rows.filter((row) => [...row.querySelectorAll('td.cell')].length"
            " && [...row.querySelectorAll('td.cell')].every((cell) => cell.classList.contains('cell-unknown'))).length"
        )
    )


def test_names_in_the_address_that_are_not_there_are_passed_over(opened: Opener) -> None:
    page = opened("#model=nothing&persona=%3Cscript%3E&period=2030-01&with=all&funnel=x")
    assert (
        page.locator("#choose-model option:checked").inner_text()
        == page.locator("#choose-model option").first.inner_text()
    )
    assert page.locator("#choose-persona option:checked").inner_text() == "Everybody"
    assert map_row(page, "people")[0]


def test_a_configured_funnel_replaces_the_stages(opened: Opener, published: PublishedTables) -> None:
    page = opened()
    choose(page, "funnel", "Checkout")
    expected = rows(published, "funnel_steps", "checkout", "all", "all", "step_index")
    found = body_rows(page, "#funnel-body table")
    # Those who left a step are a press away; the last one cannot be left.
    names = [label_text(row["step"]) for row in expected]
    assert [row[0] for row in found] == [*(f"{name}who left \u203a" for name in names[:-1]), names[-1]]
    assert [row[2] for row in found] == [count(row["person_count"]) for row in expected]


def test_the_table_of_drop_offs_sorts_both_ways(opened: Opener) -> None:
    page = opened("#model=shop")
    head = page.locator("#drops-body table").first.locator("th", has_text="Left").first
    for direction, is_falling in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        found = [int(row[1].replace(",", "")) for row in body_rows(page, "#drops-body > div:first-child table")]
        assert found == sorted(found, reverse=is_falling)
        assert head.get_attribute("aria-sort") == direction


def test_the_flow_lists_every_way_in_its_table_and_what_it_leaves_out(
    opened: Opener, published: PublishedTables
) -> None:
    page = opened("#model=shop")
    ways = published.sql("select * from stage_transitions where model = 'shop' and persona = 'all'").to_dicts()
    listed = body_rows(page, "#flow-body details table")
    found = {(label_text(row[0]), label_text(row[1].split(":")[0])): row[3] for row in listed}
    for way in ways:
        assert found[label_text(way["from_stage"]), label_text(way["to_stage"])] == count(way["transition_count"])
    assert page.locator(".flow-rest").inner_text()
    assert page.locator(".flow-move.leave").count() >= 4
    assert page.locator(".flow-sheet .flow-move.back").count() >= 1


def test_the_briefing_comes_first_and_says_who_where_and_what(opened: Opener, report_data: ReportData) -> None:
    page = opened()
    assert page.locator("main section").first.get_attribute("id") == "briefing"
    texts = [plain(text) for text in page.locator(".briefing > dl dd").all_inner_texts()]
    assert texts[:2] == [report_data.briefing.people, report_data.briefing.stages]
    found = page.locator(".finding").all_inner_texts()
    assert [line.headline in plain(text) for line, text in zip(report_data.briefing.lines, found, strict=True)] == [
        True
    ] * 4
    parts = page.locator(".briefing > dl dt").all_inner_texts()[2:]
    assert parts == ["What hurts, and what to do", "Lost, and no cause known", "What changed"]
    starts = page.locator(".briefing ol").evaluate_all("lists => lists.map((list) => list.start)")
    assert starts == [1, 3, 4]
    assert "larger" in plain(found[0])
    assert "Suggested to Team 1 <b>: " in plain(found[0])
    assert page.locator(".briefing").bounding_box()["y"] < 400  # type: ignore[index]


def test_a_finding_leads_to_its_row(opened: Opener) -> None:
    page = opened("#model=shop&persona=student&period=2026-02")
    page.locator(".finding a").nth(1).click()
    assert page.locator("#choose-persona option:checked").inner_text() == "Everybody"
    assert page.evaluate("document.activeElement.id") == "chance-2"
    page.locator(".finding a").nth(2).click()
    assert page.evaluate("document.activeElement.id") == "drops"
    assert page.locator("#choose-step option:checked").inner_text() == "Awareness"


def test_blind_spots_are_a_line_that_unfolds_notes_apart(opened: Opener) -> None:
    page = opened()
    summary = page.locator("#blind > summary")
    assert "What cannot be seen: 2 critical and 1 warning" in summary.inner_text()
    assert not page.locator("#blind-body").is_visible()
    summary.click()
    assert [row[0][1:].strip() for row in body_rows(page, "#blind-body > .bare table")] == [
        "critical",
        "critical",
        "warning",
    ]
    page.locator("#blind-body details summary").click()
    assert [row[0][1:].strip() for row in body_rows(page, "#blind-body details table")] == ["note", "note"]
