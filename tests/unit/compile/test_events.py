from __future__ import annotations

import pytest

from journeyflow.compile.staging_events import (
    BOT_PATTERN,
    event_type_predicates,
    slice_values,
    source_filter,
    staging_events,
    unit_properties,
)
from journeyflow.config import load_config


@pytest.fixture
def staged(engine, land, configured):
    def rows(*events, **sections):
        land(*events)
        engine.run("staging.events", staging_events(configured(**sections)))
        return engine.rows("select * from staging.events order by event_ix").to_pylist()

    return rows


def test_a_touchpoint_is_the_first_label_that_fits_else_the_event(staged):
    touchpoints = [
        {"label": "Shoes", "when": {"page_path": {"prefix": "/p/shoe"}}},
        {"label": "Product page", "when": {"event": "page_view", "page_path": {"glob": "/p/**"}}},
    ]
    events = [
        {"channel": "web", "page_path": "/p/shoe/1"},
        {"channel": "web", "page_path": "/p/hat"},
        {"channel": "web", "page_path": "/p/hat", "event_name": "search"},
        {"page_path": None},
    ]
    found = [row["touchpoint"] for row in staged(*events, touchpoints=touchpoints)]
    assert found == ["web: Shoes", "web: Product page", "web: search", "unknown: page_view"]


@pytest.mark.parametrize(
    ("agent", "is_bot"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", True),
        ("Mozilla/5.0 (compatible; bingbot/2.0)", True),
        ("msnbot-media/1.1", True),
        ("Baiduspider", True),
        ("Mozilla/5.0 (compatible; Yahoo! Slurp)", True),
        ("python-requests/2.31", True),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0", True),
        ("facebookexternalhit/1.1", True),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/100 Mobile Safari/537.36", False),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0",
            False,
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1",
            False,
        ),
        ("Lynx/2.8.7rel.2 libwww-FM/2.14 SSL-MM/1.4.1", False),
        (None, False),
    ],
)
def test_bots_are_known_by_their_agents(staged, agent, is_bot):
    assert staged({"user_agent": agent})[0]["is_bot"] is is_bot
    assert staged({"user_agent": agent}, exclude_traffic={"bots": "none"})[0]["is_bot"] is False


def test_own_bots_add_to_the_builtin_ones(staged):
    bots = {"when": {"target": "probe"}}
    rows = staged({"target": "probe"}, {"user_agent": "Googlebot/2"}, {}, exclude_traffic={"bots": bots})
    assert [row["is_bot"] for row in rows] == [True, True, False]


def test_the_pattern_of_bots_is_one_that_the_engine_knows(engine):
    assert engine.rows("select regexp_matches('Googlebot', ?) as found", [BOT_PATTERN])["found"].to_pylist() == [True]


def test_internal_traffic_is_flagged(staged):
    internal = {"any": [{"user_id": {"suffix": "@acme.example"}}, {"properties.office": True}]}
    events = [{"user_id": "a@acme.example"}, {"user_id": "a@other.example"}, {"properties": '{"office": true}'}, {}]
    rows = staged(*events, exclude_traffic={"internal": internal})
    assert [row["is_internal"] for row in rows] == [True, False, True, False]


def test_offline_channels(staged):
    rows = staged({"channel": "store"}, {"channel": "web"}, {}, sessions={"offline_channels": ["store"]})
    assert [row["is_offline"] for row in rows] == [True, False, False]
    assert [row["is_offline"] for row in staged({"channel": "store"}, sessions={"offline_channels": []})] == [False]


def test_keys_are_those_of_loading(engine, staged):
    rows = staged(
        {"event_name": "alias", "user_id": "new", "session_id": "s", "properties": '{"previous_id": "old"}'},
        {"event_name": "page_view", "properties": '{"previous_id": "old"}'},
        {"event_name": "alias", "properties": None},
    )
    keys = engine.rows("select md5_number_lower('u:old') as alias, md5_number_lower('s') as session").to_pylist()[0]
    assert [row["alias_key"] for row in rows] == [keys["alias"], None, None]
    assert [row["session_key"] for row in rows] == [keys["session"], None, None]
    assert rows[0]["source_ix"] == 1


def test_units_by_property_have_columns(staged, configured):
    step = [{"name": "a"}, {"name": "b"}]
    funnels = {
        "f": {"steps": step, "unit": {"property": "account"}},
        "g": {"steps": step, "unit": {"property": "team.id"}},
        "h": {"steps": step, "unit": {"property": "account"}},
        "i": {"steps": step, "unit": "session"},
    }
    assert unit_properties(configured(funnels=funnels)) == ("account", "team.id")
    row = staged({"properties": '{"account": 7, "team": {"id": "x"}}'}, funnels=funnels)[0]
    assert (row["unit_1"], row["unit_2"]) == ("7", "x")


def test_slices_have_columns(staged):
    sources = {"web": {"format": "access_log", "path": "a"}}
    rows = staged(
        {"properties": '{"device": {"os": " mobile "}, "plan": ""}', "utm_medium": "cpc"},
        {"properties": None},
        sources=sources,
        slices=["device.os", "utm_medium", "plan"],
    )
    assert [tuple(row[f"slice_{n}"] for n in (1, 2, 3)) for row in rows] == [
        ("mobile", "cpc", None),
        (None, None, None),
    ]


def test_values_of_slices_are_counted_without_programs(staged, engine, configured):
    events = [
        {"channel": "web"},
        {"channel": "web"},
        {"channel": "app"},
        {"channel": "app", "user_agent": "Googlebot/2"},
    ]
    for slices, expected in (
        ([], []),
        (["channel"], [(1, "app", 1), (1, "web", 2)]),
        (["currency", "channel", "target"], [(2, "app", 1), (2, "web", 2)]),
    ):
        staged(*events, slices=slices)
        engine.run("staging.slice_values", slice_values(configured(slices=slices)))
        found = engine.rows("select * from staging.slice_values order by all").to_pylist()
        assert list(engine.columns("staging.slice_values").values()) == ["INTEGER", "VARCHAR", "BIGINT"]
        assert [tuple(row.values()) for row in found] == expected


def test_without_slices_no_column_is_added(staged):
    assert not [name for name in staged({})[0] if name.startswith("slice_")]


@pytest.mark.parametrize("count", [0, 1, 3, 64, 65, 200])
def test_condition_bits_hold_any_number_of_conditions(engine, staged, configured, count):
    funnels = {"f": {"steps": [{"name": "a"}, {"name": "b"}]}}
    goals = {f"g{n}": {"when": {"target": str(n), "event": "page_view"}} for n in range(count)}
    staged(*({"target": str(n)} for n in range(-1, count)), goals=goals, funnels=funnels)
    engine.run(
        "journeys.event_types",
        "select cast(event_ix as integer) as event_type_ix, event_name, channel, touchpoint, condition_bits "
        "from staging.events",
    )
    select = event_type_predicates(configured(goals=goals, funnels=funnels))
    engine.run("config.event_type_predicates", select)
    found = engine.rows(
        "select event_type_ix, predicate, is_true from config.event_type_predicates where predicate like 'goal/%'"
    ).to_pylist()
    assert {(row["event_type_ix"], row["predicate"]) for row in found} == {(n + 2, f"goal/g{n}") for n in range(count)}
    assert len(found) == count


def test_predicates_read_names_channels_and_stages(engine, configured):
    engine.execute("create schema journeys")
    engine.execute("""
        create table journeys.event_types as
        select * from (values (1, 'purchase', 'web', 'a', 0::ubigint), (2, 'page_view', 'store', 'b', 0::ubigint))
            as event_types (event_type_ix, event_name, channel, touchpoint, condition_bits)
    """)
    funnels = {
        "f": {
            "model": "four_stage",
            "steps": [
                {"name": "shop", "when": {"stage": "decision", "channel": "web"}},
                {"name": "none", "when": {"stage": "unclassified"}},
                {"name": "any"},
            ],
            "exclusions": [{"between": ["shop", "any"], "when": {"event": {"not": "purchase"}}}],
        }
    }
    engine.run("config.event_type_predicates", event_type_predicates(configured(funnels=funnels)))
    rows = engine.rows("""
        select predicate, event_type_ix, stage_index, is_true from config.event_type_predicates
        where predicate not like 'model/%'
        order by predicate, event_type_ix, stage_index
    """).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("funnel/f/any", 1, 0, True),
        ("funnel/f/any", 2, 0, True),
        ("funnel/f/exclusion/1", 2, 0, True),
        ("funnel/f/none", 1, 0, True),
        ("funnel/f/none", 2, 0, True),
        ("funnel/f/shop", 1, 3, True),
        ("goal/order", 1, 0, True),
    ]
    assert (
        engine.rows(
            "select count(*) as n from config.event_type_predicates where predicate = 'model/four_stage/purchase'"
        )["n"][0].as_py()
        == 1
    )


def test_a_configuration_without_any_condition(engine, configured):
    engine.execute("create schema journeys")
    engine.execute("create table journeys.event_types (event_type_ix integer)")
    empty = configured(models={"m": {"stages": [{"name": "a"}]}}, funnels={}, goals={})
    assert engine.rows(event_type_predicates(empty)).num_rows == 0


def test_a_source_keeps_the_rows_of_its_filter(engine, land):
    columns = {"occurred_at": "t", "user_id": "u", "event_name": "e"}
    where = {"properties.app_id": {"not": "skip-me"}, "event": {"not": "ping"}}
    sources = {
        "a": {"format": "csv", "path": "a", "columns": columns, "where": where},
        "b": {"format": "csv", "path": "b", "columns": columns},
    }
    config = load_config({"sources": sources})
    land({"properties": '{"app_id": "skip-me"}'}, {"properties": '{"app_id": "x"}'}, {}, {"event_name": "ping"})
    kept = engine.rows(f"select event_ix from sources.events where {source_filter(config, 'a')} order by event_ix")
    assert kept["event_ix"].to_pylist() == [2, 3]
    assert source_filter(config, "b") is None


def test_names_beyond_the_most_frequent_are_other(engine, staged, monkeypatch):
    monkeypatch.setattr("journeyflow.compile.staging_events.MOST_NAMES", 3)
    events = [{"event_name": name} for name in ("b", "b", "a", "c", "purchase", "my_step", "my_step")]
    funnel = {"steps": [{"name": "s", "when": {"event": {"prefix": "my_"}}}, {"name": "t", "when": {"event": "d"}}]}
    found = staged(*events, funnels={"f": funnel})
    assert [(row["event_name"], row["touchpoint"]) for row in found] == [
        ("b", "unknown: b"),
        ("b", "unknown: b"),
        ("other", "unknown: other"),
        ("other", "unknown: other"),
        ("purchase", "unknown: purchase"),
        ("my_step", "unknown: my_step"),
        ("my_step", "unknown: my_step"),
    ]


def test_channels_beyond_the_most_frequent_are_other(engine, staged, monkeypatch):
    monkeypatch.setattr("journeyflow.compile.staging_events.MOST_CHANNELS", 3)
    channels = ("store", "b", "b", "a", "c", "a", "a", None)
    found = staged(*({"channel": channel} for channel in channels))
    assert [row["channel"] for row in found] == ["store", "other", "other", "a", "other", "a", "a", "unknown"]
