"""A Prefect server of one project, for a machine without one: schedules need a server that stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from journeyflow.errors import JourneyflowError

HOST, PORT = "127.0.0.1", 4200
START_SECONDS = 120
STOP_SECONDS = 20
DATABASE = "prefect.db"


@contextmanager
def configured_or_local(folder: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Give Prefect a server: the configured one, or one that is started for this project and stopped in the end.

    The project's own server keeps its records in `folder`, listens on this machine only, and is known by a path that no
    other server answers. `say` is called with what happens.
    """
    if configured := PREFECT_API_URL.value():
        say(f"Prefect's server: the configured one, {configured}")
        yield
        return
    port = _free_port()
    url = f"http://{HOST}:{port}/api-{uuid.uuid4().hex}"
    say(f"Starting Prefect's server on http://{HOST}:{port}; this takes a while ...")
    process = _start(folder, port, url)
    try:
        _wait_for(url, process)
        say(f"The server is ready: runs and logs are on http://{HOST}:{port}")
        with temporary_settings(updates={PREFECT_API_URL: url}):
            yield
    finally:
        _stop(process)


def _free_port() -> int:
    """Return Prefect's usual port, or another where something listens there."""
    with socket.socket() as taken:
        taken.settimeout(2)
        is_taken = taken.connect_ex((HOST, PORT)) == 0
    with socket.socket() as free:
        # A server that was stopped a moment ago does not keep its port.
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((HOST, 0 if is_taken else PORT))
        return int(free.getsockname()[1])


def _start(folder: Path, port: int, url: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = {
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / DATABASE}",
        "PREFECT_SERVER_API_BASE_PATH": f"/{url.rsplit('/', 1)[1]}",
        "PREFECT_UI_API_URL": url,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    # In a session of its own, Ctrl-C does not reach it: runs report their end to it first.
    return subprocess.Popen(
        command,
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server and its children, by force where it does not stop in `STOP_SECONDS`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=STOP_SECONDS)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if time.monotonic() > deadline or process.poll() is not None:
            raise JourneyflowError(
                f"Prefect's server did not start within {START_SECONDS} s. See why with: prefect server start"
            )
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
