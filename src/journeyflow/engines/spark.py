"""The Spark engine: a session of Spark Connect, and relations as Parquet in a folder that both sides see."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from journeyflow.engines.spark_sql import spark_select, view_name
from journeyflow.errors import EngineError, InputError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKET = "_bucket"
"""Column that `mapped` adds: the number of the range of keys."""
BUCKET_ROWS = 500_000
"""Rows of a bucket, about: a task holds one or two."""
_LEAST_BITS, _MOST_BITS = 3, 12
_PORT = 15002
"""Of Spark Connect, where an address names none."""
_ANSWER_SECONDS = 10
_MANIFEST = pa.schema([("bucket", pa.int32()), ("relation", pa.string()), ("file", pa.string()), ("rows", pa.int64())])
_TYPES = {
    "string": "VARCHAR",
    "bigint": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "timestamp_ntz": "TIMESTAMP",
    "binary": "BLOB",
}
_ARROW = {
    "VARCHAR": pa.string(), "BIGINT": pa.int64(), "UBIGINT": pa.uint64(), "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us"),
}  # fmt: skip
Work = Callable[[Iterator[pa.RecordBatch], int], Iterator[Mapping[str, list[pa.Table]]]]
"""From the rows of one bucket, in order, and its number to rows by relation."""


class SparkEngine:
    """A session of Spark Connect (Spark, Sail) whose relations are folders of Parquet files.

    A relation `layer.name` is the folder ``layer.name`` of `folder` and the view ``layer__name`` of the session. 64-bit
    keys, UBIGINT here, are BIGINT with the same bits there; what leaves the engine has them as UBIGINT again.

    Parameters
    ----------
    address : str
        Of the server, such as ``sc://127.0.0.1:15002``.
    folder : Path
        An absolute path that the server and its workers see under the same name; made, and removed by `close`.

    Raises
    ------
    InputError
        When the client library is not installed, or the server does not answer.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self.folder = folder
        self.pointers: tuple[str, ...] = ()
        """JSON pointers that columns hold; set before the first model that reads one is run."""
        self._columns: dict[str, dict[str, str]] = {}
        self._files: dict[str, list[str]] = {}
        self.session = _session(address)
        folder.mkdir(parents=True, exist_ok=True)

    def register(self, name: str, table: pa.Table) -> None:
        """Create or replace the table `name` with the rows of `table`."""
        self.write(name, table.to_reader(), {field.name: _sql_type(field.type) for field in table.schema})

    def append(self, name: str, table: pa.Table) -> None:
        """Insert the rows of `table` into the table `name` by column name; create it when it is missing."""
        if name not in self._columns:
            self.register(name, table)
            return
        types = self._columns[name]
        place = self.folder / name / f"{uuid4().hex}.parquet"
        _write(place, table.select(list(types)).to_reader())
        self._show(name, [*self._files[name], str(place)], types)

    def write(self, name: str, rows: pa.RecordBatchReader, types: Mapping[str, str]) -> None:
        """Create or replace the table `name` with a stream of rows whose columns have the SQL types `types`."""
        place = self._emptied(name) / "part-0.parquet"
        _write(place, rows)
        self._show(name, [str(place)], types)

    def run(self, name: str, select: str, types: Mapping[str, str] | None = None) -> None:
        """Create or replace the table `name` with the rows of `select`, as columns of the SQL types `types`."""
        with _failing_as(f"The model {name}"):
            found = self.session.sql(spark_select(select, self.pointers))
            if types is None:
                types = {column: _TYPES.get(kind, kind.upper()) for column, kind in found.dtypes}
            place = self._emptied(name)
            typed = found.selectExpr(*(_cast(column, kind) for column, kind in types.items()))
            typed.write.mode("overwrite").parquet(str(place))
            self._show(name, [str(file) for file in sorted(place.rglob("*.parquet"))], types)

    def mapped(
        self,
        name: str,
        key: str,
        order: Sequence[str],
        work_of: Callable[[Mapping[int, int]], Work],
        relations: Mapping[str, Mapping[str, str]],
        *,
        is_added: bool = False,
    ) -> None:
        """Run a function over the rows of the relation `name` by range of `key`, and show the `relations` it returns.

        A task writes a file for each bucket and relation, under a name of its attempt, and returns what it wrote. Only
        files of the attempts that Spark accepted are in the manifest, so a repeated task changes nothing.

        Parameters
        ----------
        key : str
            A column of 64-bit keys. Rows of equal keys are in one bucket; buckets are in the order of unsigned keys.
        order : sequence of str
            Columns that order the rows of a bucket, ascending, nulls last.
        work_of : function
            Gets the number of rows before each bucket and returns what is run in the tasks.
        relations : mapping of str to mapping
            SQL types of the columns, by relation.
        is_added : bool
            Keep the rows that the relations have.
        """
        from pyspark.sql import functions as f

        with _failing_as(f"The relation {name}"):
            source = self.session.table(view_name(name))
            fine = source.select(f.shiftrightunsigned(f.col(key), 64 - _MOST_BITS).cast("int").alias(BUCKET))
            counts = {row[BUCKET]: row["count"] for row in fine.groupBy(BUCKET).count().toArrow().to_pylist()}
            bits = _bits_for(sum(counts.values()))
            before = _rows_before(counts, bits)
            numbered = source.withColumn(BUCKET, f.shiftrightunsigned(f.col(key), 64 - bits).cast("int"))
            parts = numbered.repartition(1 << bits, BUCKET)
            task = _Task(name, work_of(before), str(self.folder), tuple(order))
            written = parts.mapInArrow(task, "bucket int, relation string, file string, rows bigint").toArrow()
            manifest = self._committed(name, written, sum(counts.values()))
        for relation, types in relations.items():
            files = [str(self.folder / row["file"]) for row in manifest if row["relation"] == relation]
            self._show(relation, [*(self._files[relation] if is_added else ()), *files], types)

    def _committed(self, name: str, written: pa.Table, row_count: int) -> list[dict[str, Any]]:
        """Write the manifest of what tasks wrote over `name`; EngineError where a bucket or a file is missing."""
        entries = sorted(written.to_pylist(), key=lambda row: (row["relation"], row["bucket"]))
        read = {row["bucket"]: row["rows"] for row in entries if row["relation"] == name}
        files = [row for row in entries if row["relation"] != name]
        is_whole = len(read) == len(entries) - len(files) and sum(read.values()) == row_count
        if not is_whole or not all(_has_rows(self.folder / row["file"], row["rows"]) for row in files):
            raise EngineError("tasks did not write what they say: see that all workers share `spark.folder`")
        (self.folder / f"{name}.manifest.json").write_text(json.dumps(files, indent=1), encoding="utf-8")
        return files

    def rows(self, select: str, params: Sequence[Any] | None = None) -> pa.Table:
        """Return all rows of `select`; keys are BIGINT."""
        if params:
            raise EngineError("The Spark engine takes no parameters.")
        with _failing_as("A query"):
            return self.session.sql(spark_select(select, self.pointers)).toArrow()

    def values(self, select: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of `select`, which are few, as tuples."""
        return [tuple(row.values()) for row in self.rows(select, params).to_pylist()]

    def stream(self, select: str, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of `select`, in batches of about `batch_rows`."""
        yield from self.rows(select).to_batches(max_chunksize=batch_rows)

    def reader(self, name: str) -> pa.RecordBatchReader:
        """Return the rows of the table `name` from its files, keys as UBIGINT."""
        found, types = ds.dataset(self._files[name], format="parquet"), self._columns[name]
        is_key = {column for column, kind in types.items() if kind == "UBIGINT"}
        fields = [field.with_type(pa.uint64()) if field.name in is_key else field for field in found.schema]
        schema = pa.schema(fields)
        return pa.RecordBatchReader.from_batches(schema, (viewed(batch, schema) for batch in found.to_batches()))

    def execute(self, statement: str, params: Sequence[Any] | None = None) -> None:
        """Refuse: relations are replaced as a whole."""
        raise EngineError("The Spark engine runs queries only.")

    def columns(self, name: str) -> Mapping[str, str]:
        """Return column name → type in order; empty when the relation does not exist."""
        return self._columns.get(name, {})

    def require_running(self) -> None:
        """Nothing stops what is computed here."""

    def relations(self) -> Mapping[str, Mapping[str, str]]:
        """Return what `columns` returns of every table, by its name."""
        return dict(self._columns)

    def close(self) -> None:
        """Remove all relations, and end the session; EngineError where a file stays."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.session.stop()
        if self.folder.exists():
            raise EngineError(f"{self.folder} holds relations of persons and cannot be removed: remove it.")

    def _emptied(self, name: str) -> Path:
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    def _show(self, name: str, files: list[str], types: Mapping[str, str]) -> None:
        """Show files, or no row where there are none, as the relation `name`."""
        if not files:
            files = [str(self._emptied(name) / "part-0.parquet")]
            schema = pa.schema([(column, _arrow_type(kind)) for column, kind in types.items()])
            _write(Path(files[0]), schema.empty_table().to_reader())
        with _failing_as(f"The model {name}"):
            self.session.read.parquet(*files).createOrReplaceTempView(view_name(name))
        self._columns[name], self._files[name] = dict(types), files


class _Task:
    """What runs in a task of Spark: the buckets of one partition, one after another."""

    def __init__(self, name: str, work: Work, folder: str, order: tuple[str, ...]) -> None:
        self._name = name
        self._work = work
        self._folder = folder
        self._order = order

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the lines of the manifest: of each bucket the rows that were read, and its files."""
        attempt = uuid4().hex
        for bucket, rows in by_bucket(batches, self._order):
            lines = [{"bucket": bucket, "relation": self._name, "file": None, "rows": rows.num_rows}]
            with ExitStack() as files:
                writers: dict[str, pq.ParquetWriter] = {}
                counts: Counter[str] = Counter()
                for found in self._work(iter(rows.to_batches()), bucket):
                    for relation, tables in found.items():
                        for table in (table for table in tables if table.num_rows):
                            schema = signed_schema(table.schema)
                            if relation not in writers:
                                place = Path(self._folder, _file(relation, bucket, attempt))
                                place.parent.mkdir(parents=True, exist_ok=True)
                                writers[relation] = files.enter_context(_writer(place, schema))
                            for batch in table.to_batches():
                                writers[relation].write_batch(viewed(batch, schema))
                            counts[relation] += table.num_rows
            lines += [
                {"bucket": bucket, "relation": relation, "file": _file(relation, bucket, attempt), "rows": count}
                for relation, count in counts.items()
            ]
            yield from pa.Table.from_pylist(lines, schema=_MANIFEST).to_batches()


def by_bucket(batches: Iterable[pa.RecordBatch], order: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number of each bucket of a partition and its rows in `order`, nulls last (as Arrow has it).

    Sorted here: Sail leaves out a sort that precedes a function.
    """
    held = [batch for batch in batches if batch.num_rows]
    if not held:
        return
    rows = pa.Table.from_batches(held)
    for bucket in sorted(pc.unique(rows.column(BUCKET)).to_pylist()):
        found = rows.filter(pc.equal(rows.column(BUCKET), bucket)).drop_columns([BUCKET])
        keys = [(column, "ascending") for column in order]
        yield bucket, found.take(pc.sort_indices(found, sort_keys=keys))


def _bits_for(row_count: int) -> int:
    """Return how many high bits of the keys make buckets of about `BUCKET_ROWS`."""
    return min(max((row_count // BUCKET_ROWS).bit_length(), _LEAST_BITS), _MOST_BITS)


def _rows_before(counts: Mapping[int, int], bits: int) -> dict[int, int]:
    """Return the rows of all lower buckets by bucket; `counts` are of buckets of `_MOST_BITS`."""
    coarse: dict[int, int] = {}
    for bucket, count in counts.items():
        coarse[bucket >> (_MOST_BITS - bits)] = coarse.get(bucket >> (_MOST_BITS - bits), 0) + count
    numbers = sorted(coarse)
    return dict(zip(numbers, accumulate((coarse[each] for each in numbers[:-1]), initial=0), strict=True))


def signed_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema with BIGINT for UBIGINT, and plain text for JSON."""
    return pa.schema([pa.field(field.name, _signed(field.type)) for field in schema])


def _signed(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return pa.int64() if pa.types.is_uint64(kind) else kind


def viewed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows in `schema`: 64-bit keys with the same bits, signed or not."""
    return pa.RecordBatch.from_arrays([_as(batch.column(field.name), field.type) for field in schema], schema=schema)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if column.type == kind:
        return column
    return column.view(kind) if {column.type, kind} == {pa.int64(), pa.uint64()} else column.cast(kind)


def _write(place: Path, rows: pa.RecordBatchReader) -> None:
    schema = signed_schema(rows.schema)
    with _writer(place, schema) as writer:
        for batch in rows:
            writer.write_batch(viewed(batch, schema))


def _writer(place: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(place, schema, compression="zstd")


def _file(relation: str, bucket: int, attempt: str) -> str:
    return f"{relation}/bucket-{bucket}-{attempt}.parquet"


def _has_rows(place: Path, count: int) -> bool:
    return place.exists() and pq.read_metadata(place).num_rows == count


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return next((name for name, arrow in _ARROW.items() if arrow == kind), "VARCHAR")


def _arrow_type(kind: str) -> pa.DataType:
    if kind in _ARROW:
        return _signed(_ARROW[kind])
    width, scale = kind.removeprefix("DECIMAL(").removesuffix(")").split(",")
    return pa.decimal128(int(width), int(scale))


def _cast(column: str, kind: str) -> str:
    name = {"VARCHAR": "string", "UBIGINT": "bigint", "INTEGER": "int", "TIMESTAMP": "timestamp_ntz"}.get(kind, kind)
    return f"cast(`{column}` as {name}) as `{column}`"


def _session(address: str) -> SparkSession:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Of versions of pandas, of which nothing is used.
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise InputError("`engine: spark` needs the client of Spark: pip install 'journeyflow[spark]'.") from error
        try:
            _require_listener(address)
            with _main_module_with_file():
                session = SparkSession.builder.remote(address).create()
            session.conf.set("spark.sql.session.timeZone", "UTC")
            session.sql("select 1").toArrow()
        except Exception as error:
            why = type(error).__name__
            raise InputError(f"The Spark Connect server of `spark.address` does not answer ({why}).") from error
    return session


@contextmanager
def _main_module_with_file() -> Iterator[None]:
    """Give the main module a file: where it has none the client takes the process for its own tests, and leaves."""
    main = sys.modules["__main__"]
    has_file = hasattr(main, "__file__")
    if not has_file:
        main.__file__ = ""
    try:
        yield
    finally:
        if not has_file:
            del main.__file__


def _require_listener(address: str) -> None:
    """Raise OSError where nobody listens at the address: the client would try for ten minutes."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname or "", place.port or _PORT), timeout=_ANSWER_SECONDS):
        pass


@contextmanager
def _failing_as(what: str) -> Iterator[None]:
    """Turn an error of the server into one that says that `what` failed, without values of rows."""
    try:
        yield
    except EngineError as error:
        raise EngineError(f"{what}: {error}") from error
    except Exception as error:
        raise EngineError(f"{what} failed on Spark: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return the class of an error, and its condition where Spark names one; messages may quote values of rows."""
    condition = getattr(error, "getCondition", None) or getattr(error, "getErrorClass", None)
    named = condition() if condition else None
    return f"{type(error).__name__} {named}" if named else type(error).__name__
