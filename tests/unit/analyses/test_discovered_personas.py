"""Discovered personas: what is known early, who is put where, and that a model and its names stay."""

from __future__ import annotations

from datetime import datetime
from itertools import product

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from journeyflow.analyses import discovered_personas as discovery
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from support.few_models import all_models
from support.map_tables import publish_tables
from support.text_tables import create

GRAPH = all_models()
COLUMNS = {"occurred_at": "at", "user_id": "u", "event_name": "e"}
SOURCE = {"format": "csv", "path": "e.csv", "columns": COLUMNS, "properties": ["device"]}
TABLES = ["discovered_personas", "discovered_persona_features", "discovered_persona_overlaps"]
NOW = datetime(2026, 3, 1)


def config_of(folder, **sections):
    given = {"sources": {"web": SOURCE}, "discover_personas": True, "publish": str(folder / "published"), **sections}
    return load_config(given, folder=folder)


def put(engine, name, text=""):
    create(engine, name, {column: each.type for column, each in GRAPH[name].columns.items()}, text)


def rows_of(name, records):
    """Return records as a text table."""
    columns = list(records[0])
    return "\n".join([" | ".join(columns), *(" | ".join(str(row[column]) for column in columns) for row in records)])


def people(sizes):
    """Return persons by kind: mail readers that meet a letter, and guests that meet a blog; a tenth does otherwise."""
    number, items = 0, []
    for (kind, size), odd in product(sizes.items(), (False, True)):
        features = {"mail": ("email", "email: Letter", "1 event"), "guest": ("web", "web: Blog", "5 to 9 events")}[kind]
        for _ in range(size // 10 if odd else size - size // 10):
            number += 1
            met = features[1:2] if odd else features
            items += [(number, "channel", features[0])]
            items += [(number, "touchpoint", value) for value in met if ":" in value]
            items += [(number, "events", value) for value in met if "event" in value]
    return number, items


def discover(engine, config, sizes):
    """Return the three tables of persons of two kinds; two more are on their first visit."""
    count, items = people(sizes)
    engine.register("analyses.early_items", pl.DataFrame(
        items, {"person_key": pl.UInt64, "feature": pl.String, "value": pl.String}, orient="row"
    ).to_arrow())  # fmt: skip
    persons = range(1, count + 3)
    put(engine, "kernel.persons", rows_of("", [
        {"person_key": each, "first_event_at": "2026-01-01" if each % 2 else "2026-02-20", "journey_count": 1}
        for each in persons
    ]))  # fmt: skip
    put(engine, "journeys.personas", rows_of("", [
        {"person_key": each, "journey_index": 1, "persona": "student" if each % 3 else "unassigned"} for each in persons
    ]))  # fmt: skip
    put(engine, "analyses.orders", "person_key | order_number | ordered_at\n1 | 1 | 2026-01-03\n2 | 1 | 2026-02-21\n"
        "3 | 1 | 2026-02-27")  # fmt: skip
    put(engine, "config.settings", "run_id | high_water_at | journeys_window_us | min_count\n"
        f"r | {NOW} | 2592000000000 | 5")  # fmt: skip
    discovery.discovered_classes(engine, config)
    for name in TABLES:
        engine.run(f"marts.{name}", GRAPH[f"marts.{name}"].sql)
    return {name: pl.from_arrow(engine.rows(f"select * from marts.{name} order by all")) for name in TABLES}


SIZES = {"mail": 120, "guest": 200}


@pytest.fixture(scope="module")
def engine():
    with DuckDBEngine(threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def found(engine, tmp_path_factory):
    return discover(engine, config_of(tmp_path_factory.mktemp("first")), SIZES)


def test_the_planted_kinds_are_found_and_named_by_what_marks_them(found):
    classes = found["discovered_personas"].filter(kind="class").sort("person_count")
    assert classes["person_count"].to_list() == [120, 200]
    assert classes["discovered_persona"][0] == "1 event, on email"
    assert "on web 100% (x 1.6)" in classes["description"][1]
    assert not classes["is_unstable"].any()
    assert classes["share_rate"].to_list() == [120 / 320, 200 / 320]
    assert (classes["share_low"] < classes["share_rate"]).all()


def test_rates_are_of_those_whose_window_is_over_and_counts_add_up(found):
    rows = {row["discovered_persona"]: row for row in found["discovered_personas"].to_dicts()}
    # Odd persons entered on 1 January; 3 ordered after the 30 days, 2 before its window is over.
    everybody = rows["all"]
    assert (everybody["person_count"], everybody["matured_count"], everybody["converted_count"]) == (322, 161, 2)
    assert (everybody["pending_count"], everybody["not_converted_count"]) == (160, 160)
    assert everybody["conversion_rate"] == pytest.approx(1 / 161)
    assert rows["pending"]["person_count"] == 2
    assert rows["pending"]["share_rate"] is None
    overlaps = found["discovered_persona_overlaps"]
    assert overlaps["person_count"].sum() == 322
    by_class = overlaps.group_by("discovered_persona").agg(pl.col("person_count").sum())
    assert all(rows[name]["person_count"] == count for name, count in by_class.iter_rows())


def test_the_checks_of_the_tables_hold(engine, found):
    from journeyflow.models.checks import require_checks

    names = [discovery.CLASSES, discovery.RATES, discovery.OVERLAPS, *(f"marts.{name}" for name in found)]
    assert require_checks(engine, [GRAPH[name] for name in names]) > 20


def publish(folder, tables):
    publish_tables(folder, {name: rows.to_dicts() for name, rows in tables.items()})


def test_a_model_stays_while_it_fits(engine, found, tmp_path, monkeypatch):
    config = config_of(tmp_path)
    publish(config.publish, found)

    def refuse(*_):
        raise AssertionError("the model was fitted again")

    monkeypatch.setattr(discovery, "choose_classes", refuse)
    assert discover(engine, config, SIZES).keys() == found.keys()
    again = discover(engine, config, SIZES)
    for name, table in found.items():
        floats = [pl.col(column).round(9) for column in table.columns if table[column].dtype == pl.Float64]
        assert again[name].with_columns(floats).equals(table.with_columns(floats)), name
    grown = discover(engine, config, {"mail": 190, "guest": 200})["discovered_personas"].filter(kind="class")
    assert set(grown["person_count"]) == {190, 200}
    assert set(grown["fitted_at"]) == {NOW}
    with pytest.raises(AssertionError, match="fitted again"):
        discover(engine, config, {"mail": 900, "guest": 20})


def test_a_class_that_is_found_again_keeps_its_name(engine, found, tmp_path):
    config = config_of(tmp_path)
    name = found["discovered_personas"].filter(kind="class").sort("person_count")["discovered_persona"][0]
    renamed = {
        table: rows.with_columns(pl.col("discovered_persona").replace({name: "readers"}))
        for table, rows in found.items()
    }
    publish(config.publish, renamed)
    again = discover(engine, config, {"mail": 900, "guest": 40})["discovered_personas"].filter(kind="class")
    assert again.filter(person_count=900)["discovered_persona"].to_list() == ["readers"]


def test_names_go_where_the_similarity_in_all_is_greatest():
    alike = np.array([[0.9, 0.6, 0.0], [0.8, 0.1, 0.0], [0.0, 0.0, 0.3]])
    assert discovery.matched(alike, ["a", "b", "c"]) == {0: "b", 1: "a"}


def test_touchpoints_of_the_same_persons_count_once():
    bits = {("channel", "email"): np.array([1.0, 0, 0]), ("touchpoint", "a"): np.array([1.0, 0, 0])}
    bits |= {("touchpoint", "b"): np.array([0, 1.0, 0])}
    groups = [(item,) for item in bits]
    assert discovery.without_twins(groups, bits, np.array([5.0, 5.0, 5.0])) == [groups[0], groups[2]]


def test_too_few_persons_or_none_are_counted_and_have_no_class(engine, tmp_path):
    for sizes, count in (({"mail": 20}, 22), ({}, 2)):
        tables = discover(engine, config_of(tmp_path), sizes)
        rows = {row["discovered_persona"]: row["person_count"] for row in tables["discovered_personas"].to_dicts()}
        assert rows == {"unclear": count - 2, "pending": 2, "all": count}
        assert tables["discovered_persona_features"].is_empty()


def test_without_the_key_nothing_is_read(tmp_path):
    config = config_of(tmp_path, discover_personas=False)
    with DuckDBEngine(threads=1) as engine:
        discovery.discovered_classes(engine, config)
        for name in (discovery.CLASSES, discovery.RATES, discovery.OVERLAPS):
            assert engine.count(name) == 0
    assert isinstance(discovery.early_items(config), pa.Table)


EARLY = {
    "config.settings": "high_water_at\n2026-03-01 12:00:00",
    "config.goals": "goal | is_repeated\norder | true\nlead | false",
    "config.slices": "slice_index | slice\n1 | device",
    "config.event_type_predicates": """
        event_type_ix | predicate  | is_true
        4             | goal/order | true
        3             | goal/lead  | true
    """,
    # Type 5 is of the stage of the order, 6 has no stage, 3 is a goal itself.
    "journeys.event_types": """
        event_type_ix | event_name | channel | touchpoint
        1             | view       | web     | web: Blog
        2             | mail       | email   | email: Letter
        3             | lead       | web     | web: Lead
        4             | purchase   | web     | web: Paid
        5             | cart       | web     | web: Cart
        6             | other      | web     | web: Other
    """,
    "kernel.classifications": """
        classification_key | model_index | event_type_ix | stage_index
        1                  | 1           | 1             | 1
        2                  | 1           | 2             | 1
        3                  | 1           | 3             | 1
        4                  | 1           | 4             | 2
        5                  | 1           | 5             | 2
        6                  | 1           | 6             | 0
        1                  | 2           | 1             | 1
    """,
    "kernel.journeys": """
        person_key | journey_index | first_event_ix | first_event_type_ix
        1          | 1             | 1              | 1
        1          | 2             | 9              | 2
        2          | 1             | 7              | 2
        3          | 1             | 8              | 1
    """,
    "kernel.sessions": """
        session_ix | person_key | started_at          | ended_at            | event_count
        1          | 1          | 2026-02-01 10:00:00 | 2026-02-01 10:02:00 | 6
        2          | 3          | 2026-03-01 11:20:00 | 2026-03-01 11:30:00 | 1
    """,
    "kernel.events": """
        event_ix | person_key | session_ix | classification_key
        1        | 1          | 1          | 1
        2        | 1          | 1          | 1
        3        | 1          | 1          | 3
        4        | 1          | 1          | 4
        5        | 1          | 1          | 5
        6        | 1          | 1          | 6
        7        | 2          |            | 2
        8        | 3          | 2          | 1
        9        | 1          |            | 2
    """,
    "analyses.visit_origins": "session_ix | channel\n1 | cpc",
}


def test_what_is_known_early_is_of_the_first_visit_and_of_no_outcome(tmp_path):
    """Person 2 came by a mail; the first visit of 3 ended exactly a timeout ago, and is not over."""
    config = config_of(tmp_path, slices=["device"])
    with DuckDBEngine(threads=1) as engine:
        for name, text in EARLY.items():
            put(engine, name, text)
        staged = pa.table({"event_ix": pa.array([1, 7], pa.int64()), "slice_1": pa.array(["phone", None], pa.string())})
        engine.register("staging.events", staged)
        engine.run("analyses.early_items", discovery.early_items(config))
        rows = engine.values("select person_key, feature, value from analyses.early_items order by all")
    assert rows == [
        (1, "channel", "web"),
        (1, "events", "2 to 4 events"),
        (1, "pace", "an event within 60 s"),
        (1, "slice: device", "phone"),
        (1, "source", "cpc"),
        (1, "touchpoint", "web: Blog"),
        (2, "channel", "email"),
        (2, "events", "1 event"),
        (2, "touchpoint", "email: Letter"),
    ]
