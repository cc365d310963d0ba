"""What the run and the parser process exchange: jobs and answers as JSON lines, records as Arrow files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from journeyflow.ingest.files import MAX_RATIO, RefusedFileError, allowed_bytes
from journeyflow.ingest.parser.records import KEYS, PLACE_BITS, REJECT_SCHEMA, Shape
from journeyflow.utils.formatting import escaped

SHAPES = ("columns", "json", "lines")
MAX_DETAIL = 1_000
PARSING = 1
"""Version of the readers: a higher one has all files parsed again, where their bytes are still there."""
ARROW_RATIO = 4
"""The records of a text may take this many times its size: short cells take more room in Arrow."""
MAX_DEPTH = 100
"""Levels of nested columns."""
_PLAIN = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_interval,
    pa.types.is_null,
)
_NESTED = (pa.types.is_list, pa.types.is_struct, pa.types.is_map, pa.types.is_fixed_size_list)


@dataclass(frozen=True)
class ParserLimits:
    """What one file may cost; `seconds` limits both elapsed and processor time."""

    file_bytes: int = 64_000_000_000
    memory_bytes: int = 1_000_000_000
    seconds: int = 3_600
    row_count: int = 1_000_000_000
    column_count: int = 10_000

    def to_json(self) -> str:
        """Return the limits as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Job:
    """A copied file to parse, and how it is written.

    `file` is a name in the run's folder of copies; `byte_count` is the size of the input file.
    """

    file: str
    byte_count: int
    format: str
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    header: bool | tuple[str, ...] = True
    records: str | None = None
    pad_short_rows: bool = False
    sheet: str | None = None

    @property
    def reading_hash(self) -> str:
        """Hash of all that decides what a parser makes of the bytes of a file."""
        how = {name: value for name, value in asdict(self).items() if name not in ("file", "byte_count")}
        if how["sheet"] is None:
            del how["sheet"]  # Records that were archived before there was this key are still read as they would be.
        return hashlib.sha256(json.dumps([PARSING, how], sort_keys=True).encode()).hexdigest()[:32]

    @property
    def rows_file(self) -> str:
        """Name of the Arrow file of records."""
        return f"{self.file}.rows"

    @property
    def rejects_file(self) -> str:
        """Name of the Arrow file of records that cannot be parsed."""
        return f"{self.file}.rejects"

    def to_line(self) -> bytes:
        """Return the job as a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Job:
        """Read what `to_line` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class Answer:
    """What the parser process says of the records that it wrote: see `RawRecords`."""

    shape: Shape
    names: tuple[str, ...]
    row_count: int
    reject_count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as the content of a JSON line."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: object) -> Answer:
        """Read what `to_dict` wrote; every value is checked and raises ValueError when it is not possible."""
        if not isinstance(message, dict) or set(message) != {field.name for field in fields(cls)}:
            raise ValueError("other keys")
        names, counts = message["names"], (message["row_count"], message["reject_count"])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("other names")
        if message["shape"] not in SHAPES or not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("other values")
        return cls(message["shape"], tuple(names), *counts)


def refusal(message: object) -> RefusedFileError:
    """Return the refusal that a message states; ValueError when it states none."""
    match message:
        case [str(reason), str(detail)]:
            return RefusedFileError(escaped(reason[:100]), escaped(detail[:MAX_DETAIL]))
    raise ValueError("other values")


def distrusted(what: str) -> RefusedFileError:
    """Return the refusal of a file whose parser wrote something other than it was asked for."""
    return RefusedFileError("distrusted", f"what its parser handed over is not what it should be ({what})")


@dataclass
class Budget:
    """Rows and bytes that may still be written for one file; below zero the file is refused."""

    rows_left: int
    bytes_left: int

    @classmethod
    def of(cls, byte_count: int, limits: ParserLimits) -> Budget:
        """Return the budget of a file of this size."""
        return cls(limits.row_count, ARROW_RATIO * allowed_bytes(byte_count))

    def spend(self, batch: pa.RecordBatch) -> None:
        """Count a batch; refuse the file when it is one too many."""
        self.rows_left -= batch.num_rows
        self.bytes_left -= batch.nbytes
        if self.rows_left < 0:
            raise RefusedFileError("too_many_rows", "it has more records than `limits.rows` allows")
        if self.bytes_left < 0:
            raise RefusedFileError("bomb", f"what it holds unpacks to more than {MAX_RATIO} times its size")


HELD_BYTES = 1 << 17
"""Records up to this size stay in memory once they are read: those of a batch of small files are read several times."""


def send_records(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], budget: Budget) -> int:
    """Write batches to an Arrow file and return their rows."""
    count = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for batch in batches:
            budget.spend(batch)
            stream.write_batch(batch)
            count += batch.num_rows
    return count


@dataclass
class ReceivedRecords:
    """An Arrow file of the parser process that the database can scan repeatedly.

    Every batch that is read is validated, and so is the row count: the input file may have taken over the process that
    wrote it. A small file is read once.
    """

    path: Path
    schema: pa.Schema
    row_count: int
    error: RefusedFileError | None = field(default=None, repr=False)
    _held: list[pa.RecordBatch] | None = field(default=None, repr=False)

    def reader(self) -> pa.RecordBatchReader:
        """Return the batches from the first on."""
        return pa.RecordBatchReader.from_batches(self.schema, self.checked())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def checked(self) -> Iterator[pa.RecordBatch]:
        """Yield the validated batches; a refusal is raised and remembered in `error`."""
        # The database replaces every error of a stream by another one.
        try:
            yield from self._batches()
        except RefusedFileError as error:
            self.error = error
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            self.error = distrusted(type(error).__name__)
            raise self.error from error

    def _batches(self) -> Iterator[pa.RecordBatch]:
        if self._held is not None:
            yield from self._held
            return
        if not self.row_count and not self.path.exists():
            return
        held: list[pa.RecordBatch] | None = [] if self.path.stat().st_size <= HELD_BYTES else None
        count = 0
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            if not stream.schema.equals(self.schema):
                raise distrusted("another schema")
            for batch in stream:
                batch.validate(full=True)
                count += batch.num_rows
                if held is not None:
                    held.append(batch)
                yield batch
        if count != self.row_count:
            raise distrusted("another count")
        self._held = held


class RecordStream(Protocol):
    """Records of one file that can be scanned repeatedly."""

    schema: pa.Schema
    error: RefusedFileError | None

    def checked(self) -> Iterator[pa.RecordBatch]:
        """Yield the validated batches; a refusal is raised and remembered in `error`."""


@dataclass(frozen=True)
class ParsedFile:
    """A parsed file: what the parser says of it, and its records; `erased_count` are those that erasures removed."""

    answer: Answer
    rows: RecordStream
    rejects: RecordStream
    erased_count: int = 0

    def is_like(self, other: ParsedFile) -> bool:
        """Return whether the same statements can read both."""
        mine, theirs = self.answer, other.answer
        is_alike = (mine.shape, mine.names) == (theirs.shape, theirs.names)
        return is_alike and self.rows.schema.equals(other.rows.schema)


@dataclass(frozen=True)
class JoinedRecords:
    """The records of files of one schema, one after the other.

    The first column holds the file's place, see `PLACE_BITS`; rejects get a column `reject_ix`, 0-based in their file.
    """

    parts: tuple[RecordStream, ...]
    are_rejects: bool = False

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        schema = self.parts[0].schema
        if self.are_rejects:
            schema = schema.append(_REJECT_IX)
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema)).__arrow_c_stream__(requested_schema)

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow.compute as pc  # Slow to import, and the parser process does not need it.

        for place, part in enumerate(self.parts):
            done = 0
            for batch in part.checked():
                # The parser's number may be wrong; masked, it cannot point to another file.
                number = masked(batch.column(0))
                columns = [pc.add(number, place << PLACE_BITS) if place else number, *batch.columns[1:]]
                if self.are_rejects:
                    columns.append(pa.array(range(done, done + batch.num_rows), _REJECT_IX.type))
                done += batch.num_rows
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


_REJECT_IX = pa.field("reject_ix", pa.int64())


def masked(numbers: pa.Array) -> pa.Array:
    """Return the numbers of records without the bits of a place."""
    import pyarrow.compute as pc

    return pc.bit_wise_and(numbers, (1 << PLACE_BITS) - 1)


def receive_records(folder: Path, name: str, answer: Answer, limits: ParserLimits) -> ReceivedRecords:
    """Return the records that an answer describes; a file of other columns is refused."""
    path = folder / name
    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            schema = stream.schema
    except (pa.ArrowException, OSError, ValueError) as error:
        raise distrusted(type(error).__name__) from error
    extra = {"columns": [f"c{index}" for index in range(len(answer.names))], "json": ["record", "parent"]}
    expected = [*KEYS.names, *extra.get(answer.shape, ["line"])]
    is_keyed = schema.names == expected and [schema.field(name).type for name in KEYS.names] == KEYS.types
    if not is_keyed or len(expected) > limits.column_count + len(KEYS) or not all(map(_is_known, schema.types)):
        raise distrusted("another schema")
    return ReceivedRecords(path, schema, answer.row_count)


def receive_rejects(folder: Path, name: str, answer: Answer) -> ReceivedRecords:
    """Return the records that could not be parsed."""
    return ReceivedRecords(folder / name, REJECT_SCHEMA, answer.reject_count)


def _is_known(kind: pa.DataType, depth: int = 0) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if any(is_it(kind) for is_it in _PLAIN):
        return True
    inner = [kind.field(index).type for index in range(kind.num_fields)]
    return depth < MAX_DEPTH and any(is_it(kind) for is_it in _NESTED) and all(_is_known(k, depth + 1) for k in inner)
