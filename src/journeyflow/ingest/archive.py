"""Record archive: what every loaded file said, as Parquet files named by the hash of their content."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from journeyflow.errors import JourneyflowError
from journeyflow.ingest.files import FOLDER, RefusedFileError
from journeyflow.ingest.parser.records import KEYS, PLACE_BITS, REJECT_SCHEMA
from journeyflow.ingest.parser.transfer import Answer, ParsedFile, masked
from journeyflow.ingest.suppression import find_texts_naming
from journeyflow.utils.files import sha256, sync

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine


ENDING = "records.parquet"
_NAME = re.compile(rf"[0-9a-f]{{64}}\.{re.escape(ENDING)}")
_UNFINISHED = "unfinished"
_METADATA = b"journeyflow"
_GROUP_ROWS = 1 << 20
_GROUP_BYTES = 1 << 27
"""Records that are held in memory until they are written as one row group: fewer take a half more space and time."""
_SMALL_ROWS = 1_000
"""Of fewer records no dictionary is written: it would be larger."""
READ_ROWS = 10_240
_LEVEL = 1
"""Of Zstandard: with dictionaries the higher levels save little."""
_DAMAGED = "its archived records are damaged; put the file back, or the archived records from a backup"

Change = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass
class ArchivedRecords:
    """Records, or rejects, in some row groups of an archived file, which the database can scan repeatedly."""

    path: Path
    schema: pa.Schema
    groups: range
    error: RefusedFileError | None = field(default=None, repr=False)

    def checked(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches; a refusal is raised and remembered in `error`."""
        if not self.groups:
            return
        try:
            with pq.ParquetFile(self.path) as file:
                yield from map(self._cast, file.iter_batches(READ_ROWS, list(self.groups), self.schema.names))
        except (pa.ArrowException, OSError, ValueError) as error:
            self.error = RefusedFileError("changed", _DAMAGED)
            raise self.error from error

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(batch.columns, schema=self.schema)


@dataclass(frozen=True)
class ArchivedFile(ParsedFile):
    """An archived file; see `ParsedFile`.

    Its records keep their numbers in the file when others are erased. `is_renumbered`: an earlier version rewrote the
    file before, so its row numbers may differ from those of the warehouse.
    """

    is_renumbered: bool = False


@dataclass(frozen=True)
class RecordArchive:
    """The archived records in the folder `raw` of the state folder `state`."""

    state: Path

    @property
    def folder(self) -> Path:
        """The folder of the archived files."""
        return self.state / FOLDER

    def path(self, archive_sha256: str) -> Path:
        """Return where records of this hash are archived."""
        return self.folder / f"{archive_sha256}.{ENDING}"

    def holds(self, archive_sha256: str | None) -> bool:
        """Return whether records of this hash are archived."""
        return bool(archive_sha256) and self.path(archive_sha256 or "").is_file()

    def is_sound(self, archive_sha256: str | None) -> bool:
        """Return whether records of this hash are archived and have this hash."""
        return self.holds(archive_sha256) and sha256(self.path(archive_sha256 or "")) == archive_sha256

    def contents(self) -> set[str]:
        """Return the hashes of all archived records."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return {path.name.split(".", 1)[0] for path in found if _NAME.fullmatch(path.name)}

    def remove(self, archive_hashes: Iterable[str]) -> None:
        """Remove archived records."""
        for each in archive_hashes:
            self.path(each).unlink(missing_ok=True)

    def read(self, archive_sha256: str) -> ArchivedFile:
        """Return archived records; RefusedFileError when they are missing or damaged."""
        if not self.is_sound(archive_sha256):
            raise RefusedFileError("changed", _DAMAGED)
        path = self.path(archive_sha256)
        with pq.ParquetFile(path) as file:
            schema, held = file.schema_arrow, json.loads(file.metadata.metadata[_METADATA])
            group_count = file.num_row_groups
        answer = Answer(held["shape"], tuple(held["names"]), held["row_count"], held["reject_count"])
        fields = [schema.field(name) for name in _row_names(answer)]
        rows = ArchivedRecords(path, pa.schema(fields), range(held["group_count"]))
        rejects = ArchivedRecords(path, REJECT_SCHEMA, range(held["group_count"], group_count))
        return ArchivedFile(answer, rows, rejects, held["erased_count"], held["is_renumbered"])

    def write(
        self,
        name: str,
        parsed: ParsedFile,
        removed: Collection[int] = (),
        *,
        change: Change | None = None,
        is_renumbered: bool = False,
    ) -> str:
        """Archive the records of a file but for `removed` ones, and return their hash; all or nothing is written.

        `flush` must follow before anything points to them. Records have their `record_ix` as number, rejects -1, -2, …
        in their order. `change` is applied to every batch of records. `name` is that of the file, for errors.
        """
        fresh = self.folder / f"{'0' * 64}.records.{_UNFINISHED}"
        erased_count = parsed.erased_count + len(set(removed))
        held = {"erased_count": erased_count, "is_renumbered": is_renumbered or getattr(parsed, "is_renumbered", False)}
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", 0) as file:
                    target = _Hashed(file)
                    _write(target, parsed, removed, change, held)
                sync(fresh)
                found = target.digest.hexdigest()
                fresh.replace(self.path(found))
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._failure(f"the records of {name}", error) from error
        return found

    def flush(self) -> None:
        """Flush the names of archived records to the disk, once for all that were written."""
        try:
            if self.folder.is_dir():
                sync(self.folder)
        except OSError as error:
            raise self._failure("records", error) from error

    def _failure(self, what: str, error: OSError) -> JourneyflowError:
        return JourneyflowError(
            f"Cannot archive {what} in {self.folder}: {error.strerror or type(error).__name__}. See that the disk has "
            "room, or set `retention` to keep less."
        )


def _row_names(answer: Answer) -> list[str]:
    extra = {"columns": [f"c{index}" for index in range(len(answer.names))], "json": ["record", "parent"]}
    return [*KEYS.names, *extra.get(answer.shape, ["line"])]


_REJECT_COLUMNS = [field for field in REJECT_SCHEMA if field.name not in KEYS.names]


class _Hashed:
    """A file that is hashed while it is written."""

    closed = False

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, block: bytes) -> int:
        """Write a block whole."""
        self.digest.update(block)
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(block)

    def tell(self) -> int:
        """Return the bytes written."""
        return self._file.tell()

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> None:
        """Leave the file to who opened it."""


def _write(target: _Hashed, parsed: ParsedFile, removed: Collection[int], change: Change | None, held: Any) -> None:  # noqa: ANN401 — JSON
    has_rejects = parsed.answer.reject_count > 0
    schema = pa.schema([*parsed.rows.schema, *(_REJECT_COLUMNS if has_rejects else [])])
    is_large = parsed.answer.row_count >= _SMALL_ROWS
    with pq.ParquetWriter(
        pa.PythonFile(target, mode="w"),
        schema,
        compression="zstd",
        compression_level=_LEVEL,
        write_statistics=False,
        # Texts need no description, which is larger than the records of a small file.
        store_schema=any(kind not in (pa.string(), pa.int64()) for kind in schema.types),
        use_dictionary=[column.name for column in schema if not _is_number(column.type)] if is_large else False,
        column_encoding={column.name: "DELTA_BINARY_PACKED" for column in schema if _is_number(column.type)},
    ) as writer:
        kept = (_kept(batch, masked(batch.column(0)), removed) for batch in parsed.rows.checked())
        held["row_count"], held["group_count"] = _write_groups(
            writer, schema, (change(batch) for batch in kept) if change else kept
        )
        rejects = _kept_rejects(parsed.rejects.checked(), removed) if has_rejects else iter(())
        held["reject_count"], _ = _write_groups(writer, schema, rejects)
        held |= {"shape": parsed.answer.shape, "names": parsed.answer.names}
        writer.add_key_value_metadata({_METADATA: json.dumps(held, sort_keys=True)})


def _is_number(kind: pa.DataType) -> bool:
    """Return whether the differences of a column's values are written: numbers and times follow one another."""
    return bool(pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date32(kind))


def _write_groups(writer: pq.ParquetWriter, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> tuple[int, int]:
    """Write batches in groups of limited size; return the numbers of rows and groups."""
    row_count = group_count = 0
    held: list[pa.RecordBatch] = []

    def write() -> None:
        nonlocal group_count
        table = pa.Table.from_batches(held, schema)
        for start in range(0, table.num_rows, _GROUP_ROWS):
            writer.write_table(table.slice(start, _GROUP_ROWS), row_group_size=_GROUP_ROWS)
            group_count += 1
        held.clear()

    for batch in batches:
        if batch.num_rows:
            held.append(_filled(batch, schema))
            row_count += batch.num_rows
        if sum(each.num_rows for each in held) >= _GROUP_ROWS or sum(each.nbytes for each in held) >= _GROUP_BYTES:
            write()
    write()
    return row_count, group_count


def _filled(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Add the columns that a batch lacks: a reject has no fields, and a record no reason."""
    if batch.schema.equals(schema):
        return batch
    found = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = [found.get(column.name, _nulls(batch.num_rows, column.type)) for column in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _nulls(count: int, kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(count, kind.storage_type))
    return pa.nulls(count, kind)


def _kept(batch: pa.RecordBatch, numbers: pa.Array, removed: Collection[int]) -> pa.RecordBatch:
    if not removed:
        return batch
    return batch.filter(pc.invert(pc.is_in(numbers, pa.array(removed, pa.int64()))))


def _kept_rejects(batches: Iterator[pa.RecordBatch], removed: Collection[int]) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        yield _kept(batch, _reject_numbers(done, batch), removed)
        done += batch.num_rows


def _reject_numbers(done: int, batch: pa.RecordBatch) -> pa.Array:
    return pa.array(range(-1 - done, -1 - done - batch.num_rows, -1), pa.int64())


_ERASED_NUMBERS = f"""
select
    coalesce(record_ix, source_row) >> {PLACE_BITS} as place,
    coalesce(record_ix & {(1 << PLACE_BITS) - 1}, -1 - reject_ix) as number
from erased_records
order by place, number
"""


def erased_numbers(warehouse: DuckDBEngine) -> dict[int, list[int]]:
    """Return the numbers of `erased_records` by the place of their file, as `RecordArchive.write` wants them."""
    found: dict[int, list[int]] = {}
    for row in warehouse.rows(_ERASED_NUMBERS).to_pylist():
        found.setdefault(row["place"], []).append(row["number"])
    return found


def rows_without_others(parsed: ParsedFile, removed: Collection[int]) -> list[int]:
    """Return the rows of a file all of whose records are removed."""
    rows, others = list[pa.Array](), list[pa.Array]()
    wanted = pa.array(removed, pa.int64())
    for batch in parsed.rows.checked():
        _divide(masked(batch.column(0)), batch.column(1), wanted, rows, others)
    done = 0
    for batch in parsed.rejects.checked():
        _divide(_reject_numbers(done, batch), batch.column(0), wanted, rows, others)
        done += batch.num_rows
    gone = pa.chunked_array(rows, pa.int64()).unique()
    kept = pc.is_in(gone, pa.chunked_array(others, pa.int64()).combine_chunks())
    found: list[int] = gone.filter(pc.invert(kept)).to_pylist()
    return found


def _divide(
    numbers: pa.Array, places: pa.Array, wanted: pa.Array, rows: list[pa.Array], others: list[pa.Array]
) -> None:
    is_wanted = pc.is_in(numbers, wanted)
    rows.append(places.filter(is_wanted))
    others.append(places.filter(pc.invert(is_wanted)))


_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*')
"""A text or a number of JSON."""


def blanking(warehouse: DuckDBEngine, numbers: Collection[int]) -> Change:
    """Return a change of records with these numbers: what names an erased person in them becomes blank.

    A column is null then, a text of JSON is empty, and a number of JSON is null. The macros of `suppression.sql` must
    exist.
    """
    wanted = pa.array(numbers, pa.int64())

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        places = pc.indices_nonzero(pc.is_in(masked(batch.column(0)), wanted)).to_pylist()
        columns = [
            column if not places or name in KEYS.names else _blanked(warehouse, column, places)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    return change


def _blanked(warehouse: DuckDBEngine, column: pa.Array, places: list[int]) -> pa.Array:
    part = _JSON_PART if isinstance(column.type, pa.JsonType) else None
    texts = {place: text for place in places if (text := _text(column[place].as_py())) is not None}
    parts = {place: part.findall(text) if part else [text] for place, text in texts.items()}
    named = _naming(warehouse, sorted({each for found in parts.values() for each in found}))
    changed = {place for place, found in parts.items() if not named.isdisjoint(found)}
    if not changed:
        return column
    held = column.storage if isinstance(column.type, pa.BaseExtensionType) else column
    fresh = pa.nulls(len(changed), held.type)
    if part:
        blank = {each: '""' if each.startswith('"') else "null" for each in named}
        replaced = [part.sub(lambda it: blank.get(it[0], it[0]), texts[place]) for place in sorted(changed)]
        fresh = pa.array(replaced, held.type)
    places_of = {place: at for at, place in enumerate(sorted(changed))}
    taken = pa.array([len(held) + places_of[at] if at in places_of else at for at in range(len(held))], pa.int64())
    held = pa.concat_arrays([held, fresh]).take(taken)
    return pa.ExtensionArray.from_storage(column.type, held) if isinstance(column.type, pa.BaseExtensionType) else held


def _naming(warehouse: DuckDBEngine, texts: Sequence[str]) -> set[str]:
    """Return those texts that name an erased person."""
    table = pa.table({"row_id": pa.array(range(len(texts)), pa.int64()), "text": pa.array(texts, pa.string())})
    warehouse.scratch("parts_of_records", table.to_reader())
    find_texts_naming(warehouse, "select row_id, text from parts_of_records")
    return {texts[row] for row in warehouse.rows("select row_id from naming_texts").column(0).to_pylist()}


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
