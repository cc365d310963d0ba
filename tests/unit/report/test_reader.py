"""The report data equals the published tables: every figure, every row, nothing invented, nothing that can act."""

from __future__ import annotations

import pytest

from journeyflow.compile.map_figures import MAP_ROWS
from journeyflow.errors import NotFoundError
from journeyflow.publish.reader import open_published
from journeyflow.report import cells
from journeyflow.report.formatting import COUNTED_ONCE
from journeyflow.report.reader import keys_of, read_report_data
from support.map_tables import BIDI, FORMULA, MARKUP, MODELS, PERIODS, PERSONAS, TABLES, publish_tables, rich_tables
from support.report_figures import figures_of, texts_of, wrong_figures


def read(folder, tables):
    publish_tables(folder, tables)
    with open_published(folder) as published:
        return read_report_data(published)


def test_the_sql_of_every_figure_returns_it(report_data, rich):
    assert wrong_figures(report_data, rich, every=5) == []


def test_the_sql_of_a_figure_shows_all_its_characters(report_data):
    sqls = {figure.sql for figure in figures_of(report_data)}
    assert all(sql.isprintable() and len(sql) < 1_500 for sql in sqls)
    assert any("chr(8238)" in sql for sql in sqls)


def test_texts_are_short_and_every_character_of_them_can_be_seen(report_data):
    texts = set(texts_of(report_data))
    assert [text for text in texts if not text.isprintable()] == []
    assert max(map(len, texts)) <= 1_200
    assert any("\\u202e" in text for text in texts)
    assert any(text.endswith("…") for text in texts)


def test_a_map_has_every_row_and_a_cell_for_every_stage(report_data):
    assert len(report_data.maps) == len(MODELS) * len(PERSONAS) * len(PERIODS)
    for found in report_data.maps:
        assert [row.key for row in found.rows] == [row.key for row in MAP_ROWS]
        assert all([cell.stage for cell in row.cells] == list(MODELS[found.model]) for row in found.rows)


def test_a_cell_is_unknown_exactly_when_it_is_empty(report_data):
    found = [cell for one in report_data.maps for row in one.rows for cell in row.cells]
    assert all((cell.evidence == "unknown") == (not cell.items) for cell in found)
    assert all(cell.note for cell in found if not cell.items)
    assert {cell.evidence for cell in found} == {"observed", "inferred", "supplied", "unknown"}


def test_personas_come_with_everybody_first_and_the_unassigned_last(report_data, rich):
    assert [persona.key for persona in report_data.personas] == ["all", "student", MARKUP, "unassigned"]
    assert [period.key for period in report_data.periods] == list(PERIODS)
    assert keys_of(rich)[1] == [persona.key for persona in report_data.personas]


def test_where_everybody_has_a_persona_nobody_is_named_unassigned(tmp_path):
    tables = rich_tables()
    for count, is_named in ((0, False), (1, True)):
        people = [
            row | {"person_count": count} if row["persona"] == "unassigned" else row for row in tables["personas"]
        ]
        text = read(tmp_path / str(count), tables | {"personas": people}).briefing.people
        assert ("Unassigned" in text) == is_named


def test_without_configured_personas_the_briefing_says_so(tmp_path):
    tables = rich_tables()
    people = [row for row in tables["personas"] if row["persona"] in ("all", "unassigned")]
    assert read(tmp_path, tables | {"personas": people}).briefing.people.endswith(
        " persons; no personas are configured"
    )


def test_where_nobody_has_left_yet_the_briefing_says_where_most_may_still_go_on(tmp_path):
    tables = rich_tables()
    steps = [row | {"drop_off_count": 0, "pending_count": 10 * row["step_index"]} for row in tables["funnel_steps"]]
    line = read(tmp_path, tables | {"funnel_steps": steps}).briefing.stages
    assert line.endswith("; nobody's time to go on is over yet; most may still go on at Consideration: 20")


def test_only_what_is_asked_for_is_read(rich):
    few = read_report_data(rich, models=["shop"], personas=[MARKUP], periods=["2026-01"])
    assert [(found.model, found.persona, found.period) for found in few.maps] == [("shop", MARKUP, "2026-01")]
    assert few.map_of("shop", MARKUP) is None


def test_labels_stand_in_place_of_names(tmp_path):
    tables = rich_tables()
    stage = next(iter(MODELS["shop"]))
    touchpoint = tables["touchpoints"][0]["touchpoint"]
    given = [("stage", "shop", stage, "Looking"), ("persona", "any", "student", "Students \u202e")]
    given.append(("event", "any", touchpoint.split(": ")[-1], "A page"))
    tables["labels"] = [dict(zip(("kind", "model", "name", "label"), row, strict=True)) for row in given]
    found = read(tmp_path, tables)
    assert found.models[0].stages[0].label == found.map_of("shop").reached[0].label == "Looking"
    assert next(one for one in found.personas if one.key == "student").label == "Students \\u202e"
    texts = {item.text for cell in found.map_of("shop").row("touchpoints").cells for item in cell.items}
    assert f"{touchpoint.split(': ')[0]}: A page" in texts
    assert touchpoint not in texts


def test_who_may_still_go_on_is_named_beside_those_who_left(report_data, rich):
    line = report_data.briefing.stages
    [[pending]] = rich.sql(
        "select pending_count from funnel_steps where funnel = 'shop' and persona = 'all' and period = 'all' "
        "and step_index < 4 order by drop_off_count desc limit 1"
    ).rows()
    assert pending
    assert line.endswith(f" ({pending:,} more still may go on)")


def test_entries_beyond_the_most_are_counted(report_data):
    cell = report_data.map_of("shop").row("touchpoints").cells[0]
    assert len(cell.items) == 6
    assert len(cell.items) + cell.rest_count == 11
    reach = [item.figure("reach_rate").value for item in cell.items]
    assert reach == sorted(reach, reverse=True)


def test_people_add_up(report_data):
    for found in report_data.maps:
        for cell in found.row("people").cells[:-1]:
            parts = [cell.items[0].figure(key).value for key in ("converted_count", "drop_off_count", "pending_count")]
            assert sum(parts) == cell.items[0].figure("person_count").value


def test_people_are_those_of_the_map_in_every_period_and_the_funnel_stays_itself(report_data, rich):
    for period, table, count in (("all", "funnel_steps", 2_000), ("2026-01", "map_stages", 1_012)):
        found = report_data.map_of("shop", "student", period)
        cells = [cell.items[0] for cell in found.row("people").cells]
        assert {figure.source.table for item in cells for figure in item.figures} == {"map_stages"}
        assert [item.figure("person_count").value for item in cells] == [stage.reached.value for stage in found.reached]
        [[published_count]] = rich.sql(
            f"select max(person_count) from {table} where period = '{period}' and persona = 'student'"
        ).rows()
        assert cells[0].figure("person_count").value == found.reached[0].reached.value == published_count == count
    assert report_data.map_of("shop", "student", "2026-01").funnel.steps[0].reached.value == 1_000


def test_a_month_in_which_the_funnel_counts_nobody_has_a_map(tmp_path):
    tables = rich_tables()
    tables["funnel_steps"] = [row for row in tables["funnel_steps"] if row["period"] == "all"]
    found = read(tmp_path, tables).map_of("shop", "student", "2026-01")
    assert found.reached[0].reached.value == 1_012
    assert found.funnel.steps == ()
    assert found.row("time").cells[0].evidence == "unknown"


def test_what_is_of_the_people_of_the_funnel_says_so_in_a_month(report_data):
    month, whole = (report_data.map_of("shop", "student", period) for period in ("2026-01", "all"))
    notes = {key: [cell.note for cell in month.row(key).cells] for key in ("next", "time")}
    assert all(COUNTED_ONCE in note for texts in notes.values() for note in texts[:-1])
    assert not any(COUNTED_ONCE in cell.note for row in whole.rows for cell in row.cells)
    noted = {row.key for row in month.rows for cell in row.cells if COUNTED_ONCE in cell.note}
    assert noted == {"next", "time"}
    wishes = {item.text: item.note for item in month.row("desired").cells[0].items}
    assert wishes == {"reach the stage": "", "median time to the next stage": COUNTED_ONCE}
    assert {item.note for item in whole.row("desired").cells[0].items} == {""}


@pytest.mark.parametrize("row", ["pain_points", "opportunities"])
def test_nothing_found_is_known_only_where_enough_people_were_seen(tmp_path, row):
    tables = rich_tables() | {"pain_points": [], "opportunities": []}
    for stage in tables["map_stages"]:
        few = {"consideration": {"is_small": True}, "decision": {"visited_count": 0}}
        stage |= {"is_small": False} | few.get(stage["stage"], {})
    found = read(tmp_path, tables).map_of("shop").row(row).cells
    assert [(cell.evidence, cell.note) for cell in found] == [
        ("observed", cells.NONE_FOUND),
        ("unknown", cells.FEW_PEOPLE),
        ("unknown", cells.NOBODY),
        ("unknown", cells.LAST_STAGE),
    ]


def test_the_visits_of_a_stage_add_up_in_the_flow(report_data):
    for flow in report_data.flows:
        for stage in MODELS[flow.model]:
            came = sum(link.count.value for link in flow.links if link.end == stage)
            left = sum(link.count.value for link in flow.links if link.start == stage)
            assert came >= left
    links = next(flow.links for flow in report_data.flows if (flow.model, flow.persona) == ("shop", "all"))
    ends = {link.end for link in links}
    assert {"exit", "open"} < ends
    assert any(link.is_backward for link in links)


def test_measured_and_supplied_values_stay_apart(report_data):
    cell = report_data.map_of("shop").row("desired").cells[0]
    assert cell.evidence == "supplied"
    assert {item.figure("desired").evidence for item in cell.items} == {"supplied"}
    assert {item.figure("measured").evidence for item in cell.items} == {"observed"}
    emotion = [cell.evidence for cell in report_data.map_of("shop").row("emotion").cells]
    assert emotion == ["observed", "inferred", "inferred", "unknown"]


def test_a_promise_has_rates_of_advancing_in_its_own_model_only(tmp_path):
    tables = rich_tables()
    tables["promises"][0] |= {"model": FORMULA}
    cell = read(tmp_path, tables).map_of("shop").row("promises").cells[2]
    assert cell.items[0].figure("kept_rate").n == 170
    assert cell.items[0].figure("next_stage_rate_kept") is None


def test_blind_spots_lead_with_the_critical_ones(report_data):
    severities = [spot.severity for spot in report_data.blind_spots]
    assert severities == ["critical", "critical", "warning", "note", "note"]


@pytest.mark.parametrize("emptied", sorted(set(TABLES) - {"map_stages"}))
def test_a_table_may_be_empty(tmp_path, emptied):
    tables = {name: rows[:40] for name, rows in rich_tables().items()} | {emptied: []}
    assert read(tmp_path, tables).map_of("shop")


def test_nothing_published_makes_no_map(tmp_path):
    found = read(tmp_path, {})
    assert (found.models, found.maps, found.blind_spots) == ((), (), ())
    assert found.run.persons.value is None


def test_a_stage_that_nobody_reached_is_reported_as_such(tmp_path):
    """A blog without a purchase: a stage of the model stays, its cells say unknown, and nothing is made up."""
    stages = (
        {"stage_index": 1, "stage": "read", "person_count": 50},
        {"stage_index": 2, "stage": "buy", "person_count": 0},
    )
    of_map = {"model": "blog", "persona": "all", "period": "all"}
    found = read(tmp_path, {"map_stages": [of_map | stage for stage in stages]}).map_of("blog")
    empty = [row.cells[1] for row in found.rows]
    assert [cell.row for cell in empty if cell.evidence != "unknown"] == ["people"]
    assert empty[0].items[0].figure("person_count").value == 0


def test_hostile_keys_find_their_maps(report_data):
    assert report_data.map_of(FORMULA, MARKUP, "2026-02").funnel.persona == MARKUP
    assert BIDI in {item for table in rich_tables()["stage_channels"] for item in table.values()}


def test_the_folder_of_a_project_names_that_of_its_tables(tmp_path):
    (tmp_path / "published" / "current").mkdir(parents=True)
    with pytest.raises(NotFoundError, match="open that"):
        open_published(tmp_path)
