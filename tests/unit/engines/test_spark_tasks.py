"""What a task writes, and what the driver accepts of it, without a server."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.engines import spark
from journeyflow.engines.spark import BUCKET, SparkEngine, _require_listener, _Task, by_bucket, viewed
from journeyflow.errors import EngineError, InputError

HIGH = 2**63 + 5
ROWS = pa.table({BUCKET: pa.array([1, 0, 1], pa.int32()), "key": [3, 2, 1], "order": pa.array([None, 7, 4])})


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SparkEngine:
    shown = SimpleNamespace(createOrReplaceTempView=lambda name: None)
    session = SimpleNamespace(read=SimpleNamespace(parquet=lambda *files: shown), stop=lambda: None)
    monkeypatch.setattr(spark, "_session", lambda address: session)
    return SparkEngine("sc://127.0.0.1:1", tmp_path / "shared")


def _manifest(folder: Path) -> pa.Table:
    def work(batches, bucket):
        for batch in batches:
            yield {"made.rows": [pa.table({"key": batch.column("key").cast(pa.uint64())})]}

    task = _Task("given.rows", work, str(folder), ("order",))
    return pa.Table.from_batches(list(task(iter(ROWS.to_batches()))))


def test_where_nobody_listens_it_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        _require_listener(f"sc://127.0.0.1:{port}/;token=x")
    asked = []
    monkeypatch.setattr(socket, "create_connection", lambda place, timeout: asked.append(place) or nullcontext())
    _require_listener("sc://somewhere")
    assert asked == [("somewhere", 15002)]


def test_a_relation_that_cannot_be_removed_is_told(engine: SparkEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.shutil, "rmtree", lambda folder, ignore_errors: None)
    with pytest.raises(EngineError, match="holds relations of persons"):
        engine.close()


def test_buckets_come_one_after_another_in_order_with_nulls_last() -> None:
    found = {bucket: rows.to_pydict() for bucket, rows in by_bucket(ROWS.to_batches(), ["order"])}
    assert found == {0: {"key": [2], "order": [7]}, 1: {"key": [1, 3], "order": [4, None]}}
    assert not list(by_bucket([], ["order"]))


def test_keys_keep_their_bits_on_the_way_out_and_back(engine: SparkEngine) -> None:
    engine.register("given.rows", pa.table({"key": pa.array([HIGH, None, 1], pa.uint64())}))
    (file,) = (engine.folder / "given.rows").glob("*.parquet")
    assert pq.read_table(file)["key"].to_pylist() == [HIGH - 2**64, None, 1]
    assert engine.columns("given.rows") == {"key": "UBIGINT"}
    assert engine.reader("given.rows").read_all()["key"].to_pylist() == [HIGH, None, 1]
    batch = pa.record_batch({"key": pa.array([-1], pa.int64())})
    assert viewed(batch, pa.schema({"key": pa.uint64()}))["key"].to_pylist() == [2**64 - 1]


def test_rows_are_appended_by_the_name_of_their_columns(engine: SparkEngine) -> None:
    for rows in ({"a": [1], "b": ["x"]}, {"b": ["y"], "a": [2]}):
        engine.append("given.rows", pa.table(rows))
    assert engine.reader("given.rows").read_all().to_pydict() == {"a": [1, 2], "b": ["x", "y"]}


def test_an_attempt_that_is_not_in_the_manifest_is_not_read(engine: SparkEngine) -> None:
    _manifest(engine.folder)
    accepted = _manifest(engine.folder)
    files = engine._committed("given.rows", accepted, 3)
    assert len(list((engine.folder / "made.rows").glob("*.parquet"))) == 4
    assert [(row["bucket"], row["rows"]) for row in files] == [(0, 1), (1, 2)]


def test_a_bucket_or_a_file_that_is_missing_is_an_error(engine: SparkEngine) -> None:
    written = _manifest(engine.folder)
    for wrong, count in ((written, 4), (pa.concat_tables([written, written]), 6), (written.slice(2), 3)):
        with pytest.raises(EngineError, match="share"):
            engine._committed("given.rows", wrong, count)
    next((engine.folder / "made.rows").glob("*.parquet")).unlink()
    with pytest.raises(EngineError, match="share"):
        engine._committed("given.rows", written, 3)


def test_numbers_before_buckets_are_in_the_order_of_buckets() -> None:
    assert spark._rows_before({4095: 1, 0: 2, 1024: 3, 1025: 4}, 2) == {0: 0, 1: 2, 3: 9}
    assert [spark._bits_for(count) for count in (0, 4_000_000, 10**12)] == [3, 4, 12]


def test_without_the_client_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyspark.sql", None)
    with pytest.raises(InputError, match=r"journeyflow\[spark\]"):
        spark._session("sc://127.0.0.1:1")
