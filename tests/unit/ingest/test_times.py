"""Reading times: what is stated counts, and a zone is never dropped without a word."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def first_time(project, text: str, mapping: object = "ts", zone: str = "UTC") -> datetime | str:
    project.source |= {"timezone": zone, "columns": project.source["columns"] | {"occurred_at": mapping}}
    project.write("a.csv", f'id,ts,cookie,event\ne1,"{text}",c,x\n')
    project.load()
    return (project.events("occurred_at") or [reason for _, reason in project.quarantine()])[0]


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-01 10:00:00", "UTC", "2026-03-01 10:00:00"),
        ("2026-03-01T10:00:00.123456Z", "UTC", "2026-03-01 10:00:00.123456"),
        ("2026-03-01T10:00:00+02:00", "UTC", "2026-03-01 08:00:00"),
        ("2026-03-01 10:00:00+0230", "UTC", "2026-03-01 07:30:00"),
        ("2026-03-01 10:00:00-05", "UTC", "2026-03-01 15:00:00"),
        ("2026-03-01 10:00:00 UTC", "UTC", "2026-03-01 10:00:00"),
        ("2026-03-01", "UTC", "2026-03-01 00:00:00"),
        ("2026-03-01 10:00:00", "Europe/Berlin", "2026-03-01 09:00:00"),
        ("2026-07-01 10:00:00", "Europe/Berlin", "2026-07-01 08:00:00"),
        ("2026-07-01T10:00:00Z", "Europe/Berlin", "2026-07-01 10:00:00"),
        ("2026-07-01T10:00:00+01:00", "Europe/Berlin", "2026-07-01 09:00:00"),
        ("2026-07-01 10:00:00 UTC", "Europe/Berlin", "2026-07-01 10:00:00"),
        ("2026-07-02", "Europe/Berlin", "2026-07-01 22:00:00"),
        ("2026-02-30", "UTC", "bad_time"),
        ("2026-03-01T10:00:00+99:00", "UTC", "bad_time"),
        ("2026-03-01 10:00:00.5 -1500", "Europe/Berlin", "bad_time"),
        ("2026-03-01T10:00+99", "UTC", "bad_time"),
        ("2026-03-01T10:00:00+14:00", "UTC", "2026-02-28 20:00:00"),
        ("yesterday", "UTC", "bad_time"),
        ("infinity", "UTC", "bad_time"),
        ("1772359200", "UTC", "bad_time"),
        ("", "UTC", "no_time"),
        ("1999-12-31 23:59:59", "UTC", "before_floor"),
        ("2000-01-01", "UTC", "2000-01-01 00:00:00"),
    ],
)
def test_text(project, text, zone, expected):
    found = first_time(project, text, zone=zone)
    assert found == (expected if "_" in expected else datetime.fromisoformat(expected))


@pytest.mark.parametrize(
    ("text", "mapping", "expected"),
    [
        ("1772359200", {"column": "ts", "unit": "s"}, "2026-03-01 10:00:00"),
        ("1772359200.25", {"column": "ts", "unit": "s"}, "2026-03-01 10:00:00.250"),
        ("1772359200123", {"column": "ts", "unit": "ms"}, "2026-03-01 10:00:00.123"),
        ("1772359200123456", {"column": "ts", "unit": "us"}, "2026-03-01 10:00:00.123456"),
        ("1772359200123456789", {"column": "ts", "unit": "ns"}, "2026-03-01 10:00:00.123457"),
        ("99999999999999999999999", {"column": "ts", "unit": "s"}, "bad_time"),
        ("soon", {"column": "ts", "unit": "ms"}, "bad_time"),
        ("31/12/2025 23:59", {"column": "ts", "format": "%d/%m/%Y %H:%M"}, "2025-12-31 23:59:00"),
        ("12/31/2025 23:59", {"column": "ts", "format": "%d/%m/%Y %H:%M"}, "bad_time"),
        ("31/Dec/2025:23:59:00 +0100", {"column": "ts", "format": "%d/%b/%Y:%H:%M:%S %z"}, "2025-12-31 22:59:00"),
        ("ignored", {"constant": "2025-05-05"}, "2025-05-05 00:00:00"),
    ],
)
def test_numbers_and_formats(project, text, mapping, expected):
    found = first_time(project, text, mapping)
    assert found == (expected if "_" in expected else datetime.fromisoformat(expected))


@pytest.mark.parametrize(
    ("header", "values", "zone", "expected"),
    [
        ("year,month,day", "2008,4,1", "UTC", "2008-04-01 00:00:00"),
        ("year,month,day", "2008,4,1", "Europe/Warsaw", "2008-03-31 22:00:00"),
        ("year,month,day,hour,minute,second", "2008,4,1,9,5,7.5", "UTC", "2008-04-01 09:05:07.500"),
        ("year,month,day,hour", "2008,4,1,9", "UTC", "2008-04-01 09:00:00"),
        ("year,month,day", "2008,2,30", "UTC", "bad_time"),
        ("year,month,day", "2008,,30", "UTC", "bad_time"),
        ("year,month,day", ",,", "UTC", "no_time"),
    ],
)
def test_parts(project, header, values, zone, expected):
    columns = {"occurred_at": {"columns": header.split(",")}, "anonymous_id": "c", "event_name": {"constant": "x"}}
    project.source |= {"columns": columns, "timezone": zone}
    project.write("a.csv", f"{header},c\n{values},c\n")
    project.load()
    found = (project.events("occurred_at") or [reason for _, reason in project.quarantine()])[0]
    assert found == (expected if "_" in expected else datetime.fromisoformat(expected))


NATIVE = {
    "naive": (pa.array([datetime(2026, 7, 1, 10)], pa.timestamp("us")), "Europe/Berlin", datetime(2026, 7, 1, 8)),
    "nanoseconds": (pa.array([datetime(2026, 7, 1, 10)], pa.timestamp("ns")), "UTC", datetime(2026, 7, 1, 10)),
    "zoned": (
        pa.array([datetime(2026, 7, 1, 10)], pa.timestamp("ms", "Asia/Tokyo")),
        "Europe/Berlin",
        datetime(2026, 7, 1, 10),
    ),
    "date": (pa.array([datetime(2026, 7, 1).date()]), "UTC", datetime(2026, 7, 1)),
    "text": (pa.array(["2026-07-01T10:00:00+02:00"]), "UTC", datetime(2026, 7, 1, 8)),
}


@pytest.mark.parametrize("kind", NATIVE)
def test_times_of_parquet(project, kind):
    values, zone, expected = NATIVE[kind]
    project.source |= {"format": "parquet", "timezone": zone}
    table = pa.table({"id": ["e1"], "ts": values, "cookie": ["c"], "event": ["x"]})
    (project.folder / "data").mkdir()
    pq.write_table(table, project.folder / "data" / "a.parquet")
    project.load()
    assert project.events("occurred_at") == [expected]


@pytest.mark.parametrize(
    ("kind", "unit"), [(pa.int64(), "s"), (pa.int32(), "s"), (pa.float64(), "s"), (pa.string(), "s")]
)
def test_numbers_of_parquet(project, kind, unit):
    columns = project.source["columns"] | {"occurred_at": {"column": "ts", "unit": unit}}
    project.source |= {"format": "parquet", "columns": columns}
    values = pa.array([1772359200]).cast(kind)
    table = pa.table({"id": ["e1"], "ts": values, "cookie": ["c"], "event": ["x"]})
    (project.folder / "data").mkdir()
    pq.write_table(table, project.folder / "data" / "a.parquet")
    project.load()
    assert project.events("occurred_at") == [datetime(2026, 3, 1, 10)]
