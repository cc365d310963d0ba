"""What must not come out does not come out, and what does come out does nothing, whatever field it was written into."""

from __future__ import annotations

import contextlib
import csv
import io
import re

import polars as pl
import pytest

import journeyflow
from journeyflow.cli import main

MAIL, ADDRESS, SECRET = "canary.person@mail.example", "203.0.113.77", "tok_canary9f8e7d6c5b4a3f2e1d0c"
PERSON, DEVICE, VISIT, EVENT, NOTE = (f"canary-{what}-4711" for what in ("user", "device", "visit", "event", "note"))
CANARIES = (MAIL, ADDRESS, SECRET, PERSON, DEVICE, VISIT, EVENT, NOTE)
PAYLOADS = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1)",
    "-2+3",
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "'; drop table raw.events; --",
    '" or 1=1 --',
    "../../../../etc/passwd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "\u202egnp.exe",
    "\x1b[2J\x1b]0;x\x07",
    "%s%n",
    "NaN",
    "a" * 5000,
)
FIELDS = (
    "id",
    "ts",
    "received",
    "cookie",
    "customer",
    "visit",
    "event",
    "channel",
    "url",
    "referrer",
    "medium",
    "amount",
    "currency",
    "hit",
    "note",
    "score",
)
CONFIG = """
sources:
  web:
    format: csv
    path: data/*.csv
    channel: {column: channel}
    columns:
      event_id: id
      occurred_at: ts
      received_at: received
      anonymous_id: cookie
      user_id: customer
      session_id: visit
      event_name: event
      page_path: url
      referrer_host: referrer
      utm_medium: medium
      revenue_amount: amount
      currency: currency
      sequence: hit
    properties: [note, score]
people: [{path: crm.csv, user_id: customer, traits: [plan]}]
surveys: {reviews: {event: review, score: properties.score, text: properties.note, scale: [1, 5]}}
currency: {report: EUR}
min_count: 1
"""


def plain(number):
    """Return an innocent row."""
    values = [f"e{number}", f"2026-01-01 {number % 24:02}:00:00", "", f"c{number % 5}", "", "", "page_view", "web"]
    return dict(zip(FIELDS, [*values, "/a", "", "cpc", "", "EUR", str(number), "", "3"], strict=True))


def rows():
    """Return each payload in each field of a row of its own, and rows full of canaries."""
    innocent = [plain(number) for number in range(20)]
    hostile = [
        plain(100 + at * len(FIELDS) + place) | {name: payload}
        for at, payload in enumerate(PAYLOADS)
        for place, name in enumerate(FIELDS)
    ]
    whole = {"id": EVENT, "cookie": DEVICE, "customer": PERSON, "visit": VISIT, "note": f"{NOTE} {MAIL} {ADDRESS}"}
    url = f"https://x.example/u/{MAIL}/p?token={SECRET}&mail={MAIL}"
    named = [
        plain(900) | whole | {"event": "review", "url": url, "referrer": url},
        plain(901) | whole | {"id": f"{EVENT}b", "event": f"hello {MAIL}", "medium": MAIL},
        plain(902) | whole | {"id": f"{EVENT}c", "ts": f"soon {MAIL}", "amount": SECRET},
        plain(903) | {"cookie": ADDRESS, "event": "purchase", "amount": "9", "url": f"/x/{ADDRESS}"},
        plain(904) | {"cookie": MAIL, "customer": MAIL},
    ]
    return [*innocent, *hostile, *named]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canaries")
    (folder / "data").mkdir()
    with (folder / "data" / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows())
    (folder / "data" / "b.csv").write_text(f"{MAIL},{PERSON}\n{ADDRESS},{SECRET}\n", encoding="utf-8")
    (folder / "crm.csv").write_text(f"customer,plan\n{PERSON},=1+1\n{MAIL},<b>\n", encoding="utf-8")
    (folder / "journeyflow.yml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(project):
    """All that a run and the commands after it write to the terminal."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        for command in (["run"], ["status"], ["quarantine", "list"], ["check"]):
            with pytest.raises(SystemExit) as ended:
                main([*command, "--config", str(project / "journeyflow.yml")])
            assert not ended.value.code, written.getvalue()
    return written.getvalue()


def test_a_run_says_no_canary_and_obeys_no_escape(said):
    assert "a.csv" in said
    assert not [canary for canary in CANARIES if canary in said]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e]", said)


def test_no_canary_is_published(project, said):
    current = project / "published" / "current"
    files = {path.name: path.read_bytes() for path in current.iterdir()}
    assert not [(c, name) for c in CANARIES for name, held in files.items() if c.encode() in held]
    with journeyflow.open(project / "published") as published:
        # Parquet is packed, so its values are searched as text.
        texts = {name: published.table(name).write_json() for name in published.tables}
    assert not [(canary, name) for canary in CANARIES for name, text in texts.items() if canary in text]
    assert any(PAYLOADS[4] in text for text in texts.values()), (
        "names of events are data, and are published as they are"
    )


def test_every_row_is_accounted_for(project, said):
    with journeyflow.open(project / "published") as published:
        audits = published.table("load_audit").rows(named=True)
    (audit,) = [row for row in audits if row["source_file"] == "data/a.csv"]
    assert audit["record_count"] == len(rows())
    parts = ("accepted", "quarantined", "duplicate", "filtered", "erased")
    assert audit["record_count"] == sum(audit[f"{part}_count"] for part in parts)


def test_no_number_is_poisoned(project, said):
    with journeyflow.open(project / "published") as published:
        tables = {name: published.table(name) for name in published.tables}
    for name, table in tables.items():
        for column in table.select(pl.selectors.float()).columns:
            assert not table[column].is_nan().any(), f"{name}.{column}"
            assert not table[column].is_infinite().any(), f"{name}.{column}"


def test_csv_exports_hold_no_formula(project, said):
    with journeyflow.open(project / "published") as published:
        names = published.tables
    hostile = 0
    for name in names:
        target = project / f"{name}.out"
        arguments = ["--format", "csv", "--output", str(target), "--published", str(project / "published")]
        with pytest.raises(SystemExit):
            main(["query", f"select * from {name}", *arguments])
        for row in csv.DictReader(target.open(encoding="utf-8", newline="")):
            for cell in row.values():
                is_number = re.fullmatch(r"-?[0-9.e+-]*", cell)
                assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), f"{name}: {cell[:40]}"
                hostile += cell.startswith(("'=", "'+", "'@"))
    assert hostile


def test_nothing_of_the_page_is_markup(project, said):
    pages = list((project / "published" / "current").glob("*.html"))
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text
        assert "<img src=x" not in text
