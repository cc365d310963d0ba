"""Runs in separate processes, which can be killed at any moment and whose calls to the disk can fail."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["journeyflow.pipeline.run", "journeyflow.ingest", "journeyflow.kernel.run", "support.preload"]
)

DISK = ("sync", "rename", "link", "statement", "register")
"""Calls that can be counted and hit, besides the begins and ends of the phases."""
ERASURE = ("begin", "apply", "archive", "rewrite", "copy", "settle", "finish", "end")
"""Steps of an erasure; each is passed before and after."""
REBUILD = ("reload", "snapshot", "swap")
"""Steps of a rebuild beside the phases; each is passed before and after."""
BUILT = "built.txt"
"""In the folder of a project: the names given to `build_only`."""
PHASES = ("load", "stitch", "classify", "build", "check", "publish")


@dataclass(frozen=True)
class Fault:
    """The `nth` call (from 1) of `point` kills the process, or fails with `error` (an errno)."""

    point: str
    nth: int = 1
    error: int | None = None

    def __str__(self) -> str:
        how = errno.errorcode[self.error] if self.error else "SIGKILL"
        return f"{how} at {self.point} {self.nth}"


def start(config: Path, fault: Fault | None = None, counted: Any = None, erased_user: str | None = None) -> Any:
    """Start a run of a configuration, or erase a user; return its process, which exits as the command line does."""
    return start_process(_run, str(config), fault, counted, erased_user)


def start_process(target: Callable[..., None], *args: Any) -> Any:
    """Start a function in a separate process that has the program loaded, and return the process."""
    kept = os.environ.get("PYTHONPATH")
    # Before Python 3.12 the server is not told where the tests are, and would preload nothing of them.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), *([kept] if kept else [])])
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        os.environ |= {"PYTHONPATH": kept} if kept else {}
    process = CONTEXT.Process(target=target, args=args)
    process.start()
    return process


def finish(config: Path, fault: Fault | None = None, erased_user: str | None = None) -> int:
    """Run, or erase a user, to the end and return the exit code; a killed one gives minus the signal."""
    process = start(config, fault, None, erased_user)
    process.join(120)
    assert process.exitcode is not None, "the run hangs"
    return int(process.exitcode)


def rebuild(config: Path, fault: Fault | None = None) -> int:
    """Rebuild to the end and return the exit code."""
    process = start_process(_rebuild, str(config), fault)
    process.join(120)
    assert process.exitcode is not None, "the rebuild hangs"
    return int(process.exitcode)


def killed_after(config: Path, seconds: float) -> int:
    """Start a run, kill it after a while, and return its exit code: 0 when it was faster."""
    return kill_after(start(config), seconds)


def kill_after(process: Any, seconds: float) -> int:
    """Kill a process after a while, and return its exit code: that of its own end when it was faster."""
    process.join(seconds)
    if process.exitcode is None:
        with suppress(ProcessLookupError):  # It may end in just this moment.
            os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    return int(process.exitcode)


def calls(config: Path, erased_user: str | None = None) -> dict[str, int]:
    """Run to the end, or erase a user, and return how often each point was passed."""
    counted = CONTEXT.SimpleQueue()
    process = start(config, None, counted, erased_user)
    found: dict[str, int] = counted.get()
    process.join(120)
    assert process.exitcode == 0
    return found


def seconds_of(config: Path) -> float:
    """Return how long a run takes, the process included."""
    started = time.monotonic()
    assert finish(config) == 0
    return time.monotonic() - started


def _run(config: str, fault: Fault | None, counted: Any, erased_user: str | None) -> None:
    from journeyflow.config import load_config
    from journeyflow.errors import JourneyflowError
    from journeyflow.pipeline import run

    seen: dict[str, int] = {}
    _arm(lambda point: _pass(point, seen, fault))
    try:
        with _chosen_models(config):
            if erased_user is None:
                run.run(load_config(Path(config)))
            else:
                _erase(load_config(Path(config)), erased_user)
    except JourneyflowError as error:
        os._exit(int(error.exit_code))
    except OSError:
        os._exit(1)
    if counted is not None:
        counted.put(seen)


def _rebuild(config: str, fault: Fault | None) -> None:
    from journeyflow.config import load_config
    from journeyflow.operations import rebuild

    seen: dict[str, int] = {}

    def note(point: str) -> None:
        _pass(point, seen, fault)

    _arm(note)
    _around(rebuild, "load_sources", note, "reload")
    _around(rebuild, "write_snapshot", note, "snapshot")
    _around(rebuild, "replace_warehouse", note, "swap")
    with _chosen_models(config):
        rebuild.rebuild(load_config(Path(config)))


def build_only(config: Path, *names: str) -> None:
    """Let the processes that run this project, or a copy of it, build these models only; see `support.few_models`."""
    (config.parent / BUILT).write_text(" ".join(names), encoding="utf-8")


def _chosen_models(config: str) -> AbstractContextManager[None]:
    from support.few_models import building_only

    place = Path(config).parent / BUILT
    return building_only(place.read_text(encoding="utf-8").split()) if place.exists() else nullcontext()


def _erase(config: Any, user_id: str) -> None:
    from journeyflow.operations.erase import RequestedId, erase, plan_erasure

    plan = plan_erasure(config, [RequestedId("user", user_id)])
    if not plan.is_done:
        erase(config, plan)


def _pass(point: str, seen: dict[str, int], fault: Fault | None) -> None:
    seen[point] = seen.get(point, 0) + 1
    if fault is None or fault.point != point or fault.nth != seen[point]:
        return
    if fault.error is None:
        os.kill(os.getpid(), signal.SIGKILL)
    raise OSError(fault.error, os.strerror(fault.error or 0))


def _arm(note: Callable[[str], None]) -> None:
    """Let every call that writes to the disk pass by `note` first, and every phase begin and end with it."""
    from journeyflow.engines import DuckDBEngine
    from journeyflow.pipeline import run

    def before(owner: Any, name: str, point: str) -> None:
        original = getattr(owner, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            note(point)
            return original(*args, **kwargs)

        setattr(owner, name, noted)

    before(os, "fsync", "sync")
    for name in ("rename", "replace"):
        before(os, name, "rename")
    before(Path, "rename", "rename")
    before(Path, "replace", "rename")
    before(Path, "symlink_to", "link")
    before(DuckDBEngine, "execute", "statement")
    before(DuckDBEngine, "register", "register")
    for phase in PHASES:
        _around(run.Run, phase, note)
    _arm_erasure(note)


def _arm_erasure(note: Callable[[str], None]) -> None:
    from journeyflow.erasure import apply
    from journeyflow.operations import erase
    from journeyflow.state import warehouse

    _around(erase, "begin_erasure", note, "begin")
    _around(apply, "apply_erasure", note, "apply")
    _around(apply, "_reduce_archives", note, "archive")
    _around(apply, "rewrite_warehouse", note, "rewrite")
    _around(apply, "finish_erasure", note, "finish")
    _around(apply, "end_erasure", note, "end")
    _around(warehouse, "_copy_database", note, "copy")
    _around(warehouse, "replace_warehouse", note, "settle")


def _around(owner: Any, name: str, note: Callable[[str], None], phase: str | None = None) -> None:
    original, phase = getattr(owner, name), phase or name

    def noted(*args: Any, **kwargs: Any) -> Any:
        note(f"before {phase}")
        found = original(*args, **kwargs)
        note(f"after {phase}")
        return found

    setattr(owner, name, noted)
