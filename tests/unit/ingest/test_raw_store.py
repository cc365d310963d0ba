"""Copies of the files that were read: made, compressed, read in the place of what is gone, and removed in time."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat

import pytest

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.ingest.raw_store import SNAPSHOT, RawStore, content_hash

DAY_US = 86_400_000_000
NOW_US = 1_800_000_000_000_000
HEAD = "id,ts,cookie,event\n"


def rows(*ids):
    return HEAD + "".join(f"e{n},2026-03-01T10:00:0{n}Z,c,x\n" for n in ids)


def kept_names(project):
    folder = project.config().state / "raw"
    return sorted(path.name for path in folder.iterdir() if path.name != SNAPSHOT) if folder.exists() else []


def sha(content):
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()


def test_a_plain_file_is_kept_compressed_and_private_under_the_hash_of_its_content(project):
    content = rows(1) * 1
    project.write("a.csv", content)
    project.load()
    assert kept_names(project) == [f"{sha(content)}.plain.zst"]
    path = RawStore(project.config().state).path(sha(content))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert content_hash(path) == sha(content)


def test_what_is_compressed_is_kept_as_it_is(project):
    packed = gzip.compress(rows(1).encode(), mtime=0)
    project.write("a.csv.gz", packed)
    project.load()
    assert kept_names(project) == [f"{sha(packed)}.gz"]
    assert RawStore(project.config().state).path(sha(packed)).read_bytes() == packed


def test_what_would_unpack_like_a_bomb_is_kept_as_it_is_and_can_be_read_again(project, monkeypatch):
    monkeypatch.setattr("journeyflow.ingest.files.ALWAYS_UNPACKED_BYTES", 1_000)
    content = HEAD + "e1,2026-03-01T10:00:01Z,c,x\n" * 100_000
    path = project.write("a.csv", content)
    project.write("b.csv", rows(2))
    project.load()
    assert f"{sha(content)}.plain" in kept_names(project)
    path.unlink()
    project.source["rename"] = {"x": "page_view"}
    assert project.load().refused == ()
    assert project.events() == ["e1", "e2"]


def test_a_file_that_is_refused_is_not_kept(project):
    project.write("a.csv", rows(1))
    project.write("b.csv", "wrong,header\n1,2\n")
    report = project.load()
    assert [file.status for file in report.files] == ["loaded", "refused"]
    assert kept_names(project) == [f"{sha(rows(1))}.plain.zst"]


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


def test_a_damaged_copy_is_refused(project):
    path = project.write("a.csv", rows(1))
    project.write("b.csv", rows(2))
    project.load()
    path.unlink()
    copy = RawStore(project.config().state).path(sha(rows(1)))
    other = RawStore(project.config().state).path(sha(rows(2)))
    copy.write_bytes(other.read_bytes())
    project.source["rename"] = {"x": "page_view"}
    refused = project.load().refused
    assert [(file.source_file, "damaged" in file.detail) for file in refused] == [("data/a.csv", True)]
    assert project.events() == ["e2"]


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
    (folder / f"{sha('x')}.plain.zst.unfinished").write_bytes(b"half")
    (folder / f"{sha('y')}.plain.zst").write_bytes(b"never loaded")
    project.load()
    assert kept_names(project) == [f"{sha(rows(1))}.plain.zst"]


def test_nothing_is_loaded_that_cannot_be_archived(project, monkeypatch):
    project.write("a.csv", rows(1))

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JourneyflowError, match=r"Cannot keep a copy of data/a\.csv.*No space left"):
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
