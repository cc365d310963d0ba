"""What a project owns is its owner's alone whatever the umask, and what others may write to is not trusted."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest

import journeyflow
from journeyflow.config import load_config
from journeyflow.errors import ExitCode, InputError
from support.order_project import write_project

BUILT = ()

CODE = """
import os, sys
os.umask(int(sys.argv[2], 8))
import journeyflow
from journeyflow.config import load_config
from journeyflow.operations.rebuild import rebuild
from journeyflow.operations.rebuild import verify
journeyflow.run(sys.argv[1])
if not int(sys.argv[2], 8):  # Once: nothing of them depends on the umask but the modes of files.
    rebuild(load_config(sys.argv[1]))
    verify(load_config(sys.argv[1]))
assert os.umask(0) == int(sys.argv[2], 8)
"""


def modes(folder):
    return {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*")) if not path.is_symlink()}


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_run_leaves_private_files_and_public_tables(tmp_path, umask):
    write_project(tmp_path / "shop")
    subprocess.run([sys.executable, "-c", CODE, str(tmp_path / "shop"), oct(umask)], check=True)
    private, public = modes(tmp_path / "shop" / "state"), modes(tmp_path / "shop" / "published")
    assert len(private) > 5
    assert {path: oct(mode) for path, mode in private.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
    assert {
        path: oct(mode) for path, mode in public.items() if mode != (0o777 if path.is_dir() else 0o666) & ~umask
    } == {}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private") / "shop"
    write_project(folder)
    journeyflow.run(folder)
    return folder


@pytest.mark.parametrize("name", [".", "warehouse.duckdb", "pseudonym.key", "raw", "build.duckdb"])
def test_what_everybody_may_write_to_is_refused(ran, name):
    path = ran / "state" / name
    before = path.stat().st_mode
    path.chmod(stat.S_IMODE(before) | stat.S_IWOTH)
    try:
        with pytest.raises(InputError, match="verybody may write to") as caught:
            journeyflow.run(ran)
        assert "chmod o-w" in caught.value.message
        assert caught.value.exit_code == ExitCode.INPUT
    finally:
        path.chmod(before)


def test_what_others_may_read_is_closed_by_the_next_run(ran):
    for path in (ran / "state", *(ran / "state").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    journeyflow.run(ran)
    assert {mode & 0o077 for mode in modes(ran / "state").values()} == {0}


def test_a_key_elsewhere_that_everybody_may_write_to_is_refused(tmp_path):
    config = write_project(tmp_path / "shop")
    key = tmp_path / "elsewhere.key"
    key.write_text("a long random text\n")
    key.chmod(0o606)
    config.write_text(config.read_text() + f"privacy: {{key_file: {key}}}\n")
    with pytest.raises(InputError, match="key file"):
        journeyflow.run(load_config(config))
