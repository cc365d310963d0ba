"""`journeyflow ui` shows what is published, to this machine only, and changes nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from journeyflow.engines.duckdb import _spill_folder
from journeyflow.operations import viewer
from journeyflow.operations.viewer import MOST_ROWS, PAGE_ROWS, Viewer, hosts_of, shown
from journeyflow.state.paths import WAREHOUSE
from journeyflow.state.warehouse import open_warehouse
from support.map_tables import HOSTILE, MARKUP, RUN, SCRIPT, publish_tables, rich_tables

HOST = "127.0.0.1:8000"
TAGS = {
    "html", "head", "meta", "title", "link", "body", "header", "main", "nav", "a", "h1", "h2", "p", "ul", "li", "span",
    "dl", "dt", "dd", "details", "summary", "form", "label", "select", "option", "button", "textarea", "div", "table",
    "caption", "thead", "tbody", "tr", "th", "td", "code",
}  # fmt: skip


@dataclass(frozen=True)
class Folders:
    state: Path
    publish: Path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    found = Folders(folder / "state", folder / "published")
    publish_tables(found.publish, rich_tables())
    found.state.mkdir()
    with open_warehouse(found.state / WAREHOUSE, temp_folder=folder / "spill") as warehouse:
        for run, status in (("20260228T020000000000", "failed"), (RUN, "published")):
            warehouse.execute(
                "insert into ledger.runs by name select ? as run_id, timestamp '2026-03-01 02:00:00' as started_at, "
                "'h' as config_hash, '0.1.0' as version, ? as status", [run, status],
            )  # fmt: skip
        for run, detail in ((RUN, f"Silent: {MARKUP}"), ("20260228T020000000000", "The disk is full.")):
            warehouse.execute(
                "insert into ledger.alerts by name select ? as run_id, 'failure' as kind, ? as detail", [run, detail]
            )
    return found


@pytest.fixture(scope="module")
def client(folders):
    app = Viewer(folders).app(hosts_of(8000))
    return TestClient(app, base_url=f"http://{HOST}")


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.names, self.addresses, self.text = set(), set(), [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data):
        self.text += data


def read(response):
    """Return a page, of which nothing is markup, script or a foreign address but what the viewer itself wrote."""
    page = _Reader()
    page.feed(response.text)
    assert page.tags <= TAGS
    assert not {name for name in page.names if name.startswith("on") or name == "style"}
    assert all(address == "data:," or address.startswith(("/", "?")) for address in page.addresses)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\u2066]", response.text)
    return page


def ask(client, sql, **options):
    return client.get(f"/current/query?sql={quote(sql)}", **options)


def test_the_kept_generations_are_listed_with_their_pages(client):
    page = read(client.get("/"))
    assert "acme-shop: 1,234 events" in page.text
    assert "current" in page.text
    assert f"/{RUN}/tables" in page.addresses


def test_the_page_of_a_generation_is_served_apart_from_the_viewer(client, folders):
    assert client.get("/current/map").status_code == 404  # This one has none.
    folder = folders.publish / "generations" / RUN
    (folder / "map.html").write_text("<script>1</script>")
    manifest = (folder / "manifest.json").read_text()
    try:
        entry = '"files": {"map.html": {"byte_count": 1, "sha256": ""}, '
        (folder / "manifest.json").write_text(manifest.replace('"files": {', entry))
        response = client.get("/current/map")
        assert response.text == "<script>1</script>"
        assert response.headers["content-security-policy"].startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in response.headers["content-security-policy"]
    finally:
        (folder / "manifest.json").write_text(manifest)


def test_tables_are_listed_with_their_meanings(client):
    page = read(client.get("/current/tables"))
    assert "map_stages" in page.text
    assert "Which channels led to the goals" in page.text or "One row per model, persona, period, stage" in page.text


def test_a_table_is_filtered_and_its_columns_are_explained(client):
    response = client.get("/current/tables/map_stages?persona=student&period=all")
    page = read(response)
    assert "Persons that reached the stage or one beyond it" in page.text
    cells = re.findall(r"<td>(student|all|unassigned)</td>", response.text)
    assert set(cells) == {"student", "all"}
    assert 'value="student" selected' in response.text
    assert "totals: do not add" in page.text


@pytest.mark.parametrize("persona", [MARKUP, "' or true --", "$1", "", "x" * 5000])
def test_a_filter_is_a_value_and_never_sql(client, persona):
    page = read(client.get("/current/tables/map_stages", params={"persona": persona}))
    rows = int(re.search(r"(\d+) rows, page", page.text)[1])
    assert (rows > 0) == (persona in (MARKUP, ""))


@pytest.mark.parametrize("page", ["2", "1000000", "-1", "x", "٣", "9" * 50, ""])
def test_pages_of_rows(client, page):
    text = read(client.get("/current/tables/touchpoints", params={"page": page})).text
    total, at, of = map(int, re.search(r"([\d]+) rows, page (\d+) of (\d+)", text.replace(",", "", 1)).groups())
    assert of == -(-total // PAGE_ROWS) > 1
    assert at == {"2": 2, "1000000": of}.get(page, 1)


def test_hostile_values_are_text(client):
    for table in ("personas", "touchpoints", "supplied_cells", "paths"):
        read(client.get(f"/current/tables/{table}"))
    quoted = [value.replace("'", "''") for value in HOSTILE if value.isprintable()]
    direction = "select 'invoice' || chr(8238) || 'gnp.exe' as t"
    response = ask(client, " union all ".join([direction, *(f"select '{value}'" for value in quoted)]))
    text = read(response).text
    assert MARKUP in text
    assert SCRIPT in text
    assert str(escape(MARKUP)) in response.text
    assert "invoice\\u202egnp.exe" in text


@pytest.mark.parametrize(
    "name", [MARKUP, SCRIPT, "../../state", "..%2f..%2fstate", 'a"; drop table personas; --', "PERSONAS "]
)
@pytest.mark.parametrize("place", ["/{}/tables", "/{}/map", "/current/tables/{}", "/{}/query"])
def test_a_hostile_name_is_no_page(client, name, place):
    response = client.get(place.format(quote(name, safe="%")))
    assert response.status_code == 404
    read(response)


def test_a_query_is_answered_within_its_limit_of_rows(client):
    text = read(ask(client, "select persona, count(*) as n from map_stages group by persona order by persona;")).text
    assert "student" in text
    assert "4 rows" in text
    text = read(ask(client, f"select i from range({MOST_ROWS + 5}) as t (i) order by i")).text
    assert f"The first {MOST_ROWS} rows; there are more" in text
    assert str(MOST_ROWS) not in re.findall(r"\d+", text.split("there are more")[1])


REFUSED = (
    "drop table personas",
    "create table x as select 1",
    "insert into personas select * from personas",
    "update personas set persona = 'x'",
    "select * from read_text('{file}')",
    "select * from read_csv('{file}')",
    "from '{file}'",
    "select * from glob('/*')",
    "copy personas to '{file}'",
    "copy (select 1) to '{file}'",
    "select 1); copy (select 1) to '{spill}/new.csv'; select * from (select 2",
    "export database '{folder}'",
    "attach '{file}' as other",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "pragma memory_limit = '1GB'",
    "select getenv('HOME')",
    "select 1) ; drop table personas ; select * from (select 1",
    "select 1; select 2",
    "--",
)


@pytest.mark.parametrize("sql", REFUSED)
def test_what_writes_or_reads_files_is_refused(client, folders, tmp_path, sql):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\nTOPSECRET\n")
    before = {path: path.stat().st_mtime_ns for path in folders.publish.rglob("*")}
    response = ask(client, sql.format(file=secret, folder=tmp_path / "out", spill=_spill_folder()))
    assert response.status_code == 400
    assert "TOPSECRET" not in response.text
    assert 'role="alert"' in response.text
    read(response)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    assert not list(_spill_folder().rglob("new.csv"))
    assert {path: path.stat().st_mtime_ns for path in folders.publish.rglob("*")} == before


def test_a_query_that_takes_too_long_is_stopped(folders):
    app = Viewer(folders, seconds=0.2).app(hosts_of(8000))
    client = TestClient(app, base_url=f"http://{HOST}")
    response = ask(client, "select count(*) from range(100000000000)")
    assert "stopped after 0.2 seconds" in response.text
    assert ask(client, "select 1 as one").status_code == 200


def test_runs_are_shown_with_their_alerts(client):
    text = read(client.get("/runs")).text
    assert f"Silent: {MARKUP}" in text
    assert "The disk is full." in text
    assert "failed" in text


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "evil.example", "127.0.0.1", "127.0.0.1:8001", "[::1]:8000", "127.0.0.1:8000@evil", ""],
)
def test_another_host_is_refused(client, host):
    response = client.get("/", headers={"Host": host})
    assert response.status_code == 421
    assert "acme" not in response.text


def test_two_hosts_are_refused(client):
    assert client.get("/", headers=[("Host", HOST), ("Host", "evil.example")]).status_code == 421
    assert client.get("/", headers={"Host": "localhost:8000"}).status_code == 200


FOREIGN = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_request_of_another_site_is_refused(client, headers):
    response = ask(client, "select 1 as one", headers=headers)
    assert response.status_code == 403
    assert (
        ask(
            client, "select 1 as one", headers={"Sec-Fetch-Site": "same-origin", "Origin": f"http://{HOST}"}
        ).status_code
        == 200
    )
    assert client.get("/", headers={"Sec-Fetch-Site": "none"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/current/query?sql=select+1", "/nowhere"])
def test_only_reading_methods_are_allowed(client, method, path):
    assert client.request(method, path).status_code == 405


@pytest.mark.parametrize("path", ["/", "/runs", "/current/tables", "/current/query?sql=x", "/nowhere", "/viewer.css"])
def test_every_answer_has_the_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_values_are_cut_and_control_characters_shown():
    assert shown("a" * 1000) == "a" * 300 + "…"
    assert shown("\x1b[31m") == "\\x1b[31m"
    assert shown(None) == ""


@pytest.mark.check
def test_the_command_listens_here_only_and_ends_with_ctrl_c(folders, tmp_path):
    config = tmp_path / "journeyflow.yml"
    config.write_text(f"state: {folders.state}\npublish: {folders.publish}\n")
    command = [sys.executable, "-u", "-m", "journeyflow", "ui", "--port", "0", "--no-browser", "-c", str(config)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
            with urllib.request.urlopen(address, timeout=30) as response:
                assert b"acme-shop" in response.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_a_port_that_is_taken_is_named(folders, monkeypatch):
    with viewer.socket.create_server((viewer.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            viewer.JourneyflowError, match=f"Cannot listen on port {port}: .* Choose another with --port"
        ):
            viewer.serve(folders, port, print, opens_browser=False)
