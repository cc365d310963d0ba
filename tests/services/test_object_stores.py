"""S3, Google Cloud Storage and Azure as sources, through pyarrow against servers of their interfaces on 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from journeyflow.config import load_config
from journeyflow.config.sources import remote_path
from journeyflow.ingest import remote
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.load import load_events
from journeyflow.setup.proposal import propose
from journeyflow.state.warehouse import open_warehouse

NOW_US = 1_900_000_000_000_000
MAPPED = {
    "format": "csv",
    "columns": {"event_id": "id", "occurred_at": "ts", "anonymous_id": "cookie", "event_name": "event"},
}
AZURITE = Path(__file__).parents[2] / "build" / "services" / "node_modules" / ".bin" / "azurite-blob"
# Account and key that Microsoft publishes for its emulator.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST", "az": "AZURE_STORAGE_ENDPOINT"}


def rows(*numbers: int) -> bytes:
    return b"id,ts,cookie,event\n" + b"".join(b"e%d,2026-03-01,c%d,x\n" % (n, n % 9) for n in numbers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(port: int, *command: str) -> Iterator[str]:
    """Run a server until it has been used; it listens before the block begins."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            assert running.poll() is None, f"{command[0]} ended"
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(30)


@contextmanager
def s3_server() -> Iterator[str]:
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@contextmanager
def gs_server() -> Iterator[str]:
    port = free_port()
    module = (sys.executable, "-m", "gcp_storage_emulator", "start")
    with started(port, *module, "--host", "127.0.0.1", "--port", str(port), "--in-memory") as address:
        yield address


@contextmanager
def az_server() -> Iterator[str]:
    program = shutil.which("azurite-blob") or (str(AZURITE) if AZURITE.exists() else None)
    assert program, "Azurite is not installed: `make test-services` does it"
    port = free_port()
    # Clients are newer than the emulator; nothing is sent to its maker.
    options = ("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
    with started(port, program, *options, "--blobHost", "127.0.0.1", "--blobPort", str(port)) as address:
        yield address


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def server(request):
    """The scheme of a store, and the address of a server of its interface."""
    with {"s3": s3_server, "gs": gs_server, "az": az_server}[request.param]() as address:
        yield request.param, address


@dataclass(frozen=True)
class Bucket:
    """A bucket that a test fills."""

    scheme: str
    system: fs.FileSystem
    name: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.name}"

    def put(self, key: str, content: bytes) -> None:
        with self.system.open_output_stream(f"{self.name}/{key}") as stream:
            stream.write(content)

    def listed(self, pattern: str) -> list[str]:
        return [file.name.removeprefix(f"{self.url}/") for file in remote.listing(remote_path(pattern), "web")]


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, and the environment of a run that reads it."""
    scheme, address = server
    for name, value in {
        ENDPOINTS[scheme]: address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AZURE_STORAGE_ACCOUNT": AZURE_ACCOUNT,
        "AZURE_STORAGE_KEY": AZURE_KEY,
        "GOOGLE_CLOUD_PROJECT": "test",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0)
    system = remote.object_system(remote_path(f"{scheme}://none/x"), os.environ)
    if scheme == "s3":  # Only a system that is allowed to makes buckets.
        settings = remote._s3_settings(remote_path("s3://none/x"), os.environ)
        system = fs.S3FileSystem(allow_bucket_creation=True, **settings)
    name = f"shop-{secrets.token_hex(4)}"
    system.create_dir(name)
    return Bucket(scheme, system, name)


def test_objects_are_loaded_once_and_a_changed_one_again(bucket, tmp_path, monkeypatch):
    bucket.put("events/2026/03/a.csv", rows(1))
    bucket.put("events/2026/04/b.csv", rows(2))
    bucket.put("events/2026/04/readme.md", b"none")
    config = load_config({"sources": {"web": MAPPED | {"path": f"{bucket.url}/events/**/*.csv"}}}, folder=tmp_path)
    with open_warehouse(threads=1) as warehouse:

        def load(run_id: str) -> dict[str, str]:
            report = load_events(config, warehouse, run_id=run_id, now_us=NOW_US)
            return {file.source_file.rpartition("/")[2]: file.status for file in report.files}

        assert load("1") == {"a.csv": "loaded", "b.csv": "loaded"}
        assert warehouse.rows("select etag from ledger.remote_files").column(0).null_count == 0
        assert load("2") == {"a.csv": "known", "b.csv": "known"}  # Young objects are downloaded once more.
        monkeypatch.setattr(remote, "SETTLED", timedelta(days=-1))
        load("3")
        bucket.put("events/2026/04/b.csv", rows(2, 3))
        read = []
        download = remote.ObjectStore._download
        monkeypatch.setattr(remote.ObjectStore, "_download", lambda *args: read.append(args[1]) or download(*args))
        assert load("4") == {"a.csv": "known", "b.csv": "loaded"}
        assert read == [f"{bucket.name}/events/2026/04/b.csv"]
        assert warehouse.count("raw.events") == 3
    assert not list(tmp_path.glob("state/work/*/staged/*"))


def test_an_object_that_is_replaced_while_it_is_read_is_refused(bucket, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 16)
    bucket.put("a.csv", b"a" * (1 << 18))
    (file,) = remote.listing(remote_path(f"{bucket.url}/a.csv"), "web")
    version, blocks = file.download()
    assert version.etag
    next(blocks)
    bucket.put("a.csv", b"b" * (1 << 18))  # In the same second and of the same size.
    with pytest.raises(RefusedFileError, match="changed while it was downloaded"):
        list(blocks)


def test_a_listing_has_many_pages_and_keys_of_every_kind(bucket):
    keys = ["a b/ü+%20.csv", "a b/x=1&y=2.csv", *(f"many/{n:04}.csv" for n in range(30))]
    for key in keys:
        bucket.put(key, rows(1))
    assert bucket.listed(f"{bucket.url}/**/*.csv") == sorted(keys)
    assert bucket.listed(f"{bucket.url}/many/*.csv") == keys[2:]
    for file in remote.listing(remote_path(f"{bucket.url}/a b/*.csv"), "web"):
        assert b"".join(file.download()[1]) == rows(1)


def test_a_configuration_is_proposed_from_objects(bucket, tmp_path):
    bucket.put("logs/a.csv", rows(*range(30)))
    proposal = propose([f"{bucket.url}/logs/*.csv"], tmp_path)
    assert f"{bucket.url}/logs/*.csv" in proposal.text
    assert proposal.trial.record_counts["accepted_count"] == 30


def test_what_is_not_there_and_what_cannot_be_reached(bucket, monkeypatch):
    assert bucket.listed(f"{bucket.url}/none.csv") == []
    assert bucket.listed(f"{bucket.url}/none/*.csv") == []
    assert bucket.listed(f"{bucket.scheme}://no-such-bucket/*.csv") == []
    monkeypatch.setenv(ENDPOINTS[bucket.scheme], "http://127.0.0.1:1")
    monkeypatch.setattr(remote, "REQUEST_SECONDS", 1)
    with pytest.raises(RefusedFileError) as found:
        bucket.listed(f"{bucket.url}/*.csv")
    assert "cannot be listed" in found.value.detail
    assert "127.0.0.1" not in found.value.detail


def test_a_wrong_key_is_denied_and_not_shown(bucket, monkeypatch):
    if bucket.scheme != "az":
        pytest.skip("the other servers accept any key")
    bucket.put("a.csv", rows(1))
    monkeypatch.setenv("AZURE_STORAGE_KEY", "c2VjcmV0")
    with pytest.raises(RefusedFileError, match="access is denied") as found:
        bucket.listed(f"{bucket.url}/*.csv")
    assert "c2VjcmV0" not in found.value.detail
