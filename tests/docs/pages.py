"""The how-to pages as stories: files to write, commands to run, in the order of the page."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: (?P<name>\S+))?\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block: a file when it has a name, commands when its language is `sh`."""

    language: str
    name: str | None
    body: str

    @property
    def commands(self) -> list[str]:
        """Command lines of a `sh` block, without comments."""
        lines = self.body.splitlines() if self.language == "sh" else []
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["name"], textwrap.dedent(match["body"])) for match in found]


def commands(page: Path) -> list[str]:
    """Return every command line of a page."""
    return [command for block in blocks(page) for command in block.commands]


def how_tos() -> list[Path]:
    """Return the pages under `docs/how-to/`."""
    return sorted((REPOSITORY / "docs" / "how-to").glob("*.md"))


def all_pages() -> list[Path]:
    """Return every page for users."""
    return [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
