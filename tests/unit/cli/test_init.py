from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from journeyflow.cli.init import peek, starter
from journeyflow.config import check, load_config
from journeyflow.errors import InputError
from journeyflow.ingest.files import matching_paths

CSV = "ts,cookie,customer,event,url,colour\n1767225600000,c1,,view,/p/1,red\n1767225601000,c1,u1,cart,/p/1,no\n"


def _written(tmp_path: Path, data: Path | None) -> tuple[Path, list[str]]:
    text, notes = starter(data, tmp_path)
    (tmp_path / "journeyflow.yml").write_text(text)
    return tmp_path / "journeyflow.yml", notes


def test_the_example_is_a_right_configuration(tmp_path: Path) -> None:
    config, _ = _written(tmp_path, None)
    assert [p for p in check(config) if p.severity == "error"] == []


def test_a_csv_file_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "My Data").mkdir()
    data = tmp_path / "My Data" / "e.csv.gz"
    data.write_bytes(gzip.compress(CSV.encode()))
    path, notes = _written(tmp_path, data)
    config = load_config(path)
    assert config.project == "my-data"
    assert set(config.sources["events"].columns) >= {
        "occurred_at",
        "anonymous_id",
        "user_id",
        "event_name",
        "page_path",
    }
    text = path.read_text()
    assert "unit: ms" in text
    assert "# event names seen: cart, view" in text
    assert "# rename: {view: product_view, cart: add_to_cart}" in text
    assert "properties: [colour]" in text
    assert "user_id is read from the column customer" in notes


def test_nested_json_is_mapped(tmp_path: Path) -> None:
    data = tmp_path / "e.jsonl"
    data.write_text(
        json.dumps({"timestamp": "2026-01-01T00:00:00Z", "user": {"id": 1}, "visitor_id": "x", "event": "purchase"})
    )
    path, _ = _written(tmp_path, data)
    assert "properties: [user.id]" in path.read_text()
    load_config(path)


def test_parquet_and_other_separators_are_seen(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"ts": [1], "event": ["a"]}), tmp_path / "e.parquet")
    (tmp_path / "e.txt").write_text("ts;event\n1;a\n")
    assert peek(tmp_path / "e.parquet").columns == ["ts", "event"]
    assert peek(tmp_path / "e.txt").delimiter == ";"


def test_an_access_log_needs_no_columns(tmp_path: Path) -> None:
    data = tmp_path / "access.log"
    data.write_text('1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1 "-" "x"\n')
    path, _ = _written(tmp_path, data)
    assert load_config(path).sources["events"].format == "access_log"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    data = tmp_path / "e.csv"
    data.write_text("colour,size\nred,1\n")
    path, notes = _written(tmp_path, data)
    assert sum("No column looks like" in note for note in notes) == 3
    assert [p for p in check(path) if p.severity == "error"]


@pytest.mark.parametrize("content", [None, b"", b"one word\n"])
def test_a_file_that_cannot_be_looked_at_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    data = tmp_path / "e.csv"
    if content is not None:
        data.write_bytes(content)
    with pytest.raises(InputError, match=r"e\.csv"):
        starter(data, tmp_path)


def test_a_torn_parquet_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"e\.parquet"):
        starter(tmp_path / "e.parquet", tmp_path)


def test_other_encodings_and_decimal_commas_are_reported(tmp_path: Path) -> None:
    data = tmp_path / "e.csv"
    data.write_bytes("ts;user_id;event;amount\n2026-01-01;M\xfcller;buy;1,50\n".encode("cp1252"))
    path, notes = _written(tmp_path, data)
    assert load_config(path).sources["events"].encoding == "cp1252"
    assert any("decimal commas" in note for note in notes)


def test_a_character_cut_by_the_end_of_the_look_is_still_utf_8(tmp_path: Path) -> None:
    data = tmp_path / "e.csv"
    data.write_bytes(b"ts,user_id,event\n" + "\u00e4".encode() * 300_000)
    assert peek(data).encoding is None


@pytest.mark.parametrize("name", ["2026", "2026-03", "yes", "null", "1e3", "0x1f", "1_000", "n", "---", "true.csv"])
def test_what_init_writes_check_accepts_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    data = tmp_path / name / "events.csv"
    data.write_text(CSV)
    path, _ = _written(tmp_path / name, data)
    assert [problem for problem in check(path) if problem.severity == "error"] == []
    assert load_config(path).project


@pytest.mark.parametrize("name", ["d[x].csv", "what?.csv", "a*b.csv", "2026.csv"])
def test_the_name_of_a_file_is_no_pattern(tmp_path: Path, name: str) -> None:
    (tmp_path / "ab.csv").write_text("other\n")
    data = tmp_path / name
    data.write_text(CSV)
    path, _ = _written(tmp_path, data)
    assert [problem.code for problem in check(path)] == []
    config = load_config(path)
    assert matching_paths(str(config.sources["events"].path), config.folder) == [data]
