"""S3 as a target of publications, through pyarrow against a server of its API on 127.0.0.1."""

from __future__ import annotations

import json

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer

from journeyflow.config.sources import Targets
from journeyflow.errors import JourneyflowError
from journeyflow.ingest import remote
from journeyflow.pipeline.run_report import write_targets
from journeyflow.publish.generation import publish
from support.small_project import make_config
from unit.publish.test_generation import MODEL, RUNS, engine, facts

__all__ = ["engine"]


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
        "journeys/published/copies.json",
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
