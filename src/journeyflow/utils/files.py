"""Packaged folders; durable files: hash, sync, atomic link; strict YAML: no anchors, aliases or duplicate keys."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from journeyflow.errors import JourneyflowError

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parent.parent


def sql_folder() -> Path:
    """Return the folder of the SQL models."""
    return _found("sql", "sql")


def sample_folder() -> Path:
    """Return the folder of the sample data and its configuration."""
    return _found("sample", "data/sample")


def pipelines_folder() -> Path:
    """Return the folder of the Prefect flows."""
    return _found("pipelines", "pipelines")


def _found(installed: str, checkout: str) -> Path:
    for folder in (_PACKAGE / installed, _CHECKOUT / checkout):
        if folder.is_dir():
            return folder
    raise JourneyflowError(f"The packaged folder {installed}/ is missing; install journeyflow again.")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Flush a file, or a folder's directory entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """`sync` every file of `folder`, then the folder."""
    for path in sorted(folder.iterdir()):
        sync(path)
    sync(folder)


@contextmanager
def replaced_file(final: Path) -> Iterator[IO[bytes]]:
    """Write a file for its owner only; it takes the place of `final` once it is complete and synced."""
    fresh = final.with_name(f"{final.name}.unfinished")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
    sync(fresh)
    fresh.replace(final)
    sync(final.parent)


def point(link: Path, target: str) -> None:
    """Create or atomically replace the symbolic link `link` to `target`, a path relative to the link's folder."""
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync(link.parent)


Loc = tuple[str | int, ...]
"""A place in a document: the keys and indexes of its path."""

MAX_BYTES = 1_048_576
MAX_DEPTH = 40
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS |= {word.capitalize(): value for word, value in _WORDS.items()} | {
    word.upper(): value for word, value in _WORDS.items()
}


_SYNTAX = {
    "quoted scalar": "a quote opens here and is not closed",
    "flow": "a bracket or comma is missing here or before",
    "simple key": "a colon and a space are missing after the key here or just before",
    "block": "the indentation of this line fits none above it; indent with spaces, the same for all keys of a section",
    "": "look at the indentation, quotes, brackets and colons of this line and the one before",
}
"""What to look at, by a part of what the parser was doing."""


@dataclass(frozen=True)
class Mistake:
    """A violation of strict YAML; after one that `is_end` nothing was read."""

    code: str
    message: str
    line: int | None
    loc: Loc = ()
    is_end: bool = True


@dataclass
class Document:
    """Parsed YAML: nested dicts, lists and scalars, with the 1-based line of each place.

    When there are mistakes, `content` is what could be read beside them.
    """

    content: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def line(self, loc: Loc) -> int | None:
        """Return the line of a place, or of its nearest parent."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc)


def read_yaml(data: bytes, *, is_fast: bool = False) -> Document:
    """Return a UTF-8 YAML 1.2 text as values; it never raises for invalid text, but lists `mistakes`.

    Dates, times and numbers with leading zeros are texts, and so are keys and ``NO``. `is_fast` parses with libyaml,
    ten times as fast, for packaged texts in which YAML 1.1 and 1.2 do not differ. A text that libyaml refuses is
    parsed again without it, for the plainer messages.
    """
    if len(data) > MAX_BYTES:
        return Document(mistakes=[Mistake("yaml_size", f"is larger than {MAX_BYTES} bytes", None)])
    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=not is_fast).parse(data.decode("utf-8-sig")):
            builder.take(event)
    except UnicodeDecodeError:
        builder.wrong("yaml_encoding", "is not UTF-8", None)
    except _Stop:
        pass
    except MarkedYAMLError as error:
        mark = error.context_mark if "scalar" in (error.context or "") else error.problem_mark
        what = next((words for part, words in _SYNTAX.items() if part in (error.context or "")), _SYNTAX[""])
        builder.wrong("yaml_syntax", f"is not YAML: {what}", mark.line + 1 if mark else None)
    except ReaderError as error:
        line = data.decode("utf-8-sig").count("\n", 0, error.position) + 1
        builder.wrong("yaml_syntax", "holds a character that YAML does not allow", line)
    except YAMLError:
        builder.wrong("yaml_syntax", "is not YAML", None)
    return read_yaml(data) if is_fast and builder.document.mistakes else builder.document


class _Stop(Exception):
    """The rest of the text cannot be read."""


@dataclass
class _Open:
    """A mapping or list that is being read; `key` is the key without a value yet."""

    content: Any
    loc: Loc
    key: Any = None


class _Builder:
    """Builds values from parser events with an explicit stack, so that depth needs no recursion."""

    def __init__(self) -> None:
        self.document = Document()
        self.stack: list[_Open] = []
        self.document_count = 0

    def wrong(self, code: str, message: str, line: int | None, loc: Loc = ()) -> None:
        self.document.mistakes.append(Mistake(code, message, line, loc))

    def take(self, event: Event) -> None:
        line = event.start_mark.line + 1 if getattr(event, "start_mark", None) else None
        if isinstance(event, DocumentStartEvent):
            self.document_count += 1
            if self.document_count > 1:
                self._stop("yaml_documents", "holds more than one document", line)
        elif isinstance(event, AliasEvent):
            self._stop("yaml_alias", "uses an alias (*), which is refused; write the value out", line)
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            self._node(event, line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.stack.pop()

    def _node(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent, line: int | None) -> None:
        if event.anchor:
            self._stop("yaml_anchor", "uses an anchor (&), which is refused; write the value out", line)
        if event.tag and not (isinstance(event, ScalarEvent) and event.tag == "!"):
            self._stop("yaml_tag", "uses a tag (!), which is refused", line)
        if len(self.stack) >= MAX_DEPTH:
            self._stop("yaml_depth", f"is nested deeper than {MAX_DEPTH} levels", line)
        if isinstance(event, ScalarEvent):
            self._scalar(event, line)
        else:
            content: Any = {} if isinstance(event, MappingStartEvent) else []
            self.stack.append(_Open(content, self._place(content, line)))

    def _scalar(self, event: ScalarEvent, line: int | None) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.content, dict) and top.key is None:
            self._key(top, event.value, line)
        else:
            self._place(event.value if event.style else _plain_value(event.value), line)

    def _key(self, top: _Open, key: str, line: int | None) -> None:
        loc = (*top.loc, key)
        if key in top.content:
            first = self.document.lines.get(loc)
            message = f"appears twice (first on line {first}); keep one"
            self.document.mistakes.append(Mistake("yaml_duplicate_key", message, line, loc, is_end=False))
        top.key = key
        self.document.lines.setdefault(loc, line or 1)

    def _place(self, value: object, line: int | None) -> Loc:
        if not self.stack:
            self.document.content = value
            return ()
        top = self.stack[-1]
        if isinstance(top.content, list):
            loc = (*top.loc, len(top.content))
            self.document.lines[loc] = line or 1
            top.content.append(value)
            return loc
        if top.key is None:
            self._stop("yaml_key", "has a key that is not a text", line)
        loc = (*top.loc, top.key)
        top.content[top.key] = value
        top.key = None
        return loc

    def _stop(self, code: str, message: str, line: int | None) -> None:
        self.wrong(code, message, line)
        raise _Stop


def _plain_value(text: str) -> str | int | float | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
