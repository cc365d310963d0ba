"""Names of properties with points in them: kept where conditions look for them."""

from __future__ import annotations

import json

import pytest

LINES = {
    "format": "jsonl",
    "path": "data/*",
    "columns": {"occurred_at": "ts", "anonymous_id": "c", "event_name": "name"},
}


def kept(project):
    return [json.loads(row) for row in project.events("properties")]


def test_a_nested_field_stays_where_it_was(project):
    project.source = LINES | {"properties": ["device.model", "device.os.name", "plan"]}
    line = {"ts": "2026-03-01", "c": "c", "name": "x", "plan": "gold", "device": {"model": "m", "os": {"name": "o"}}}
    project.write("a", json.dumps(line) + "\n")
    project.load()
    assert kept(project) == [{"device": {"model": "m", "os": {"name": "o"}}, "plan": "gold"}]


@pytest.mark.parametrize("properties", [["page.url", "page.title"], ["*"]])
def test_a_column_named_with_a_point_is_found_below_it(project, properties):
    project.source["properties"] = properties
    project.write("a", "id,ts,cookie,event,page.url,page.title\ne1,2026-03-01,c,x,/a,A\n")
    project.load()
    assert kept(project) == [{"page": {"url": "/a", "title": "A"}}]


def test_a_column_and_one_below_it_are_both_kept(project):
    project.source["properties"] = ["page.url", "page"]
    project.write("a", "id,ts,cookie,event,page,page.url\ne1,2026-03-01,c,x,home,/a\n")
    project.load()
    assert kept(project) == [{"page": "home", "page.url": "/a"}]


def test_a_name_of_very_many_parts_stays_whole_and_stops_no_file(project):
    """Each part would be a level of nested calls; the statement could not be parsed."""
    name = ".".join("a" * 500)
    project.source["properties"] = ["*"]
    project.write("a", f"id,ts,cookie,event,{name}\ne1,2026-03-01,c,x,1\n")
    assert [file.status for file in project.load().files] == ["loaded"]
    assert kept(project) == [{name: "1"}]


@pytest.mark.parametrize("count", [1_000, 1_001])
def test_more_than_a_thousand_properties_refuse_the_file(project, count):
    project.source["properties"] = "*"
    project.write("good.csv", "id,ts,cookie,event\n")
    names = "".join(f",x{number}" for number in range(count))
    project.write("wide.csv", f"id,ts,cookie,event{names}\ne,2026-03-01,c,view{',1' * count}\n")
    refused = project.load().refused
    assert [file.detail for file in refused] == [
        "1,001 of its columns are to be kept as properties, more than 1,000; name in `properties` those that you need"
    ] * (count > 1_000)
