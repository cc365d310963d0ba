"""`serve` and its server: says what it does, is its own, and ends cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import local_server
from journeyflow.errors import ExitCode, JourneyflowError


class Yes(BaseHTTPRequestHandler):
    """Somebody else's server, which answers as a healthy one of Prefect does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Yes) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        monkeypatch.setattr(local_server, "PORT", other.server_port)
        yield other.server_port
        other.shutdown()
        thread.join()


def test_another_servers_port_is_left_to_it(taken: int) -> None:
    assert local_server._free_port() not in (taken, 0)


def test_another_server_is_not_taken_for_the_projects_own(
    taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The own server fails to start on a port that was taken in the meantime, where another answers.
    monkeypatch.setattr(local_server, "_free_port", lambda: taken)
    monkeypatch.setattr(local_server, "_start", lambda *_: subprocess.Popen(["false"], start_new_session=True))
    with pytest.raises(JourneyflowError, match="did not start"), local_server.configured_or_local(tmp_path, print):
        pytest.fail("another server was used")


def test_a_server_that_does_not_stop_is_stopped_by_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_server, "STOP_SECONDS", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    local_server._stop(process)
    assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "systemd"])
def test_serve_says_what_it_does_and_ends_cleanly(project: Path, number: signal.Signals) -> None:
    environment = os.environ | {"PREFECT_HOME": str(project.parent / "home"), "PYTHONUNBUFFERED": "1"}
    environment.pop("PREFECT_API_URL", None)
    serve = subprocess.Popen(
        [sys.executable, "-m", "journeyflow", "serve", "--cron", "0 2 * * *"],
        cwd=project.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert serve.stdout is not None
    said = []
    for line in serve.stdout:
        said.append(line.strip())
        if line.startswith("Waiting for the next run"):
            break
    assert said[0].endswith("journeyflow.yml: 0 2 * * * (UTC)")
    assert said[1].startswith("Starting Prefect's server on http://127.0.0.1:")
    assert said[2].startswith("The server is ready")
    port = int(said[2].rsplit(":", 1)[1])
    serve.send_signal(number)
    rest = serve.stdout.read()
    assert serve.wait(timeout=120) == ExitCode.OK
    assert "Stopped." in rest
    assert (project.parent / "state" / "prefect" / local_server.DATABASE).is_file()
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) != 0
