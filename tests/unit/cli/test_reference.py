from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tools.command_page import command_page

from journeyflow.errors import ExitCode

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def test_the_page_of_commands_is_fresh() -> None:
    page = REFERENCE / "cli.md"
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        page.write_text(command_page(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == command_page(), "run `make docs`"


def test_every_command_has_a_summary_and_an_example() -> None:
    for section in command_page().split("\n## ")[1:]:
        title, summary = section.splitlines()[0], section.splitlines()[2]
        assert summary, title
        assert re.search(rf"```sh\n{re.escape(title)}", section), f"{title} has no example of its own"


def test_every_command_says_how_it_ends():
    sections = command_page().split("\n## ")[1:]
    assert all("\nExit codes: 0 done, 1 failed, 2 " in section for section in sections)
    (run,) = (section for section in sections if section.startswith("journeyflow run\n"))
    assert "7 an alert, with --fail-on-alert" in run


def test_former_names_are_not_listed() -> None:
    page = command_page()
    assert "journeyflow erase" in page
    assert all(name not in page for name in ("journeyflow forget", "--whole", "--fail-on-alarm"))


@pytest.mark.parametrize("code", list(ExitCode))
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    assert f"| {code.value} | `{code.name}` |" in (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")


def test_no_other_exit_code_is_documented() -> None:
    page = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == {code.value for code in ExitCode}
