"""The process that parses: it takes jobs from its input, one a line, and answers each with a line.

It holds nothing that is worth taking: no connection to the warehouse, no key, no environment. What it may use up is
limited before it sees the first byte of a stranger.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from journeyflow.errors import EngineError
from journeyflow.ingest.files import RefusedFileError, allowed_bytes
from journeyflow.ingest.parsing import work
from journeyflow.ingest.parsing.handover import ARROW_RATIO
from journeyflow.ingest.parsing.jobs import Job, Limits

READY = {"ready": True}
OPEN_FILES = 64
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""
_FULL = {errno.ENOSPC, errno.EDQUOT}
_FIRST_VICTIM = 1000


def main() -> None:
    """Serve until the input ends."""
    parent, limits = int(sys.argv[2]), Limits(**json.loads(sys.argv[3]))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What a library prints is no answer.
    _die_with(parent)
    _confine(limits)
    _write(answers, READY)
    databases = work.Databases()
    for line in sys.stdin.buffer:
        _write(answers, answer(Job.read(line), Path(), limits, databases))


def answer(job: Job, folder: Path, limits: Limits, databases: work.Databases) -> dict[str, Any]:
    """Do a job and tell how it went: `done`, `refused` with reason and detail, or `failed` for want of room."""
    try:
        _allow(job, limits)
        return {"done": work.parse(folder, job, limits, databases).written()}
    except RefusedFileError as error:
        return {"refused": [error.reason, error.detail]}
    except MemoryError:
        return {"refused": ["too_large", "reading it takes more memory than `limits.memory` allows"]}
    except (EngineError, OSError) as error:
        if getattr(error, "errno", None) in _FULL or "No space left" in str(error):
            return {"failed": "No space left on device"}
        return {"refused": _told(error)}
    except Exception as error:  # A defect of a reader costs the file that showed it.
        return {"refused": _told(error)}


def _told(error: Exception) -> list[str]:
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
    """End when the run ends, however it ends; and be the one that ends where the machine runs out of memory."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_VICTIM))


def _confine(limits: Limits) -> None:
    os.umask(0o077)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    # Of Linux, what is allocated; elsewhere it does nothing, and the address space has no honest limit.
    _limit(resource.RLIMIT_DATA, limits.memory_bytes)


def _allow(job: Job, limits: Limits) -> None:
    """Give a job its time and its room; both are counted by the system, and only the soft limits move."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + limits.seconds + 1, is_soft=True)
    # What is handed over is counted as it is written; this is for what the database spills.
    _limit(resource.RLIMIT_FSIZE, 2 * ARROW_RATIO * allowed_bytes(job.byte_count), is_soft=True)


def _limit(what: int, value: int, *, is_soft: bool = False) -> None:
    hard = resource.getrlimit(what)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (value, hard if is_soft else value))
