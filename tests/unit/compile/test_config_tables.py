from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.compile.config_tables import config_tables, funnel_indexes
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from support.few_models import all_models

WEB = {"format": "access_log", "path": "a"}


def built(first="2026-01-01T00:00:00", last="2026-01-02T12:00:00", **sections):
    config = load_config({"sources": {"web": WEB}, **sections})
    first_us, last_us = (
        int(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()) * 1_000_000 for stamp in (first, last)
    )
    found = config_tables(config, run_id="r1", high_water_us=last_us, first_event_us=first_us, person_secret="s")
    return {name.removeprefix("config."): table.to_pylist() for name, table in found.items()}


def test_columns_are_those_of_the_metadata():
    config = load_config({"sources": {"web": WEB}})
    graph = all_models()
    found = config_tables(config, run_id="r", high_water_us=0, first_event_us=0, person_secret="s")
    described = {
        name for name in graph.models if name.startswith("config.") and graph[name].metadata.python_model == "config"
    }
    assert set(found) == described - {"config.columns"}
    with DuckDBEngine(threads=1) as engine:
        for name, table in found.items():
            engine.register(name, table)
            promised = {column: each.type.upper().replace(" ", "") for column, each in graph[name].columns.items()}
            assert {
                column: kind.upper().replace(" ", "") for column, kind in engine.columns(name).items()
            } == promised, name


def test_settings():
    (row,) = built(timezone="Europe/Berlin", min_count=5, currency={"report": "USD"}, privacy={"person_id": "clear"})[
        "settings"
    ]
    assert row == {
        "project": "journeyflow",
        "timezone": "Europe/Berlin",
        "high_water_at": datetime(2026, 1, 2, 12),
        "journeys_timeout_us": 30 * 86_400_000_000,
        "journeys_window_us": 30 * 86_400_000_000,
        "min_count": 5,
        "report_currency": "USD",
        "is_clear_person_id": True,
        "person_secret": "s",
        "run_id": "r1",
    }


def test_stage_funnels_come_first_and_are_named_as_their_models():
    found = built(models={"four_stage": "builtin", "value_journey": "builtin"})
    assert [(row["funnel"], row["funnel_index"], row["kind"], row["step_count"]) for row in found["funnels"]] == [
        ("four_stage", 1, "stages", 4),
        ("value_journey", 2, "stages", 8),
        ("cart_abandonment", 3, "steps", 3),
    ]
    steps = [row["step"] for row in found["funnel_steps"] if row["funnel"] == "four_stage"]
    assert steps == ["awareness", "consideration", "decision", "post_purchase"]
    config = load_config({"sources": {"web": WEB}})
    assert funnel_indexes(config) == {"four_stage": 1, "cart_abandonment": 2}


def test_levels_of_any_order_are_how_many_steps_were_done():
    steps = [{"name": "seen", "when": {"event": "a"}}, {"name": "read", "when": {"event": "b"}}]
    found = built(funnels={"free": {"steps": steps, "order": "any_order"}, "bound": {"steps": steps}})["funnel_steps"]
    assert [row["step"] for row in found if row["funnel"] == "free"] == ["1 of 2 steps", "2 of 2 steps"]
    assert [row["step"] for row in found if row["funnel"] == "bound"] == ["seen", "read"]


def test_personas_end_with_unassigned_and_carry_their_marks():
    people = [
        {"path": "a", "user_id": "u", "traits": ["plan"]},
        {"path": "b", "user_id": "u", "traits": ["city"], "valid_from": "t"},
    ]
    personas = [
        {"name": "pro", "when": {"trait.plan": "pro"}},
        {"name": "local", "description": "From here", "when": {"trait.city": "Bonn"}},
        {"name": "buyer", "as_of": "now", "when": {"count.purchase": {"at_least": 1}}},
    ]
    rows = built(people=people, personas=personas)["personas"]
    assert [tuple(row.values()) for row in rows] == [
        ("pro", 1, "trait.plan is pro", None, False, True, False),
        ("local", 2, "trait.city is Bonn", "From here", False, False, False),
        ("buyer", 3, "count.purchase is at least 1", None, True, False, True),
        ("unassigned", 4, "no other persona's rule holds", None, False, False, False),
    ]


def test_slices_are_columns_or_properties():
    sources = {"web": WEB | {"properties": ["target"]}}
    assert [
        tuple(row.values()) for row in built(sources=sources, slices=["device", "channel", "target"])["slices"]
    ] == [
        (1, "device", True, "slice_1"),
        (2, "channel", False, "slice_2"),
        (3, "target", True, "slice_3"),
    ]


def test_passive_events_are_those_of_the_vocabulary_and_of_the_source():
    sources = {"web": WEB, "mail": WEB | {"passive": ["sms_sent", "email_opened"]}}
    rows = built(sources=sources)["passive_events"]
    shipped = {"ad_impression", "email_opened", "email_sent", "email_delivered", "push_received"}
    assert {row["event_name"] for row in rows if row["source"] == "web"} == shipped
    assert {row["event_name"] for row in rows if row["source_ix"] == 2} == shipped | {"sms_sent"}


def test_conditions_are_what_should_match_something():
    steps = [{"name": "seen", "when": {"event": "a"}}, {"name": "paid", "when": {"event": "b", "channel": ["c", "d"]}}]
    exclusion = {"between": ["seen", "paid"], "when": {"event": "e"}}
    promise = {"name": "p", "stage": "decision", "from": {"event": "a"}, "to": {"event": "b"}, "within": "3d"}
    rows = built(
        funnels={"f": {"steps": steps, "exclusions": [exclusion]}},
        goals={"order": {"when": {"event": "b"}}},
        friction=[{"name": "Failed", "when": {"event": "x"}}],
        promises=[promise],
        touchpoints=[{"label": "L", "when": {"event": "a"}}, {"label": "L", "when": {"event": "b"}}],
        surveys={"s": {"event": "answer", "text": "properties.t"}},
    )["conditions"]
    assert [tuple(row.values()) for row in rows] == [
        ("funnel/f/seen", "step", "funnel f: seen", "event is a", None, None),
        ("funnel/f/paid", "step", "funnel f: paid", "event is b and channel is one of c, d", None, None),
        ("funnel/f/exclusion/1", "exclusion", "funnel f: exclusion 1", "event is e", None, None),
        ("goal/order", "goal", "goal order", "event is b", None, None),
        ("friction/Failed", "friction", "friction Failed", "event is x", None, None),
        ("promise/p/from", "promise_start", "promise p: from", "event is a", None, None),
        ("promise/p/to", "promise_end", "promise p: to", "event is b", None, None),
        ("touchpoint/L", "touchpoint", "touchpoint L", "event is a or event is b", "L", None),
        ("survey/s", "survey", "survey s", "event is answer", None, "answer"),
    ]
    assert {row["kind"] for row in built()["conditions"]} == {"step"}, "default goals need not match"


def test_rates_hold_the_report_currency():
    rows = built(currency={"report": "EUR", "rates": {"USD": 0.92}})["rates"]
    assert {row["currency"]: row["rate"] for row in rows} == {"USD": Decimal("0.92"), "EUR": Decimal(1)}


def test_owners_of_stages_may_be_supplied_to_the_map():
    rows = built(map={"owners": {"decision": "Sales"}})["stages"]
    assert [row["owner"] for row in rows] == [None, None, "Sales", None]


def test_a_stage_is_reached_again_where_a_rule_asks_for_a_second_event():
    bounds = {"first": None, "second": {"at_least": 2}, "once": {"at_least": 1}, "third": {"is": 3}}
    rules = {
        name: {"id": name, "when": {"event": "buy"}} | ({"nth": nth} if nth else {}) for name, nth in bounds.items()
    }
    rows = built(models={"m": {"stages": [{"name": name, "rules": [rule]} for name, rule in rules.items()]}})["stages"]
    assert {row["stage"]: row["is_repeat"] for row in rows} == {
        "first": False, "second": True, "once": False, "third": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "first", "last", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-28T12:00:00", "2026-03-30T12:00:00", date(2026, 3, 29), 23),
        ("Europe/Berlin", "2026-10-24T12:00:00", "2026-10-26T12:00:00", date(2026, 10, 25), 25),
        ("America/Sao_Paulo", "2018-11-03T12:00:00", "2018-11-05T12:00:00", date(2018, 11, 4), 23),
        ("UTC", "2026-03-28T12:00:00", "2026-03-30T12:00:00", date(2026, 3, 29), 24),
    ],
)
def test_days_are_as_long_as_clocks_make_them(zone, first, last, day, hours):
    rows = {row["day"]: row for row in built(first, last, timezone=zone)["days"]}
    assert rows[day]["end_at"] - rows[day]["start_at"] == timedelta(hours=hours)


def test_days_cover_the_data_in_the_projects_zone():
    rows = built("2025-12-31T23:30:00", "2026-01-01T23:30:00", timezone="Europe/Berlin")["days"]
    assert [(row["day_index"], row["day"], row["month"]) for row in rows] == [
        (1, date(2026, 1, 1), "2026-01"),
        (2, date(2026, 1, 2), "2026-01"),
    ]


@settings(deadline=None)  # The first example reads the metadata files.
@given(
    st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Africa/Cairo", "Pacific/Apia"]),
    st.integers(0, 2_000_000_000),
    st.integers(0, 400 * 86_400),
)
def test_every_instant_is_in_its_local_day(zone, start, span):
    config = load_config({"sources": {"web": WEB}, "timezone": zone})
    first, last = start * 1_000_000, (start + span) * 1_000_000
    days = config_tables(config, run_id="r", high_water_us=last, first_event_us=first, person_secret="s")[
        "config.days"
    ].to_pylist()
    assert all(before["end_at"] == after["start_at"] for before, after in itertools.pairwise(days))
    for instant in (start, start + span // 2, start + span):
        moment = datetime.fromtimestamp(instant, UTC)
        holding = [row["day"] for row in days if row["start_at"] <= moment.replace(tzinfo=None) < row["end_at"]]
        assert holding == [moment.astimezone(ZoneInfo(zone)).date()]


def test_names_without_a_label_are_words():
    when = {"event": "page_view"}
    rules = [{"id": "any", "when": when}]
    stages = [{"name": "look_at", "label": "Look / compare", "rules": rules}, {"name": "first_buy"}]
    rows = built(
        models={"m": {"stages": stages}, "more": {"extends": "m", "stages": [{"name": "first_buy", "label": "Till"}]}},
        personas=[{"name": "pro", "label": "Professionals", "when": {"first.event": "page_view"}}],
        labels={"page_view": "Page"},
    )["labels"]
    assert [tuple(row.values()) for row in rows] == [
        ("stage", "m", "look_at", "Look / compare"),
        ("stage", "m", "first_buy", "First buy"),
        ("stage", "more", "look_at", "Look / compare"),
        ("stage", "more", "first_buy", "Till"),
        ("persona", "any", "pro", "Professionals"),
        ("event", "any", "page_view", "Page"),
    ]


def test_a_month_begins_and_ends_with_its_days():
    tables = built("2026-03-28T12:00:00", "2026-04-01T12:00:00", timezone="Europe/Berlin")
    months = [(row["month"], row["start_at"], row["end_at"]) for row in tables["months"]]
    march = [row for row in tables["days"] if row["month"] == "2026-03"]
    april = [row for row in tables["days"] if row["month"] == "2026-04"]
    assert months == [
        ("2026-03", march[0]["start_at"], march[-1]["end_at"]),
        ("2026-04", april[0]["start_at"], april[-1]["end_at"]),
    ]


def test_a_local_day_is_found_by_each_of_its_dates():
    rows = built("2026-03-28T12:00:00", "2026-04-01T12:00:00", timezone="Europe/Berlin")["day_dates"]
    assert [row["utc_date"].day for row in rows if row["day"] == date(2026, 3, 29)] == [28, 29]
    (last, _) = (row for row in rows if row["day"] == date(2026, 4, 1))
    assert (last["month"], last["week"]) == ("2026-04", "2026-03-30")
    assert {row["month_number"] for row in rows} == {12 * 2026 + 2, 12 * 2026 + 3}
    # Monday is 30 March.
    assert {row["week_number"] - rows[0]["week_number"] for row in rows} == {0, 1}


def test_cohorts_follow_any_event_goals_and_conditions():
    assert [tuple(row.values()) for row in built()["cohorts"]] == [
        ("first_event", 1, True, True, None, 7 * 86_400_000_000, "7d", 12, "month")
    ]
    sections = {
        "starts": {"o": {"start": "order", "return": {"event": "a"}, "bucket": "week", "ages": 3, "by": "week"}}
    }
    found = built(cohorts=sections)
    assert [tuple(row.values()) for row in found["cohorts"]] == [
        ("o", 1, False, False, "week", None, "week", 3, "week")
    ]
    assert [row["age_index"] for row in found["cohort_ages"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("goals", "repeat", "followed"),
    [
        (["lead", "order"], None, "order"),
        (["lead", "sale"], None, "lead"),
        (["lead", "order"], "lead", "lead"),
        ([], None, None),
    ],
)
def test_repeats_of_one_goal_are_followed(goals, repeat, followed):
    cohorts = {"repeat": repeat} if repeat else {}
    rows = built(goals={goal: {"when": {"event": goal}} for goal in goals}, cohorts=cohorts)["goals"]
    assert [row["goal"] for row in rows if row["is_repeated"]] == ([followed] if followed else [])
