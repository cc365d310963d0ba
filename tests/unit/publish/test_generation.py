"""Publishing is atomic and does not affect open readers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

import journeyflow
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import EngineError, InputError, NotFoundError
from journeyflow.models import Column, Model, ModelMetadata
from journeyflow.publish import generation
from journeyflow.publish.generation import CURRENT, KEPT_GENERATIONS, copy_generation, publish, withdraw_copies
from journeyflow.publish.reader import RunFacts, read_manifest
from journeyflow.utils.files import sha256

COLUMNS = {
    "name": Column(type="VARCHAR", meaning="The owner's name."),
    "item_count": Column(type="BIGINT", unit="items", meaning="How many."),
}
WORDS = ModelMetadata(description="Things that people have.", grain=("name",), columns=dict(COLUMNS))
MODEL = Model("marts.things", Path("things.sql"), "select 1", (), WORDS, COLUMNS)
STARTED_AT = datetime(2026, 1, 2, 2)


def facts(run_id="r1"):
    return RunFacts(
        run_id=run_id,
        project="shop",
        version="0.1",
        config_hash="abc",
        started_at=STARTED_AT,
        published_at=STARTED_AT,
        high_water_at=STARTED_AT,
        event_count=7,
    )


@pytest.fixture
def engine(tmp_path):
    with DuckDBEngine(folders=[tmp_path]) as built:
        built.run("marts.things", "select 'n' || i as name, i as item_count from range(5000) as t (i)")
        yield built


def test_a_generation_holds_database_parquet_and_manifest(engine, tmp_path):
    folder = publish(engine, [MODEL], tmp_path, facts())
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json", "marts.duckdb", "semantic.json", "things.parquet",
    ]  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = manifest["tables"]["things"]
    assert entry == {"row_count": 5000, "file": "things.parquet", "sha256": sha256(folder / "things.parquet")}
    assert (manifest["run_id"], manifest["config_hash"], manifest["event_count"]) == ("r1", "abc", 7)
    assert pq.read_table(folder / "things.parquet")["name"].to_pylist()[:3] == ["n0", "n1", "n10"]


def test_the_database_is_readable_by_clients_since_1_0_and_commented(engine, tmp_path):
    folder = publish(engine, [MODEL], tmp_path, facts())
    # Bytes 12 to 20 of a DuckDB file are its format: 64 is that of 1.0.
    assert int.from_bytes((folder / "marts.duckdb").read_bytes()[12:20], "little") == 64
    with DuckDBEngine(folder / "marts.duckdb", read_only=True) as database:
        table = database.rows("select schema_name, table_name, comment from duckdb_tables()").to_pylist()
        columns = database.rows(
            "select column_name, comment from duckdb_columns() where table_name = 'things'"
        ).to_pylist()
    assert table == [
        {"schema_name": "main", "table_name": "things", "comment": "Things that people have. One row per name."}
    ]
    assert columns == [
        {"column_name": "name", "comment": "The owner's name."},
        {"column_name": "item_count", "comment": "How many. [items]"},
    ]


def test_the_same_rows_give_the_same_bytes_whatever_their_order(engine, tmp_path):
    hashes = set()
    for at, order in enumerate(("i", "-i", "hash(i)")):
        engine.run(
            "marts.things", f"select 'n' || i as name, i as item_count from range(300000) as t (i) order by {order}"
        )
        hashes.add(sha256(publish(engine, [MODEL], tmp_path, facts(f"r{at}")) / "things.parquet"))
    assert len(hashes) == 1


def test_an_open_reader_keeps_its_generation(engine, tmp_path):
    publish(engine, [MODEL], tmp_path, facts("r1"))
    with journeyflow.open(tmp_path) as old:
        engine.run("marts.things", "select 'only' as name, cast(1 as bigint) as item_count")
        publish(engine, [MODEL], tmp_path, facts("r2"))
        assert old.sql("select count(*) as n from things").item() == 5000
        assert old.table("things").height == 5000
        with journeyflow.open(tmp_path) as new:
            assert new.table("things").rows() == [("only", 1)]
            assert new.manifest.run_id == "r2"


def test_a_reader_keeps_its_tables_when_its_generation_is_removed(engine, tmp_path):
    publish(engine, [MODEL], tmp_path, facts("r1"))
    with journeyflow.open(tmp_path) as published:
        before = published.table("things")
        for number in range(2, KEPT_GENERATIONS + 2):
            publish(engine, [MODEL], tmp_path, facts(f"r{number}"))
        assert not published.folder.exists()
        assert published.table("things").equals(before)


def test_readers_never_see_half_a_publication(engine, tmp_path):
    publish(engine, [MODEL], tmp_path, facts("r00"))
    wrong, done = [], threading.Event()

    def read():
        while not done.is_set():
            seen = read_manifest((tmp_path / "current").resolve())
            if seen.tables["things"].row_count != 5000:
                wrong.append(seen)

    reader = threading.Thread(target=read)
    reader.start()
    for at in range(1, 4):
        publish(engine, [MODEL], tmp_path, facts(f"r{at:02}"))
    done.set()
    reader.join()
    assert not wrong


def test_the_last_five_generations_are_kept(engine, tmp_path):
    for at in range(KEPT_GENERATIONS + 2):
        publish(engine, [MODEL], tmp_path, facts(f"r{at}"))
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["r2", "r3", "r4", "r5", "r6"]
    assert (tmp_path / "current").resolve().name == "r6"


def test_a_failed_publication_leaves_the_last_one_and_nothing_else(engine, tmp_path):
    publish(engine, [MODEL], tmp_path, facts("r1"))
    engine.drop("marts.things")
    with pytest.raises(EngineError):
        publish(engine, [MODEL], tmp_path, facts("r2"))
    assert [path.name for path in (tmp_path / "generations").iterdir()] == ["r1"]
    assert (tmp_path / "current").resolve().name == "r1"
    engine.run("marts.things", "select 'a' as name, cast(1 as bigint) as item_count")
    publish(engine, [MODEL], tmp_path, facts("r3"))


def test_what_is_drawn_from_the_tables_is_published_with_them(engine, tmp_path):
    def draw(folder):
        with journeyflow.open(folder) as staged:
            return {"map.html": f"{staged.table('things').height} things".encode()}

    folder = publish(engine, [MODEL], tmp_path, facts(), draw)
    assert (folder / "map.html").read_text() == "5000 things"
    entry = read_manifest(folder).files["map.html"]
    assert (entry.byte_count, entry.sha256) == (11, sha256(folder / "map.html"))
    assert read_manifest(folder).tables["things"].row_count == 5000


def test_a_drawing_that_fails_stops_the_publication(engine, tmp_path):
    def fail(folder):
        raise KeyError(folder)

    publish(engine, [MODEL], tmp_path, facts("r1"))
    with pytest.raises(KeyError):
        publish(engine, [MODEL], tmp_path, facts("r2"), fail)
    assert [path.name for path in (tmp_path / "generations").iterdir()] == ["r1"]
    assert (tmp_path / "current").resolve().name == "r1"


def test_a_crash_before_the_swap_leaves_the_last_one_current(engine, tmp_path, monkeypatch):
    publish(engine, [MODEL], tmp_path, facts("r1"))

    def crash(link, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "point", crash)
    with pytest.raises(KeyboardInterrupt):
        publish(engine, [MODEL], tmp_path, facts("r2"))
    assert (tmp_path / "current").resolve().name == "r1"


def test_what_a_killed_publication_left_is_cleared(engine, tmp_path):
    left = tmp_path / "generations" / ".unfinished-r0"
    left.mkdir(parents=True)
    (left / "things.parquet").write_bytes(b"torn")
    publish(engine, [MODEL], tmp_path, facts("r1"))
    assert not left.exists()


def test_the_folder_can_be_moved(engine, tmp_path):
    publish(engine, [MODEL], tmp_path / "a", facts())
    (tmp_path / "a").rename(tmp_path / "b")
    with journeyflow.open(tmp_path / "b") as published:
        assert published.table("things").height == 5000


def test_a_folder_without_a_generation_is_reported(tmp_path):
    with pytest.raises(NotFoundError, match="Nothing is published"):
        journeyflow.open(tmp_path)


def test_an_unknown_table_names_the_nearest(engine, tmp_path):
    publish(engine, [MODEL], tmp_path, facts())
    with journeyflow.open(tmp_path) as published, pytest.raises(NotFoundError, match="Did you mean things"):
        published.table("thing")


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_text('/etc/hostname')",
        "create table x as select 1",
        "attach 'x.duckdb'",
        "set memory_limit = '1GB'",
    ],
)
def test_a_query_reads_published_tables_and_nothing_else(engine, tmp_path, statement):
    publish(engine, [MODEL], tmp_path, facts())
    with journeyflow.open(tmp_path) as published, pytest.raises(EngineError):
        published.sql(statement)


@pytest.mark.parametrize("kept", [1, 2])
def test_as_many_generations_are_kept_as_are_asked_for(engine, tmp_path, kept):
    for at in range(4):
        publish(engine, [MODEL], tmp_path, facts(f"r{at}"), kept=kept)
    assert sorted(path.name for path in (tmp_path / "generations").iterdir()) == ["r2", "r3"][-kept:]
    assert (tmp_path / "current").resolve().name == "r3"


HOLDER = """
import sys
import duckdb, pyarrow.parquet as pq
folder = sys.argv[1]
base = duckdb.connect(folder + "/marts.duckdb", read_only=True)
rows = pq.ParquetFile(folder + "/things.parquet")
print("open", flush=True)
sys.stdin.readline()
print(base.sql("select count(*), sum(item_count) from things").fetchall(), rows.read().num_rows, flush=True)
"""


def test_another_process_reads_on_in_a_generation_that_was_removed(engine, tmp_path):
    first = publish(engine, [MODEL], tmp_path, facts("r1"), kept=1)
    command = [sys.executable, "-c", HOLDER, str(first)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "open\n"
        engine.run("marts.things", "select 'only' as name, cast(1 as bigint) as item_count")
        publish(engine, [MODEL], tmp_path, facts("r2"), kept=1)
        assert not first.exists()
        output, _ = reader.communicate("\n", timeout=60)
    assert output.startswith("[(5000, ")
    assert output.rstrip().endswith(" 5000")


def test_what_a_killed_publication_left_is_removed_by_the_next(engine, tmp_path):
    left = tmp_path / "generations" / ".unfinished-r0"
    left.mkdir(parents=True)
    (left / "things.parquet").write_bytes(b"half")
    (tmp_path / ".current.new").symlink_to("generations/.unfinished-r0")
    publish(engine, [MODEL], tmp_path, facts("r1"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "generations"]
    assert [path.name for path in (tmp_path / "generations").iterdir()] == ["r1"]


KEY = "of this project"
OTHER_RUN = "20250101T000000000000"
RUNS = ("20260102T020000000001", "20260102T020000000002")


class Store:
    """A folder as an object store that fails at one of its writes."""

    def __init__(self, fails_at=None):
        self.local, self.written, self.fails_at = fs.LocalFileSystem(), [], fails_at

    def __getattr__(self, name):
        return getattr(self.local, name)

    def open_output_stream(self, path):
        self.written.append(Path(path).name)
        if len(self.written) == self.fails_at:
            raise OSError("the network is gone")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return self.local.open_output_stream(path)


@pytest.fixture
def published(engine, tmp_path):
    return [publish(engine, [MODEL], tmp_path / "published", facts(run)) for run in RUNS]


def named(root):
    return json.loads((root / CURRENT).read_text())["folder"]


def test_a_copy_names_its_generation_last_and_removes_those_that_are_not_kept(published, tmp_path):
    store, root = Store(), tmp_path / "bucket"
    for others in ("of somebody", OTHER_RUN):
        (root / "generations" / others).mkdir(parents=True)
    for folder in published:
        copy_generation(folder, [path.name for path in published], store, str(root), KEY)
        assert store.written[-1] == CURRENT
        copied = root / named(root)
        assert {path.name: sha256(path) for path in copied.iterdir()} == {
            path.name: sha256(path) for path in folder.iterdir()
        }
    assert sorted(path.name for path in (root / "generations").iterdir()) == [OTHER_RUN, *RUNS, "of somebody"]
    copy_generation(published[1], [], store, str(root), KEY)
    assert sorted(path.name for path in (root / "generations").iterdir()) == [OTHER_RUN, RUNS[1], "of somebody"]


@pytest.mark.parametrize("at", range(1, 7))
def test_a_copy_that_fails_leaves_the_generation_before_named(published, tmp_path, at):
    root = tmp_path / "bucket"
    copy_generation(published[0], [], Store(), str(root), KEY)
    with pytest.raises(OSError, match="network"):
        copy_generation(published[1], [], Store(fails_at=at), str(root), KEY)
    assert named(root) == f"generations/{RUNS[0]}"
    assert len(list((root / named(root)).iterdir())) == 4


def test_a_folder_of_another_project_is_not_written(published, tmp_path):
    root, other = tmp_path / "bucket", '{"project": "shop two", "run_id": "r", "folder": "generations/r"}'
    root.mkdir()
    (root / CURRENT).write_text(other)
    with pytest.raises(InputError, match="of another project"):
        copy_generation(published[0], [], Store(), str(root), KEY)
    assert [path.name for path in root.iterdir()] == [CURRENT]


def test_a_project_of_the_same_name_is_another_one(published, tmp_path):
    root = tmp_path / "bucket"
    copy_generation(published[0], [], Store(), str(root), KEY)
    for act in (
        lambda: copy_generation(published[1], [], Store(), str(root), "of another state folder"),
        lambda: withdraw_copies(Store(), str(root), "of another state folder"),
    ):
        with pytest.raises(InputError, match="of another project"):
            act()
    assert named(root) == f"generations/{RUNS[0]}"


def test_what_a_failed_copy_left_is_removed_by_the_next_that_keeps_nothing(published, tmp_path):
    root = tmp_path / "bucket"
    with pytest.raises(OSError, match="network"):
        copy_generation(published[0], [], Store(fails_at=4), str(root), KEY)
    copy_generation(published[1], [], Store(), str(root), KEY)
    assert [path.name for path in (root / "generations").iterdir()] == [RUNS[1]]


def test_a_withdrawn_publication_leaves_no_copy_and_what_others_put_there(published, tmp_path):
    root = tmp_path / "bucket"
    (root / "generations" / OTHER_RUN).mkdir(parents=True)
    for folder in published:
        copy_generation(folder, RUNS, Store(), str(root), KEY)
    withdraw_copies(Store(), str(root), KEY)
    assert [path.relative_to(root).as_posix() for path in root.rglob("*")] == [
        "generations",
        f"generations/{OTHER_RUN}",
    ]
    withdraw_copies(Store(), str(root), KEY)
