"""Traits of people: read anew by every run, each record accounted for."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.errors import InputError
from journeyflow.ingest import people_and_spend as ingested_traits
from journeyflow.ingest.insert import RecordCounts
from journeyflow.ingest.people_and_spend import load_traits

PEOPLE = {"path": "crm*", "user_id": "customer", "traits": ["plan", "country"], "valid_from": "changed"}


@pytest.fixture
def crm(project):
    project.write("a.csv", "id,ts,cookie,event\n")
    return project


def traits(crm) -> list[tuple]:
    found = crm.warehouse.rows(
        "select user_id, trait, trait_value, valid_from from raw.traits order by all"
    ).to_pylist()
    return [tuple(row.values()) for row in found]


def load(crm, **people) -> RecordCounts:
    return load_traits(crm.config(people=[PEOPLE | people]), crm.warehouse, run_id="r")


def test_each_trait_of_each_record_is_a_row(crm):
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\nu1,pro,,2026-01-01\nu1,free,DE,2026-02-01\n")
    assert load(crm) == RecordCounts(record=2, accepted=2)
    assert traits(crm) == [
        ("u1", "country", "DE", datetime(2026, 2, 1)),
        ("u1", "country", None, datetime(2026, 1, 1)),
        ("u1", "plan", "free", datetime(2026, 2, 1)),
        ("u1", "plan", "pro", datetime(2026, 1, 1)),
    ]


def test_a_second_run_replaces_the_first(crm):
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\nu1,pro,,\n,pro,,\n")
    load(crm)
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\nu2,pro,,\n")
    load(crm)
    assert {row[0] for row in traits(crm)} == {"u2"}
    assert crm.quarantine() == []


def test_bad_records_are_quarantined_and_counted(crm):
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\n,pro,,\nu1,a,b,never\nu2,a\nu3,a,b,\n")
    assert load(crm) == RecordCounts(record=4, accepted=1, quarantined=3)
    assert crm.quarantine() == [(2, "no_identifier"), (3, "bad_time"), (4, "bad_record")]
    audit = crm.warehouse.rows(
        "select source, source_file, record_count, quarantined_count from ledger.loads"
    ).to_pylist()
    assert audit == [{"source": "people", "source_file": "crm.csv", "record_count": 4, "quarantined_count": 3}]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_formats(crm, kind):
    rows = [{"customer": "u1", "plan": "pro", "country": None, "changed": "2026-01-01T00:00:00+01:00"}]
    path = crm.folder / f"crm.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    load(crm, format=kind)
    assert traits(crm)[1] == ("u1", "plan", "pro", datetime(2025, 12, 31, 23))


def test_keys_are_those_of_events(crm):
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\nu1,pro,,\n")
    load(crm)
    assert crm.warehouse.count("raw.traits", "user_key = md5_number_lower('u:u1')") == 2


def test_a_missing_file_or_column_is_an_error(crm):
    with pytest.raises(InputError, match=r"no file matches|No file matches"):
        load(crm)
    (crm.folder / "crm.csv").write_text("customer,plan\nu1,pro\n")
    with pytest.raises(InputError, match="no column changed, country"):
        load(crm)


JUNK = bytes(range(256)) * 12


def refusals(crm) -> list[tuple]:
    query = "select source_file, detail from ledger.loads where status = 'refused' order by all"
    return [tuple(row.values()) for row in crm.warehouse.rows(query).to_pylist()]


@pytest.mark.parametrize("content", [JUNK, b"", b"customer,plan\nu1,pro\n"])
def test_a_broken_file_leaves_the_traits_of_the_last_run(crm, content):
    """An export that is cut off at night must not stop the run, nor move persons between personas."""
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\nu1,pro,,\n,pro,,\n")
    load(crm)
    (crm.folder / "crm.csv").write_bytes(content)
    assert load(crm) == RecordCounts()
    assert {row[0] for row in traits(crm)} == {"u1"}
    assert crm.quarantine() == [(3, "no_identifier")]
    assert [name for name, detail in refusals(crm) if "the traits of the last run stay" in detail] == ["crm.csv"]


@pytest.mark.parametrize("rows", ["\n,pro,,", "\nu1,pro,,soon\nu2", "\n\x00"])
def test_a_file_without_a_good_record_leaves_the_traits_of_the_last_run(crm, rows):
    header = "customer,plan,country,changed"
    (crm.folder / "crm.csv").write_text(f"{header}{rows}\n")
    assert load(crm).accepted == 0, "there are no earlier traits, so its records are in quarantine"
    assert crm.quarantine()
    (crm.folder / "crm.csv").write_text(f"{header}\nu1,pro,,\n")
    load(crm)
    (crm.folder / "crm.csv").write_text(f"{header}{rows}\n")
    assert load(crm) == RecordCounts()
    assert {row[0] for row in traits(crm)} == {"u1"}
    ((name, detail),) = refusals(crm)
    assert name == "crm.csv"
    assert detail.startswith("none of its ")
    assert detail.endswith("; the traits of the last run stay")


def test_a_broken_file_in_the_first_run_is_left_out(crm):
    (crm.folder / "crm-1.csv").write_bytes(JUNK)
    (crm.folder / "crm-2.csv").write_text("customer,plan,country,changed\nu2,pro,,\n")
    assert load(crm, path="crm-*.csv") == RecordCounts(record=1, accepted=1)
    assert {row[0] for row in traits(crm)} == {"u2"}
    assert [name for name, detail in refusals(crm) if "goes on without its traits" in detail] == ["crm-1.csv"]


def test_whatever_fails_over_a_file_of_traits_stops_no_run(crm, monkeypatch):
    (crm.folder / "crm.csv").write_text("customer,plan,country,changed\nu1,pro,,\n")
    load(crm)

    def failing(*_):
        raise RecursionError("too deep")

    monkeypatch.setattr(ingested_traits, "_insert_traits", failing)
    load(crm)
    assert {row[0] for row in traits(crm)} == {"u1"}
    assert "RecursionError" in refusals(crm)[0][1]


def test_a_rebuild_has_no_earlier_traits_and_must_read_all(crm):
    (crm.folder / "crm.csv").write_bytes(JUNK)
    with pytest.raises(InputError, match=r"traits in crm\.csv cannot be read"):
        load_traits(crm.config(people=[PEOPLE]), crm.warehouse, run_id="r", must_read=True)


@pytest.mark.parametrize("stamp", ["infinity", "-infinity", "2026-01-01 10:00:00 PST"])
def test_a_time_that_never_comes_is_bad(crm, stamp):
    (crm.folder / "crm.csv").write_text(f"customer,plan,country,changed\nu1,a,b,{stamp}\nu2,a,b,\n")
    assert load(crm, timezone="Europe/Berlin") == RecordCounts(record=2, accepted=1, quarantined=1)
    assert crm.quarantine() == [(2, "bad_time")]
