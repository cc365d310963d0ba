"""Parser process: confined, reads one file per job and writes its records as Arrow.

Every run that reads a file starts it, so it imports only what its jobs need: of CSV no database.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from journeyflow.errors import EngineError
from journeyflow.ingest.files import RefusedFileError, allowed_bytes, kind_of, opened
from journeyflow.ingest.parser.csv import SEPARATOR_LINE, Dialect, read_csv
from journeyflow.ingest.parser.records import REJECT_SCHEMA, Parsed
from journeyflow.ingest.parser.transfer import ARROW_RATIO, Answer, Budget, Job, ParserLimits, send_records

if TYPE_CHECKING:
    from journeyflow.engines import DuckDBEngine

HEAD_BYTES = 1 << 16
SPILL = "spill"
DATABASE_SHARE = 0.4
"""Share of the memory that the database may use before it spills; the rest is for lines, batches and libraries."""
READY = {"ready": True}
OPEN_FILES = 64
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FIRST_VICTIM = 1000


class Databases:
    """The database that parses JSON and Parquet: opened when first needed, replaced after a failure."""

    def __init__(self) -> None:
        self._engine: DuckDBEngine | None = None

    @contextmanager
    def engine(self, folder: Path, limits: ParserLimits) -> Iterator[DuckDBEngine]:
        """Lend the database without tables."""
        from journeyflow.ingest.parser.lines import TABLES

        engine = self._engine or _engine(folder, limits)
        self._engine = None
        try:
            yield engine
            for name in TABLES:
                engine.drop(name)
        except BaseException:
            engine.close()
            raise
        self._engine = engine


def parse(folder: Path, job: Job, limits: ParserLimits, databases: Databases | None = None) -> Answer:
    """Parse the file of a job in `folder` and write its records there.

    Collectors export one format in several containers; the first bytes decide: Parquet's magic number, a workbook,
    JSON's brace or bracket, else delimited text (by tabs when the header has any).
    """
    path = folder / job.file
    budget = Budget.of(job.byte_count, limits)
    with _parsed(folder, path, job, limits, databases or Databases()) as parsed:
        row_count = send_records(folder / job.rows_file, parsed.schema, parsed.batches, budget)
        rejects = iter(parsed.rejects())
        reject_count = 0
        if (first := next(rejects, None)) is not None:  # Most files have none, and need no file of them.
            reject_count = send_records(folder / job.rejects_file, REJECT_SCHEMA, chain([first], rejects), budget)
    return Answer(parsed.shape, parsed.names, row_count, reject_count)


@contextmanager
def _parsed(folder: Path, path: Path, job: Job, limits: ParserLimits, databases: Databases) -> Iterator[Parsed]:
    container = container_of(path, job.format)
    if container == "lines":
        from journeyflow.ingest.parser.lines import read_lines

        with opened(path) as stream:
            yield read_lines(stream, job.encoding)
    elif container == "csv":
        with opened(path) as stream:
            yield read_csv(stream, dialect_of(path, job), limits.column_count)
    elif container == "xlsx":
        from journeyflow.ingest.parser.excel import read_excel

        yield read_excel(path, job.sheet, job.header, limits.column_count)
    else:
        with databases.engine(folder, limits) as engine:
            if container == "parquet":
                from journeyflow.ingest.parser.parquet import read_parquet

                yield read_parquet(engine, path, limits.column_count)
            else:
                from journeyflow.ingest.parser.lines import read_json_lines

                yield read_json_lines(engine, path, job.encoding, job.records)


def _engine(folder: Path, limits: ParserLimits) -> DuckDBEngine:
    from journeyflow.engines import DuckDBEngine

    memory = f"{int(limits.memory_bytes * DATABASE_SHARE) >> 20}MB"
    return DuckDBEngine(memory_limit=memory, threads=1, temp_folder=folder / SPILL, folders=[folder], is_lossless=True)


def container_of(path: Path, form: str) -> str:
    """Return the container of a file: ``parquet``, ``xlsx``, ``jsonl``, ``csv`` or ``lines``."""
    if form in {"csv", "jsonl", "parquet", "xlsx"}:
        return form
    if form == "access_log":
        return "lines"
    with path.open("rb") as stream:
        kind = kind_of(stream.read(4))
    if kind == "parquet":
        return "parquet"
    if kind == "zip":
        from journeyflow.ingest.parser.excel import is_workbook

        if is_workbook(path):
            return "xlsx"
    head = _head(path)
    if head.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def dialect_of(path: Path, job: Job) -> Dialect:
    """Return how delimited text is written."""
    delimiter, head = job.delimiter, _head(path)
    if job.format != "csv" and delimiter == "," and b"\t" in head.split(b"\n", 1)[0]:
        delimiter = "\t"
    lines = head.decode(job.encoding, "ignore").lstrip("\ufeff").splitlines()[:2]
    # Spreadsheets state the separator in a line of its own, and write by it.
    if lines and (stated := SEPARATOR_LINE.fullmatch(lines[0])):
        delimiter, lines = stated[1], lines[1:]
    separators = lines[0].count(delimiter) if lines else 0
    has_blanks = separators > 0 and lines[0].count(f"{delimiter} ") == separators and delimiter != " "
    return Dialect(delimiter, job.quote, job.encoding, job.header, job.pad_short_rows, has_blanks)


def _head(path: Path) -> bytes:
    with opened(path) as stream:
        return stream.read(HEAD_BYTES)


def main() -> None:
    """Serve until the input ends."""
    parent, limits = int(sys.argv[2]), ParserLimits(**json.loads(sys.argv[3]))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Output of libraries must not mix with answers.
    _die_with(parent)
    _confine(limits)
    _write(answers, READY)
    databases = Databases()
    for line in sys.stdin.buffer:
        _write(answers, answer(Job.from_line(line), Path(), limits, databases))


def answer(job: Job, folder: Path, limits: ParserLimits, databases: Databases) -> dict[str, Any]:
    """Do a job; the message is `done`, `refused` with reason and detail, or `failed` for lack of disk space."""
    try:
        _allow(job, limits)
        return {"done": parse(folder, job, limits, databases).to_dict()}
    except RefusedFileError as error:
        return {"refused": [error.reason, error.detail]}
    except MemoryError:
        return {"refused": ["too_large", "reading it takes more memory than `limits.memory` allows"]}
    except (EngineError, OSError) as error:
        if getattr(error, "errno", None) in _FULL or "No space left" in str(error):
            return {"failed": "No space left on device"}
        return {"refused": _reason(error)}
    except Exception as error:  # A defect of a reader must cost one file only.
        return {"refused": _reason(error)}


def _reason(error: Exception) -> list[str]:
    if any(sign in str(error) for sign in ("Out of Memory", "allocat")):
        return ["too_large", "reading it takes more memory than `limits.memory` allows"]
    if getattr(error, "errno", None) == errno.EFBIG:
        return ["bomb", "what it holds unpacks to more than is allowed"]
    return ["unreadable", f"it cannot be read ({type(error).__name__})"]


def _write(answers: Any, content: dict[str, Any]) -> None:  # noqa: ANN401 — a raw file
    rest = memoryview(json.dumps(content).encode() + b"\n")
    while rest:
        rest = rest[answers.write(rest) :]


def _die_with(parent: int) -> None:
    """End with the run, however it ends, and be the first victim where the machine runs out of memory."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_VICTIM))


def _confine(limits: ParserLimits) -> None:
    os.umask(0o077)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    # Limits allocations on Linux; it has no effect elsewhere, where a limit of the address space would be too strict.
    _limit(resource.RLIMIT_DATA, limits.memory_bytes)


def _allow(job: Job, limits: ParserLimits) -> None:
    """Set the soft limits of processor time and file size for one job."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + limits.seconds + 1, is_soft=True)
    # Records are counted as they are written; this limits what the database spills.
    _limit(resource.RLIMIT_FSIZE, 2 * ARROW_RATIO * allowed_bytes(job.byte_count), is_soft=True)


def _limit(what: int, value: int, *, is_soft: bool = False) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, hard if is_soft else value))
