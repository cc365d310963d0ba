from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from journeyflow.config import Config, InvalidConfigError, check, load_config
from journeyflow.config.base import format_duration, parse_duration
from journeyflow.config.conditions import PERSONAS, All, Leaf, Not, parse, render
from journeyflow.config.load import json_schema

WEB = {"format": "csv", "path": "web.csv", "columns": {"occurred_at": "ts", "user_id": "u", "event_name": "e"}}
WHOLE = """\
project: acme-shop
timezone: Europe/Berlin
state: state/
publish: published/
sources:
  web:
    format: csv
    path: data/web/*.csv.gz
    channel: web
    timezone: UTC
    where: {properties.app_id: {not: skip-me}}
    rename: {payment_done: purchase}
    columns:
      occurred_at: {column: ts, unit: ms}
      anonymous_id: {hash: [address, agent]}
      event_name: event
      currency: {constant: EUR}
    properties: '*'
  shop:
    format: parquet
    path: shop
    channel: {column: place}
    columns: {occurred_at: {columns: [y, m, d]}, user_id: u, event_name: {constant: 7}}
people:
  - {path: crm.csv, user_id: customer, traits: [birth_year, plan], valid_from: changed_at}
clock_skew: 2h
sessions: {timeout: 20m, max_duration: 12h, offline_channels: [store]}
journeys: {timeout: 10d, window: 20d}
touchpoints: [{label: Product page, when: {event: page_view, page_path: {glob: '/p/**'}}}]
exclude_traffic: {bots: none, internal: {any: [{user_id: {suffix: '@acme.example'}}]}}
models:
  four_stage: builtin
  shop:
    extends: four_stage
    stages:
      - {name: decision, owner: Sales, rules: [{id: quick, when: {event: quick_buy}}]}
      - {name: loyal, rules: [{id: second_order, when: {event: purchase}, nth: {at_least: 2}}]}
personas:
  - {name: student, description: Under 26, when: {trait.birth_year: {at_least: 2000}}}
  - {name: repeat_buyer, as_of: now, when: {count.purchase: {at_least: 2}}}
funnels:
  checkout:
    model: four_stage
    steps:
      - {name: product, when: {stage: consideration}}
      - {name: any}
      - {name: paid, when: {event: purchase}, within: 1d}
    order: strict
    window: 7d
    ties: strictly_later
    unit: {property: account_id}
    count: attempts
    goal: order
    exclusions: [{between: [product, paid], when: {event: payment_error}, then: person}]
    entered: {from: 2026-01-01, to: 2026-03-31}
goals: {order: {when: {event: purchase}, value: revenue_amount}, lead: {when: {event: lead}}}
currency: {report: EUR, rates: {USD: 0.92}}
min_count: 50
promises:
  - name: Delivered within 3 days
    stage: post_purchase
    from: {event: purchase}
    to: {event: delivered}
    within: 3d
    match: order_id
  - {name: Support satisfies, stage: post_purchase, measure: csat, target: {at_least: 4.2}}
surveys:
  csat: {event: csat_answer, score: properties.score, scale: [1, 5]}
friction: [{name: Payment failed, when: {event: payment_error}}]
spend: {path: spend.csv}
map:
  owners: {awareness: Marketing}
  personas:
    student:
      needs: {consideration: Compare}
      desired: {decision: {reach_rate: 0.2, p50_time: 2d, sentiment: 0.3}}
privacy: {person_id: clear, key_file: keys/p.key, keep_query_params: [utm_source]}
"""


@pytest.fixture
def whole(tmp_path):
    (tmp_path / "journeyflow.yml").write_text(WHOLE)
    return load_config(tmp_path)


def test_every_section_is_read(whole, tmp_path):
    assert whole.path == tmp_path / "journeyflow.yml"
    assert whole.folder == tmp_path
    assert (whole.state, whole.publish, whole.privacy.key_file) == (
        tmp_path / "state",
        tmp_path / "published",
        tmp_path / "keys/p.key",
    )
    web, shop = whole.sources["web"], whole.sources["shop"]
    assert (web.path, web.channel.constant, web.properties) == (tmp_path / "data/web/*.csv.gz", "web", ("*",))
    assert (web.columns["occurred_at"].unit, web.columns["anonymous_id"].hash) == ("ms", ("address", "agent"))
    assert (shop.channel.column, shop.columns["event_name"].constant, shop.columns["occurred_at"].columns) == (
        "place",
        "7",
        ("y", "m", "d"),
    )
    assert web.where == Leaf("properties.app_id", "not_in", ("skip-me",))
    assert not whole.exclude_traffic.bots.builtin
    funnel = whole.funnels["checkout"]
    assert (funnel.window, funnel.steps[2].within, str(funnel.unit)) == (
        timedelta(days=7),
        timedelta(days=1),
        "account_id",
    )
    assert (funnel.steps[1].when, funnel.entered.from_, funnel.is_default) == (All(), date(2026, 1, 1), False)
    assert whole.currency.rates == {"USD": Decimal("0.92")}
    assert whole.promises[0].within == timedelta(days=3)
    assert whole.promises[1].is_measured
    assert whole.map.personas["student"].desired["decision"].p50_time == timedelta(days=2)


def test_only_sources_are_needed(tmp_path):
    config = load_config({"sources": {"web": WEB}}, folder=tmp_path)
    assert (config.timezone, config.clock_skew, config.min_count) == ("UTC", timedelta(hours=1), 30)
    assert (config.sessions.timeout, config.sessions.max_duration) == (timedelta(minutes=30), timedelta(hours=24))
    assert config.sessions.offline_channels == ("store", "call_centre", "crm", "delivery", "survey", "email")
    assert (config.journeys.timeout, config.journeys.window) == (timedelta(days=30), timedelta(days=30))
    assert (list(config.models), config.personas, list(config.goals)) == (["four_stage"], (), ["order"])
    funnel = config.funnels["cart_abandonment"]
    assert funnel.is_default
    assert (funnel.step_names, funnel.window, funnel.goal) == (
        ("add_to_cart", "checkout_started", "purchase"),
        timedelta(days=14),
        "order",
    )
    assert (config.folder, config.path, config.privacy.key_file) == (tmp_path, None, tmp_path / "state/pseudonym.key")


def test_the_default_funnel_has_only_a_configured_goal():
    config = load_config({"sources": {"web": WEB}, "goals": {"lead": {"when": {"event": "lead"}}}})
    assert config.funnels["cart_abandonment"].goal is None


def test_a_configuration_is_frozen(whole):
    with pytest.raises(ValidationError, match="frozen"):
        whole.min_count = 1


def test_a_mapping_with_mistakes_lists_them():
    with pytest.raises(InvalidConfigError, match=r"mapping: error: sessions\.timeout: '30' is not a duration"):
        load_config({"sources": {"web": WEB}, "sessions": {"timeout": 30}})


def test_the_hash_is_of_figures_only(tmp_path):
    def hashed(folder="a", **more):
        return load_config({"sources": {"web": WEB}, **more}, folder=tmp_path / folder).hash

    plain = hashed()
    assert plain == hashed("b") == hashed(project="other", publish="elsewhere", sessions={"timeout": "1800s"})
    assert plain != hashed(sessions={"timeout": "31m"})
    assert plain != hashed(models={"four_stage": "builtin", "value_journey": "builtin"})
    assert plain != hashed(touchpoints=[{"label": "a", "when": {"event": "b"}}])
    assert plain != hashed(map={"owners": {"awareness": "Marketing"}})
    assert plain != hashed(privacy={"keep_query_params": ["utm_source"]})
    assert plain == hashed(privacy={"key_file": "elsewhere"})
    assert hashed(min_count=5) == hashed(min_count=5)


def test_the_hash_depends_on_the_order_of_goals_and_sources(tmp_path):
    """The first goal has the value, and of two events at one instant that of the first source comes first."""

    def hashed(section, items, order):
        mapping = {"sources": {"web": WEB}} | {section: {name: items[name] for name in order}}
        return load_config(mapping, folder=tmp_path).hash

    goals = {name: {"when": {"event": name}} for name in ("purchase", "trial_started")}
    sources = {name: WEB | {"path": f"{name}/*.csv"} for name in ("web", "app")}
    for section, items in (("goals", goals), ("sources", sources)):
        assert hashed(section, items, sorted(items)) != hashed(section, items, sorted(items, reverse=True))


def test_the_schema_is_for_editors(whole):
    schema = json_schema()
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["required"] == ["sources"]
    assert schema["additionalProperties"] is False
    assert {"from", "to"} <= set(schema["$defs"]["Promise"]["properties"])
    json.dumps(schema)


def test_a_valid_configuration_has_warnings_only(whole):
    assert {problem.code for problem in check(whole.path)} == {"no_file", "outcome_based"}


@given(st.integers(0, 36_500 * 86_400_000_000))
def test_durations_round_trip(value):
    duration = timedelta(microseconds=value)
    assert parse_duration(format_duration(duration)) == duration


def test_durations_add_their_parts():
    assert parse_duration("1w1d1h1m1s1ms1us") == timedelta(
        weeks=1, days=1, hours=1, minutes=1, seconds=1, milliseconds=1, microseconds=1
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({}, "any event"),
        ({"event": "a"}, "event is a"),
        ({"event": ["a", "b"]}, "event is one of a, b"),
        ({"event": {"not": "a"}}, "event is not a"),
        ({"not": {"event": "a", "channel": "web"}}, "not (event is a and channel is web)"),
        ({"any": [{"event": "a"}, {"event": "b", "channel": "web"}]}, "event is a or (event is b and channel is web)"),
        ({"page_path": {"glob": "/p/**"}}, "page_path matches glob /p/**"),
        ({"page_path": {"prefix": ["/a", "/b"]}}, "page_path starts with /a or /b"),
        ({"revenue_amount": {"above": 1, "at_most": 5}}, "revenue_amount is above 1 and revenue_amount is at most 5"),
        ({"revenue_amount": {"between": [1, 2.5]}}, "revenue_amount is between 1 and 2.5"),
        ({"target": {"exists": False}}, "target is missing"),
        ({"properties.paid": True}, "properties.paid is true"),
    ],
)
def test_conditions_have_a_text_form(raw, text):
    assert render(parse(raw)) == text


def test_several_keys_are_a_conjunction():
    assert parse({"event": "a", "not": {"channel": "b"}}) == All(
        (Leaf("event", "in", ("a",)), Not(Leaf("channel", "in", ("b",))))
    )


def test_personas_read_facts():
    raw = {
        "trait.birth year": 1,
        "first.properties.a.b": "x",
        "count.purchase": 1,
        "session_count": 1,
        "days_since_last": 0,
    }
    assert len(parse(raw, PERSONAS).parts) == 5


def test_paths_may_be_absolute():
    config = load_config(
        {"sources": {"web": WEB | {"path": "/data/a.csv"}}, "state": "../state"}, folder=Path("/srv/x")
    )
    assert (config.sources["web"].path, config.state) == (Path("/data/a.csv"), Path("/srv/state"))
