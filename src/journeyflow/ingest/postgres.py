"""Tables of PostgreSQL as input: new rows by a watermark column, in batches of Parquet; needs the extra `postgres`."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from journeyflow.config.sources import RemotePath
from journeyflow.errors import InputError
from journeyflow.ingest.files import RefusedFileError
from journeyflow.utils.formatting import escaped

SETTLED = timedelta(minutes=1)
"""Rows of a younger time are read by a later run: until then transactions may add rows of an earlier time."""
TIMEOUTS = "connect_timeout=10&keepalives_idle=60&keepalives_interval=10&keepalives_count=6&tcp_user_timeout=60000"
"""Parameters of a connection: a server that falls silent ends it."""
BATCH_BYTES = 64 << 20
BATCH_ROWS = 500_000
_TIMES = ("timestamp", "date")
_DENIED = ("28000", "28P01", "42501")
_LOG_IN = ("authentication failed", "no password supplied", "fe_sendauth")
"""Signs of a refused log-in, for which the driver has no code."""
_NO_TABLE = ("42P01", "3F000", "3D000")
_COLUMNS = """
    select attname, format_type(atttypid, null)
    from pg_attribute
    where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
    order by attnum
"""


@dataclass(frozen=True)
class Batch:
    """Rows of a table in a Parquet file, and the watermark as text up to which all rows are read by then.

    Rows of one watermark may stand in two files.
    """

    path: Path
    watermark: str | None


def read_table(
    path: RemotePath, watermark: str, after: str | None, folder: Path, seconds: int, most_rows: int | None = None
) -> Iterator[Batch]:
    """Yield the rows of a table whose watermark is above `after`, in its order, as files in `folder`.

    All values are text, as an export in CSV would have them; times with a zone are UTC. Rows without a watermark are
    never read. The connection is that of libpq's environment variables. RefusedFileError when the database refuses.
    """
    with _database_errors(), closing(_connection(seconds)) as connection, closing(connection.cursor()) as cursor:
        table = f"{_quoted(path.place)}.{_quoted(path.key)}"
        cursor.execute(_COLUMNS, (table,))
        types = dict(cursor.fetchall())
        if not types:
            raise RefusedFileError("vanished", "there is no such table that the user of the database may see")
        if watermark not in types:
            raise RefusedFileError("missing_column", f"its watermark is no column; it has {', '.join(types)}")
        # Set apart: a statement with parameters is not streamed by the driver, but held in memory whole.
        cursor.execute("select set_config('journeyflow.after', $1::text, true)", (after or "",))
        cursor.fetchall()
        cursor.execute(_select(table, types, watermark, after, most_rows))
        with cursor.fetch_record_batch() as reader:
            yield from _batches(reader, watermark, folder)


def fingerprint_of(watermark: str) -> str:
    """Return a hash of the watermark column and of the server and database that libpq's environment variables name."""
    names = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE")
    return hashlib.sha256(json.dumps([watermark, *map(os.environ.get, names)]).encode()).hexdigest()


def _connection(seconds: int) -> Any:  # noqa: ANN401 - the driver has no types
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError as error:
        raise InputError("Tables of PostgreSQL need the extra: pip install 'journeyflow[postgres]'.") from error
    connection = dbapi.connect(f"postgresql:///?{TIMEOUTS}")
    try:
        with closing(connection.cursor()) as cursor:
            for statement in (
                "set transaction isolation level repeatable read read only",
                "set local timezone = 'UTC'",
                "set local datestyle = 'ISO'",
                "set local intervalstyle = 'iso_8601'",
                "set local extra_float_digits = 1",
                f"set local statement_timeout = {seconds * 1000}",
            ):
                cursor.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _select(table: str, types: dict[str, str], watermark: str, after: str | None, most_rows: int | None) -> str:
    columns = ", ".join(f"source.{_quoted(name)}::text as {_quoted(name)}" for name in types)
    # Qualified: the bare name in `order by` would be that of the text, by which 10 comes before 9.
    column, kind = f"source.{_quoted(watermark)}", types[watermark]
    conditions = [f"{column} is not null"]
    if after is not None:
        conditions.append(f"{column} > current_setting('journeyflow.after')::{kind}")
    if kind.startswith(_TIMES):
        # In the zone of the session, UTC, as times without a zone are compared. A day is read when it is over.
        comparison = "<" if kind == "date" else "<="
        conditions.append(f"{column} {comparison} (now() - interval '{SETTLED.total_seconds():.0f} s')::{kind}")
    limit = f" limit {most_rows}" if most_rows is not None else ""
    return f"select {columns} from {table} as source where {' and '.join(conditions)} order by {column}{limit}"


def _batches(reader: pa.RecordBatchReader, watermark: str, folder: Path) -> Iterator[Batch]:
    numbers, writer, size, count = itertools.count(1), None, 0, 0
    last: str | None = None
    before: str | None = None
    place = reader.schema.get_field_index(watermark)
    path = folder
    try:
        for batch in _pulled(reader):
            if not batch.num_rows:
                continue
            if writer is None:
                path = folder / f"table-{next(numbers)}.parquet"
                writer, size, count = pq.ParquetWriter(path, reader.schema, compression="zstd"), 0, 0
            writer.write_batch(batch)
            size, count = size + batch.nbytes, count + batch.num_rows
            for value in batch.column(place).unique().to_pylist():
                if value != last:
                    before, last = last, value
            if size > BATCH_BYTES or count > BATCH_ROWS:
                writer.close()
                writer = None
                yield Batch(path, before)
        if writer is not None:
            writer.close()
            writer = None
            yield Batch(path, last)
    finally:
        if writer is not None:
            writer.close()


def _pulled(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Yield the batches; a failure of the database in between is one of the system, without its code."""
    while True:
        try:
            batch = next(reader)
        except StopIteration:
            return
        except OSError:
            detail = "the database ended the answer early; see `limits.time`"
            raise RefusedFileError("unreachable", detail) from None
        yield batch


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _database_errors() -> Iterator[None]:
    """Refuse the source in place of an error of the driver, whose message may quote names, addresses and values."""
    try:
        yield
    except (RefusedFileError, InputError):
        raise
    except Exception as error:
        state = getattr(error, "sqlstate", None)
        if not isinstance(error, pa.ArrowException) and not hasattr(error, "sqlstate"):
            raise
        if state in _DENIED or any(sign in str(error) for sign in _LOG_IN):
            detail = "the database denies access; see PGUSER, PGPASSWORD and the grants of the user"
            raise RefusedFileError("denied", detail) from None
        if state in _NO_TABLE:
            raise RefusedFileError("vanished", "there is no such table or database; see PGDATABASE") from None
        known = escaped(state) if state else type(error).__name__
        detail = f"the database cannot be read ({known}); see PGHOST, PGPORT, PGDATABASE and `limits.time`"
        raise RefusedFileError("unreachable", detail) from None
