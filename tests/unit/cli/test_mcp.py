"""`journeyflow mcp` answers a client of the protocol, within its size, and writes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import journeyflow
from journeyflow.cli.mcp import MOST_CHARACTERS, _bounded, server
from support.map_tables import BIDI, publish_tables, rich_tables
from support.templates import finished_shop

mcp = pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
NOWHERE = Path("nowhere.yml")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return finished_shop(tmp_path_factory)


def asked(found: Any, tool: str, **arguments: Any) -> Any:
    """Return the answer of a tool of the server, in this process; an error is marked as one."""

    async def ask() -> Any:
        async with mcp.Client(found) as client:
            return await client.call_tool(tool, arguments)

    answer = asyncio.run(ask())
    [content] = answer.content
    assert len(content.text) <= MOST_CHARACTERS
    return {"error": content.text} if answer.is_error else json.loads(content.text)


@pytest.mark.check
def test_a_client_of_the_protocol_is_answered_over_standard_input(project):
    command = [sys.executable, "-m", "journeyflow", "mcp", "-c", str(project / "journeyflow.yml")]
    parameters = mcp.StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))

    async def ask() -> Any:
        async with mcp.stdio_client(parameters) as streams, mcp.ClientSession(*streams) as session:
            await session.initialize()
            return await session.list_tools(), await session.call_tool("query", {"sql": "select 1 as one"})

    tools, answer = asyncio.run(ask())
    assert {tool.name for tool in tools.tools} == {"briefing", "tables", "describe", "query", "figures", "explain"}
    assert all(tool.annotations.read_only_hint for tool in tools.tools)
    assert json.loads(answer.content[0].text) == {"rows": [{"one": 1}]}


@pytest.mark.parametrize(
    "sql",
    [
        "drop table funnel_steps",
        "create table t as select 1",
        "copy funnel_steps to 'stolen.csv'",
        "select 1) limit 1; drop table funnel_steps; --",
        "from read_text('journeyflow.yml')",
        "attach 'other.duckdb'",
        "install httpfs",
    ],
)
def test_whatever_writes_or_reads_elsewhere_is_refused(project, sql):
    found = server(project / "journeyflow.yml", None)
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    assert set(asked(found, "query", sql=sql)) == {"error"}
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()} == before


def test_answers_are_those_of_the_tables(project):
    found = server(project / "journeyflow.yml", None)
    with journeyflow.open(project / "published") as published:
        names = set(published.tables)
        [[model, value]] = published.sql(
            "select model, value from map_figures where figure = 'person_count' and \"row\" = 'people' "
            "and persona = 'all' and period = 'all' order by model, stage, position limit 1"
        ).rows()
        [[person]] = published.sql("select min(person_id) from person_stages").rows()
    assert {row["table"] for row in asked(found, "tables")["tables"]} == names
    assert all("meaning" in row for row in asked(found, "describe", table="funnel_steps")["columns"])
    figures = asked(found, "figures", row="people", model=model)["figures"]
    assert value in [figure["value"] for figure in figures if figure["figure"] == "person_count"]
    assert "briefing" in asked(found, "briefing")
    assert asked(found, "explain", what="person", key=person)["person"]["person_id"] == person


def test_the_rows_beyond_the_limit_are_announced(project):
    found = server(project / "journeyflow.yml", None)
    assert asked(found, "query", sql="from range(3);", limit=2) == {
        "rows": [{"range": 0}, {"range": 1}],
        "has_more_rows": True,
    }
    assert asked(found, "query", sql="select 'nan'::double as a, 1 as b") == {"rows": [{"a": "nan", "b": 1}]}


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("describe", {"table": "funnel_step"}, "Did you mean"),
        ("explain", {"what": "person", "key": "c-1"}, "no published person_id"),
        ("explain", {"what": "opportunity", "key": "first"}, "a number"),
        ("explain", {"what": "weather", "key": "1"}, "person, event"),
    ],
)
def test_an_error_says_what_to_do(project, tool, arguments, said):
    assert said in asked(server(project / "journeyflow.yml", None), tool, **arguments)["error"]


def test_hostile_names_are_shown_and_long_answers_are_cut(tmp_path):
    publish_tables(tmp_path, rich_tables())
    found = server(NOWHERE, tmp_path)
    answer = asked(found, "query", sql="select * from touchpoints", limit=1000)
    assert len(answer["rows"]) + answer["rows_left_out"] == 200
    assert answer["has_more_rows"]
    assert BIDI not in json.dumps(answer, ensure_ascii=False)
    assert len(_bounded({"rows": [{"a": "x" * 1_000}] * 1_000})) <= MOST_CHARACTERS
