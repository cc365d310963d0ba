"""Servers that tests start for themselves: `make test-services` runs this folder, no other command does."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

INSTALLED = "/usr/lib/postgresql/*/bin"
"""Where Debian puts the programs of the server: it is not on the PATH."""
USER = "journeyflow"


@dataclass(frozen=True)
class PostgresServer:
    """A server of its own folder, which listens on a Unix socket there and nowhere else."""

    folder: Path
    password: str

    def uri(self, database: str, password: str | None = None) -> str:
        """Return the libpq address of a database; with another password one that the server refuses."""
        place = urlencode({"host": str(self.folder)})
        return f"postgresql://{USER}:{quote(password or self.password)}@/{database}?{place}"


def _program(name: str) -> str:
    places = sorted((path for path in Path("/").glob(INSTALLED[1:])), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ["PATH"]]))
    return found or pytest.fail(f"PostgreSQL's {name} is not installed: apt-get install postgresql")


def _account() -> str | None:
    """Return the account that the server runs as: it refuses to be root."""
    return "postgres" if os.geteuid() == 0 else None


def _run(folder: Path, *command: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, user=_account(), cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.fail(f"{command[0]} failed: {done.stderr}{done.stdout}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL; it is stopped and its folder removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="journeyflow-"))  # A path of a socket may have 107 bytes.
    try:
        server = PostgresServer(folder, secrets.token_urlsafe())
        (folder / "password").write_text(server.password)
        if _account():
            for path in (folder, folder / "password"):
                shutil.chown(path, _account())
        data = str(folder / "data")
        control = _program("pg_ctl")
        _run(
            folder, _program("initdb"), "--pgdata", data, "--username", USER, "--auth", "scram-sha-256",
            "--pwfile", str(folder / "password"), "--encoding", "UTF8", "--no-locale", "--no-sync",
        )  # fmt: skip
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        _run(folder, control, "start", "--wait", "-D", data, "-l", str(folder / "log"), "-o", options)
        try:
            yield server
        finally:
            _run(folder, control, "stop", "--wait", "-m", "immediate", "-D", data)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgres(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """The libpq address, with user and password, of a new and empty database."""
    name = f"test_{secrets.token_hex(6)}"
    known = os.environ | {"PGPASSWORD": postgres_server.password}
    _run(postgres_server.folder, _program("createdb"), "-h", str(postgres_server.folder), "-U", USER, name, env=known)
    return postgres_server.uri(name)
