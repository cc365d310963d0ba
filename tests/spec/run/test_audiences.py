"""Audiences: who is on a list, who is not and why, what changed, and that no list keeps the erased."""

from __future__ import annotations

import csv
import stat

import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.operations.erase import RequestedId, plan_erasure
from journeyflow.operations.erase import erase as carry_out
from support.file_search import files_with

BUILT = ("insights.audiences", "marts.funnel_steps", "marts.personas", "marts.promises")

CONFIG = """
project: letters
sources:
  web:
    format: csv
    path: web/*.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, user_id: customer, event_name: event}
    properties: [agreed]
people: [{path: crm.csv, user_id: customer, traits: [mail, first_name, news, city]}]
funnels:
  order:
    steps: [{name: seen, when: {event: product_view}}, {name: paid, when: {event: purchase}}]
    window: 2d
promises:
  - {name: Delivered, stage: post_purchase, from: {event: purchase}, to: {event: delivered}, within: 3d}
audiences:
  - name: left
    who: {dropped_at: {funnel: order, step: seen}}
    consent: trait.news
    email: trait.mail
    columns: [trait.first_name, trait.city]
    format: [csv, mailchimp, hubspot]
  - name: open
    who: {pending: {funnel: order, within: 1d12h}}
    consent: trait.news
  - name: unwanted
    who: {stage: {model: four_stage, stage: consideration}}
    consent: trait.city
  - name: due
    who: {promise_due: {promise: Delivered, within: 1d}}
    consent: properties.agreed
  - name: everybody
    who: {persona: unassigned}
    consent: trait.news
remedies:
  add: [{id: ours, kind: [message], stage: [seen], suggest: "Send the {stage} letter."}]
"""
HEAD = "id,at,cookie,customer,event,agreed\n"
FIRST = """1,2026-03-01 10:00:00,,ann,product_view,
2,2026-03-01 10:00:00,,ben,product_view,
3,2026-03-01 10:00:00,c-cyd,,product_view,
4,2026-03-01 10:00:00,,dee,product_view,
5,2026-03-01 10:00:00,,eve-4711,product_view,
6,2026-03-09 09:00:00,,fay,product_view,
7,2026-03-09 19:00:00,,hal,product_view,
8,2026-03-07 12:00:00,,gus,product_view,
9,2026-03-07 13:00:00,,gus,purchase,TRUE
10,2026-03-10 00:00:00,,zoe,page_view,
"""
SECOND = """11,2026-03-10 01:00:00,,ann,product_view,
12,2026-03-10 02:00:00,,ann,purchase,
"""
CRM = """customer,mail,first_name,news,city
ann,ann@x.example,=1+2,Yes,Bonn
ben,ben@x.example,Ben,no,Bonn
dee,,Dee,yes,
eve-4711,eve@x.example,"Eve, E",yes,Köln
fay,,Fay,yes,
hal,,Hal,yes,
gus,gus@x.example,Gus,yes,
"""


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Return tables and lists after a first run, a second with new events and a new consent, and an erasure."""
    shop = tmp_path_factory.mktemp("audiences") / "shop"
    (shop / "web").mkdir(parents=True)
    (shop / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    (shop / "web" / "one.csv").write_text(HEAD + FIRST, encoding="utf-8")
    (shop / "crm.csv").write_text(CRM, encoding="utf-8")
    found = []
    journeyflow.run(shop)
    found.append(state_of(shop))
    (shop / "web" / "two.csv").write_text(HEAD + SECOND, encoding="utf-8")
    (shop / "crm.csv").write_text(CRM.replace("Ben,no", "Ben,YES"), encoding="utf-8")
    journeyflow.run(shop)
    found.append(state_of(shop))
    config = load_config(shop)
    carry_out(config, plan_erasure(config, [RequestedId("user", "eve-4711")]))
    found.append(state_of(shop))
    return shop, found


def state_of(shop):
    with journeyflow.open(shop / "published") as published:
        rows = {row["audience"]: row for row in published.table("audiences").to_dicts()}
        steps = published.table("funnel_steps").to_dicts()
    place = shop / "state" / "audiences"
    lists = {
        path.relative_to(place).as_posix(): list(csv.reader(path.read_text("utf-8").splitlines()))
        for path in place.rglob("*.csv")
    }
    return rows, lists, steps


def counts(row):
    names = ("matched", "outside", "without_id", "without_consent", "listed", "previous", "added", "removed", "erased")
    return {name: row[f"{name}_count"] for name in names if row[f"{name}_count"]}


def test_only_who_agreed_and_can_be_reached_is_listed_and_the_others_are_counted_by_reason(history):
    rows, lists, _ = history[1][0]
    assert counts(rows["left"]) == {"matched": 5, "without_id": 2, "without_consent": 1, "listed": 2, "added": 2}
    assert lists["left/list.csv"] == [
        ["mail", "first_name", "city", "user_id"],
        ["ann@x.example", "'=1+2", "Bonn", "ann"],
        ["eve@x.example", "Eve, E", "Köln", "eve-4711"],
    ]
    assert lists["left/added.csv"] == lists["left/list.csv"]
    assert lists["left/removed.csv"] == [["mail", "user_id"]]
    assert counts(rows["unwanted"]) == {"matched": 7, "without_id": 1, "without_consent": 6}
    assert lists["unwanted/list.csv"] == [["user_id"]]


def test_the_imports_have_the_column_names_of_the_tools(history):
    _, lists, _ = history[1][0]
    assert lists["left/mailchimp_list.csv"][0] == ["Email Address", "First Name", "City", "user_id"]
    assert lists["left/hubspot_list.csv"][0] == ["Email", "First name", "City", "user_id"]
    assert lists["left/hubspot_list.csv"][1:] == lists["left/list.csv"][1:]


def test_counts_are_those_of_the_funnel_and_only_those_whose_time_is_nearly_up_are_listed(history):
    rows, lists, steps = history[1][0]
    at = ("order", "all", "all", "seen")
    (seen,) = [row for row in steps if (row["funnel"], row["persona"], row["period"], row["step"]) == at]
    assert rows["left"]["matched_count"] == seen["drop_off_count"]
    assert rows["open"]["matched_count"] == seen["pending_count"] == 2
    # As of the 10th at midnight, the time of fay is up on the 11th at 9, and that of hal at 19.
    assert counts(rows["open"]) == {"matched": 2, "outside": 1, "listed": 1, "added": 1}
    assert [row[0] for row in lists["open/list.csv"][1:]] == ["fay"]
    assert [row[0] for row in lists["due/list.csv"][1:]] == ["gus"]


def test_each_audience_names_what_to_send(history):
    rows, _, _ = history[1][0]
    assert rows["left"]["remedy"] == "Send the Seen letter."
    assert "Delivered is at risk" in rows["due"]["remedy"]


def test_a_second_run_says_who_came_and_who_went(history):
    rows, lists, _ = history[1][1]
    changes = {"listed": 2, "previous": 2, "added": 1, "removed": 1}
    assert counts(rows["left"]) == {"matched": 4, "without_id": 2} | changes
    assert [row[-1] for row in lists["left/list.csv"][1:]] == ["ben", "eve-4711"]
    assert [row[-1] for row in lists["left/added.csv"][1:]] == ["ben"]
    # The agreement was a property of the order of gus; the promise to ann breaks later.
    assert counts(rows["due"]) == {"matched": 2, "outside": 1, "listed": 1, "previous": 1}
    assert lists["left/mailchimp_removed.csv"] == [["Email Address", "user_id"], ["ann@x.example", "ann"]]


def test_an_erased_person_is_on_no_list_and_counted_apart(history):
    shop, found = history
    rows, lists, _ = found[2]
    assert counts(rows["left"]) == {"matched": 3, "without_id": 2, "listed": 1, "previous": 2, "erased": 1}
    assert [row[-1] for row in lists["left/list.csv"][1:]] == ["ben"]
    assert files_with(shop / "state" / "audiences", "eve-4711") == []
    assert files_with(shop / "state" / "audiences", "eve@x.example") == []


def test_the_files_are_their_owners_alone(history):
    place = history[0] / "state" / "audiences"
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.rglob("*"))}
    assert {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}


def test_no_published_file_names_a_person(history):
    assert files_with(history[0] / "published", "ann@x.example") == []
