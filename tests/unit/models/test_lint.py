"""Each rule of the lint finds what it forbids and lets the portable way pass."""

from __future__ import annotations

import pytest

from journeyflow import models
from journeyflow.models import checks

COLUMNS = ("a", "b", "event_id", "event_name", "occurred_at", "entered_at")
HEADER = "-- What it is for.\n-- Grain: one row.\n"

BAD = [
    ("P01", "select array_agg(a order by b) as a from raw.events"),
    ("P01", "select a[1] as a from raw.events"),
    ("P02", "select date_diff('hour', occurred_at, entered_at) as a from raw.events"),
    ("P03", "select median(a) as a from raw.events"),
    ("P03", "select quantile_cont(a, 0.5) as a from raw.events"),
    ("P03", "select percentile_cont(0.5) within group (order by a) as a from raw.events"),
    ("P04", "select cast(a / b as bigint) as a from raw.events"),
    ("P04", "select cast(2.5 as integer) as a from raw.events"),
    ("P05", "select hash(a) as a from raw.events"),
    ("P05", "select a from raw.events where occurred_at < current_timestamp"),
    ("P06", "select extract(dow from occurred_at) as a from raw.events"),
    ("P06", "select epoch_us(occurred_at) as a from raw.events"),
    ("P07", "select occurred_at - entered_at as a from raw.events"),
    ("P08", "select columns('a') as a from raw.events"),
    ("P08", "select l.a from raw.events as l asof join raw.events as r on l.a = r.a and l.b >= r.b"),
    ("P08", "select a from raw.events union all by name select a from raw.events"),
    ("P08", "select distinct on (a) a from raw.events"),
    ("P09", "select nobody_knows_it(a) as a from raw.events"),
    ("S01", "with e as (select * from raw.events) select a from e"),
    ("S01", "with e as (select a from raw.events) select e.* from e"),
    ("S02", "select row_number() over (partition by a order by occurred_at) as a from raw.events"),
    ("S02", "select sum(a) over (order by b rows between unbounded preceding and current row) as a from raw.events"),
    ("S03", "select sum(a) over (order by b) as a from raw.events"),
    ("S04", "select a from raw.events order by a"),
    ("S05", "select a, count(*) as n from raw.events group by 1"),
    ("S05", "select a, count(*) as n from raw.events group by all"),
    ("S06", "select l.a from raw.events as l join raw.events as r on l.a = r.a"),
    ("S06", "select l.a from raw.events as l, raw.events as r"),
    ("S08", "select a from raw.events" + "\n" * 150 + "where a > 1"),
]
GOOD = [
    "select date_diff('microsecond', occurred_at, entered_at) / 1000000 as a from raw.events",
    "select round(quantile_cont(a, 0.5), 6) as a, string_agg(event_name, ',' order by event_name) as b from raw.events",
    "select cast(floor(a / b) as bigint) as a, count(distinct a) filter (where b > 1) as m from raw.events",
    "select a from raw.events qualify row_number() over (partition by a order by occurred_at, event_id) = 1",
    "with n as (select a, b, count(*) as n from raw.events group by a, b) "
    "select row_number() over (partition by a order by n desc, b) as a from n",
    "select sum(a) over (partition by b) as a from raw.events",
    "select sum(b) over (order by event_id rows between unbounded preceding and current row) as b from raw.events",
    "select a from raw.events order by a limit 3",
    "select l.a from raw.events as l inner join raw.events as r on l.a = r.a cross join raw.events as x",
]


def codes(tmp_path, select):
    folder = tmp_path / "sql"
    for layer in ("raw", "sources"):
        (folder / layer).mkdir(parents=True)
    listed = ", ".join(f"{name}: {{type: BIGINT, meaning: A number.}}" for name in COLUMNS)
    (folder / "raw/events.yml").write_text(
        f"description: Events for a test.\npython_model: load\ngrain: [event_id]\ncolumns: {{{listed}}}"
    )
    (folder / "sources/x.sql").write_text(select)
    from journeyflow.models.model import output_columns, parsed, read_metadata

    names = output_columns(parsed(select, folder / "sources/x.sql"))
    column = "{type: BIGINT, meaning: A number.}"
    bare = "".join(f"\n  '{name}': {column}" for name in names)
    (folder / "sources/x.yml").write_text(f"description: A model for a test.\ncolumns:{bare}")
    model = models.Model(
        "sources.x",
        folder / "sources/x.sql",
        select,
        ("raw.events",),
        read_metadata(folder / "sources/x.yml"),
        {},
    )
    graph = models.Graph({**models.load_graph(_only(folder)).models, "sources.x": model})
    return {finding.code for finding in checks.lint(graph, [model])}


def _only(folder):
    (folder / "sources/x.sql").rename(folder.parent / "x.sql")
    (folder / "sources/x.yml").rename(folder.parent / "x.yml")
    return folder


@pytest.mark.parametrize(("code", "select"), BAD)
def test_a_rule_finds_what_it_forbids(tmp_path, code, select):
    assert code in codes(tmp_path, HEADER + select)


@pytest.mark.parametrize("select", GOOD)
def test_the_portable_way_passes(tmp_path, select):
    assert codes(tmp_path, HEADER + select) == set()


@pytest.mark.parametrize("text", ["", "-- What it is for.\n", "-- What it is for.\n-- One row a day.\n"])
def test_the_header_says_purpose_and_grain(tmp_path, text):
    assert codes(tmp_path, text + "select a from raw.events") == {"S07"}


def test_every_rule_has_an_example():
    assert {code for code, _ in BAD} | {"S07"} == set(checks.RULES)
