"""Looking for bytes in every file of a project, packed ones unpacked."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def files_with(folder: Path, *needles: str) -> list[tuple[str, str]]:
    """Return which files below `folder` hold which of the needles: raw, unpacked, and as values of Parquet."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            texts = contents(path)
            found += [
                (str(path.relative_to(folder)), each) for each in needles if any(each.encode() in t for t in texts)
            ]
    return found


def contents(path: Path) -> list[bytes]:
    """Return the bytes of a file, and of what is packed in it."""
    held = path.read_bytes()
    texts = [held]
    if held.startswith(b"\x1f\x8b"):
        texts.append(gzip.decompress(held))
    elif held.startswith(b"\x28\xb5\x2f\xfd"):
        with pa.CompressedInputStream(pa.BufferReader(held), "zstd") as stream:
            texts.append(stream.read())
    elif held.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            texts += [archive.read(name) for name in archive.namelist()]
    if texts[-1].startswith(b"PAR1"):
        table = pq.read_table(pa.BufferReader(texts[-1]))
        texts.append(json.dumps(table.to_pylist(), default=str, ensure_ascii=False).encode())
    return texts
