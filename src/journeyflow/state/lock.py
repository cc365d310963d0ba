"""The project lock (one run at a time) and owner-only file permissions."""

from __future__ import annotations

import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from journeyflow.errors import InputError, LockedError
from journeyflow.state.inventory import FILE, HOLDER, own_paths

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_asked: list[int] = []
"""The umasks before each nested `private_files`, innermost last."""


@contextmanager
def private_files() -> Iterator[None]:
    """Create files and folders for the owner only, whatever the umask, while the context lasts.

    The umask applies to the whole process: the database creates files (its log, what it spills) whose permissions could
    not be set in time otherwise. `share` makes a file readable for others.
    """
    _asked.append(os.umask(_OTHERS))
    try:
        yield
    finally:
        os.umask(_asked.pop())


def share(path: Path) -> None:
    """Give a file or folder the permissions of the user's umask."""
    umask = _asked[0] if _asked else _umask()
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def make_shared(folder: Path) -> None:
    """Create a folder and its missing parents, with the permissions of the user's umask."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        share(each)


def restrict_permissions(folder: Path) -> None:
    """Remove the permissions of others from a state folder and what runs made in it.

    InputError when any of it is world-writable. What others put there keeps its permissions; `doctor` reports it.
    """
    for path in own_paths(folder):
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or not mode & _OTHERS:
                continue
            if mode & stat.S_IWOTH:
                raise InputError(
                    f"Everybody may write to {path}, and so change figures: see that it is yours, then chmod o-w {path}"
                )
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
        except FileNotFoundError:  # Another process has just removed it, such as a lock.
            continue
        except PermissionError:  # It belongs to another user; `doctor` reports it.
            continue


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock: process, start (UTC, as text) and machine; None where unknown."""

    pid: int | None
    started_at: str | None
    host: str | None = None

    def __str__(self) -> str:
        where = f", on {self.host}" if self.host else ""
        return f"process {self.pid}, since {self.started_at}{where}" if self.pid else "a process that did not say"


@contextmanager
def project_lock(state: Path) -> Iterator[None]:
    """Hold the lock of the state folder, created when missing; the system frees it when the process dies.

    Files are created for their owner only meanwhile. LockedError when another run holds the lock, InputError when the
    folder cannot be written or is world-writable.
    """
    from filelock import FileLock, Timeout

    # Not per thread: a flow may load in one thread and publish in another. The short wait lets a run pass a `status`
    # that checks the lock at the same time.
    lock = FileLock(state / FILE, timeout=0.2, thread_local=False, mode=0o600)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)  # It holds personal data.
        lock.acquire()
    except Timeout as error:
        who = _read(state)
        described = f" ({who})" if who else ""
        raise LockedError(f"Another run holds {lock.lock_file}{described}. Wait for it to end.") from error
    except OSError as error:
        raise InputError(
            f"Cannot write in the state folder {state}: {error.strerror or type(error).__name__}. It must be a folder "
            "that this user may write to, on a disk with room."
        ) from error
    try:
        restrict_permissions(state)
        with private_files():
            _write(state)
            yield
    finally:
        (state / HOLDER).unlink(missing_ok=True)
        lock.release()


def holder(state: Path) -> Holder | None:
    """Return the run that holds the lock of a state folder, or None; nothing is created in the folder."""
    from filelock import FileLock, Timeout

    if not (state / FILE).exists():
        return None
    try:
        with FileLock(state / FILE, timeout=0, mode=0o600):
            return None
    except Timeout:
        return _read(state) or Holder(None, None)
    except OSError:  # The lock cannot be opened for writing, so only the run's own record is left.
        return _read(state)


def _write(state: Path) -> None:
    record = {
        "pid": os.getpid(),
        "started_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "host": platform.node(),
    }
    (state / HOLDER).write_text(json.dumps(record), encoding="utf-8")


def _read(state: Path) -> Holder | None:
    try:
        found = json.loads((state / HOLDER).read_text(encoding="utf-8"))
        return Holder(int(found["pid"]), str(found["started_at"]), found.get("host"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
