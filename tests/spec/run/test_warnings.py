"""What matched nothing, and what cannot have matured yet, is a warning of the run and a row of `blind_spots`."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from rich.console import Console

import journeyflow
from journeyflow.cli.run import print_report

BUILT = ("insights.blind_spots",)

CONFIG = """
project: silent
sources:
  web:
    format: csv
    path: web.csv
    channel: web
    columns: {occurred_at: at, user_id: customer, event_name: event}
    properties: [device, browser]
    passive: [sms_sent]
slices: [device, browser]
touchpoints: [{label: Blog, when: {page_path: {prefix: /blog}}}]
personas: [{name: guest, when: {first.utm_medium: cpc}}]
funnels:
  checkout:
    steps:
      - {name: cart, when: {event: add_to_cart}}
      - {name: paid, when: {event: order_paid}}
    exclusions: [{between: [cart, paid], when: {event: payment_refused}}]
    window: 7d
goals: {order: {when: {event: order_paid}}}
promises:
  - {name: Fast, stage: decision, from: {event: order_paid}, to: {event: parcel}, within: 3d}
surveys: {csat: {event: csat_answer, score: properties.score, scale: [1, 5]}}
friction: [{name: Refused, when: {event: payment_refused}}]
"""
SETTINGS = {
    "funnel checkout: paid",
    "funnel checkout: exclusion 1",
    "goal order",
    "promise Fast: from",
    "promise Fast: to",
    "friction Refused",
    "touchpoint Blog",
    "survey csat",
    "slice browser",
    "passive web: sms_sent",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("silent")
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    days = [date(2026, 3, 30) + timedelta(days=age) for age in range(5)]
    rows = [f"{day} 10:00:00,c{n},add_to_cart,phone," for day in days for n in range(3)]
    (folder / "web.csv").write_text("\n".join(["at,customer,event,device,browser", *rows]) + "\n", encoding="utf-8")
    report = journeyflow.run(folder)
    with journeyflow.open(folder / "published") as published:
        return report, published.table("blind_spots").to_dicts()


def test_each_setting_that_matched_nothing_is_a_blind_spot(ran):
    _, spots = ran
    assert {spot["subject"] for spot in spots if spot["kind"] == "idle_setting"} == SETTINGS
    assert {spot["severity"] for spot in spots if spot["kind"] == "idle_setting"} == {"warning"}


def test_a_persona_that_matched_nobody_is_a_blind_spot(ran):
    _, spots = ran
    (spot,) = [spot for spot in spots if spot["subject"] == "persona: guest"]
    assert (spot["kind"], spot["severity"]) == ("no_persona", "warning")


def test_periods_without_a_settled_window_are_named_with_their_dates(ran):
    _, spots = ran
    found = {spot["subject"]: spot["detail"] for spot in spots if spot["kind"] == "nothing_matured"}
    assert set(found) == {f"{period}: {window}" for period in ("2026-03", "all") for window in ("7 days", "30 days")}
    assert found["2026-03: 7 days"] == (
        "In 2026-03 nothing can have matured yet: every window that opened is still open. "
        "The first of them opened on 2026-03-30 for 7 days, and the data end on 2026-04-03. "
        "Read the counts and not the rates, which are empty, until a run with later data: checkout."
    )


def test_they_are_the_warnings_of_the_run(ran):
    report, spots = ran
    kinds = ("idle_setting", "no_persona", "nothing_matured")
    silent = {spot["detail"] for spot in spots if spot["kind"] in kinds and spot["severity"] == "warning"}
    assert set(report.warnings) == silent
    assert len(report.warnings) == len(silent)


def test_the_summary_prints_the_first_warnings_and_the_number_of_the_others(ran):
    report, _ = ran
    out = Console(width=100_000, record=True, file=io.StringIO())
    print_report(report, out)
    text = out.export_text()
    assert text.count("  warning ") == 5
    assert f"{len(report.warnings) - 5} more in the table blind_spots" in text
    assert "Nothing matches funnel checkout: exclusion 1 (event is payment_refused)" in text
