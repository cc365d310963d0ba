"""Files at URLs: listed, compared with what is known, downloaded once, and refused without a secret in the message."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from pyarrow import fs

from journeyflow.config.sources import remote_path
from journeyflow.errors import InputError
from journeyflow.ingest import load, remote
from journeyflow.ingest.files import RawStore, RefusedFileError, RemoteFile, Version, read_snapshot
from journeyflow.ingest.load import reload_events
from journeyflow.ingest.parser.client import InputCopies
from journeyflow.ingest.parser.transfer import ParserLimits
from journeyflow.ingest.people_and_spend import load_traits
from journeyflow.ingest.remote import TransientError
from journeyflow.pipeline import load_phase
from journeyflow.setup.proposal import propose
from journeyflow.state.warehouse import open_warehouse

HEADER = "id,ts,cookie,event\n"
OLD = datetime(2026, 3, 1, tzinfo=UTC).timestamp()


def rows(*numbers: int) -> str:
    return HEADER + "".join(f"e{n},2026-03-01,c,x\n" for n in numbers)


class Store(fs.FileSystemHandler):
    """A store in a folder that counts what it is asked for and fails where it is told to."""

    def __init__(self, folder) -> None:
        self.files = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem())
        self.read: list[str] = []
        self.failures: list[Exception] = []

    def __eq__(self, other) -> bool:
        return self is other

    def get_type_name(self) -> str:
        return "test"

    def normalize_path(self, path):
        return path

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def get_file_info(self, paths):
        self._fail()
        return self.files.get_file_info(paths)

    def get_file_info_selector(self, selector):
        self._fail()
        return self.files.get_file_info(selector)

    def open_input_stream(self, path):
        self._fail()
        self.read.append(path)
        return self.files.open_input_stream(path, compression=None)

    def _refused(self, *_) -> None:
        raise AssertionError("a store is only read")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = move = copy_file = _refused
    open_input_file = open_output_stream = open_append_stream = _refused


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "store" / "bucket").mkdir(parents=True)
    found = Store(tmp_path / "store")
    monkeypatch.setattr(remote, "object_system", lambda path, environment: fs.PyFileSystem(found))
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0)
    return found


@pytest.fixture
def bucket(project, store, tmp_path):
    project.source["path"] = "s3://bucket/logs/*.csv"

    def put(name: str, content: str, changed: float = OLD) -> None:
        path = tmp_path / "store" / "bucket" / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (changed, changed))

    put.remove = lambda name: (tmp_path / "store" / "bucket" / "logs" / name).unlink()
    return put


def statuses(report) -> dict[str, str]:
    return {file.source_file: file.status for file in report.files}


def test_new_and_changed_objects_are_loaded_and_known_ones_are_not_downloaded_again(project, store, bucket):
    bucket("a.csv", rows(1))
    bucket("b.csv", rows(2))
    bucket("b.txt", "no event file")
    bucket("deeper/c.csv", rows(3))
    assert statuses(project.load()) == {"s3://bucket/logs/a.csv": "loaded", "s3://bucket/logs/b.csv": "loaded"}
    assert project.events() == ["e1", "e2"]
    store.read.clear()
    bucket("a.csv", rows(1, 5), OLD + 1)
    bucket("d.csv", rows(4), datetime.now(UTC).timestamp())
    report = project.load()
    assert sorted(store.read) == ["bucket/logs/a.csv", "bucket/logs/d.csv"]
    assert statuses(report)["s3://bucket/logs/b.csv"] == "known"
    assert project.events() == ["e1", "e2", "e4", "e5"]
    store.read.clear()
    project.load()
    assert store.read == ["bucket/logs/d.csv"]  # It is so young that its time proves no version.
    assert not list((project.folder / "state").glob("work/*/staged/*"))


def test_changed_settings_read_the_archive_and_download_nothing(project, store, bucket):
    bucket("a.csv", rows(1))
    project.load()
    store.read.clear()
    project.source["rename"] = {"x": "y"}
    project.load()
    assert project.events("event_name") == ["y"]
    assert store.read == []


def test_without_an_archive_a_rebuild_downloads_what_it_knows(project, store, bucket):
    bucket("a.csv", rows(1, 2))
    project.load(retention={"raw": "none"})
    snapshot = read_snapshot(project.warehouse, RawStore(project.folder / "state"))
    with open_warehouse(threads=1) as fresh:
        config = project.config(retention={"raw": "none"})
        reload_events(config, fresh, snapshot, RawStore(config.state), run_id="again", now_us=1_900_000_000_000_000)
        assert fresh.count("raw.events") == 2
        assert fresh.count("ledger.remote_files") == 1


def test_a_source_that_cannot_be_listed_fails_alone_and_keeps_its_events(project, store, bucket):
    project.write("local.csv", rows(7))
    bucket("a.csv", rows(1))
    both = {"web": project.source, "local": {**project.source, "path": "data/*"}}
    project.load(sources=both)
    store.failures = [OSError("When listing: AWS Error NETWORK_CONNECTION key=AKIASECRET")] * remote.ATTEMPTS
    project.write("more.csv", rows(8))
    report = project.load(sources=both)
    (refused,) = report.refused
    assert (refused.source, refused.source_file) == ("web", "s3://bucket/logs/*.csv")
    assert refused.detail == "it cannot be listed (NETWORK_CONNECTION); see network, region and endpoint"
    assert project.events() == ["e1", "e7", "e8"]
    store.failures = [PermissionError("AKIASECRET")]
    with pytest.raises(RefusedFileError) as found:
        listed()
    assert found.value.detail.startswith(
        "it cannot be listed: access is denied; see the credentials in the environment"
    )


def listed() -> list[RemoteFile]:
    return remote.listing(remote_path("s3://bucket/logs/*.csv"), "web")


def test_a_failure_that_passes_is_tried_again(store, bucket):
    bucket("a.csv", rows(1))
    store.failures = [OSError("reset"), OSError("HTTP status 503")]
    assert [file.name for file in listed()] == ["s3://bucket/logs/a.csv"]


def test_an_object_that_vanishes_changes_or_is_too_large_is_refused_alone(store, bucket, tmp_path):
    for name in "abc":
        bucket(f"{name}.csv", rows(1))
    bucket("d.csv", rows(*range(200)))
    files = listed()
    bucket.remove("a.csv")
    bucket("b.csv", rows(2, 3), OLD + 1)
    fetched = InputCopies(tmp_path / "staged", ParserLimits(file_bytes=1_000)).fetch(files)
    reasons = [each.reason if isinstance(each, RefusedFileError) else each[0].name for each in fetched]
    assert reasons == ["vanished", "changed", "s3://bucket/logs/c.csv", "too_large"]
    assert [path.name for path in (tmp_path / "staged").iterdir()] == ["3.in"]
    assert "bucket/logs/d.csv" not in store.read


def test_the_disk_holds_a_part_of_the_new_objects_only(monkeypatch):
    monkeypatch.setattr(load, "AHEAD_BYTES", 60)
    files = [RemoteFile(str(size), Version(size), list) for size in (20, 30, 40, 100, 10)]
    groups = [[file.version.byte_count for file in group] for group in load._in_groups(files)]
    assert groups == [[20, 30], [40], [100], [10]]


def test_a_run_that_loads_nothing_says_which_store_did_not_answer(project, store, bucket):
    store.failures = [OSError("reset")] * remote.ATTEMPTS
    project.load()
    why = load_phase._why_nothing(project.warehouse, "run-1", None)
    assert why.startswith("No event was accepted: s3://bucket/logs/*.csv was refused: it cannot be listed (OSError)")


def test_traits_come_from_objects_too(project, store, bucket):
    bucket("users.tsv", "id,plan\nu1,pro\n")
    people = [{"path": "s3://bucket/logs/users.tsv", "user_id": "id", "traits": ["plan"]}]
    load_traits(project.config(people=people), project.warehouse)
    assert project.warehouse.rows("select trait_value from raw.traits")["trait_value"].to_pylist() == ["pro"]
    store.failures = [PermissionError()]
    load_traits(project.config(people=people), project.warehouse)
    assert project.warehouse.count("raw.traits") == 1


def test_no_object_at_all_is_a_mistake_of_the_configuration(project, store):
    project.source["path"] = "s3://bucket/none/*.csv"
    with pytest.raises(InputError, match=r"Source web: no file matches s3://bucket/none/\*\.csv"):
        project.load()


def test_init_reads_the_beginning_of_objects_and_writes_their_url(store, bucket, tmp_path):
    bucket("a.csv", "ts,cookie,event\n" + "".join(f"2026-03-0{n},c{n % 3},page_view\n" for n in range(1, 10)))
    bucket("b.csv", "ts,cookie,event\n2026-03-01,c8,purchase\n")
    proposal = propose(["s3://bucket/logs/*.csv"], tmp_path)
    assert "path: s3://bucket/logs/*.csv" in proposal.text.replace("'", "").replace('"', "")
    assert proposal.trial
    assert proposal.trial.record_counts["accepted_count"] == 10
    with pytest.raises(InputError, match="There is no file at s3://bucket/none"):
        propose(["s3://bucket/none"], tmp_path)
    with pytest.raises(InputError, match="holds a secret") as found:
        propose(["https://user:hidden@files.example/a"], tmp_path)
    assert "hidden" not in str(found.value)
    bucket("c.csv", "ts,event\n2026-03-01,purchase\n")
    with pytest.raises(InputError, match=r"^s3://bucket/logs/c\.csv: no column holds an identifier of a person"):
        propose(["s3://bucket/logs/c.csv"], tmp_path)


def test_an_etag_proves_a_version_and_without_a_size_a_time_does():
    changed = datetime(2026, 3, 1)
    assert Version(1, '"a"', changed).is_same(Version(1, '"a"', changed + timedelta(seconds=1)))
    assert not Version(1, '"a"', changed).is_same(Version(1, '"b"', changed))
    assert not Version(1, '"a"', changed).is_same(Version(2, '"a"', changed))
    assert Version(None, None, changed).is_same(Version(1, None, changed))
    assert not Version(1).is_same(Version(1))


def test_a_version_that_changes_within_its_second_is_noticed_by_its_etag(monkeypatch):
    tags = iter(['"1"', '"2"'])
    info = fs.FileInfo("bucket/a", fs.FileType.File, size=3, mtime=datetime(2026, 3, 1, tzinfo=UTC))

    class Stream:
        def __init__(self) -> None:
            self.blocks, self.tag = [b"abc", b""], next(tags)

        def metadata(self):
            return {"ETag": self.tag}

        def read(self, _):
            return self.blocks.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    class System:
        def get_file_info(self, _):
            return [info]

        def open_input_stream(self, *_, compression):
            return Stream()

    store = remote.ObjectStore(remote_path("s3://bucket/a"), System())
    (file,) = store.files()
    with pytest.raises(RefusedFileError, match="changed while"):
        list(file.download()[1])


def test_a_download_that_breaks_off_begins_again(tmp_path, monkeypatch):
    attempts = []

    def broken():
        attempts.append(1)

        def blocks():
            yield b"half"
            if len(attempts) == 1:
                raise TransientError("unreachable", "broken")
            yield b" whole"

        return Version(10), blocks()

    target = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0)
    found = remote.download(RemoteFile("x", Version(), broken), target, ParserLimits())
    os.close(target)
    assert ((tmp_path / "x").read_bytes(), found.byte_count, found.version) == (b"half whole", 10, None)


@pytest.mark.parametrize(
    ("path", "pattern", "is_match"),
    [
        ("b/x/a.csv", "b/*/a.csv", True),
        ("b/x/y/a.csv", "b/*/a.csv", False),
        ("b/x/y/a.csv", "b/**/a.csv", True),
        ("b/a.csv", "b/**/a.csv", True),
        ("b/.x/a.csv", "b/**/a.csv", False),
        ("b/.a.csv", "b/*.csv", False),
        ("b/a1.csv", "b/a[0-9].csv", True),
    ],
)
def test_a_glob_matches_keys_as_it_matches_files(path, pattern, is_match, tmp_path):
    from journeyflow.ingest.files import matching_paths

    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).touch()
    assert remote.matches(path.split("/"), pattern.split("/")) is is_match
    assert bool(matching_paths(pattern, tmp_path)) is is_match


def test_settings_of_a_store_come_from_the_environment():
    path = remote_path("s3://bucket/a")
    settings = remote._s3_settings(path, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_REGION": "eu-west-1"})
    assert (settings["scheme"], settings["endpoint_override"], settings["region"]) == (
        "http",
        "127.0.0.1:9000",
        "eu-west-1",
    )
    with pytest.raises(RefusedFileError, match="AZURE_STORAGE_ACCOUNT"):
        remote.object_system(remote_path("az://container/a"), {})
    for url in ("az://container/a", "gs://bucket/a"):
        environment = {"AZURE_STORAGE_ACCOUNT": "shop", "AZURE_STORAGE_KEY": "c2VjcmV0", "GOOGLE_ANONYMOUS": "true"}
        assert remote.object_system(remote_path(url), environment).type_name in ("abfs", "gcs")


def test_another_server_than_that_of_the_provider_is_named_by_the_environment():
    expected = {"scheme": "http", "endpoint_override": "127.0.0.1:9000"}
    for address in ("http://127.0.0.1:9000", "127.0.0.1:9000", "http://127.0.0.1:9000/account"):
        assert remote._endpoint(address, "scheme", "endpoint_override") == expected
    assert remote._endpoint(None, "scheme", "endpoint_override") == {}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("Azure Error: [AuthorizationFailure] 403 Server failed to authenticate", "denied"),
        ("Azure Error: [ContainerBeingDeleted] 409 later", "unreachable"),
        ("google::cloud::Status(PERMISSION_DENIED: no)", "denied"),
        ("When listing: AWS Error ACCESS_DENIED", "denied"),
    ],
)
def test_a_refusal_is_distinguished_from_a_failure_that_may_pass(message, reason):
    with pytest.raises(RefusedFileError) as found, remote.store_errors("listed"):
        raise OSError(message)
    assert found.value.reason == reason
