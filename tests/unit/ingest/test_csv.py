"""What bites in delimited files (`pitfalls.md`): each trap, and that no row is lost in it."""

from __future__ import annotations

import csv
import io
import os

import pytest

from journeyflow.errors import InputError
from journeyflow.ingest.parser import csv as reader

HEADER = "id,ts,cookie,event\n"


def row(number: int, event: str = "page_view") -> str:
    return f"e{number},2026-03-01 10:00:{number % 60:02d},c{number % 7},{event}\n"


def test_three_lines_are_three_lines(project):
    project.write("a.csv", HEADER + row(1) + row(2))
    assert project.load().counts.accepted == 2
    assert project.events() == ["e1", "e2"]


def test_a_change_of_width_costs_exactly_the_rows_that_have_it(project):
    rows = [row(n) if n % 50 else f"e{n},2026-03-01,c\n" for n in range(1, 5001)]
    project.write("a.csv", HEADER + "".join(rows))
    counts = project.load().counts
    assert (counts.record, counts.accepted, counts.quarantined) == (5000, 4900, 100)
    assert {reason for _, reason in project.quarantine()} == {"bad_record"}


def test_one_field_too_many_is_quarantined_whole(project):
    project.write("a.csv", HEADER + row(1) + "e2,2026-03-01,c,page_view,?\n" + row(3))
    project.load()
    assert project.quarantine() == [(3, "bad_record")]
    assert project.raws() == ["e2,2026-03-01,c,page_view,?\n"]


def test_columns_are_found_by_name_in_a_reordered_header(project):
    project.write("a.csv", "event,cookie,id,ts\npage_view,c1,e1,2026-03-01 10:00:00\n")
    project.load()
    assert project.events("event_id, anonymous_id, event_name") == [("e1", "c1", "page_view")]


def test_a_file_without_a_header_is_refused_not_shortened(project):
    project.write("a.csv", row(1) + row(2))
    with pytest.raises(InputError, match="no column cookie, event, id, ts"):
        project.load()


def test_a_source_may_say_that_it_has_no_header(project):
    names = {"event_id": "column1", "occurred_at": "column2", "anonymous_id": "column3", "event_name": "column4"}
    project.source |= {"header": False, "columns": names}
    project.write("a.csv", row(1) + row(2))
    project.load()
    assert project.events() == ["e1", "e2"]


def test_a_source_may_name_the_columns_of_files_without_a_header(project):
    project.source |= {"header": HEADER.strip().split(",")}
    project.write("a.csv", row(1) + row(2))
    project.load()
    assert project.events() == ["e1", "e2"]


def test_names_that_do_not_fit_the_rows_refuse_the_file(project):
    project.source |= {"header": [*HEADER.strip().split(","), "more"]}
    project.write("a.csv", row(1))
    with pytest.raises(InputError, match="4 columns, and `header` of the source names 5"):
        project.load()


def test_a_missing_column_is_named_and_the_other_file_is_loaded(project):
    project.write("a.csv", HEADER + row(1))
    project.write("b.csv", "id,ts,cookie\ne2,2026-03-01,c\n")
    report = project.load()
    assert [file.status for file in report.files] == ["loaded", "refused"]
    assert "no column event" in report.refused[0].detail
    assert project.events() == ["e1"]


def test_a_header_that_names_a_used_column_twice_is_refused(project):
    project.write("a.csv", "id,ts,cookie,event,event\ne1,2026-03-01,c,a,b\n")
    with pytest.raises(InputError, match="event more than once"):
        project.load()


def test_a_header_may_repeat_a_column_that_nobody_uses(project):
    project.write("a.csv", "id,ts,cookie,event,x,x\ne1,2026-03-01,c,a,1,2\n")
    assert project.load().counts.accepted == 1


def test_an_unclosed_quote_costs_its_own_line_only(project):
    lines = [row(n) for n in range(1, 21)]
    lines[4] = 'e5,2026-03-01 10:00:05,"c5,page_view\n'
    project.write("a.csv", HEADER + "".join(lines))
    project.load()
    assert project.quarantine() == [(6, "bad_record")]
    assert project.events() == sorted(f"e{n}" for n in range(1, 21) if n != 5)


def test_an_unclosed_quote_before_a_quoted_row_costs_its_own_line_only(project):
    project.write(
        "a.csv",
        HEADER + 'e1,2026-03-01,"c1,page_view\n' + row(2) + 'e3,2026-03-01,"c3",page_view\n' + row(4),
    )
    project.load()
    assert project.quarantine() == [(2, "bad_record")]
    assert project.events() == ["e2", "e3", "e4"]


def test_an_endless_quote_in_a_long_file_is_found_without_reading_it_all_again(project, monkeypatch):
    monkeypatch.setattr(reader, "MAX_RECORD_LINES", 10)
    lines = [row(n) for n in range(1, 301)]
    lines[100] = 'e101,2026-03-01,"c,page_view\n'
    project.write("a.csv", HEADER + "".join(lines))
    project.load()
    assert project.quarantine() == [(102, "bad_record")]
    assert len(project.events()) == 299


def test_line_breaks_quotes_and_delimiters_inside_quotes_are_text(project):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerows([["id", "ts", "cookie", "event"], ["e1", "2026-03-01", 'a\n"b",\r\nc', "x"]])
    project.write("a.csv", stream.getvalue() + "e2,2026-03-01,c,x\r\n")
    project.load()
    assert project.events("event_id, anonymous_id, source_row") == [("e1", 'a\n"b",\r\nc', 2), ("e2", "c", 5)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_any_line_end_will_do_and_the_last_may_lack_it(project, end, last):
    text = (HEADER + row(1) + row(2)).replace("\n", end)
    project.write("a.csv", text if last else text.removesuffix(end))
    project.load()
    assert project.events("event_id, event_name") == [("e1", "page_view"), ("e2", "page_view")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(project):
    project.write("a.csv", b"\xef\xbb\xbf" + (HEADER + row(1)).encode())
    assert project.load().counts.accepted == 1


def test_bytes_that_are_no_text_cost_their_row(project):
    project.write("a.csv", (HEADER + row(1)).encode() + b"e2,2026-03-01,caf\xe9,x\n" + row(3).encode())
    project.load()
    assert project.quarantine() == [(3, "bad_encoding")]
    assert project.raws() == ["e2,2026-03-01,caf\\xe9,x\n"]
    assert project.events() == ["e1", "e3"]


def test_a_stated_encoding_is_used(project):
    project.source["encoding"] = "latin-1"
    project.write("a.csv", HEADER.encode() + b"e2,2026-03-01,caf\xe9,x\n")
    project.load()
    assert project.events("anonymous_id") == ["café"]


def test_a_wrong_stated_encoding_refuses_the_file(project):
    project.source["encoding"] = "ascii"
    project.write("a.csv", HEADER.encode() + b"e2,2026-03-01,caf\xe9,x\n")
    with pytest.raises(InputError, match="not ascii text"):
        project.load()


def test_a_null_byte_costs_its_row(project):
    project.write("a.csv", HEADER + row(1) + "e2,2026-03-01,c\x00,x\n" + row(3))
    project.load()
    assert project.quarantine() == [(3, "nul_byte")]
    assert project.raws() == ["e2,2026-03-01,c\\x00,x\n"]


def test_blank_lines_are_no_records(project):
    project.write("a.csv", "\n" + HEADER + "\n" + row(1) + "\n\n" + row(2) + "\n")
    assert project.load().counts.record == 2


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_refused(project, content):
    project.write("a.csv", content)
    with pytest.raises(InputError, match="no header"):
        project.load()


def test_a_header_alone_is_a_good_file_without_records(project):
    project.write("a.csv", HEADER)
    assert project.load().counts.record == 0


def test_ids_beyond_64_bits_keep_their_digits(project):
    big = "18446744073709551617000000000000000001"
    project.write("a.csv", HEADER + f"{big},2026-03-01,{big},x\n")
    project.load()
    assert project.events("event_id, anonymous_id") == [(big, big)]


def test_no_text_is_taken_for_a_null_or_a_number(project):
    project.write("a.csv", HEADER + "1e5,2026-03-01,007,NULL\n" + "NaT,2026-03-01,007,NaN\n")
    project.load()
    assert project.events("event_id, anonymous_id, event_name") == [("1e5", "007", "NULL"), ("NaT", "007", "NaN")]


def test_names_of_columns_are_never_sql(project):
    name = 'x"; drop table raw.events; --'
    project.source = {
        **project.source,
        "properties": [name],
        "columns": project.source["columns"] | {"target": "order"},
    }
    stream = io.StringIO()
    csv.writer(stream).writerows(
        [["id", "ts", "cookie", "event", "order", name], ["e1", "2026-03-01", "c", "it's", "a'b", "v"]]
    )
    project.write("a.csv", stream.getvalue())
    project.load()
    assert project.events("event_name, target") == [("it's", "a'b")]
    assert '"v"' in project.events("properties::varchar as p")[0]


def test_a_dialect_is_stated(project):
    project.source |= {"delimiter": ";", "quote": "'"}
    project.write("a.csv", "id;ts;cookie;event\ne1;2026-03-01;'a;\"b';x\n")
    project.load()
    assert project.events("anonymous_id") == ['a;"b']


def test_a_first_line_of_data_stays_out_of_the_message(project):
    project.write("a.csv", "e1,2026-03-01 10:00:00,someone@example.org,page_view\n")
    with pytest.raises(InputError, match="none of the columns named") as refused:
        project.load()
    assert "example.org" not in str(refused.value)


def test_what_matches_and_is_no_file_is_refused_and_not_passed_over(project):
    project.write("a.csv", HEADER + row(1))
    data = project.folder / "data"
    (data / "b.csv").symlink_to("nowhere.csv")
    os.mkfifo(data / "c.csv")
    (data / "d.csv").mkdir()
    assert [file.source_file for file in project.load().refused] == ["data/b.csv", "data/c.csv"]


def test_short_rows_are_padded_where_the_source_says_so(project):
    """Some writers leave out empty cells at the end of a row; a row with too many stays wrong."""
    names = {"occurred_at": "ts", "anonymous_id": "cookie", "event_name": "event"}
    project.source |= {"pad_short_rows": True, "columns": names, "properties": ["a", "b"]}
    rows = ["2026-03-01,c,x", "2026-03-01,c,x,1", "2026-03-01,c,x,1,2", "2026-03-01,c,x,1,2,3", "2026-03-01,c", ""]
    project.write("a.csv", "ts,cookie,event,a,b\n" + "\n".join(rows) + "\n")
    counts = project.load().counts
    assert (counts.record, counts.accepted) == (5, 3)
    assert project.quarantine() == [(5, "bad_record"), (6, "no_name")]


def test_the_reject_says_how_many_fields_there_are(project):
    project.write("a.csv", HEADER + "e1,2026-03-01,c\n" + row(2))
    project.load()
    assert project.warehouse.rows("select detail from raw.quarantine")["detail"].to_pylist() == [
        "3 fields instead of 4"
    ]


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;", "\ufeffsep=;"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_that_states_the_separator_is_no_header(project, line, encoding):
    project.source["encoding"] = encoding
    rows = [line, *(HEADER + row(1) + "e2,2026-03-01\n").replace(",", ";").splitlines()]
    project.write("a.csv", ("\r\n".join(rows) + "\r\n").encode(encoding))
    assert project.load().counts.accepted == 1
    assert project.quarantine() == [(4, "bad_record")]


def test_blanks_after_every_delimiter_of_the_header_belong_to_the_delimiters(project):
    project.source["properties"] = ["note"]
    project.write("a.csv", 'id, ts, cookie, event, note\ne1, 2026-03-01, c, x, "a, b"\n')
    assert project.load().counts.accepted == 1
    assert project.events("anonymous_id") == ["c"]
    assert "a, b" in project.events("properties::varchar")[0]


def test_blanks_of_cells_stay_where_the_header_has_none(project):
    project.source["properties"] = ["note"]
    project.write("a.csv", "id,ts,cookie,event,note\ne1,2026-03-01,c,x, a\n")
    project.load()
    assert '" a"' in project.events("properties::varchar")[0]


@pytest.mark.parametrize("glued", ["event" + row(1), "event,eve@mail.example\n", "event," + "c" * 70 + "\n"])
def test_a_header_that_holds_a_part_of_a_row_is_not_quoted(project, glued):
    project.write("good.csv", HEADER + row(1))
    project.write("glued.csv", "id,cookie," + glued + row(2))
    (refused,) = project.load().refused
    assert refused.detail.startswith("the header has no column")
    assert "look like a row" in refused.detail
    assert not any(piece in refused.detail for piece in ("2026", "eve@", "ccc"))
