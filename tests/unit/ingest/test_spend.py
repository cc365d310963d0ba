"""Spend: read anew by every run; a bad file stops no run and is reported."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.ingest.parser.client import open_input_parser
from journeyflow.ingest.people_and_spend import load_spend


def load(project, run_id="r1", **spend):
    project.write("a.csv", "id,ts,cookie,event\n")
    config = project.config(spend={"path": "spend*", **spend} if spend is not None else None)
    with open_input_parser(config, run_id) as input_parser:
        load_spend(config, project.warehouse, run_id=run_id, input_parser=input_parser)
    found = project.warehouse.rows("select * from raw.spend order by all").to_pylist()
    return [tuple(row.values()) for row in found]


def loads(project):
    query = "select source, status, record_count, accepted_count, quarantined_count, detail from ledger.loads"
    return [tuple(row.values()) for row in project.warehouse.rows(f"{query} order by run_id").to_pylist()]


def test_rows_are_typed_and_bad_ones_are_counted_without_their_text(project):
    (project.folder / "spend.csv").write_text(
        "date,channel,amount,currency\n2026-01-01, CPC ,12.50,eur\n2026-01-02,cpc,7,\nnever,cpc,1,EUR\n"
        "2026-01-03,,1,EUR\n2026-01-03,cpc,much,EUR\ninfinity,cpc,1,EUR\n2026-01-04,cpc\n"
    )
    assert load(project) == [
        (date(2026, 1, 1), "CPC", Decimal("12.5"), "EUR"),
        (date(2026, 1, 2), "cpc", Decimal("7"), None),
    ]
    assert loads(project) == [("spend", "loaded", 7, 2, 5, None)]
    assert [reason for _, reason in project.quarantine()] == [
        "bad_time", "no_channel", "bad_amount", "bad_time", "bad_record"
    ]  # fmt: skip
    assert set(project.raws()) == {None}
    reasons = project.warehouse.rows("select distinct source from ledger.reasons")["source"].to_pylist()
    assert reasons == ["spend"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_formats(project, kind):
    rows = [{"date": "2026-01-01", "channel": "cpc", "amount": 1.5, "currency": "USD"}]
    path = project.folder / f"spend.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([{**rows[0], "date": date(2026, 1, 1)}]), path)
    else:
        path.write_text('{"date": "2026-01-01", "channel": "cpc", "amount": 1.5, "currency": "USD"}\n')
    assert load(project, format=kind) == [(date(2026, 1, 1), "cpc", Decimal("1.5"), "USD")]


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ("date,channel,cost,currency\n2026-01-01,cpc,1,EUR\n", "no column amount"),
        ("date,channel,amount,currency\nnever,cpc,1,EUR\n", "none of its 1 records can be read"),
        (None, "no file matches"),
    ],
)
def test_a_bad_file_leaves_the_spend_of_the_last_run(project, content, detail):
    path = project.folder / "spend.csv"
    path.write_text("date,channel,amount,currency\n2026-01-01,cpc,1,EUR\n")
    before = load(project)
    path.unlink()
    if content:
        path.write_text(content)
    assert load(project, "r2") == before
    *_, (source, status, *_, found) = loads(project)
    assert (source, status) == ("spend", "refused")
    assert detail in found
    assert found.endswith("the spend of the last run stays")


def test_without_the_section_there_is_none(project):
    (project.folder / "spend.csv").write_text("date,channel,amount,currency\n2026-01-01,cpc,1,EUR\nnever,cpc,1,EUR\n")
    assert load(project)
    config = project.config()
    with open_input_parser(config, "r2") as input_parser:
        load_spend(config, project.warehouse, run_id="r2", input_parser=input_parser)
    assert project.warehouse.count("raw.spend") == 0
    assert project.quarantine() == []
