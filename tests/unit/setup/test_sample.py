"""First rows of files: how they are written, and what is odd about them."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from journeyflow.errors import InputError
from journeyflow.setup.sample import UnknownEncodingError, copy_head, read_sample


def sample_of(tmp_path, content, name="e.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sample(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_gives_rows_of_one_width(tmp_path, delimiter):
    text = "\n".join(delimiter.join(row) for row in (("ts", "event", "note"), ("1", "a", "x: y"), ("2", "b", "z")))
    found = sample_of(tmp_path, text)
    assert (found.delimiter, found.columns) == (delimiter, ("ts", "event", "note"))


def test_a_first_line_of_data_is_no_header(tmp_path):
    found = sample_of(tmp_path, "2026-01-01 10:00:00,17,view\n2026-01-01 10:01:00,18,cart\n")
    assert found.header is False
    assert found.columns == ("column1", "column2", "column3")
    assert len(found.rows) == 2


def test_columns_without_a_header_take_names_found_elsewhere(tmp_path):
    found = sample_of(tmp_path, "2026-01-01 10:00:00,17,view\n2026-01-01 10:01:00,18,cart\n").named(
        ("ts", "who", "what", "more")
    )
    assert found.header == ("ts", "who", "what")
    assert found.texts("who") == ["17", "18"]


def test_a_header_repeated_below_and_a_column_named_twice_are_flaws(tmp_path):
    found = sample_of(tmp_path, "ts,event,event\n1,a,b\nts,event,event\n2,a,b\n")
    assert found.columns == ("ts",)
    assert len(found.rows) == 2
    assert [word in " ".join(found.flaws) for word in ("1 more times", "event more than once")] == [True, True]


def test_json_comes_one_a_line_in_a_list_or_nested(tmp_path):
    events = [{"ts": 1, "user": {"id": "a"}}, {"ts": 2, "user": {"id": "b"}}]
    for text in ("\n".join(map(json.dumps, events)), json.dumps(events)):
        assert sample_of(tmp_path, text, "e.json").texts("user.id") == ["a", "b"]
    found = sample_of(
        tmp_path, json.dumps({"session": 7, "events": [{"ts": 1, "type": "a"}, {"ts": 2, "type": "b"}]}), "n.json"
    )
    assert (found.records, found.columns) == ("events", ("session", "ts", "type"))


def test_parameters_as_key_and_value_are_no_events(tmp_path):
    event = {"name": "a", "params": [{"key": "k", "value": {"int_value": 1}}]}
    assert sample_of(tmp_path, json.dumps(event), "e.jsonl").records is None


def test_a_compressed_file_and_another_encoding_are_read(tmp_path):
    assert sample_of(tmp_path, gzip.compress(b"ts,event\n1,a\n"), "e.csv.gz").texts("event") == ["a"]
    found = sample_of(tmp_path, "ts;who\n1;Müller\n".encode("cp1252"))
    assert (found.encoding, found.texts("who")) == ("cp1252", ["Müller"])


def test_a_character_cut_by_the_end_of_the_look_is_still_utf_8(tmp_path):
    assert sample_of(tmp_path, b"ts,event\n1," + "ä".encode() * 2_200_000 + b"\n").encoding is None


@pytest.mark.parametrize("content", [b"", b"one word\n", b"PAR1", b"\x1f\x8b torn", b"a,b\x00\n1,2\n"])
def test_a_file_that_cannot_be_looked_at_is_an_error(tmp_path, content):
    with pytest.raises(InputError, match=r"e\.csv"):
        sample_of(tmp_path, content)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"e\.csv"):
        read_sample(tmp_path / "e.csv")


def test_the_head_of_a_file_ends_with_a_whole_record(tmp_path):
    (tmp_path / "e.csv").write_text("id,note\n" + "".join(f'{n},"two\nlines"\n' for n in range(50)))
    assert copy_head(tmp_path / "e.csv", tmp_path / "head", 10) is False
    assert len(read_sample(tmp_path / "head").rows) == 10
    assert copy_head(tmp_path / "e.csv", tmp_path / "all", 1_000) is True
    assert len(read_sample(tmp_path / "all").rows) == 50


def test_the_head_of_a_list_and_of_parquet_have_as_many_rows(tmp_path):
    (tmp_path / "e.json").write_text("[" + ",\n".join(json.dumps({"n": n, "t": "x"}) for n in range(50)) + "]")
    parquet.write_table(pa.table({"n": range(50)}), tmp_path / "e.parquet")
    for name in ("e.json", "e.parquet"):
        copy_head(tmp_path / name, tmp_path / "head", 10)
        assert len(read_sample(tmp_path / "head").rows) == 10


def test_bytes_that_are_neither_utf_8_nor_western_ask_for_an_encoding(tmp_path):
    for text, encoding in (
        ("\u8cb7\u3044\u7269\u304b\u3054", "shift_jis"),
        ("\u30a2\u30a4", "shift_jis"),
        ("\u043a\u0443\u043f\u0438\u0442\u044c", "cp1251"),
    ):
        with pytest.raises(UnknownEncodingError, match="`encoding` of the source"):
            sample_of(tmp_path, f"ts,event\n1,{text}\n".encode(encoding))


def test_a_broken_character_does_not_make_a_text_western(tmp_path):
    assert sample_of(tmp_path, "ts,who\n1,M\u00fcller\n2,Gr\u00f6\u00dfe\n".encode() + b"3,\xff\n").encoding is None


@pytest.mark.parametrize("encoding", ["shift_jis", "utf-8", "utf-16"])
def test_the_head_of_a_file_has_its_very_bytes(tmp_path, encoding):
    lines = ["ts,event\n", *(f"{n},\u8cb7\u3044\u7269\n" for n in range(3_000))]
    (tmp_path / "e.csv").write_bytes("".join(lines).encode(encoding))
    copy_head(tmp_path / "e.csv", tmp_path / "head", 200, encoding)
    assert (tmp_path / "head").read_bytes().decode(encoding) == "".join(lines[:201])
    with pytest.raises(InputError, match="is not ascii text"):
        copy_head(tmp_path / "e.csv", tmp_path / "head", 200, "ascii")


def test_broken_bytes_are_copied_as_they_are(tmp_path):
    (tmp_path / "e.csv").write_bytes(b"ts,event\n" + b"1,\x94\x83\n" * 500)
    copy_head(tmp_path / "e.csv", tmp_path / "head", 200)
    assert (tmp_path / "head").read_bytes() == b"ts,event\n" + b"1,\x94\x83\n" * 200


@pytest.mark.parametrize("mark", ["\u2028", "\u0085"])
def test_only_line_feeds_end_a_line_of_json(tmp_path, mark):
    lines = [json.dumps({"n": n, "t": f"a{mark}b"}, ensure_ascii=False) for n in range(300)]
    path = tmp_path / "e.jsonl"
    path.write_text("\r\n".join(lines), encoding="utf-8", newline="")
    assert len(read_sample(path).rows) == 300
    copy_head(path, tmp_path / "head", 200)
    assert len(read_sample(tmp_path / "head").rows) == 201


def test_structs_of_parquet_have_dotted_names_as_objects_of_json_have(tmp_path):
    rows = [{"id": "1", "device": {"kind": "m", "web": {"browser": "F"}}}, {"id": "2", "device": None}]
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path)
    sample = read_sample(path)
    assert sample.columns == ("id", "device.kind", "device.web.browser")
    assert sample.texts("device.web.browser") == ["F"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"time,user_id,event\n", "has no row of the width of its header line"),
        (bytes(range(256)) * 40, "bytes that are no text"),
        (b"time,user_id\n2026-03-01,a\x00\n", "bytes that are no text"),
        (b"\n\n", "is empty"),
    ],
)
def test_what_is_no_table_says_why(content, message, tmp_path):
    with pytest.raises(InputError, match=message):
        sample_of(tmp_path, content)


def test_a_dot_in_the_name_of_a_column_of_parquet_is_no_struct(tmp_path):
    rows = [{"user": "u1", "user.country": "DE", "context.device": {"type": "m"}, "device": None}]
    path = tmp_path / "a.parquet"
    schema = pa.schema([*pa.Table.from_pylist(rows).schema][:3]).append(
        pa.field("device", pa.struct({"a": pa.string()}))
    )
    parquet.write_table(pa.Table.from_pylist(rows, schema), path)
    assert read_sample(path).columns == ("user", "user.country", "context.device.type", "device")
