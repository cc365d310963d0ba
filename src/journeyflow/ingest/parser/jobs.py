"""Jobs for the parser process and their answers: one line of JSON each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.readers.records import Shape
from journeyflow.utils.formatting import escaped

SHAPES = ("columns", "json", "lines")
MAX_DETAIL = 1_000


@dataclass(frozen=True)
class ParserLimits:
    """What one file may cost.

    Parameters
    ----------
    file_bytes : int
        Its size.
    memory_bytes : int
        What the process that parses it may allocate.
    seconds : int
        How long it may work on it, by the clock and by the processor.
    row_count, column_count : int
        Its records, and the columns of its header.
    """

    file_bytes: int = 64_000_000_000
    memory_bytes: int = 1_000_000_000
    seconds: int = 3_600
    row_count: int = 1_000_000_000
    column_count: int = 10_000

    def written(self) -> str:
        """Return them as JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Job:
    """A staged file to be parsed, and how it is written.

    `file` is a plain name in the folder of the run, `byte_count` the size of the file as it came.
    """

    file: str
    byte_count: int
    format: str
    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    has_header: bool = True
    records: str | None = None

    @property
    def rows_file(self) -> str:
        """Where the records are handed over."""
        return f"{self.file}.rows"

    @property
    def rejects_file(self) -> str:
        """Where the records that cannot be read are handed over."""
        return f"{self.file}.rejects"

    def written(self) -> bytes:
        """Return it as a line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Job:
        """Return what `written` wrote."""
        return cls(**json.loads(line))


@dataclass(frozen=True)
class Answer:
    """What was handed over: see `RawRecords`."""

    shape: Shape
    names: tuple[str, ...]
    row_count: int
    reject_count: int

    def written(self) -> dict[str, Any]:
        """Return it as the content of a line."""
        return asdict(self)

    @classmethod
    def read(cls, said: object) -> Answer:
        """Return what `written` wrote; nothing in it is believed.

        Raises
        ------
        ValueError
            When it is no answer.
        """
        if not isinstance(said, dict) or set(said) != {field.name for field in fields(cls)}:
            raise ValueError("other keys")
        names, counts = said["names"], (said["row_count"], said["reject_count"])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("other names")
        if said["shape"] not in SHAPES or not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("other values")
        return cls(said["shape"], tuple(names), *counts)


def refusal(said: object) -> RefusedFileError:
    """Return the refusal that an answer tells of.

    Raises
    ------
    ValueError
        When it tells of none.
    """
    match said:
        case [str(reason), str(detail)]:
            return RefusedFileError(escaped(reason[:100]), escaped(detail[:MAX_DETAIL]))
    raise ValueError("other values")
