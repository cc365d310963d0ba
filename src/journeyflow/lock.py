"""One run at a time: an operating-system lock on a file of the state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from journeyflow.errors import InputError, LockedError


@contextmanager
def held(state: Path) -> Iterator[None]:
    """Hold the lock of the state folder; the system frees it when the process dies.

    Parameters
    ----------
    state : Path
        The state folder, made when missing.

    Raises
    ------
    LockedError
        When another run holds it; names its process and when it started.
    InputError
        When the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    holder = state / "run.holder.json"
    # Not per thread: a flow may load in one thread and publish in another.
    lock = FileLock(state / "run.lock", timeout=0, thread_local=False)
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise LockedError(f"Another run holds {lock.lock_file}{_described(holder)}. Wait for it to end.") from error
    except OSError as error:
        raise InputError(
            f"Cannot write in the state folder {state}: {error.strerror or type(error).__name__}. It must be a folder "
            "that this user may write to, on a disk with room."
        ) from error
    try:
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        holder.write_text(json.dumps({"pid": os.getpid(), "started_at": started}), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _described(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        return f" (process {who['pid']}, since {who['started_at']})"
    except (OSError, ValueError, KeyError):
        return ""
