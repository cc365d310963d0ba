"""Workbooks: every row accounted for, times and numbers as an export in CSV would have them, hostile ones refused."""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import date, datetime, time, timedelta

import openpyxl
import pytest

from journeyflow.config import check
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.excel import read_excel
from journeyflow.ingest.parser.transfer import Job
from journeyflow.ingest.parser.worker import container_of
from journeyflow.setup.proposal import nobody
from journeyflow.setup.sample import copy_head, read_sample
from journeyflow.setup.sources import draft_sources

HEAD = ["id", "ts", "cookie", "event", "amount"]


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)
    return path


def read(path, sheet=None, header=True, columns=100):
    parsed = read_excel(path, sheet, header, columns)
    rows = [row for batch in parsed.batches for row in batch.to_pylist()]
    rejects = [row for batch in parsed.rejects() for row in batch.to_pylist()]
    return parsed.names, [tuple(row.values())[1:] for row in rows], [(r["source_row"], r["reason"]) for r in rejects]


def test_rows_of_a_workbook_become_events_and_the_others_are_quarantined_with_their_numbers(project):
    rows = [
        HEAD,
        ["e1", datetime(2026, 3, 1, 9, 30), "c1", "view", 12.5],
        [],
        ["e2", datetime(2026, 3, 2), "c1", "buy", 20, "one too many"],
        ["e3", datetime(2026, 3, 2, 10), "#N/A", "buy", 20],
        ["e4", "soon", "c2", "buy", None],
        ["e5", date(2026, 3, 3), 17, "buy", 20.0],
    ]
    workbook(project.folder / "data" / "a.xlsx", Events=rows, Other=[["x"]])
    project.source |= {"format": "xlsx", "properties": ["amount"]}
    project.load()
    assert project.events("event_id, occurred_at, anonymous_id, properties ->> 'amount'") == [
        ("e1", datetime(2026, 3, 1, 9, 30), "c1", "12.5"),
        ("e5", datetime(2026, 3, 3), "17", "20"),
    ]
    assert project.quarantine() == [(4, "bad_record"), (5, "bad_record"), (6, "bad_time")]


def test_cells_are_what_an_export_in_csv_would_say(tmp_path):
    values = [
        (True, "true"),
        (1.5, "1.5"),
        (3.0, "3"),
        (123456789012, "123456789012"),
        (time(9, 5), "09:05:00"),
        (timedelta(hours=30), "108000"),
        (datetime(2026, 3, 1, 9, 30, 15), "2026-03-01 09:30:15"),
        ("  text ", "  text "),
    ]
    path = workbook(tmp_path / "a.xlsx", Sheet=[["v"], *([value] for value, _ in values)])
    assert [row[1] for row in read(path)[1]] == [text for _, text in values]


def test_dates_that_count_from_1904(tmp_path):
    book = openpyxl.Workbook()
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    book.active.append(["ts"])
    book.active.append([datetime(2026, 3, 1)])
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx")[1] == [(2, "2026-03-01 00:00:00")]


def test_the_sheet_is_the_first_visible_one_or_the_named_one(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Notes=[["n"], ["hidden"]], Events=[["e"], ["shown"]], Last=[["l"], ["named"]])
    book = openpyxl.load_workbook(path)
    book["Notes"].sheet_state = "hidden"
    book.active = 1
    book.save(path)
    assert read(path)[:2] == (("e",), [(2, "shown")])
    assert read(path, "Last")[:2] == (("l",), [(2, "named")])
    with pytest.raises(RefusedFileError, match="its sheets are Notes, Events, Last"):
        read(path, "None")


def test_a_sheet_without_a_header_and_short_rows(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Sheet=[["a", 1], ["b"]])
    assert read(path, header=False)[:2] == (("column1", "column2"), [(1, "a", "1"), (2, "b", "")])
    assert read(path, header=("x", "y"))[0] == ("x", "y")
    with pytest.raises(RefusedFileError, match="more than 1 columns"):
        read(path, columns=1)


def test_a_size_that_a_sheet_states_wrongly_hides_no_row(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Sheet=[["a", "b"], [1, 2], [3, 4]])
    _rewrite(path, "xl/worksheets/sheet1.xml", lambda text: text.replace(b'ref="A1:B3"', b'ref="A1"'))
    assert read(path)[1] == [(2, "1", "2"), (3, "3", "4")]


def _rewrite(path, member: str, change) -> None:
    with zipfile.ZipFile(path) as archive:
        contents = {each: archive.read(each) for each in archive.namelist()}
    assert change(contents[member]) != contents[member]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, change(content) if name == member else content)


def test_workbooks_that_are_damaged_or_made_to_do_harm_are_refused(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", Sheet=[["a"], [1]])
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"PK\x03\x04", b"\xd0\xcf\x11\xe0old", b"a,b\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(RefusedFileError):
            read(path)
    path.write_bytes(whole)
    entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><worksheet'
    _rewrite(path, "xl/worksheets/sheet1.xml", lambda text: text.replace(b"<worksheet", entity, 1))
    _rewrite(path, "xl/worksheets/sheet1.xml", lambda text: text.replace(b"<v>1</v>", b"<v>&e;</v>"))
    with pytest.raises(RefusedFileError):
        read(path)
    path.write_bytes(whole)
    _rewrite(path, "xl/worksheets/sheet1.xml", lambda text: text.replace(b'r="2"', b'r="2000000000"'))
    with pytest.raises(RefusedFileError, match="more than 1,048,576 rows"):
        read(path)
    path.write_bytes(whole)
    monkeypatch.setattr("journeyflow.ingest.parser.excel.allowed_bytes", lambda _: 100)
    with pytest.raises(RefusedFileError, match="unpacks to more"):
        read(path)


def test_a_collector_export_in_a_workbook_is_known_by_its_content(tmp_path):
    path = workbook(tmp_path / "a.bin", Sheet=[["a"]])
    assert container_of(path, "segment") == "xlsx"
    assert Job("a", 1, "csv").reading_hash == Job("b", 2, "csv", sheet=None).reading_hash
    assert Job("a", 1, "xlsx").reading_hash != Job("a", 1, "xlsx", sheet="S").reading_hash


def test_a_sample_of_a_workbook_and_the_head_of_one(tmp_path):
    rows = [[f"e{n}", datetime(2026, 3, 1, 10, n), f"c{n}", "page_view", n] for n in range(30)]
    path = workbook(tmp_path / "a.xlsx", Events=[HEAD, *rows])
    sample = read_sample(path)
    assert (sample.form, sample.columns, len(sample.rows)) == ("xlsx", tuple(HEAD), 30)
    assert sample.rows[1]["ts"] == "2026-03-01 10:01:00"
    assert copy_head(path, tmp_path / "head", 10) is False
    assert len(read(tmp_path / "head")[1]) == 10
    assert read_sample(workbook(tmp_path / "b.xlsx", Events=rows)).header is False


def test_init_reads_a_workbook(tmp_path):
    names = ["page_view", "add_to_cart", "purchase"]
    rows = [
        [f"e{n}", datetime(2026, 3, 1) + timedelta(hours=n), f"c{n % 9}", names[n % 3], 10 * (n % 3 == 2)]
        for n in range(60)
    ]
    path = workbook(tmp_path / "events.xlsx", Events=[HEAD, *rows])
    (source,) = draft_sources([path], tmp_path, nobody).sources
    assert (source.content["format"], source.content["path"]) == ("xlsx", "events.xlsx")
    assert source.content["columns"]["occurred_at"] == "ts"
    assert source.content["columns"]["event_name"] == "event"


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    path = tmp_path / "journeyflow.yml"
    path.write_text(
        "sources: {a: {format: xlsx, path: a.xlsx, columns: {occurred_at: t, user_id: u, event_name: e}}}\n"
    )
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.setattr("journeyflow.config.source_validation.find_spec", lambda _: None)
    (problem,) = [each for each in check(path) if each.severity == "error"]
    assert (problem.code, problem.allowed) == ("extra_missing", "pip install 'journeyflow[excel]'")
    with pytest.raises(RefusedFileError, match=r"journeyflow\[excel\]"):
        read(workbook_bytes(tmp_path / "a.xlsx"))


def workbook_bytes(path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "")
    path.write_bytes(buffer.getvalue())
    return path
