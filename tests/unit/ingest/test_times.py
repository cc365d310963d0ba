"""Reading times: what is stated counts, and a zone is never dropped without a word."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def read_times(project, rows: list[str], header: str, mapping: object, zone: str) -> list[datetime | str]:
    """Return the time or the reason of each row of a file, which a source of its own reads."""
    columns = {"occurred_at": mapping, "anonymous_id": "cookie", "event_name": {"constant": "x"}}
    name = f"s{project.run}"
    lines = [f"{header},cookie", *(f"{row},c{n}" for n, row in enumerate(rows))]
    project.write(f"{name}.csv", "\n".join(lines))
    source = {"format": "csv", "path": f"data/{name}.csv", "timezone": zone, "columns": columns}
    project.load(sources={name: source})
    query = (
        "select cast(substr(anonymous_id, 2) as bigint) as n, occurred_at, null as reason from raw.events "
        "where source = '{0}' "
        "union all select source_row - 2, null, reason from raw.quarantine where source_file = 'data/{0}.csv' "
        "order by n"
    )
    found = project.warehouse.rows(query.format(name))  # Line 1 is the header.
    assert found["n"].to_pylist() == [*range(len(rows))]
    return [row["reason"] or row["occurred_at"] for row in found.to_pylist()]


def assert_read(project, cases: list[tuple[str, str, object, str, str]]) -> None:
    """Read each (row, header, mapping, zone, expected time or reason), those of one mapping and zone together."""
    groups: dict[str, list] = {}
    for case in cases:
        groups.setdefault(repr(case[1:4]), []).append(case)
    for group in groups.values():
        found = read_times(project, [row for row, *_ in group], *group[0][1:4])
        given = [
            (*settings, expected if "_" in expected else datetime.fromisoformat(expected))
            for *settings, expected in group
        ]
        assert [(*settings, time) for (*settings, _), time in zip(group, found, strict=True)] == given


TEXTS = [
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
    ("infinity", "Europe/Berlin", "bad_time"),
    ("-infinity", "Europe/Berlin", "bad_time"),
    ("1772359200", "UTC", "bad_time"),
    # A word after the time: half of the day and zones without doubt are read, any other makes the time unreadable.
    *(
        (f"2026-03-01 {clock}", zone, expected)
        for zone, expected in (("UTC", "21"), ("Europe/Berlin", "20"))
        for clock, expected in (
            ("09:00 PM", f"2026-03-01 {expected}:00:00"),
            ("9:00:00 pm", f"2026-03-01 {expected}:00:00"),
            ("09:00:00.25PM", f"2026-03-01 {expected}:00:00.250"),
            ("09:00 p.m.", f"2026-03-01 {expected}:00:00"),
            ("13:00 PM", "bad_time"),
            ("09:00:00 PST", "bad_time"),
            ("09:00:00 EST", "bad_time"),
            ("09:00:00 BST", "bad_time"),
            ("09:00:00 CEST", "bad_time"),
            ("09:00:00 garbage", "bad_time"),
            ("09:00:00 AM PST", "bad_time"),
            ("09:00:00 (PST)", "bad_time"),
            ("09:00:00 EST5", "bad_time"),
            ("09:00:00 T", "bad_time"),
            ("22:00:00 Europe/Berlin", "2026-03-01 21:00:00"),
            ("09:00:00 GMT+2", "2026-03-01 07:00:00"),
            ("09:00:00+02:00:00", "2026-03-01 07:00:00"),
            ("12:10 AM", "2026-03-01 00:10:00" if zone == "UTC" else "2026-02-28 23:10:00"),
            ("12:10 PM", "2026-03-01 12:10:00" if zone == "UTC" else "2026-03-01 11:10:00"),
        )
    ),
    ("epoch", "Europe/Berlin", "bad_time"),
    ("today", "Europe/Berlin", "bad_time"),
    # The hour that is skipped is read as the one after it; of the hour that comes twice the second counts.
    ("2026-03-29 02:30:00", "Europe/Berlin", "2026-03-29 01:30:00"),
    ("2026-10-25 02:30:00", "Europe/Berlin", "2026-10-25 01:30:00"),
    ("2026-03-08 02:30 AM", "America/New_York", "2026-03-08 07:30:00"),
    # What is below a microsecond is cut off.
    ("2026-03-01 10:00:00.1234569", "UTC", "2026-03-01 10:00:00.123456"),
    ("2026-03-01 10:00:00.1234569", "Europe/Berlin", "2026-03-01 09:00:00.123456"),
    ("", "UTC", "no_time"),
    ("1999-12-31 23:59:59", "UTC", "before_floor"),
    ("2000-01-01", "UTC", "2000-01-01 00:00:00"),
]


def test_text(project):
    assert_read(project, [(f'"{text}"', "ts", "ts", zone, expected) for text, zone, expected in TEXTS])


NUMBERS = [
    ("1772359200", {"column": "ts", "unit": "s"}, "2026-03-01 10:00:00"),
    ("1772359200.25", {"column": "ts", "unit": "s"}, "2026-03-01 10:00:00.250"),
    ("1772359200123", {"column": "ts", "unit": "ms"}, "2026-03-01 10:00:00.123"),
    ("1772359200123456", {"column": "ts", "unit": "us"}, "2026-03-01 10:00:00.123456"),
    ("1772359200123456789", {"column": "ts", "unit": "ns"}, "2026-03-01 10:00:00.123456"),
    ("1772359199999999999", {"column": "ts", "unit": "ns"}, "2026-03-01 09:59:59.999999"),
    ("1772359199.9999999", {"column": "ts", "unit": "s"}, "2026-03-01 09:59:59.999999"),
    ("99999999999999999999999", {"column": "ts", "unit": "s"}, "bad_time"),
    ("soon", {"column": "ts", "unit": "ms"}, "bad_time"),
    ("31/12/2025 23:59", {"column": "ts", "format": "%d/%m/%Y %H:%M"}, "2025-12-31 23:59:00"),
    ("12/31/2025 23:59", {"column": "ts", "format": "%d/%m/%Y %H:%M"}, "bad_time"),
    ("31/Dec/2025:23:59:00 +0100", {"column": "ts", "format": "%d/%b/%Y:%H:%M:%S %z"}, "2025-12-31 22:59:00"),
    ("ignored", {"constant": "2025-05-05"}, "2025-05-05 00:00:00"),
]


def test_numbers_and_formats(project):
    assert_read(project, [(f'"{text}"', "ts", mapping, "UTC", expected) for text, mapping, expected in NUMBERS])


PARTS = [
    ("year,month,day", "2008,4,1", "UTC", "2008-04-01 00:00:00"),
    ("year,month,day", "2008,4,1", "Europe/Warsaw", "2008-03-31 22:00:00"),
    ("year,month,day,hour,minute,second", "2008,4,1,9,5,7.5", "UTC", "2008-04-01 09:05:07.500"),
    ("year,month,day,hour", "2008,4,1,9", "UTC", "2008-04-01 09:00:00"),
    ("year,month,day", "2008,2,30", "UTC", "bad_time"),
    ("year,month,day", "2008,,30", "UTC", "bad_time"),
    ("year,month,day", ",,", "UTC", "no_time"),
]


def test_parts(project):
    cases = [
        (values, header, {"columns": header.split(",")}, zone, expected) for header, values, zone, expected in PARTS
    ]
    assert_read(project, cases)


NANOSECONDS = 1782863999_999_999_999  # 2026-06-30 23:59:59.999999999 UTC: a rounded one would be in July.
NATIVE = {
    "naive": (pa.array([datetime(2026, 7, 1, 10)], pa.timestamp("us")), "Europe/Berlin", datetime(2026, 7, 1, 8)),
    "nanoseconds": (pa.array([datetime(2026, 7, 1, 10)], pa.timestamp("ns")), "UTC", datetime(2026, 7, 1, 10)),
    "zoned": (
        pa.array([datetime(2026, 7, 1, 10)], pa.timestamp("ms", "Asia/Tokyo")),
        "Europe/Berlin",
        datetime(2026, 7, 1, 10),
    ),
    "zoned nanoseconds": (
        pa.array([NANOSECONDS], pa.timestamp("ns", "UTC")),
        "Europe/Berlin",
        datetime(2026, 6, 30, 23, 59, 59, 999999),
    ),
    "naive nanoseconds": (
        pa.array([NANOSECONDS], pa.timestamp("ns")),
        "Europe/Berlin",
        datetime(2026, 6, 30, 21, 59, 59, 999999),
    ),
    "date": (pa.array([datetime(2026, 7, 1).date()]), "UTC", datetime(2026, 7, 1)),
    "text": (pa.array(["2026-07-01T10:00:00+02:00"]), "UTC", datetime(2026, 7, 1, 8)),
}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_infinite_times_of_parquet_are_bad(project, zone):
    project.source |= {"format": "parquet", "timezone": zone}
    times = pa.array([2**63 - 1, 1 - 2**63, 0, None], pa.int64()).cast(pa.timestamp("us"))
    table = pa.table({"id": ["e1", "e2", "e3", "e4"], "ts": times, "cookie": ["c"] * 4, "event": ["x"] * 4})
    (project.folder / "data").mkdir()
    pq.write_table(table, project.folder / "data" / "a.parquet")
    project.load()
    assert [reason for _, reason in project.quarantine()] == ["bad_time", "bad_time", "before_floor", "no_time"]


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


def test_an_arrival_after_the_first_load_protects_no_time(project):
    """No file can hold what arrives after it was read: the earlier of the two counts."""
    project.source["columns"] |= {"received_at": "recv"}
    rows = [
        "e1,2099-01-01,2099-01-01,c,x",  # Both of a clock that is wrong.
        "e2,2026-03-01,2099-01-01,c,x",  # The event's own time is possible.
        "e3,2026-03-02,2026-03-01,c,x",  # Later than its arrival.
        "e4,2099-01-01,,c,x",
    ]
    project.write("a.csv", "\n".join(["id,ts,recv,cookie,event", *rows]) + "\n")
    project.load()
    assert project.events() == ["e2"]
    assert project.quarantine() == [(2, "future"), (4, "future"), (5, "future")]
    details = project.warehouse.rows("select detail from raw.quarantine order by source_row")["detail"].to_pylist()
    assert [detail is not None for detail in details] == [True, False, False]
