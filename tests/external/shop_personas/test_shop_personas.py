"""A synthetic shop with two planted incidents, read without order."""

from datetime import UTC, datetime

import polars as pl
import pytest

from external import oracle
from external.maps import cells_of, report_data_of
from external.reconcile import assert_reconciles


@pytest.fixture(scope="module")
def sessions(external_data):
    return oracle.by(oracle.shop(external_data / "shop_personas" / "ecom.csv.gz"), lambda event: event.session)


def paying(groups, key, value, *, through=None, days=None):
    """Count sessions of a kind that hold an event, and those of them that hold a purchase."""
    held = [group for group in groups if key is None or group[0].detail[key] == value]
    if through:
        held = [group for group in held if any(event.name == through for event in group)]
    if days:
        first, last = (oracle.microseconds(day) for day in days)
        held = [group for group in held if first <= min(e.at for e in group if e.name == through) < last + oracle.DAY]
    return [len(held), sum(any(event.name == "purchase" for event in group) for group in held)]


def test_everything_adds_up(project):
    assert_reconciles(project)


def test_every_row_is_an_event(project, sessions):
    assert 31_106 == sum(map(len, sessions.values())) == project.audit("accepted_count")
    assert len(sessions) == 3_605


@pytest.mark.parametrize(
    ("key", "value", "truth"),
    [
        ("platform", "desktop", [1890, 277]),
        ("platform", "mobile", [1295, 126]),
        ("platform", "tablet", [420, 67]),
        ("user_lifecycle", "new", [963, 81]),
        ("user_lifecycle", "returning", [1840, 241]),
        ("user_lifecycle", "loyal", [802, 148]),
    ],
)
def test_sessions_that_purchase(project, sessions, key, value, truth):
    assert truth == paying(sessions.values(), key, value) == project.steps(value)


@pytest.mark.parametrize(("platform", "truth"), [("mobile", [61, 19]), ("desktop", [120, 83])])
def test_the_checkout_incident(project, sessions, platform, truth):
    days = ("2024-04-09", "2024-05-10")
    again = paying(sessions.values(), "platform", platform, through="shipping_details", days=days)
    assert truth == again == project.steps(f"{platform}_checkout_incident")


def test_the_payment_incident(project, sessions):
    days = ("2024-05-19", "2024-06-08")
    during = paying(sessions.values(), None, None, through="payment_details", days=days)
    ever = paying(sessions.values(), None, None, through="payment_details")
    assert [139, 50] == during == project.steps("payment_incident")
    published = [
        all_ - some for all_, some in zip(project.steps("payment"), project.steps("payment_incident"), strict=True)
    ]
    assert [493, 420] == [all_ - some for all_, some in zip(ever, during, strict=True)] == published


def test_personas_hold_every_person(project, sessions):
    first = {}
    for event in sorted((e for group in sessions.values() for e in group), key=lambda e: e.order):
        first.setdefault(event.user, event.detail["acquisition_channel"])
    counts = pl.Series(list(first.values())).value_counts()
    by_channel = dict(counts.rows())
    published = dict(project.table("personas").select("persona", "person_count").rows())
    assert published["searchers"] == by_channel["organic"] + by_channel["paid_search"]
    assert published["followers"] == by_channel["email"] + by_channel["social"]
    assert published["unassigned"] == by_channel["direct"]


def leading(project, period):
    """Return (stage, pain point, kind) of what leads a month's map of all persons, and how many are listed."""
    keys = (pl.col("model") == "steps") & (pl.col("persona") == "all") & (pl.col("period") == period)
    rows = project.table("pain_points").filter(keys).sort("pain_rank")
    return rows.select("stage", "pain_point", "kind").row(0), rows.height


def test_the_checkout_incident_is_the_one_pain_of_april(project):
    """It lasted from 9 April to 9 May; nothing else stands out in April."""
    assert leading(project, "2024-04") == (("checkout", "web: mobile shipping", "drop_off"), 1)


def test_the_payment_incident_leads_the_pains_of_may(project):
    """It lasted from 19 May to 7 June, on every device; those who could not pay went back and left."""
    first, _ = leading(project, "2024-05")
    assert first == ("payment", "web: desktop payment", "drop_off")
    keys = (pl.col("model") == "steps") & (pl.col("persona") == "all") & (pl.col("period") == "2024-05")
    tested = project.table("pain_points").filter(keys, pl.col("kind") != "friction")
    assert set(tested["stage"]) == {"payment"}
    assert {"web: desktop payment", "web: mobile payment"} <= set(tested["pain_point"])


def test_the_page_leads_with_both_incidents(project):
    """What heads the cell of its stage is what heads the ranked list."""
    report_data = report_data_of(project)
    for month, stage, subject in (
        ("2024-04", "checkout", "web: mobile shipping"),
        ("2024-05", "payment", "web: desktop payment"),
    ):
        found = report_data.map_of("steps", period=month)
        cells = cells_of(report_data, "steps", "pain_points", month)
        assert cells[stage].items[0].text == subject
        others = {item.text for key, cell in cells.items() if key != stage for item in cell.items}
        assert others <= {"Payment error"}, "friction is listed wherever people were when they met it"
        assert (found.opportunities[0].stage_label, found.opportunities[0].subject) == (stage, subject)
    assert [stage.key for model in report_data.models if model.key == "steps" for stage in model.stages] == [
        *("browsing", "cart", "checkout", "payment", "bought")
    ]
    assert {cell.evidence for cell in cells_of(report_data, "steps", "owner").values()} == {"unknown"}


def test_june_has_too_little_of_the_incident(project):
    """It ended on 7 June; nothing of June, with three weeks that went as usual, stands out."""
    keys = (pl.col("model") == "steps") & (pl.col("persona") == "all") & (pl.col("period") == "2024-06")
    assert set(project.table("pain_points").filter(keys)["kind"]) <= {"friction"}


def test_pains_of_a_month_are_worked_out_again(project, sessions):
    """Mobile shipping in April, of all sessions: each is one pass, in which order does not matter."""
    steps = {"cart": 2, "add_to_cart": 2, "shipping_details": 3, "payment_details": 4, "purchase": 5}
    last = max(event.at for group in sessions.values() for event in group)
    met = {True: [0, 0], False: [0, 0]}
    for group in sessions.values():
        opened = [event.at for event in group if event.name == "shipping_details"]
        if group[0].detail["platform"] != "mobile" or not opened or min(opened) + oracle.DAY > last:
            continue
        month = datetime.fromtimestamp(min(opened) / oracle.SECOND, UTC).strftime("%Y-%m")
        met[month == "2024-04"][0] += 1
        met[month == "2024-04"][1] += max(steps.get(event.name, 1) for event in group) == 3
    keys = (pl.col("model") == "steps") & (pl.col("persona") == "all") & (pl.col("period") == "2024-04")
    row = project.table("pain_points").filter(keys, pl.col("pain_point") == "web: mobile shipping").row(0, named=True)
    assert row["matured_count"] == met[True][0]
    assert row["drop_off_rate"] == pytest.approx(met[True][1] / met[True][0])
    assert row["compared_with"] == "other months"
    # Persona by persona, so not to the last digit that of all together.
    assert row["baseline_rate"] == pytest.approx(met[False][1] / met[False][0], abs=0.02)
