"""Transfer of parsed records as Arrow files, validated by the receiver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from journeyflow.ingest.files import MAX_RATIO, RefusedFileError, allowed_bytes
from journeyflow.ingest.parser.jobs import Answer, ParserLimits
from journeyflow.ingest.readers.records import KEYS, PLACE_BITS, REJECT_SCHEMA

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
ARROW_RATIO = 4
"""Times as large as a text its records may be: short cells take more room here."""
MAX_DEPTH = 100
"""Levels of nested columns."""


@dataclass
class Budget:
    """What may still be handed over of one file.

    Parameters
    ----------
    rows_left, bytes_left : int
        Counted down; below zero the file is refused.
    """

    rows_left: int
    bytes_left: int

    @classmethod
    def of(cls, byte_count: int, limits: ParserLimits) -> Budget:
        """Return the budget of a file of this size."""
        return cls(limits.row_count, ARROW_RATIO * allowed_bytes(byte_count))

    def spend(self, batch: pa.RecordBatch) -> None:
        """Count a batch.

        Raises
        ------
        RefusedFileError
            When it is one too many.
        """
        self.rows_left -= batch.num_rows
        self.bytes_left -= batch.nbytes
        if self.rows_left < 0:
            raise RefusedFileError("too_many_rows", "it has more records than `limits.rows` allows")
        if self.bytes_left < 0:
            raise RefusedFileError("bomb", f"what it holds unpacks to more than {MAX_RATIO} times its size")


def send_records(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], budget: Budget) -> int:
    """Write batches and return their rows."""
    count = 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for batch in batches:
            budget.spend(batch)
            stream.write_batch(batch)
            count += batch.num_rows
    return count


@dataclass
class ReceivedRecords:
    """A handed over file as something that the database can scan, as often as it wants to.

    Every scan checks every batch to the last offset, and that there are as many rows as was said: the process that
    wrote them may have been taken over by the file that it parsed.
    """

    path: Path
    schema: pa.Schema
    row_count: int
    error: RefusedFileError | None = field(default=None, repr=False)

    def reader(self) -> pa.RecordBatchReader:
        """Return the batches from the first on."""
        return pa.RecordBatchReader.from_batches(self.schema, self.checked())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def checked(self) -> Iterator[pa.RecordBatch]:
        """Yield the batches from the first on.

        Raises
        ------
        RefusedFileError
            When they are not what was said of them; it stays in `error`.
        """
        # The database turns every error of a stream into one of its own, so it is kept.
        try:
            yield from self._batches()
        except RefusedFileError as error:
            self.error = error
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            self.error = distrusted(type(error).__name__)
            raise self.error from error

    def _batches(self) -> Iterator[pa.RecordBatch]:
        count = 0
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            if not stream.schema.equals(self.schema):
                raise distrusted("another schema")
            for batch in stream:
                batch.validate(full=True)
                count += batch.num_rows
                yield batch
        if count != self.row_count:
            raise distrusted("another count")


@dataclass(frozen=True)
class JoinedRecords:
    """Handed over files of one schema, one after the other; their first column tells the file, see `PLACE_BITS`."""

    parts: tuple[ReceivedRecords, ...]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self.parts[0].schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for place, part in enumerate(self.parts):
            for batch in part.checked():
                # What the parser says may be wrong, but never speaks for another file.
                number = pc.bit_wise_and(batch.column(0), (1 << PLACE_BITS) - 1)
                placed = pc.add(number, place << PLACE_BITS) if place else number
                yield pa.RecordBatch.from_arrays([placed, *batch.columns[1:]], schema=batch.schema)


def receive_records(folder: Path, name: str, answer: Answer, limits: ParserLimits) -> ReceivedRecords:
    """Return the records that an answer tells of.

    Raises
    ------
    RefusedFileError
        When their columns are not those that such records have.
    """
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


def rejected(folder: Path, name: str, answer: Answer) -> ReceivedRecords:
    """Return the records that could not be read."""
    return ReceivedRecords(folder / name, REJECT_SCHEMA, answer.reject_count)


def distrusted(what: str) -> RefusedFileError:
    """Return the refusal of a file whose parser handed over something else than it was asked for."""
    return RefusedFileError("distrusted", f"what its parser handed over is not what it should be ({what})")


def _is_known(kind: pa.DataType, depth: int = 0) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if any(is_it(kind) for is_it in _PLAIN):
        return True
    inner = [kind.field(index).type for index in range(kind.num_fields)]
    return depth < MAX_DEPTH and any(is_it(kind) for is_it in _NESTED) and all(_is_known(k, depth + 1) for k in inner)
