"""What the documentation shows is what happens."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import REPOSITORY, all_pages, blocks, commands, how_tos

STORIES = [page for page in how_tos() if any(block.name == "journeyflow.yml" for block in blocks(page))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"`make ([a-z]+)")


def run(command, folder):
    arguments = shlex.split(command)
    assert arguments[0] == "journeyflow", f"a page runs {arguments[0]}"
    program = [sys.executable, "-c", "from journeyflow.cli import main; main()"]
    return subprocess.run([*program, *arguments[1:]], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", STORIES, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page, tmp_path):
    for block in blocks(page):
        if block.name:
            file = tmp_path / block.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.body, encoding="utf-8")
        for command in block.commands:
            done = run(command, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr


def test_there_are_stories():
    assert {"own-data", "new-stage-model", "new-mart", "new-source"} <= {page.stem for page in STORIES}


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page):
    gone = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert not gone


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {*TARGET.findall(page.read_text(encoding="utf-8"))}
    named |= {command.split()[1] for command in commands(page) if command.startswith("make ")}
    assert named <= targets


def test_every_command_is_shown_somewhere():
    text = "\n".join(Path(page).read_text(encoding="utf-8") for page in all_pages())
    listed = run("journeyflow --help", REPOSITORY).stdout
    names = re.findall(r"^[│ ] +([a-z][a-z-]+)  ", listed, re.MULTILINE)
    assert "run" in names
    assert not [name for name in names if f"journeyflow {name}" not in text]
