"""Whose files they are: what a run makes is its owner's alone, but for what it publishes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journeyflow.errors import InputError

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


def tighten(folder: Path) -> None:
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
