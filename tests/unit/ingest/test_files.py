"""Wrapped files: read by what they are, whatever they are called, and refused when they are damaged."""

from __future__ import annotations

import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.errors import InputError

TEXT = b"id,ts,cookie,event\n" + b"".join(b"e%d,2026-03-01,c,x\n" % n for n in range(500))


def zst(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def parquet() -> bytes:
    stream = io.BytesIO()
    table = pa.table({"id": [f"e{n}" for n in range(500)], "ts": ["2026-03-01"] * 500, "cookie": ["c"] * 500})
    pq.write_table(table.append_column("event", pa.array(["x"] * 500)), stream)
    return stream.getvalue()


WRAPPINGS = {"gz": gzip.compress, "zst": zst, "zip": lambda content: zipped(member=content), "plain": bytes}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", ["right", "misleading.gz"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_every_wrapping_gives_the_same_events(project, wrapping, name, kind):
    project.source |= {"format": kind}
    project.write(name, WRAPPINGS[wrapping](TEXT if kind == "csv" else parquet()))
    assert project.load().counts.accepted == 500


def damaged(content: bytes) -> bytes:
    return content[:-8] + bytes(4) + content[-4:]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(gzip.compress(TEXT)[:-20], id="gzip cut short"),
        pytest.param(damaged(gzip.compress(TEXT)), id="gzip with a wrong checksum"),
        pytest.param(zst(TEXT)[:-5], id="zstandard cut short"),
        pytest.param(zipped(member=TEXT)[:-30], id="zip cut short"),
        pytest.param(b"\x1f\x8bnothing", id="gzip in name only"),
        pytest.param(zipped(one=TEXT, two=TEXT), id="zip of two files"),
    ],
)
def test_a_damaged_archive_is_refused_and_leaves_nothing(project, content):
    project.write("a.csv", TEXT.replace(b"e", b"f").replace(b"fvfnt", b"event").replace(b"cookif", b"cookie"))
    project.write("b.csv", content)
    report = project.load()
    assert [file.status for file in report.files] == ["loaded", "refused"]
    assert len(project.events()) == 500
    refused = project.warehouse.rows(
        "select status, record_count, sha256 from ledger.loads where source_file = 'data/b.csv'"
    )
    assert refused.to_pylist()[0]["status"] == "refused"


def test_a_zip_made_on_a_mac_is_read(project):
    project.write("a.csv", zipped(**{"a.csv": TEXT, "__MACOSX/._a.csv": b"\0\0"}))
    assert project.load().counts.accepted == 500


@pytest.mark.parametrize("cut", [10, 200])
def test_a_parquet_cut_short_is_refused(project, cut):
    project.source |= {"format": "parquet"}
    project.write("a.parquet", parquet()[:-cut])
    with pytest.raises(InputError, match="no Parquet"):
        project.load()


def test_text_in_the_place_of_parquet_is_refused(project):
    project.source |= {"format": "parquet"}
    project.write("a.parquet", TEXT)
    with pytest.raises(InputError, match="no Parquet"):
        project.load()


def test_a_parquet_whose_pages_are_damaged_is_refused(project):
    project.source |= {"format": "parquet"}
    content = bytearray(parquet())
    content[40:120] = bytes(80)
    project.write("a.parquet", bytes(content))
    with pytest.raises(InputError, match="damaged"):
        project.load()
    assert project.events() == []
