"""`opportunities`, `pain-points` and their explanations over published tables."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from journeyflow.cli.app import app
from journeyflow.cli.report import print_findings
from journeyflow.cli.run import print_briefing
from journeyflow.publish.reader import open_published
from journeyflow.report.reader import read_briefing
from support.map_tables import publish_tables, rich_tables


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("findings")
    publish_tables(folder, rich_tables())
    return folder


def call(folder: Path, *words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*words, "--published", str(folder)])
    if code == 0:
        assert result.exit_code == 0, result.output
    else:
        assert result.exit_code, result.output
    return result.output + (str(result.exception) if code else "")


def test_opportunities_are_listed_by_rank_with_their_figures(folder):
    shown = call(folder, "opportunities", "--limit", "2")
    first, headline, figures = shown.splitlines()[:3]
    assert first.startswith("shop, all persons, the whole time: ")
    assert "2000 persons met web: Payment page and 100 left for it." in headline
    assert figures.strip().split(" · ") == [
        "at awareness", "lost 100 (50 to 200) of 2,000", "worth 4,150 EUR (2,075 EUR to 8,300 EUR)", "incident",
        "device mobile", "2026-02-03 to 2026-02-14", "owner Team 1 <b>",
    ]  # fmt: skip
    assert "2 of 16 rows; all with --limit 0" in shown
    assert "journeyflow explain opportunity 1" in shown


def test_an_association_is_a_pain_point_and_no_opportunity(folder):
    pains = json.loads(call(folder, "pain-points", "--limit", "0", "--format", "json"))
    chances = list(csv.DictReader(io.StringIO(call(folder, "opportunities", "--limit", "0", "--format", "csv"))))
    assert {"association", "incident", "matched"} == {row["grade"] for row in pains}
    assert {row["grade"] for row in chances} == {"incident", "matched"}
    assert len(pains) == 20
    assert len(chances) == 16


def test_unknown_names_are_refused_with_what_there_is(folder):
    assert "student" in call(folder, "opportunities", "--persona", "studnt", code=3)
    assert "1 to 20" in call(folder, "explain", "opportunity", "99", code=3)


def test_nothing_found_says_where_to_look(tmp_path):
    tables = rich_tables() | {"opportunities": []}
    publish_tables(tmp_path, tables)
    shown = call(tmp_path, "opportunities")
    assert "no cause stands out" in shown
    assert "journeyflow drop-offs shop" in shown


def test_an_opportunity_is_explained_in_words_and_sql(folder):
    shown = call(folder, "explain", "opportunity", "1")
    for part in (
        "2,000 persons, incident: web: Payment page, at awareness, device mobile, 2026-02-03 to 2026-02-14.",
        "6,000: the same slice on its own days before and after",
        "900 of them, 45.0 %, went on; 60.0 % would have",
        "100 (95 % interval 50 to 200) persons",
        "the rate broke in these days",
        "at least 2.1 times as likely",
        "4,150 EUR (95 % interval 2,075 EUR to 8,300 EUR)",
        "1,000 of its persons met one of the rows above too",
    ):
        assert part in shown


def test_the_sql_of_an_explanation_runs_and_returns_the_row(folder):
    explained = json.loads(call(folder, "explain", "opportunity", "2", "--persona", "student", "--json"))
    with open_published(folder) as published:
        row, sums, bound, stage = (published.sql(sql).to_dicts() for _, sql in explained["queries"])
    assert row[0]["headline"] == explained["headline"]
    assert sums[0]["recomputed_count"] == round(sums[0]["person_count"] * 0.15)
    assert bound[0]["drop_off_count"] is not None
    assert [found["opportunity_rank"] for found in stage] == sorted(found["opportunity_rank"] for found in stage)


def test_a_broken_promise_that_costs_nobody_is_explained_by_mood_and_refunds(tmp_path):
    tables = rich_tables()
    for row in (*tables["pain_points"], *tables["opportunities"]):
        if row["kind"] == "promise":
            row |= {"lost_count": 0, "lost_low": 0, "lost_high": 0}
            row |= {"e_value": 1.0} if "pain_rank" in row else {"sentiment_effect": -1.15}
    publish_tables(tmp_path, tables)
    shown = call(tmp_path, "explain", "opportunity", "4")
    assert "persons whose promise was kept" in shown
    assert "-1.15 on the scale from -1 to 1" in shown
    assert "on average, and refunds." in shown
    assert "E-value" not in shown


def test_a_pain_point_is_explained_too(folder):
    shown = call(folder, "explain", "pain-point", "5")
    assert "nothing says that one causes the other" in shown
    assert "worth" not in shown.split("The row:")[0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_list_and_the_briefing_fit_the_terminal(folder, width):
    out = Console(file=io.StringIO(), width=width, highlight=False)
    with open_published(folder) as published:
        briefing = read_briefing(published)
        rows = published.table("pain_points").head(3)
    print_briefing(briefing, out)
    print_findings("pain_points", ("shop", "all", "all"), rows, 20, out)
    assert max(map(len, out.file.getvalue().splitlines())) <= width


def test_the_briefing_is_who_where_what_and_what_is_not_seen(folder):
    out = Console(file=io.StringIO(), width=1_000, highlight=False)
    with open_published(folder) as published:
        print_briefing(read_briefing(published), out)
    lines = [line.strip() for line in out.file.getvalue().splitlines() if line.strip()]
    assert lines[0].startswith("Who  4,000 persons: Student 2,000")
    assert lines[1].startswith("Where  Awareness 4,000 → Consideration 2,000")
    assert "most leave at Awareness: 1,600" in lines[1]
    assert [lines[2], lines[5], lines[7]] == [
        "What hurts, and what to do:",
        "Lost, and no cause known:",
        "What changed:",
    ]
    assert "[larger] Suggested to Team 1 <b>: " in lines[3]
    assert "[new] Suggested to Team 1 <b>: " in lines[4]
    assert "no cause stands out. Suggested: " in lines[6]
    assert lines[8].endswith("[gone]")
    assert lines[9].startswith("?  What cannot be seen: 2 critical and 1 warning")
