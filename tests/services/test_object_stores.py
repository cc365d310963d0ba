"""S3 as a source and as a target, through pyarrow against a server of its API on 127.0.0.1."""

from __future__ import annotations

import json
from datetime import timedelta

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from journeyflow.config import load_config
from journeyflow.config.sources import Targets
from journeyflow.config.urls import remote_path
from journeyflow.errors import JourneyflowError
from journeyflow.ingest import remote
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.load import load_events
from journeyflow.pipeline.run_report import write_targets
from journeyflow.publish.generation import publish
from journeyflow.state.warehouse import open_warehouse
from support.small_project import make_config
from unit.publish.test_generation import MODEL, RUNS, engine, facts

__all__ = ["engine"]

NOW_US = 1_900_000_000_000_000
MAPPED = {
    "format": "csv",
    "columns": {"event_id": "id", "occurred_at": "ts", "anonymous_id": "cookie", "event_name": "event"},
}


def rows(*numbers: int) -> bytes:
    return b"id,ts,cookie,event\n" + b"".join(b"e%d,2026-03-01,c,x\n" % n for n in numbers)


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, and the environment of a run that reads it."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0)
    store = boto3.resource("s3", endpoint_url=server, region_name="us-east-1").Bucket("shop-logs")
    store.create()
    yield store
    store.objects.delete()
    store.delete()


def test_objects_are_loaded_once_and_a_changed_one_again(bucket, tmp_path, monkeypatch):
    bucket.put_object(Key="events/2026/03/a.csv", Body=rows(1))
    bucket.put_object(Key="events/2026/04/b.csv", Body=rows(2))
    bucket.put_object(Key="events/2026/04/readme.md", Body=b"none")
    config = load_config({"sources": {"web": MAPPED | {"path": "s3://shop-logs/events/**/*.csv"}}}, folder=tmp_path)
    with open_warehouse(threads=1) as warehouse:

        def load(run_id: str) -> dict[str, str]:
            report = load_events(config, warehouse, run_id=run_id, now_us=NOW_US)
            return {file.source_file.rpartition("/")[2]: file.status for file in report.files}

        assert load("1") == {"a.csv": "loaded", "b.csv": "loaded"}
        assert warehouse.rows("select etag from ledger.remote_files").column(0).null_count == 0
        assert load("2") == {"a.csv": "known", "b.csv": "known"}  # Young objects are downloaded once more.
        monkeypatch.setattr(remote, "SETTLED", timedelta(days=-1))
        load("3")
        bucket.put_object(Key="events/2026/04/b.csv", Body=rows(2, 3))
        read = []
        download = remote.ObjectStore._download
        monkeypatch.setattr(remote.ObjectStore, "_download", lambda *args: read.append(args[1]) or download(*args))
        assert load("4") == {"a.csv": "known", "b.csv": "loaded"}
        assert read == ["shop-logs/events/2026/04/b.csv"]
        assert warehouse.count("raw.events") == 3
    assert not list(tmp_path.glob("state/work/*/staged/*"))


def test_an_object_that_is_replaced_while_it_is_read_is_refused(bucket, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 16)
    bucket.put_object(Key="a.csv", Body=b"a" * (1 << 18))
    (file,) = remote.listing(remote_path("s3://shop-logs/a.csv"), "web")
    version, blocks = file.download()
    assert version.etag
    next(blocks)
    bucket.put_object(Key="a.csv", Body=b"b" * (1 << 18))  # In the same second and of the same size.
    with pytest.raises(RefusedFileError, match="changed while it was downloaded"):
        list(blocks)


def test_what_is_not_there_and_what_cannot_be_reached(bucket, monkeypatch):
    assert remote.listing(remote_path("s3://shop-logs/none.csv"), "web") == []
    assert remote.listing(remote_path("s3://shop-logs/none/*.csv"), "web") == []
    assert remote.listing(remote_path("s3://no-such-bucket/*.csv"), "web") == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(RefusedFileError) as found:
        remote.listing(remote_path("s3://shop-logs/*.csv"), "web")
    assert "cannot be listed" in found.value.detail
    assert "127.0.0.1" not in found.value.detail


def test_a_published_generation_is_copied_and_named_last(bucket, engine, tmp_path, monkeypatch):
    target = {"object_store": {"url": "s3://shop-logs/journeys/published"}}
    config = make_config(tmp_path).model_copy(update={"targets": Targets.model_validate(target)})

    def run(run_id: str) -> dict[str, str]:
        generation = publish(engine, [MODEL], config.publish, facts(run_id), kept=1)
        write_targets(engine, [MODEL], config, generation)
        return json.loads(bucket.Object("journeys/published/current.json").get()["Body"].read())

    assert [run(run_id)["folder"] for run_id in RUNS] == [f"generations/{run_id}" for run_id in RUNS]
    keys = [each.key for each in bucket.objects.all() if not each.key.endswith("/")]
    assert keys == [
        "journeys/published/current.json",
        *(
            f"journeys/published/generations/{RUNS[1]}/{name}"
            for name in ("manifest.json", "marts.duckdb", "semantic.json", "things.parquet")
        ),
    ]
    body = bucket.Object(f"journeys/published/generations/{RUNS[1]}/things.parquet").get()["Body"].read()
    assert pl.read_parquet(body).height == 5000
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(JourneyflowError, match=r"was not copied to s3://shop-logs/journeys/published") as found:
        run("20260102T020000000003")
    assert "127.0.0.1" not in str(found.value)
