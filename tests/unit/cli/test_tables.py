"""The lists of published rows in every format, over tables with hostile names."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from rich.console import Console
from typer.core import TyperCommand
from typer.main import get_command
from typer.testing import CliRunner

from journeyflow.cli.app import app
from journeyflow.errors import EngineError, ExitCode, InputError, JourneyflowError, NotFoundError
from journeyflow.operations.rebuild import ARRIVALS, Verification
from journeyflow.report import excel
from support.map_tables import FORMULA, HIGH_WATER, HOSTILE, MARKUP, cohort_tables, publish_tables, rich_tables

DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(28)]


def tables_of_all_commands():
    of_funnel = {"funnel": "checkout", "persona": "all"}
    trend = [
        of_funnel | {"entry_date": day, "step_index": index, "person_count": 10 // index, "is_matured": day < DAYS[21]}
        for day in DAYS
        for index in (1, 2)
    ]
    paths = [
        {"model": "shop", "persona": "all", "path_rank": rank, "path": path, "person_count": 40 // rank}
        | {"share_rate": 0.5 / rank, "converted_count": 10 // rank}
        for rank, path in enumerate(("awareness > loyal", FORMULA, "other"), start=1)
    ]
    moves = [("entry", "awareness", 0, 1, 10), ("awareness", "exit", 1, 0, 4), ("awareness", "loyal", 1, 4, 6)]
    chains = [
        {"model": "shop", "persona": "all", "from_stage": start, "to_stage": end}
        | {"from_index": start_index, "to_index": end_index, "journey_count": number}
        for start, end, start_index, end_index, number in moves
    ]
    audiences = [
        {
            "audience": "left",
            "kind": "dropped_at",
            "subject": FORMULA,
            "step": MARKUP,
            "matched_count": 9,
            "listed_count": 4,
        }
        | {"outside_count": 2, "without_id_count": 1, "without_consent_count": 2, "remedy": "Write."}
    ]
    own = {"funnel_trend": trend, "paths": paths, "stage_chains": chains, "audiences": audiences}
    own |= {
        "rate_changes": change_rows(),
        "rate_alarms": rate_rows(),
        "action_effects": [ACTION, ACTION | {"action": "other"}],
    }
    own |= discovered() | forecast_tables()
    return rich_tables() | cohort_tables() | attributed() | own


def rate_rows():
    row = {"funnel": "checkout", "dimension": "persona", "slice": FORMULA, "step_index": 2, "step": MARKUP}
    row |= {"age_days": 1, "clock": "age", "unit_count": 60, "reached_count": 18, "rate": 0.3, "expected_rate": 0.5}
    row |= {"q_value": 0.012, "direction": "down", "cause": None, "statistic": -5.0, "headline": MARKUP}
    day = HIGH_WATER.date()
    return [
        row | {"kind": "day", "day": day - timedelta(days=2), "read_day": day, "is_current": True},
        row | {"kind": "drift", "day": day - timedelta(days=5), "read_day": day - timedelta(days=3)}
        | {"is_current": False, "age_days": 0, "clock": "settled", "cause": "who came, persona student"},
    ]  # fmt: skip


def forecast_tables():
    row = {"funnel": "checkout", "persona": "all", "unit": "person", "currency": "EUR"}
    known = {"pending_count": 9, "expected_count": 2.25, "low": 1, "high": 4}
    row |= {"expected_amount": 1234.5}
    unknown = dict.fromkeys(("expected_count", "low", "high", "expected_amount"))
    forecasts = [
        row | known | {"step_index": 1, "step": FORMULA},
        row | known | {"step_index": 2, "step": MARKUP, "pending_count": 0},
        row | known | unknown | {"funnel": MARKUP, "step_index": 1, "step": "cart", "pending_count": 3},
    ]
    made = {"funnel": "checkout", "persona": "all", "step_index": 1, "due_at": datetime(2026, 3, 8)} | known
    scores = [
        made | {"forecast_at": datetime(2026, 3, day), "settled_count": settled, "converted_count": came}
        | {"is_inside": inside}
        for day, settled, came, inside in ((1, 9, 3, True), (2, 9, 5, False), (3, None, None, None))
    ]  # fmt: skip
    return {"pending_forecast": forecasts, "forecast_scores": scores}


def attributed():
    counted = {"goal_count": 40, "not_converted_count": 50, "pending_count": 6}
    rows = [
        {"goal": goal, "method": method, "persona": persona, "channel": channel, "period": period}
        | {"conversion_count": 20.0, "conversion_low": 12.5, "conversion_high": 27.5, "least_conversion_count": 10.0}
        | {"most_conversion_count": 30.0, "value_amount": None, "spend_amount": 100.0, "currency": "EUR"}
        | {"cost_per_conversion_amount": 5.0, "return_ratio": None, **counted}
        for goal in ("order", MARKUP)
        for method in ("markov", "last")
        for persona, period in (("all", "all"), ("student", "all"), ("all", "2026-02"))
        for channel in ("cpc", FORMULA)
    ]
    paths = [
        {"goal": "order", "persona": "all", "path_rank": rank, "path": path, "person_count": 7, "value_amount": 9.5}
        | {"conversion_count": 4, "not_converted_count": 2, "pending_count": 1}
        for rank, path in enumerate(("cpc > email", FORMULA, "other"), start=1)
    ]
    return {"attribution": rows, "attribution_paths": paths}


ACTION = {"action": FORMULA, "funnel": "checkout", "step": MARKUP, "dimension": "channel", "slice": "app"}
ACTION |= {"first_day": DAYS[3], "before_rate": 0.5, "after_rate": 0.7, "others_change": -0.01, "effect": 0.21}
ACTION |= {"effect_low": 0.1, "effect_high": None, "grade": "compared", "pending_count": 9, "ramp_count": 7}


@pytest.mark.parametrize("width", [40, 70, 100])
def test_a_narrow_terminal_cuts_no_column_of_a_list(folder, monkeypatch, width):
    def narrow(**_):
        return Console(width=width, highlight=False)

    for words in LISTS:
        if words[0] not in ("funnel", "opportunities", "pain-points"):
            monkeypatch.undo()
            wide = call(folder, *words)
            monkeypatch.setattr("journeyflow.cli.output.console", narrow)
            assert "…" not in call(folder, *words).replace("… ", ""), words
            assert "…" not in wide


@pytest.mark.parametrize(
    ("words", "table", "said"),
    [
        (["actions"], "action_effects", "Nothing is in `actions:`"),
        (["referrals"], "referrals", "name the trait or property"),
        (["audiences"], "audiences", "Nothing is in `audiences:`"),
        (["alerts"], "rate_alarms", "Earlier days: --days 28"),
        (["forecast"], "pending_forecast", "Nobody is pending"),
        (["forecast", "--scores"], "forecast_scores", "No earlier run made a forecast"),
        (["attribution"], "attribution", "see `goals:`"),
        (["attribution", "order", "--paths"], "attribution_paths", "No path of this persona"),
        (["changes", "checkout"], "rate_changes", "There are no two months to compare"),
        (["retention", "--repeat"], "repeat_purchases", "Nobody of this persona ordered"),
        (["retention", "--lifecycle"], "lifecycle", "Nobody of this persona was active"),
        (["paths"], "paths", "No journey of this persona"),
        (["touchpoints"], "touchpoints", "Choose another --stage"),
        (["what-if"], "stage_chains", "No journey has ended"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_an_empty_list_says_why_and_what_to_do(tmp_path, words, table, said):
    publish_tables(tmp_path, tables_of_all_commands() | {table: []})
    shown = call(tmp_path, *words)
    assert said in shown
    assert len(shown.splitlines()) <= 2, "no header of a table, and no note on columns that are not there"


def test_a_query_that_fails_says_what_is_unknown_and_where_the_names_are(folder):
    for query, what in (("select nope from personas", "no column nope"), ("from nope", "no table nope")):
        with pytest.raises(EngineError, match=rf"there is {what}\..* See: journeyflow tables") as failed:
            call(folder, "query", query)
        assert "Error:" not in failed.value.message


def test_a_query_without_rows_names_its_columns(folder):
    shown = call(folder, "query", "select persona, rule from personas where false")
    assert shown == "No row. The columns are: persona, rule\n"


def test_a_month_of_a_trend_is_no_day(folder):
    assert "2026-01 " in call(folder, "trend", "checkout", "--by", "month")
    assert "2026-01-01" not in call(folder, "trend", "checkout", "--by", "month")
    assert "2026-01-05" in call(folder, "trend", "checkout")


def test_verify_names_the_tables_that_it_does_not_compare(monkeypatch, tmp_path):
    (tmp_path / "journeyflow.yml").write_text("sources: {web: {format: snowplow, path: .}}")
    found = Verification("run", ("paths",), 3)
    monkeypatch.setattr("journeyflow.operations.rebuild.verify", lambda *_, **__: found)
    words = ["verify", "--config", str(tmp_path / "journeyflow.yml")]
    assert "Not compared, as they depend on how files arrived" in CliRunner().invoke(app, words).stdout
    assert json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["not_compared"] == list(ARRIVALS)


def test_actions_have_their_effect_in_points(folder):
    row = json.loads(call(folder, "actions", "--json"))[0]
    assert (row["effect"], row["others_change"], row["slice"]) == (0.21, -0.01, "app")
    shown = call(folder, "actions")
    assert [text in shown for text in ("+21.0", "-1.0", "channel=app")] == [True] * 3


def discovered():
    """Return two classes, one of them unstable, and the total."""
    counts = {"converted_count": 2, "not_converted_count": 3, "pending_count": 5, "matured_count": 5}
    rows = [
        {"discovered_persona": name, "kind": kind, "person_count": 10, "share_rate": 0.5, "conversion_rate": 0.4}
        | {"stability": stable, "is_unstable": stable and stable < 0.75, "description": MARKUP, **counts}
        for name, kind, stable in ((FORMULA, "class", 0.9), (MARKUP, "class", 0.6), ("all", "all", None))
    ]
    shared = {"person_count": 9, "share_rate": 0.9, "persona_share_rate": 0.8, "lift": 2.0}
    overlaps = [{"discovered_persona": FORMULA, "persona": "student"} | shared]
    return {"discovered_personas": rows, "discovered_persona_overlaps": overlaps}


def test_discovered_personas_say_which_are_unstable_and_whom_they_are_like(folder, tmp_path):
    rows = json.loads(call(folder, "personas", "--discovered", "--json"))
    assert rows[0]["discovered_persona"] == "all"
    found = {row["discovered_persona"]: (row["is_unstable"], row["likest_persona"]) for row in rows}
    assert found[FORMULA] == (False, "student")
    assert found[MARKUP] == (True, None)
    assert "unstable" in call(folder, "personas", "--discovered")
    publish_tables(tmp_path, tables_of_all_commands() | {"discovered_personas": []})
    assert "discover_personas: true" in call(tmp_path, "personas", "--discovered")


def change_rows():
    """Return a fall of the funnel checkout that is of one slice's step."""
    figures = [("all", 1, -0.01, False), ("all", 2, -0.19, True), (MARKUP, 1, -0.01, False), (MARKUP, 2, -0.19, True)]
    figures += [("student", 1, 0.0, False), ("student", 2, 0.0, None)]
    return [
        {"funnel": "checkout", "dimension": "persona", "slice": name, "old_period": "2026-02", "period": "2026-03"}
        | {"step_index": index, "factor": ("mix", "step")[index - 1], "step": ("cart", "paid")[index - 1]}
        | {"old_count": 100, "new_count": 120, "pending_count": 7, "old_rate": 0.6, "new_rate": 0.4, "effect": effect}
        | {"age_seconds": 604800.0}
        | {"old_factor": 0.6, "new_factor": None, "q_value": None if is_beyond is None else 0.001}
        | {"effect_low": None if is_beyond is None else effect - 0.05}
        | {"effect_high": None if is_beyond is None else effect + 0.05}
        | {"is_beyond_noise": bool(is_beyond), "is_small": is_beyond is None}
        for name, index, effect, is_beyond in figures
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lists")
    publish_tables(folder, tables_of_all_commands())
    return folder


class Failed(Exception):
    """A command ended with an error that is no `JourneyflowError`."""


def call(folder: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--published", str(folder)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise Failed(f"{result.exit_code} {result.output}")
    return result.stdout


LISTS = (
    ["tables"],
    ["describe", "personas"],
    ["paths"],
    ["personas"],
    ["personas", "--discovered"],
    ["actions"],
    ["referrals"],
    ["touchpoints"],
    ["trend", "checkout"],
    ["retention"],
    ["retention", FORMULA, "--persona", MARKUP, "--rule", "on_or_after"],
    ["retention", "--repeat"],
    ["retention", "--lifecycle", "--persona", "student"],
    ["attribution", "order"],
    ["attribution", MARKUP, "--method", "every", "--persona", "student"],
    ["attribution", "order", "--paths"],
    ["changes", "checkout"],
    ["alerts", "--days", "28"],
    ["forecast"],
    ["forecast", "--scores"],
    ["compare", "student", MARKUP, "--all"],
    ["funnel"],
    ["funnel", "shop"],
    ["drop-offs", "shop"],
    ["opportunities"],
    ["pain-points"],
)


def test_alerts_are_those_of_the_day_of_the_run(folder):
    text = call(folder, "alerts")
    assert [word in text for word in ("18 of 60", "30.0 %", "50.0 %", "at age 1 d", "0.01")] == [True] * 5
    assert "drift" not in text
    both = json.loads(call(folder, "alerts", "checkout", "--days", "4", "--json"))
    assert [(row["kind"], row["reached_count"], row["age_days"]) for row in both] == [("day", 18, 1), ("drift", 18, 0)]
    assert "drift down" in call(folder, "alerts", "checkout", "--days", "4")
    assert json.loads(call(folder, "alerts", "shop", "--days", "28", "--json")) == []
    with pytest.raises(NotFoundError, match="checkout"):
        call(folder, "alerts", "chekout")


def test_a_forecast_is_of_who_is_pending_with_how_earlier_ones_did(folder):
    text = call(folder, "forecast", "checkout")
    assert [word in text for word in ("2.2", "1 to 4", "1,234 EUR", "1 of 2")] == [True] * 4
    rows = json.loads(call(folder, "forecast", "--json"))
    assert [(row["step_index"], row["expected_count"]) for row in rows if row["funnel"] == MARKUP] == [(1, None)]
    assert len(rows) == 2, "who has nobody pending is left out"
    scores = json.loads(call(folder, "forecast", "checkout", "--scores", "--json"))
    assert [row["is_inside"] for row in scores] == [None, False, True]
    assert call(folder, "forecast", "checkout", "--scores").count("*") == 1
    with pytest.raises(NotFoundError, match="checkout"):
        call(folder, "forecast", "chekout")


def test_changes_are_the_total_and_what_is_beyond_chance(folder):
    text = call(folder, "changes", "checkout")
    assert (
        "2026-02 to 2026-03, persons, once a month by their first day, read 7 d after entry: 60.0 % of 100 to" in text
    )
    assert "-19.0 points" in text
    assert "7 who entered later" in text
    assert "student" not in text
    assert "student" in call(folder, "changes", "checkout", "--all")
    assert "no two months to compare" in call(folder, "changes", "shop")
    with pytest.raises(NotFoundError, match="2026-03"):
        call(folder, "changes", "checkout", "--period", "2026-04")


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_every_list_has_every_format(folder, words, tmp_path):
    rows = json.loads(call(folder, *words, "--json"))
    assert rows
    assert json.loads(call(folder, *words, "--format", "json")) == rows
    lines = list(csv.DictReader(io.StringIO(call(folder, *words, "-f", "csv"))))
    assert len(lines) == len(rows)
    assert list(lines[0]) == list(rows[0])
    assert not [value for line in lines for value in line.values() if value and value[0] in "=+@\t"]
    call(folder, *words, "-f", "parquet", "-o", str(tmp_path / "rows.parquet"))
    assert pl.read_parquet(tmp_path / "rows.parquet").height == len(rows)
    shown = call(folder, *words)
    assert len(shown.splitlines()) > 2
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("words", "table"),
    [
        (["touchpoints"], "touchpoints"), (["forecast"], "pending_forecast"),
        (["forecast", "--scores"], "forecast_scores"),
        (["alerts", "--days", "28"], "rate_alarms"), (["actions"], "action_effects"), (["retention"], "retention"),
        (["personas"], "personas"), (["attribution"], "attribution"),
        (["attribution", "order", "--paths"], "attribution_paths"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)  # fmt: skip
def test_programs_get_the_columns_of_the_table(folder, words, table):
    known = [row["column"] for row in json.loads(call(folder, "describe", table, "--json"))]
    assert list(json.loads(call(folder, *words, "--json"))[0]) == known


@pytest.mark.parametrize("words", [words for words in LISTS if words[0] not in ("funnel", "drop-offs")], ids=" ".join)
def test_a_list_is_as_long_as_asked(folder, words):
    every = json.loads(call(folder, *words, "--json", "--limit", "0"))
    some = json.loads(call(folder, *words, "--json", "--limit", "1"))
    shown = call(folder, *words, "--limit", "1")
    if words[0] == "retention" and not {"--repeat", "--lifecycle"} & set(words):
        assert {row["cohort"] for row in some} == {"2026-01", "all"}
        assert [row for row in every if row in some] == some
        assert "1 of 3 cohorts; all with --limit 0" in shown
    else:
        assert len(some) == 1
        assert f"1 of {len(every):,} rows; all with --limit 0" in shown


def test_tables_say_what_they_hold(folder):
    found = {row["table"]: row for row in json.loads(call(folder, "tables", "--json"))}
    assert found["personas"]["row_count"] == 4
    assert found["personas"]["summary"] == "The personas of people's latest journeys, and what each means"
    assert "One row per persona." in found["personas"]["meaning"]


def test_a_table_is_described_with_the_unit_and_meaning_of_each_column(folder):
    found = {row["column"]: row for row in json.loads(call(folder, "describe", "personas", "--json"))}
    assert found["person_count"]["unit"] == "persons"
    assert found["person_count"]["type"] == "BIGINT"
    assert found["person_count"]["meaning"] == "People whose latest journey has the persona."
    with pytest.raises(NotFoundError, match="Did you mean personas"):
        call(folder, "describe", "persona")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("on", ["2026-01 40 25.0 % 25.0 %", "2026-02 20 25.0 % open open", "2026-03 0 - -", "all 40 25.0 % 25.0 %"]),
        (
            "on_or_after",
            ["2026-01 40 25.0 % 25.0 %", "2026-02 20 at least 25.0 % open", "2026-03 0 - -", "all 40 25.0 % 25.0 %"],
        ),
    ],
)
def test_a_triangle_marks_what_is_open(folder, rule, expected):
    shown = call(folder, "retention", "--rule", rule).splitlines()
    assert [" ".join(line.split()) for line in shown[3:7]] == expected


def test_a_triangle_of_one_channel_is_of_all_personas(folder):
    assert f"first_event, all persons, start in {MARKUP}" in call(folder, "retention", "--channel", MARKUP)
    title = call(folder, "retention").splitlines()[0]
    assert "back at an age; age 0 begins at the start, each is 7d long" in title
    with pytest.raises(Failed, match="no row is of both"):
        call(folder, "retention", "--channel", MARKUP, "--persona", "student")
    with pytest.raises(NotFoundError, match="Did you mean 'first_event'"):
        call(folder, "retention", "first_evnt")
    with pytest.raises(Failed, match="choose one of --repeat and --lifecycle"):
        call(folder, "retention", "--repeat", "--lifecycle")
    with pytest.raises(Failed, match="are for the triangle"):
        call(folder, "retention", "--repeat", "--rule", "on_or_after")


def test_without_a_start_there_is_no_triangle(tmp_path):
    publish_tables(tmp_path, rich_tables() | {"retention": []})
    with pytest.raises(InputError, match="No cohort is followed"):
        call(tmp_path, "retention")


def test_paths_have_a_rate(folder):
    first = json.loads(call(folder, "paths", "--model", "shop", "--json"))[0]
    assert (first["path"], first["journey_count"], first["conversion_rate"]) == ("awareness > loyal", 40, 0.25)


def test_a_trend_counts_the_conversion_of_closed_windows_only(folder):
    weeks = json.loads(call(folder, "trend", "checkout", "--by", "week", "--json"))
    assert [row["first_day"] for row in weeks] == ["2025-12-29", "2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"]
    assert [row["entered_count"] for row in weeks] == [40, 70, 70, 70, 30]
    assert [row["matured_count"] for row in weeks] == [40, 70, 70, 30, 0]
    assert [row["conversion_rate"] for row in weeks] == [0.5, 0.5, 0.5, 0.5, None]
    (month,) = json.loads(call(folder, "trend", "checkout", "--by", "month", "--json"))
    assert (month["first_day"], month["entered_count"]) == ("2026-01-01", 280)
    with pytest.raises(NotFoundError, match="Did you mean 'checkout'"):
        call(folder, "trend", "chekout")


def test_touchpoints_of_one_stage_with_what_is_beyond_chance(folder):
    rows = json.loads(call(folder, "touchpoints", "--model", "shop", "--stage", "awareness", "--json"))
    assert {row["stage"] for row in rows} == {"awareness"}
    assert {row["touchpoint"] for row in rows} >= {f"web: {name}" for name in HOSTILE}
    beyond = sum(row["q_value"] is not None and row["q_value"] <= 0.05 for row in rows)
    shown = call(folder, "touchpoints", "--model", "shop", "--stage", "awareness")
    assert sum(line.rstrip().endswith("  *") for line in shown.splitlines()) == beyond > 0
    with pytest.raises(NotFoundError, match="Did you mean 'awareness'"):
        call(folder, "touchpoints", "--model", "shop", "--stage", "awarenes")


@pytest.mark.parametrize(
    "words", [["funnel", "shop"], ["drop-offs", "shop"], ["paths"], ["opportunities"], ["touchpoints"]]
)
def test_everybody_is_the_total(folder, words):
    of_all, of_everybody = (call(folder, *words, "--persona", name) for name in ("all", "everybody"))
    assert of_all == of_everybody


def test_a_persona_named_everybody_is_that_persona(tmp_path):
    tables = tables_of_all_commands()
    for rows in tables.values():
        for row in rows:
            if row.get("persona") == "student":
                row["persona"] = "everybody"
    publish_tables(tmp_path, tables)
    steps = json.loads(call(tmp_path, "funnel", "shop", "--persona", "everybody", "--json"))
    assert {step["persona"] for step in steps} == {"everybody"}


def test_the_list_of_funnels_has_conversion_and_where_most_leave(folder):
    found = {row["funnel"]: row for row in json.loads(call(folder, "funnel", "--json"))}
    assert found["checkout"] == {
        "funnel": "checkout", "kind": "steps", "unit": "person", "step_count": 2, "entered_count": 900,
        "converted_count": 450, "conversion_rate": 0.5, "worst": "cart", "worst_drop_off_rate": 0.5,
    }  # fmt: skip
    assert "50.0 %" in call(folder, "funnel")


@pytest.mark.parametrize(
    ("words", "base"),
    [
        (["funnel"], "persons, or the unit in brackets; rates of those whose window is over"),
        (["funnel", "checkout"], "persons reached"),
        (["trend", "checkout"], "persons, once on each day they enter; rates of days whose window is over"),
        (["changes", "checkout"], "persons, once a month by their first day, read 7 d after entry"),
        (["what-if"], "of 10 journeys that have ended 60.0 % reach the last stage"),
    ],
    ids=lambda each: " ".join(each)[:20],
)
def test_the_first_line_says_of_what_a_rate_is(folder, words, base):
    assert base in call(folder, *words).splitlines()[0]


def test_drop_offs_for_programs_are_touchpoints_and_actions_of_every_step(folder):
    rows = json.loads(call(folder, "drop-offs", "shop", "--step", "awareness", "--json"))
    assert {row["what"] for row in rows} == {"last_touchpoint", "next_action"}
    assert {row["step"] for row in rows} == {"awareness"}


@pytest.mark.parametrize(
    "words", [[], ["student"], ["student", "all", "--day", "2026-01-15"]], ids=["nothing", "one", "too much"]
)
def test_a_comparison_needs_two_sides_or_a_day(folder, words):
    with pytest.raises(Failed, match="name two personas"):
        call(folder, "compare", *words)


@pytest.mark.parametrize(
    "words",
    ["funnel", "funnel shop", "drop-offs shop", "query from_runs", "events", "quarantine list", "tables", "trend"],
)
def test_json_beside_another_format_is_refused_by_every_command(words):
    result = CliRunner().invoke(app, [*words.split(), "--json", "--format", "csv"])
    assert (result.exit_code, "give one of the two" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("from kernel.journeys", "there is no table kernel.journeys. See: .*; models .*: journeyflow query --build"),
        ("from nope", r"there is no table nope\."),
        ("from read_csv('/etc/hosts')", "files cannot be read or written here"),
        ("copy (select 1) to 'x.csv'", "files cannot be read or written here"),
    ],
)
def test_a_query_of_what_is_not_there_is_answered_in_plain_words(folder, sql, said):
    with pytest.raises(JourneyflowError) as failed:
        call(folder, "query", sql)
    assert re.search(said, " ".join(str(failed.value).split()))
    assert "pg_catalog" not in str(failed.value)


@pytest.mark.parametrize("sides", [("student", "student"), ("student", "2026-01"), ("all", "everybody")])
def test_sides_that_cannot_be_compared_are_a_mistake_on_the_command_line(folder, sides):
    with pytest.raises(Failed, match=r"^2 "):
        call(folder, "compare", *sides)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["student", MARKUP, "--persona", "student"], "--persona cannot be combined with a comparison of two personas"),
        (["2026-01", "2026-02", "--period", "2026-01"], "--period cannot be combined with a comparison of two months"),
        (["student", MARKUP, "--days", "7"], "--days cannot"),
        (["--day", "2026-01-15", "--model", "shop", "--period", "all"], "--model and --period cannot"),
    ],
)
def test_options_that_a_comparison_would_ignore_are_refused(folder, words, named):
    with pytest.raises(Failed, match=r"^2 ") as failed:
        call(folder, "compare", *words)
    assert named in " ".join(re.sub("[^ -~]+", " ", str(failed.value)).split())


def test_a_comparison_lists_what_differs_beyond_chance(folder):
    every = json.loads(call(folder, "compare", "student", MARKUP, "--all", "--json"))
    listed = json.loads(call(folder, "compare", "student", MARKUP, "--json"))
    assert [row for row in every if row["is_beyond_chance"]] == listed
    assert len(listed) < len(every)
    assert f"{len(listed)} of {len(every)} figures differ beyond chance" in call(folder, "compare", "student", MARKUP)
    for day in ("yesterday", "0001-01-02", "9999-12-30"):
        with pytest.raises(Failed, match="2026-03-15"):
            call(folder, "compare", "--day", day, "--days", "5")


@pytest.mark.parametrize(
    ("query", "form", "message"),
    [
        ("select 1 as good, interval 1 day as span", "json", r"type of span \(.*interval\)\. Cast"),
        ("select 1 as good, [{'a': interval 1 day}] as span", "parquet", r"A table .* type of span \("),
        ("select 1 as good, ['a'::blob] as bytes", "json", r"JSON cannot hold the type of bytes \("),
        ("select 1 as good, {'a': 1} as nested, 'a'::blob as bytes", "csv", r"type of nested \(.*\), bytes \("),
        ("select 1 as good, 2 as twice, 3 as twice", "json", r"distinct name; more than one is named twice\."),
    ],
)
def test_columns_that_a_format_cannot_hold_are_named_with_the_cause(folder, query, form, message):
    with pytest.raises(EngineError, match=message) as failed:
        call(folder, "query", query, "--format", form)
    assert "good" not in failed.value.message


def test_nested_columns_are_written_as_json(folder):
    assert json.loads(call(folder, "query", "select {'a': [1]} as nested", "--json")) == [{"nested": {"a": [1]}}]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_empty_query_says_so(folder, more):
    with pytest.raises(EngineError, match="empty"):
        call(folder, "query", "", *more)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_has_every_table(folder, tmp_path, form):
    shown = call(folder, "export", str(tmp_path / "out" / "tables"), "--format", form)
    names = {row["table"]: row["row_count"] for row in json.loads(call(folder, "tables", "--json"))}
    files = {path.stem: path for path in (tmp_path / "out" / "tables").iterdir()}
    assert set(files) == set(names)
    assert f"{len(names)} tables" in shown
    read = pl.read_csv if form == "csv" else pl.read_parquet
    assert read(files["personas"]).height == names["personas"]


def test_no_cell_of_an_export_acts_in_a_spreadsheet(folder, tmp_path):
    call(folder, "export", str(tmp_path / "csv"))
    cells = [
        value
        for path in (tmp_path / "csv").iterdir()
        for row in csv.reader(path.open(newline=""))
        for value in row
    ]  # fmt: skip
    assert f"'{FORMULA}" in cells
    assert not [value for value in cells if value[:1] in "=@\t\r" and value]
    call(folder, "export", str(tmp_path / "xlsx"), "--format", "xlsx")
    book = openpyxl.load_workbook(tmp_path / "xlsx" / "tables.xlsx")
    assert not [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
    texts = [cell.value for row in book["paths"].iter_rows() for cell in row]
    assert FORMULA in texts
    assert 40 in texts


def test_an_export_takes_chosen_tables_and_replaces_nothing_unasked(folder, tmp_path):
    call(folder, "export", str(tmp_path), "--table", "paths", "--table", "personas")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["paths.csv", "personas.csv"]
    (tmp_path / "paths.csv").write_text("mine")
    with pytest.raises(InputError, match="--force"):
        call(folder, "export", str(tmp_path), "--table", "paths")
    assert (tmp_path / "paths.csv").read_text() == "mine"
    done = json.loads(call(folder, "export", str(tmp_path), "--table", "paths", "--force", "--json"))
    assert (done["files"], done["row_counts"]) == (["paths.csv"], {"paths": 3})
    with pytest.raises(NotFoundError, match="Did you mean"):
        call(folder, "export", str(tmp_path), "--table", "path")
    with pytest.raises(InputError, match="is a file"):
        call(folder, "export", str(tmp_path / "paths.csv"))


def test_a_table_longer_than_a_sheet_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(excel, "MOST_ROWS", 4)
    with pytest.raises(InputError, match=r"has .* rows and a sheet of Excel takes 3"):
        call(folder, "export", str(tmp_path), "--format", "xlsx")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("cohorts", "'retention'"), ("marts", "'tables'"), ("watch", "'serve'"), ("pathes", "'paths'"),
        ("segments", "'personas'"), ("delete", "'erase'"), ("Sankey", "'paths'"), ("funel", "'funnel'"),
    ],
)  # fmt: skip
def test_an_unknown_command_is_answered_with_a_near_one(word, meant):
    result = CliRunner().invoke(app, [word])
    assert result.exit_code == ExitCode.CONFIGURATION
    assert f"Did you mean {meant}" in result.stderr


def test_the_help_lists_every_command_under_a_heading():
    from journeyflow.cli.app import _PANELS

    names = {name for name, command in get_command(app).commands.items() if not command.hidden}
    assert {name for words in _PANELS.values() for name in words.split()} == names


def test_a_command_is_built_when_it_is_asked_for():
    group = get_command(app)
    assert group.get_command(None, "paths").name == "paths"
    assert group.get_command(None, "pathes") is None
    groups = (group, *map(group.commands.get, ("explain", "quarantine")))
    built = [name for one in groups for name, command in one.commands.data.items() if isinstance(command, TyperCommand)]
    assert built == ["paths"]


def test_words_for_commands_name_commands_and_are_none():
    from journeyflow.cli.app import _CONCEPTS

    names = {*get_command(app).commands}
    assert set(_CONCEPTS) <= names
    words = [word for words in _CONCEPTS.values() for word in words.split()]
    assert not names & set(words)


def test_channels_have_their_figures_and_the_paths_what_is_pending(folder):
    shown = call(folder, "attribution", "order", "--method", "last")
    assert "order, all persons, the whole time: 40 goals, 50 paths without, 6 pending" in shown
    assert ["cpc", "20.0", "12 to 28", "10 to 30", "-", "100 EUR", "5.00 EUR", "-"] in [
        [cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.splitlines()
    ]
    [first, *_] = json.loads(call(folder, "attribution", "order", "--paths", "--json"))
    assert (first["path"], first["pending_count"]) == ("cpc > email", 1)
    shown = call(folder, "attribution", "order", "--paths")
    assert all(word in shown for word in ("touches in order", "reached the goal", "ended without", "still open"))


def test_attribution_refuses_what_it_does_not_have(folder):
    with pytest.raises(NotFoundError, match="Did you mean 'order'"):
        call(folder, "attribution", "ordr")
    with pytest.raises(NotFoundError, match="markov"):
        call(folder, "attribution", "order", "--method", "markow")
    with pytest.raises(Failed, match="one of the two"):
        call(folder, "attribution", "order", "--persona", "student", "--period", "2026-02")


def test_what_if_says_what_less_leaving_brings_and_on_which_condition(folder):
    (row,) = json.loads(call(folder, "what-if", "--fix", "25%", "--json"))
    assert (row["stage"], row["exit_count"], row["kept_count"], row["conversion_rate"]) == ("awareness", 4, 1, 0.6)
    assert row["gain_count"] == pytest.approx(1)
    shown = call(folder, "what-if", "--stage", "awareness")
    assert "If those kept were like those who went on" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("awareness")]
    assert re.fullmatch(r"awareness +4 +0\.4 +60\.0 % +[0-9.]+ % +0\.4 +-?[0-9.]+ to [0-9.]+ *", line)
    with pytest.raises(NotFoundError):
        call(folder, "what-if", "--stage", "nowhere")


@pytest.mark.parametrize("share", ["0", "-1%", "101%", "nan", "x"])
def test_what_if_takes_a_share(folder, share):
    done = CliRunner().invoke(app, ["what-if", "--fix", share, "--published", str(folder)])
    assert done.exit_code == 2
    assert "10% or 0.1" in done.output


def test_audiences_are_listed_by_what_becomes_of_their_persons(folder):
    (row,) = json.loads(call(folder, "audiences", "--json"))
    assert (row["matched_count"], row["listed_count"]) == (9, 4)
    shown = call(folder, "audiences")
    assert "audiences/<audience>/ in the state folder" in shown
    assert "Write." in shown
