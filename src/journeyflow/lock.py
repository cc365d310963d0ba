"""One run at a time: an operating-system lock on a file of the state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from journeyflow.errors import InputError, LockedError

FILE = "run.lock"
HOLDER = "run.holder.json"


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock: its process and when it began, in words; None where it did not say yet."""

    pid: int | None
    started_at: str | None


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

    # Not per thread: a flow may load in one thread and publish in another.
    # It waits for a moment, or a `status` that looks just now would turn a run away.
    lock = FileLock(state / FILE, timeout=0.2, thread_local=False)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)  # It holds personal data.
        lock.acquire()
    except Timeout as error:
        who = _read(state)
        described = f" (process {who.pid}, since {who.started_at})" if who else ""
        raise LockedError(f"Another run holds {lock.lock_file}{described}. Wait for it to end.") from error
    except OSError as error:
        raise InputError(
            f"Cannot write in the state folder {state}: {error.strerror or type(error).__name__}. It must be a folder "
            "that this user may write to, on a disk with room."
        ) from error
    try:
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        (state / HOLDER).write_text(json.dumps({"pid": os.getpid(), "started_at": started}), encoding="utf-8")
        yield
    finally:
        (state / HOLDER).unlink(missing_ok=True)
        lock.release()


def holder(state: Path) -> Holder | None:
    """Return who holds the lock of a state folder; None when nobody does, whatever a killed run left behind.

    Parameters
    ----------
    state : Path
        The state folder; nothing is made in it.
    """
    from filelock import FileLock, Timeout

    if not (state / FILE).exists():
        return None
    try:
        with FileLock(state / FILE, timeout=0):
            return None
    except Timeout:
        return _read(state) or Holder(None, None)
    except OSError:  # We may not open it for writing: what the run said of itself is all there is.
        return _read(state)


def _read(state: Path) -> Holder | None:
    try:
        said = json.loads((state / HOLDER).read_text(encoding="utf-8"))
        return Holder(int(said["pid"]), str(said["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
