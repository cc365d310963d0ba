"""Who was brought by which person: a run of sixteen persons counted by hand, with statements that cannot be true."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from typer.testing import CliRunner

import journeyflow
from journeyflow.cli.app import app

BUILT = ("marts.referrals", "insights.blind_spots")

CONFIG = """
project: brought
sources:
  web:
    format: jsonl
    path: web.jsonl
    channel: web
    columns: {occurred_at: at, user_id: user, anonymous_id: cookie, event_name: event, utm_medium: medium}
    properties: [by]
personas: [{name: paid, when: {first.utm_medium: cpc}}]
referrals: {referred_by: properties.by, within: 10d}
min_count: 5
"""
DAY = 86_400.0
# January: who, on which day, and brought by which person. The last one is the end of the data.
EVENTS = [
    (1, {"user": "a", "medium": "cpc"}),
    (2, {"user": "a", "event": "purchase"}),
    (3, {"user": "b", "by": "a"}),
    (4, {"cookie": "111.160"}),
    (5, {"cookie": "111.160", "by": " a "}),
    (6, {"user": "e", "by": "b"}),
    (6, {"user": "b", "by": "e"}),
    (7, {"user": "f", "by": "111.160"}),
    (8, {"user": "h", "by": "h"}),
    (8, {"user": "i", "by": "nobody'; drop table marts.referrals; --"}),
    (8, {"user": "j", "by": " NULL "}),
    (8, {"user": "k", "by": "l"}),
    (9, {"user": "l", "by": "k"}),
    (9, {"user": "m", "by": {"a": ["a"]}}),
    (10, {"user": 12}),
    (11, {"user": "o", "by": 12.0}),
    (20, {"user": "d", "by": "a"}),
    (25, {"user": "g", "by": "d"}),
    (28, {"user": "z"}),
]


def write(folder, config, files):
    (folder / "journeyflow.yml").write_text(config, encoding="utf-8")
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = journeyflow.run(folder)
    with journeyflow.open(folder / "published") as published:
        rows = {row["persona"]: row for row in published.table("referrals").to_dicts()}
        spots = {row["subject"]: row for row in published.table("blind_spots").to_dicts() if row["kind"] == "referrals"}
    return report, rows, spots


def lines():
    start = datetime(2026, 1, 1)
    for day, values in EVENTS:
        yield json.dumps({"at": (start + timedelta(days=day - 1)).isoformat(), "event": "page_view"} | values)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brought")
    return folder, *write(folder, CONFIG, {"web.jsonl": list(lines())})


def test_persons_brought_are_counted_by_whether_the_time_of_who_brought_them_is_over(ran):
    _, _, rows, _ = ran
    assert set(rows) == {"all", "paid", "unassigned"}
    found = {name: rows["all"][f"{name}_count"] for name in ("person", "settled", "pending", "bringer", "brought")}
    assert found == {"person": 16, "settled": 13, "pending": 3, "bringer": 6, "brought": 8}
    parts = ("settled", "late", "pending")
    assert [rows["all"][f"{part}_brought_count"] for part in parts] == [6, 1, 1]
    assert [rows["paid"][f"{part}_brought_count"] for part in parts] == [2, 1, 0]
    assert rows["all"]["settled_bringer_count"] == 5
    assert (rows["all"]["further_brought_count"], rows["all"]["deepest_generation"]) == (3, 2)
    assert (rows["paid"]["further_brought_count"], rows["paid"]["deepest_generation"]) == (0, 1)


def test_the_factor_has_the_interval_of_a_mean_count(ran):
    _, _, rows, _ = ran
    assert rows["paid"]["referral_factor"] == 2
    found = rows["all"]
    assert found["referral_factor"] == pytest.approx(6 / 13)
    counts = [2, 1, 1, 1, 1] + 8 * [0]
    mean = sum(counts) / 13
    dispersion = max(1, sum((each - mean) ** 2 for each in counts) / 12 / mean)
    for end in ("low", "high"):
        expected = found[f"referral_factor_{end}"]
        assert (mean - expected) ** 2 == pytest.approx(1.959964**2 * dispersion * expected / 13, rel=1e-5)
    assert found["referral_factor_low"] < mean < found["referral_factor_high"]


def test_waits_have_their_median_and_its_interval(ran):
    _, _, rows, _ = ran
    wait = [rows["all"][f"p50_seconds_to_bring{end}"] for end in ("", "_low", "_high")]
    assert wait == [2.5 * DAY, DAY, 3 * DAY]
    assert [rows["all"][f"p50_seconds_from_order{end}"] for end in ("", "_low", "_high")] == [1.5 * DAY, None, None]
    assert rows["all"]["brought_after_order_count"] == 2
    assert rows["unassigned"]["p50_seconds_from_order"] is None


def test_statements_that_cannot_be_true_are_blind_spots(ran):
    _, _, _, spots = ran
    assert {subject.split(": ")[1]: spot["item_count"] for subject, spot in spots.items()} == {
        "of nobody known": 2, "the person itself": 1, "somebody who came later": 1,
    }  # fmt: skip
    assert {round(12 * spot["share_rate"]) for spot in spots.values()} == {1, 2}
    assert not any("drop table" in spot["detail"] for spot in spots.values())


def test_the_command_shows_them(ran):
    folder, *_ = ran
    found = CliRunner().invoke(app, ["referrals", "--config", str(folder / "journeyflow.yml")])
    assert found.exit_code == 0, found.output
    assert "8 persons brought in all" in found.output
    assert "0.462" in found.output


def test_a_trait_says_it_too_and_one_that_nobody_has_is_a_warning(tmp_path):
    config = CONFIG.replace("properties.by", "trait.by").replace(
        "personas:", "people: [{path: crm.csv, user_id: id, traits: [by]}]\npersonas:"
    )
    files = {"web.jsonl": list(lines()), "crm.csv": ["id,by", "e,a", "b,a", "a,nan", "z,"]}
    report, rows, spots = write(tmp_path, config, files)
    assert rows["all"]["brought_count"] == 2
    assert not spots
    assert not any("referrals" in warning for warning in report.warnings)
    (tmp_path / "empty").mkdir()
    report, rows, _ = write(tmp_path / "empty", config, files | {"crm.csv": ["id,by", "e,"]})
    assert rows["all"]["brought_count"] == 0
    assert sum("trait.by" in warning for warning in report.warnings) == 1
