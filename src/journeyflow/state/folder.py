"""The state folder: its files and permissions, the project lock (one run at a time) and the secret key."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, LockedError
from journeyflow.state.paths import BUILD, ERASURE, MODELS, SELECTED, WAREHOUSE
from journeyflow.utils.files import replaced_file
from journeyflow.utils.formatting import escaped

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.state.paths import Folders


FILE = "run.lock"
HOLDER = "run.holder.json"
RAW, WORK = "raw", "work"
AUDIENCES = "audiences"
"""Lists of audiences, a folder each."""
AUDIENCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_AUDIENCE_FILE = re.compile(r"[a-z_]+\.(csv|json)(\.unfinished)?")
PREFECT_FOLDER = "prefect"
"""Records of the Prefect server that `journeyflow serve` starts."""
SHARED = "shared_folder.json"
"""In the state folder while a run on Spark has relations outside it: the path of their folder."""
_SHARED_NAME = re.compile(r"journeyflow-[0-9a-f]{16}")
RUN_ID = re.compile(r"\d{8}T\d{12}")
"""The form of run ids, which are names of folders too."""
_WORK_FOLDERS = frozenset({"compact", "erasure", "scratch", "selected", "spill", "traits"})
"""What `work` holds beside the folders of runs."""
OURS = frozenset(
    {
        WAREHOUSE,
        BUILD,
        SELECTED,
        MODELS,
        f"{MODELS}.unfinished",
        f"damaged-{WAREHOUSE}",
        FILE,
        HOLDER,
        RAW,
        WORK,
        AUDIENCES,
        PREFECT_FOLDER,
        SHARED,
        f"{SHARED}.unfinished",
        ERASURE,
        f"{ERASURE}.unfinished",
    }
    | {f"{name}.wal" for name in (WAREHOUSE, BUILD, f"damaged-{WAREHOUSE}")}
)
"""Names that a run may leave in the state folder; a key file in it belongs there too."""
_KEY_SUFFIX = ".key"
_MOST_NAMED = 3
_RAW_FILE = re.compile(r"[0-9a-f]{64}\.[a-z.]+|(files|suppressions|tombstones)\.parquet(\.unfinished)?")
"""Archived files, and the lists beside them; `tombstones.parquet` is the suppression list of earlier versions."""


_SIGNS = (WAREHOUSE, BUILD, MODELS, f"damaged-{WAREHOUSE}", f"{RAW}/files.parquet", ERASURE)
"""Files by one of which a state folder is known as that of a project that has run."""
_HARMLESS = "lost+found"
"""In the root of a volume; hidden files are let be as well."""


def require_own_state(config: Config) -> None:
    """Raise InputError when the state folder is new to the product and holds other things.

    They would stand among files that runs remove, and a folder that others use is not private.
    """
    if any((config.state / name).is_file() for name in _SIGNS):
        return
    found = [path for path in foreign(config) if path.name != _HARMLESS and not path.name.startswith(".")]
    if found:
        named = ", ".join(escaped(path.relative_to(config.state)) for path in found[:_MOST_NAMED])
        raise InputError(
            f"The state folder {config.state} holds {len(found)} other things, such as {named}; it must be one of its "
            "own. Name a new folder in `state` of the configuration; nothing was changed."
        )


def clear_work(state: Path) -> None:
    """Remove what runs left in the work folder of a state folder; the caller holds the lock."""
    work = state / WORK
    for path in _work_folders(work):
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # It holds something else, or is missing.
        work.rmdir()


def clear_shared(state: Path, used: Path | None = None) -> None:
    """Remove the relations of killed runs on Spark, and remember the folder `used` from now on; call with the lock.

    InputError where they cannot be reached or removed.
    """
    note = state / SHARED
    noted = _noted(note, state)
    if noted and not noted.parent.is_dir():
        raise InputError(
            f"{noted} may hold events of an earlier run on Spark, and {noted.parent} cannot be reached: mount it. "
            f"If it is gone for good, remove {note}."
        )
    for folder in {each for each in (noted, used) if each}:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() or folder.is_symlink():
            raise InputError(
                f"{folder} is left from an earlier run and cannot be removed; it may hold events: remove it."
            )
    if used:
        with replaced_file(note) as file:
            file.write(json.dumps({"folder": str(used), "state": str(state.resolve())}).encode())
    else:
        note.unlink(missing_ok=True)


def _noted(note: Path, state: Path) -> Path | None:
    """Return the folder of a note. A copy of a state folder has the note of the original, whose folder it is."""
    if not note.is_file():
        return None
    found = json.loads(note.read_bytes())
    written_for, folder = Path(found["state"]), Path(found["folder"])
    is_copy = written_for != state.resolve() and written_for.exists()
    return None if is_copy or not _SHARED_NAME.fullmatch(folder.name) else folder


def _work_folders(work: Path) -> list[Path]:
    if not work.is_dir() or work.is_symlink():
        return []
    return [path for path in work.iterdir() if _is_work(path.name) and path.is_dir() and not path.is_symlink()]


def _is_work(name: str) -> bool:
    return name in _WORK_FOLDERS or RUN_ID.fullmatch(name) is not None


def own_paths(state: Path) -> Iterator[Path]:
    """Yield the state folder and what journeyflow made in it."""
    yield state
    for path in sorted(state.iterdir()) if state.is_dir() else ():
        if path.is_symlink():
            continue
        if path.is_file() and (path.name in OURS or path.suffix == _KEY_SUFFIX):
            yield path
        elif path.name == RAW and path.is_dir():
            yield path
            yield from (each for each in sorted(path.iterdir()) if _RAW_FILE.fullmatch(each.name) and each.is_file())
        elif path.name == AUDIENCES and path.is_dir():
            yield path
            for folder in filter(_is_audience, sorted(path.iterdir())):
                yield from (folder, *(each for each in sorted(folder.iterdir()) if _is_list(each)))
        elif path.name == WORK and path.is_dir():
            yield path
            for folder in _work_folders(path):
                yield from (folder, *sorted(folder.rglob("*")))


def _is_audience(path: Path) -> bool:
    return AUDIENCE_NAME.fullmatch(path.name) is not None and path.is_dir() and not path.is_symlink()


def _is_list(path: Path) -> bool:
    return _AUDIENCE_FILE.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def foreign(config: Config) -> list[Path]:
    """Return the files in the state folder that journeyflow did not create, sorted."""
    if not config.state.is_dir():
        return []
    unknown = [path for path in config.state.iterdir() if path.name not in OURS and path != config.privacy.key_file]
    unknown += [path for path in config.state.iterdir() if path.name in OURS and path.is_symlink()]
    kept = config.state / RAW
    copies = kept.iterdir() if kept.is_dir() and not kept.is_symlink() else ()
    unknown += [
        path for path in copies if not _RAW_FILE.fullmatch(path.name) or path.is_symlink() or not path.is_file()
    ]
    work = config.state / WORK
    if work.is_dir() and not work.is_symlink():
        unknown += [path for path in work.iterdir() if not _is_work(path.name) or path.is_symlink()]
    audiences = config.state / AUDIENCES
    if audiences.is_dir() and not audiences.is_symlink():
        folders = list(audiences.iterdir())
        unknown += [path for path in folders if not _is_audience(path)]
        unknown += [path for folder in filter(_is_audience, folders) for path in folder.iterdir() if not _is_list(path)]
    return sorted(unknown)


def private_paths(config: Config) -> dict[Path, int]:
    """Return the modes of all paths that only their owner should access: the state folder, all in it, and the key."""
    paths = (config.state, *_below(config.state), config.privacy.key_file)
    return {path: path.lstat().st_mode for path in paths if path.exists() and not path.is_symlink()}


def writable_by_all(modes: dict[Path, int]) -> list[Path]:
    """Return the world-writable paths."""
    return [path for path, mode in modes.items() if mode & stat.S_IWOTH]


def sizes(config: Folders) -> dict[str, int]:
    """Return the sizes of a project's parts in bytes, and the numbers of archived files and generations."""
    generations = config.publish / "generations"
    there = [path for path in generations.iterdir() if path.is_dir()] if generations.is_dir() else []
    copies = [path for path in _files(config.state / RAW) if _RAW_FILE.fullmatch(path.name)]
    return {
        "warehouse_bytes": _bytes_of(config.state / WAREHOUSE, config.state / f"{WAREHOUSE}.wal"),
        "build_bytes": _bytes_of(config.state / BUILD),
        "kept_bytes": _bytes_of(*copies),
        "kept_count": sum(not path.name.startswith(("files.", "suppressions.", "tombstones.")) for path in copies),
        "generations_bytes": _bytes_of(*_files(generations)),
        "generation_count": sum(not path.name.startswith(".") for path in there),
    }


def _below(folder: Path) -> Iterator[Path]:
    return folder.rglob("*") if folder.is_dir() else iter(())


def _files(folder: Path) -> list[Path]:
    return [path for path in _below(folder) if path.is_file() and not path.is_symlink()]


def _bytes_of(*paths: Path) -> int:
    total = 0
    for path in paths:
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # A concurrent run has just removed it.
            continue
    return total


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


def person_secret(config: Config) -> str:
    """Return the key in `privacy.key_file`, created by the first run for its owner only."""
    path = config.privacy.key_file
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(secrets.token_hex(32) + "\n")
        if path.stat().st_mode & stat.S_IWOTH:
            raise InputError(f"Everybody may write to the key file {path}, and so change who is who: chmod o-w {path}")
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The key file {path} of privacy.key_file cannot be read or made.") from error
    if not key:
        raise InputError(
            f"The key file {path} of privacy.key_file is empty; put a long random text in it, or remove it."
        )
    return key


def derived_key(secret: str, purpose: str) -> str:
    """Return a key for one purpose, 64 hexadecimal digits, that does not reveal the secret.

    Examples
    --------
    >>> derived_key("secret", "outer") == derived_key("secret", "inner")
    False
    """
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def set_hash_keys(warehouse: DuckDBEngine, secret: str) -> None:
    """Set the two session variables that `mapping.keyed_hash` and the adapters use."""
    for name in ("inner_key", "outer_key"):
        warehouse.execute(f"set variable {name} = '{derived_key(secret, name)}'")
