"""Records and originals of the files that were read: archived, read in place of what is gone, and removed in time."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat

import pytest

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.archive import RecordArchive
from journeyflow.ingest.files import SNAPSHOT, InputFile, RawStore, content_hash

DAY_US = 86_400_000_000
NOW_US = 1_800_000_000_000_000
GZIP = b"\x1f\x8b"
HEAD = "id,ts,cookie,event\n"


def rows(*ids):
    return HEAD + "".join(f"e{n},2026-03-01T10:00:0{n}Z,c,x\n" for n in ids)


def kept_names(project):
    folder = project.config().state / "raw"
    return sorted(path.name for path in folder.iterdir() if path.name != SNAPSHOT) if folder.exists() else []


def sha(content):
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()


def test_the_records_of_a_file_are_archived_private_under_the_hash_of_their_content(project):
    project.write("a.csv", rows(1))
    project.load()
    (name,) = kept_names(project)
    path = project.config().state / "raw" / name
    assert name == f"{sha(path.read_bytes())}.records.parquet"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    held = RecordArchive(project.config().state).read(name.split(".")[0])
    assert (held.answer.shape, held.answer.names) == ("columns", ("id", "ts", "cookie", "event"))
    assert [batch.to_pylist() for batch in held.rows.checked()] == [
        [{"record_ix": 0, "source_row": 2, "c0": "e1", "c1": "2026-03-01T10:00:01Z", "c2": "c", "c3": "x"}]
    ]


@pytest.mark.parametrize("wrap", [str.encode, lambda text: gzip.compress(text.encode(), mtime=0)])
def test_originals_are_kept_where_they_are_asked_for(project, wrap):
    content = wrap(rows(1))
    path = project.write("a.csv", content)
    project.load(retention={"originals": "forever"})
    original = RawStore(project.config().state).path(sha(content))
    assert original.name == f"{sha(content)}.{'gz' if content[:2] == GZIP else 'plain.zst'}"
    assert content_hash(original) == sha(content)
    assert stat.S_IMODE(original.stat().st_mode) == 0o600
    path.unlink()
    project.source["delimiter"] = ";"  # The records are parsed again, which needs the bytes.
    (refused,) = project.load(retention={"originals": "forever"}).refused
    assert "no column" in refused.detail
    project.source["delimiter"] = ","
    project.load()
    assert project.events() == ["e1"]
    assert RawStore(project.config().state).path(sha(content)) is None, "they are kept no longer"


def test_without_original_and_input_a_change_of_how_bytes_are_read_is_an_error(project):
    path = project.write("a.csv", rows(1))
    project.load()
    path.unlink()
    project.source["quote"] = "'"
    with pytest.raises(InputError, match="no longer there"):
        project.load()
    assert project.events() == ["e1"]


def test_an_original_that_would_unpack_like_a_bomb_is_kept_as_it_is_and_can_be_read_again(project, monkeypatch):
    monkeypatch.setattr("journeyflow.ingest.files.ALWAYS_UNPACKED_BYTES", 1_000)
    content = HEAD + "e1,2026-03-01T10:00:01Z,c,x\n" * 20_000
    path = project.write("a.csv", content)
    project.write("b.csv", rows(2))
    keeping = {"retention": {"originals": "forever"}}
    project.load(**keeping)
    assert f"{sha(content)}.plain" in kept_names(project)
    path.unlink()
    project.source["pad_short_rows"] = True
    assert project.load(**keeping).refused == ()
    assert project.events() == ["e1", "e2"]


def test_a_file_that_is_refused_is_not_kept(project):
    project.write("a.csv", rows(1))
    project.write("b.csv", "wrong,header\n1,2\n")
    report = project.load()
    assert [file.status for file in report.files] == ["loaded", "refused"]
    project.load()
    assert len(kept_names(project)) == 1, "the next run removes what the refused file left"


def test_what_an_earlier_version_kept_is_archived_and_removed(project, tmp_path):
    """It kept the bytes of the files, here of two that are gone and one that it rewrote."""
    state = project.config().state
    paths = [project.write(f"{n}.csv", rows(n)) for n in (1, 2, 3)]
    project.load()
    archive, store = RecordArchive(state), RawStore(state)
    before = [
        batch.to_pylist() for sha256 in sorted(archive.contents()) for batch in archive.read(sha256).rows.checked()
    ]
    archive.remove(archive.contents())
    for path in paths:
        store.add(InputFile(path.name, path, sha(path.read_bytes()), path.stat().st_size), path)
    rewritten = tmp_path / "rewritten"
    rewritten.write_text(HEAD + "\n")
    store.add(InputFile("3", rewritten, sha(rewritten.read_bytes()), 1), rewritten)
    project.warehouse.execute("update ledger.files set archive_sha256 = null, reading_hash = null")
    project.warehouse.execute(
        "update ledger.files set kept_sha256 = ? where source_file = 'data/3.csv'", [sha(rewritten.read_bytes())]
    )
    for path in paths[:2]:
        path.unlink()
    project.load()
    assert store.contents() == set()
    after = [
        batch.to_pylist() for sha256 in sorted(archive.contents()) for batch in archive.read(sha256).rows.checked()
    ]
    assert [each for each in before if each in after] == after
    assert len(archive.contents()) == 3, "of the third file nothing is left but its header"
    assert project.warehouse.count("ledger.files", "archive_sha256 is null or kept_sha256 is not null") == 0


def test_a_file_loaded_before_files_were_archived_is_archived_later(project):
    project.write("a.csv", rows(1))
    project.load(retention={"raw": "none"})
    assert kept_names(project) == []
    project.load()
    assert len(kept_names(project)) == 1


def test_changed_settings_read_archived_files_of_what_is_gone(project):
    path = project.write("a.csv", rows(1))
    project.write("b.csv", rows(2))
    project.load()
    path.unlink()
    project.source["rename"] = {"x": "page_view"}
    report = project.load()
    assert sorted((file.source_file, file.status) for file in report.files) == [
        ("data/a.csv", "loaded"),
        ("data/b.csv", "loaded"),
    ]
    assert project.events("event_id, event_name") == [("e1", "page_view"), ("e2", "page_view")]


def test_a_run_that_ended_between_erasing_and_reading_is_made_good(project):
    path = project.write("a.csv", rows(1))
    project.write("b.csv", rows(2))
    project.load()
    path.unlink()
    project.warehouse.execute("update ledger.files set is_loaded = false")
    project.load()
    assert project.events() == ["e1", "e2"]


@pytest.mark.parametrize("is_in_input", [True, False])
def test_damaged_records_are_refused_unless_the_input_has_the_file(project, is_in_input):
    path = project.write("a.csv", rows(1))
    project.load()
    damaged = RecordArchive(project.config().state)
    (place,) = map(damaged.path, damaged.contents())
    place.write_bytes(place.read_bytes()[:-1] + b"?")
    project.write("b.csv", rows(2))
    if not is_in_input:
        path.unlink()
    project.source["rename"] = {"x": "page_view"}
    refused = project.load().refused
    assert [(file.source_file, "damaged" in file.detail) for file in refused] == (
        [] if is_in_input else [("data/a.csv", True)]
    )
    assert project.events() == (["e1", "e2"] if is_in_input else ["e2"])


def test_copies_go_when_their_time_is_over(project):
    project.write("a.csv", rows(1))
    keeping = {"retention": {"raw": "90d"}}
    project.load(**keeping)
    project.load(NOW_US + 89 * DAY_US, **keeping)
    assert len(kept_names(project)) == 1
    project.load(NOW_US + 90 * DAY_US, **keeping)
    assert kept_names(project) == []
    assert project.events() == ["e1"]


def test_a_source_may_have_a_time_of_its_own(project):
    project.write("a.csv", rows(1))
    project.load(retention={"raw": "none", "sources": {"web": "forever"}})
    assert len(kept_names(project)) == 1
    project.load(retention={"sources": {"web": "none"}})
    assert kept_names(project) == []


def test_what_killed_runs_left_is_removed(project):
    project.write("a.csv", rows(1))
    project.load()
    folder = project.config().state / "raw"
    before = kept_names(project)
    (folder / f"{sha('x')}.records.unfinished").write_bytes(b"half")
    (folder / f"{sha('y')}.plain.zst").write_bytes(b"never loaded")
    (folder / f"{sha('y')}.records.parquet").write_bytes(b"never loaded")
    project.load()
    assert kept_names(project) == before


def test_nothing_is_loaded_that_cannot_be_archived(project, monkeypatch):
    project.write("a.csv", rows(1))

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JourneyflowError, match=r"Cannot archive the records of data/a\.csv.*No space left"):
        project.load()
    assert project.events() == []
    assert kept_names(project) == []


@pytest.mark.parametrize("span", ["soon", "90", "-1d", 90])
def test_other_times_are_refused(project, span):
    with pytest.raises(JourneyflowError, match="forever, none, or a duration"):
        project.config(retention={"raw": span})


def test_a_source_that_is_not_there_is_refused(project):
    with pytest.raises(JourneyflowError, match="retention"):
        project.config(retention={"sources": {"wbe": "90d"}})


def test_keeping_changes_no_figure_and_reads_no_file_again(project):
    assert project.config().hash == project.config(retention={"raw": "1d"}).hash


def test_without_input_and_copy_a_change_of_settings_is_an_error(project):
    path = project.write("a.csv", rows(1))
    project.load(retention={"raw": "none"})
    path.unlink()
    project.source["rename"] = {"x": "page_view"}
    with pytest.raises(InputError, match="no longer there"):
        project.load()
