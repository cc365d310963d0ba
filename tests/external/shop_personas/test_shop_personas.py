"""A synthetic shop with two planted incidents, read without order."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from external import oracle
from external.maps import cells_of, report_data_of
from external.reconcile import assert_reconciles
from journeyflow.analyses import discovered_personas
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.statistics.latent_classes import posteriors


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


def adjusted_rand(one, other):
    """Return how far two partitions agree beyond chance (Hubert and Arabie 1985): 1 is fully, 0 by chance."""
    pairs = pl.DataFrame({"one": one, "other": other})
    both, left, right = (pairs.group_by(keys).len()["len"].to_list() for keys in (["one", "other"], ["one"], ["other"]))
    found, first, second = (sum(n * (n - 1) / 2 for n in counts) for counts in (both, left, right))
    by_chance = first * second / (pairs.height * (pairs.height - 1) / 2)
    return (found - by_chance) / ((first + second) / 2 - by_chance)


def test_the_planted_columns_are_no_latent_classes(project, tmp_path):
    """The generator draws platform, channel, cohort and lifecycle of a session apart from what is done in it.

    Latent classes divide persons by what goes together in their first visit, which is its length and what it meets:
    they agree with none of these columns.
    """
    config = load_config(project.folder / "journeyflow.yml").model_copy(update={"discover_personas": True})
    copy = shutil.copy(project.folder / "state" / "build.duckdb", tmp_path)
    with DuckDBEngine(Path(copy), threads=1) as engine:
        engine.run("analyses.early_items", discovered_personas.early_items(config))
        rows = pl.from_arrow(engine.rows("select * from analyses.early_items"))
        discovered_personas.discovered_classes(engine, config.model_copy(update={"publish": tmp_path}))
        classes = pl.from_arrow(engine.rows("select * from analyses.discovered_classes"))
        rates = pl.from_arrow(engine.rows("select * from analyses.discovered_rates"))
    assert 2 <= classes.filter(kind="class").height <= 8
    assert classes.filter(kind="all")["person_count"].to_list() == [600]
    model = discovered_personas.model_of(classes, rates)
    persons = rows.group_by("person_key").agg(pl.struct("feature", "value").alias("items")).sort("person_key")
    items = [{(item["feature"], item["value"]) for item in each} for each in persons["items"]]
    bits = {item: np.array([item in each for each in items], float) for item in model.items}
    likeliest = posteriors(model.answers(bits, np.ones(600)), model.classes)[0].argmax(axis=1)
    for column in ("platform", "user_lifecycle", "acquisition_channel"):
        planted = [next(value for feature, value in each if feature == f"slice: {column}") for each in items]
        assert abs(adjusted_rand(likeliest, planted)) < 0.05, column


CHECKOUT = (date(2024, 4, 9), date(2024, 5, 10))
PAYMENT = (date(2024, 5, 19), date(2024, 6, 8))


@pytest.mark.parametrize(
    ("period", "days"),
    [("2024-04", [CHECKOUT]), ("2024-05", [PAYMENT]), ("2024-06", [PAYMENT]), ("all", [CHECKOUT, PAYMENT])],
)
def test_the_incidents_lead_the_whole_time_and_their_months(project, period, days):
    """Mobile checkout broke from 9 April to 10 May, payment on every device from 19 May to 8 June."""
    keys = (pl.col("model") == "steps") & (pl.col("persona") == "all") & (pl.col("period") == period)
    rows = project.table("opportunities").filter(keys).sort("opportunity_rank").head(len(days)).to_dicts()
    assert {row["kind"] for row in rows} == {"incident"}
    for row, (first, last) in zip(sorted(rows, key=lambda row: row["first_day"]), days, strict=True):
        assert abs(row["first_day"] - first) <= timedelta(days=3)
        assert abs(row["last_day"] - last) <= timedelta(days=3)


def test_the_payment_incident_shows_in_the_built_in_model_too(project):
    """Who was refused asked for help, which is no step on though the model places it after the purchase."""
    keys = {"model": "four_stage", "persona": "all", "period": "all", "kind": "incident"}
    (row,) = project.table("opportunities").filter(**keys).to_dicts()
    assert (row["stage"], row["slice"]) == ("decision", None)
    assert abs(row["first_day"] - PAYMENT[0]) <= timedelta(days=3)
    assert abs(row["last_day"] - PAYMENT[1]) <= timedelta(days=3)


def test_the_page_shows_the_stages_of_the_shop(project):
    report_data = report_data_of(project)
    assert [stage.key for model in report_data.models if model.key == "steps" for stage in model.stages] == [
        *("browsing", "cart", "checkout", "payment", "bought")
    ]
    assert {cell.evidence for cell in cells_of(report_data, "steps", "owner").values()} == {"unknown"}
