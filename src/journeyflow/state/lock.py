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

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_asked: list[int] = []
"""What the user's umask was before `private_files`; the innermost last."""


@contextmanager
def private_files() -> Iterator[None]:
    """Let every file and folder that this process makes meanwhile be for its owner only, whatever the umask.

    Notes
    -----
    The umask is the process's: the database makes files of its own (its log, what it spills) whose rights nobody else
    can set in time. What is to be read by others is made so by `share`.
    """
    _asked.append(os.umask(_OTHERS))
    try:
        yield
    finally:
        os.umask(_asked.pop())


def share(path: Path) -> None:
    """Give a file or folder the rights that the user's umask gives to new ones."""
    umask = _asked[0] if _asked else _umask()
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def make_shared(folder: Path) -> None:
    """Make a folder and its parents where they are missing, with the rights that the user's umask gives."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        share(each)


def restrict_permissions(folder: Path) -> None:
    """Take from others what they may do with a folder and all in it.

    Raises
    ------
    InputError
        When everybody may write to any of it: then nobody knows who did.
    """
    for path in (folder, *sorted(folder.rglob("*"))):
        try:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) or not mode & _OTHERS:
                continue
            if mode & stat.S_IWOTH:
                raise InputError(
                    f"Everybody may write to {path}, and so change figures: see that it is yours, then chmod o-w {path}"
                )
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
        except FileNotFoundError:  # Another process looked at the lock and left.
            continue
        except PermissionError:  # It belongs to somebody else; `doctor` tells.
            continue


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


FILE = "run.lock"
HOLDER = "run.holder.json"


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock: its process, when it began, in words, its machine; None where it did not say."""

    pid: int | None
    started_at: str | None
    host: str | None = None

    def __str__(self) -> str:
        where = f", on {self.host}" if self.host else ""
        return f"process {self.pid}, since {self.started_at}{where}" if self.pid else "a process that did not say"


@contextmanager
def project_lock(state: Path) -> Iterator[None]:
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
        When the folder cannot be written, or everybody may write to it or to anything in it.

    Notes
    -----
    What this process makes while it holds the lock is for its owner only (`private.private_files`).
    """
    from filelock import FileLock, Timeout

    # Not per thread: a flow may load in one thread and publish in another.
    # It waits for a moment, or a `status` that looks just now would turn a run away.
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
        with FileLock(state / FILE, timeout=0, mode=0o600):
            return None
    except Timeout:
        return _read(state) or Holder(None, None)
    except OSError:  # We may not open it for writing: what the run said of itself is all there is.
        return _read(state)


def _write(state: Path) -> None:
    said = {
        "pid": os.getpid(),
        "started_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "host": platform.node(),
    }
    (state / HOLDER).write_text(json.dumps(said), encoding="utf-8")


def _read(state: Path) -> Holder | None:
    try:
        said = json.loads((state / HOLDER).read_text(encoding="utf-8"))
        return Holder(int(said["pid"]), str(said["started_at"]), said.get("host"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
