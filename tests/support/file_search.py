"""Looking for bytes in every file of a project, packed ones unpacked and rows of databases as text."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def files_with(folder: Path, *needles: str) -> list[tuple[str, str]]:
    """Return which files below `folder` hold which of the needles: raw, unpacked, and as values."""
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
    elif held[8:12] == b"DUCK":
        texts += _rows(path)
    return texts


def _rows(database: Path) -> list[bytes]:
    """Return the rows of each table: a database compresses texts, so that their bytes need not stand in its file."""
    listed = "select format('{}.{}', schema_name, table_name) from duckdb_tables() where not internal order by all"
    with duckdb.connect(str(database), read_only=True) as opened:
        names = [name for (name,) in opened.execute(listed).fetchall()]
        return [repr(opened.execute(f"select * from {name}").fetchall()).encode() for name in names]
