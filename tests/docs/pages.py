"""The pages as stories: files to write, commands to run, in the order of the page.

A fenced block with a name after its language is a file. A block that cannot run has a comment above it that says why:
``<!-- not run: … -->``.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- not run: (?P<reason>[^\n]+) -->\n(?P=indent))?"
    r"```(?P<language>\w*)(?: (?P<name>\S+))?\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: a file when it has a name, commands when its language is `sh`."""

    language: str
    name: str | None
    body: str
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """Command lines of a `sh` block, without comments."""
        lines = self.body.splitlines() if self.language == "sh" and not self.reason else []
        bare = (line.partition("   #")[0].strip() for line in lines)
        return [line for line in bare if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["language"], match["name"], textwrap.dedent(match["body"]), match["reason"]) for match in found]


def commands(page: Path) -> list[str]:
    """Return every command line of a page."""
    return [command for block in blocks(page) for command in block.commands]


def stories() -> list[Path]:
    """Return the pages that are read with the hands on the keyboard."""
    return [
        REPOSITORY / "README.md",
        REPOSITORY / "docs" / "operations.md",
        *sorted((REPOSITORY / "docs" / "how-to").glob("*.md")),
    ]


def all_pages() -> list[Path]:
    """Return every page for users."""
    fixed = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", REPOSITORY / "data" / "sample" / "SOURCES.md"]
    return [*fixed, *sorted((REPOSITORY / "docs").rglob("*.md"))]


def place(page: Path) -> str:
    """Return the path of a page inside the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def anchors(page: Path) -> set[str]:
    """Return the names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
