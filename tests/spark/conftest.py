"""A server of Spark Connect: Sail, or what `JOURNEYFLOW_SPARK` names, as `make spark` does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

VARIABLE = "JOURNEYFLOW_SPARK"
"""Master of a Spark of its own (`local[2,3]`, `local-cluster[2,1,1024]`) instead of Sail."""
ROOT = Path(__file__).parents[2]


def _sail(port: int) -> list[str]:
    pytest.importorskip("pysail", reason="Sail is not installed: make check installs it")
    return [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]


def _spark(port: int, master: str) -> list[str]:
    pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: make spark installs it")
    home = Path(str(pyspark.__file__)).parent
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    listed = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    return [str(home / "bin" / "spark-submit"), "--master", master, *listed, "--class", server, "spark-internal"]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that runs while the session lasts."""
    pytest.importorskip("pyspark", reason="the client of Spark Connect is not installed: make check installs it")
    port, master = _free_port(), os.environ.get(VARIABLE)
    command = _spark(port, master) if master else _sail(port)
    place = tmp_path_factory.mktemp("server")
    paths = [str(ROOT / "src"), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=place, env=env, stdout=log, stderr=log)
    try:
        _wait_for(port, server, place / "log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"The server did not start: {log.read_text(errors='replace')[-2000:]}")
