"""A local Prefect server, for a machine without one: schedules need a server that stays."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from prefect.settings import PREFECT_API_URL, temporary_settings

HOST, PORT = "127.0.0.1", 4200
START_SECONDS = 120


def configured_or_local() -> AbstractContextManager[object]:
    """Return a context in which Prefect has a server: the configured one, or one on this machine."""
    return nullcontext() if PREFECT_API_URL.value() else _local()


@contextmanager
def _local() -> Iterator[None]:
    """Use the server of this machine, or start one and stop it in the end; other machines cannot reach it."""
    url = f"http://{HOST}:{PORT}/api"
    process = None if _answers(url) else _start()
    try:
        _wait_for(url, process)
        with temporary_settings(updates={PREFECT_API_URL: url}):
            yield
    finally:
        if process is not None:
            process.terminate()
            process.wait(timeout=20)


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(PORT)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _wait_for(url: str, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise OSError(f"Prefect's server did not start on {HOST}:{PORT}; see `prefect server start` for why.")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
