"""Files written anew without some records: what stays is as it was, in every format."""

from __future__ import annotations

import gzip
import io
import json
import uuid
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.config.sources import Source
from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.parser.transfer import Job
from journeyflow.ingest.readers.records import MAX_LINE_CHARACTERS
from journeyflow.ingest.rewrite import RemovedRecords, remove_records, without_elements

CSV = 'id,note\n1,"two\nlines"\n\n2,"a ""quoted"" word"\n3,wide,er\n4,x\n'


def source(form="csv", **more):
    return Source.model_validate({"format": form, "path": "x", **more})


@pytest.fixture
def cut(tmp_path):
    def written(content, wanted, settings):
        place, target = tmp_path / "input", tmp_path / "target"
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        how = settings.encoding, settings.delimiter, settings.quote, settings.header, settings.records
        is_left = remove_records(tmp_path, Job(place.name, place.stat().st_size, settings.format, *how), wanted, target)
        return target.read_bytes(), is_left

    return written


def rows(*numbers):
    return RemovedRecords(frozenset(numbers))


def test_a_quoted_record_leaves_as_many_blank_lines_as_it_had(cut):
    found, is_left = cut(CSV, rows(2, 6), source())
    assert found.decode() == 'id,note\n\n\n\n2,"a ""quoted"" word"\n\n4,x\n'
    assert is_left


def test_the_last_record_goes_without_its_line_end(cut):
    assert cut("id,note\n1,a\n2,b", rows(3), source())[0] == b"id,note\n1,a\n"


def test_an_unclosed_quote_takes_only_its_first_line_along(cut):
    text = 'id,note\n1,"open\n2,b\n3,c\n'
    assert cut(text, rows(2), source())[0] == b"id,note\n\n2,b\n3,c\n"
    assert cut(text, rows(3), source())[0] == b'id,note\n1,"open\n\n3,c\n'


def test_of_a_file_without_a_header_nothing_may_be_left(cut):
    assert cut("1,a\n2,b\n", rows(1, 2), source(header=False)) == (b"\n\n", False)


def test_every_other_byte_stays_in_any_encoding_and_packing(cut):
    bad = b"id,note\n1,\xff\xfe\n2,b\r\n3,\xc3\xa9\r"
    assert cut(bad, rows(3), source())[0] == b"id,note\n1,\xff\xfe\n\n3,\xc3\xa9\r"
    latin = "id,note\n1,é\n2,ü\n".encode("latin-1")
    assert cut(latin, rows(2), source(encoding="latin-1"))[0] == "id,note\n\n2,ü\n".encode("latin-1")
    wide = "id,note\n1,é\n2,ü\n".encode("utf-16")
    assert cut(wide, rows(2), source(encoding="utf-16"))[0].decode("utf-16") == "id,note\n\n2,ü\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ann.csv", CSV)
    for wrapped in (gzip.compress(CSV.encode()), packed.getvalue(), pa.compress(CSV.encode(), "zstd", asbytes=True)):
        assert cut(wrapped, rows(2), source())[0] == cut(CSV, rows(2), source())[0]


def test_a_line_too_long_stays_too_long_and_ends(cut):
    text = "a\n" + "x" * (MAX_LINE_CHARACTERS + 50) + "\nb\n"
    found = cut(text, rows(1), source("access_log"))[0]
    assert found == b"\n" + b"x" * (MAX_LINE_CHARACTERS + 1) + b"\nb\n"


def test_lines_of_json_and_of_logs(cut):
    assert cut('{"a":1}\n\n{"a": 2}\n', rows(1), source("jsonl"))[0] == b'\n\n{"a": 2}\n'
    assert cut("1.2.3.4 - -\nother\n", rows(1), source("access_log"))[0] == b"\nother\n"


def test_a_list_becomes_shorter(cut):
    found = cut('[ {"a":1}, {"a": 2.50},\n{"b":"]"}]', rows(1), source("jsonl"))[0]
    assert json.loads(found) == [{"a": 2.5}, {"b": "]"}]
    assert b"2.50" in found
    assert json.loads(cut('[{"a":1}]', rows(1), source("jsonl"))[0]) == []


def test_objects_of_a_nested_list_go_and_the_others_stay_as_written(cut):
    line = '{"v": 1.0, "in": {"events": [{"n": 1}, 7, {"n": 2.50}, {"n": 3}]}, "z": "\\u00e9"}\n'
    nested = source("jsonl", records="in.events")
    wanted = RemovedRecords(frozenset(), {2: frozenset({1, 3})}, frozenset())
    left = b'{"v": 1.0, "in": {"events": [7, {"n": 2.50}]}, "z": "\\u00e9"}\n'
    assert cut(line * 2, wanted, nested)[0] == line.encode() + left
    others = RemovedRecords(frozenset(), {}, frozenset({1}))
    assert json.loads(cut(line, others, nested)[0])["in"]["events"] == [{"n": 1}, {"n": 2.5}, {"n": 3}]


def test_spans_skip_keys_and_texts_that_look_like_the_path():
    text = '{"x": {"a": [{"n": 9}]}, "s": "\\"a\\": [", "a": [{"n": 1},{"n": 2}]}'
    assert without_elements(text, "a", {2}) == '{"x": {"a": [{"n": 9}]}, "s": "\\"a\\": [", "a": [{"n": 1}]}'
    assert without_elements('{"a": []}', "a", {1}) == '{"a": []}'


def test_parquet_keeps_its_types_and_no_word_of_a_dictionary(cut, tmp_path):
    ids = [uuid.UUID(int=n).bytes for n in range(4)]
    table = pa.table(
        {
            "name": pa.array(["ann-canary", "ben", "ann-canary", "cyd"]).dictionary_encode(),
            "key": pa.ExtensionArray.from_storage(pa.uuid(), pa.array(ids, pa.binary(16))),
            "at": pa.array([1, 2, 3, 4], pa.timestamp("ns")),
            "deep": pa.array([[{"n": n}] for n in range(4)]),
            "money": pa.array([1, 2, 3, 4], pa.decimal128(18, 4)),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=2)
    found, _ = cut(buffer.getvalue(), rows(1, 3), source("parquet"))
    assert b"ann-canary" not in found
    (tmp_path / "before.parquet").write_bytes(buffer.getvalue())
    (tmp_path / "after.parquet").write_bytes(found)
    with DuckDBEngine(folders=[tmp_path]) as engine:
        before, after = (
            engine.rows(
                "select *, typeof(t.key), typeof(t.at) "
                f"from read_parquet('{tmp_path / name}.parquet') as t order by t.key"
            )
            for name in ("before", "after")
        )
    assert after.to_pylist() == [before.to_pylist()[1], before.to_pylist()[3]]
    packed, _ = cut(gzip.compress(buffer.getvalue()), rows(1, 3), source("parquet"))
    assert packed.startswith(b"PAR1")
