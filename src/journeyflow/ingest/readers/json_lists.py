"""JSON list reader: streams one list of records in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO

from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.readers.text import decoded

MAX_RECORD_CHARACTERS = 1 << 24
_BLANKS = " \t\r\n"
# Control characters inside texts cost their record, which the database then finds unreadable, and not the file.
_DECODER = json.JSONDecoder(strict=False)


def is_list(head: str) -> bool:
    """Tell from the beginning of a text whether it is one JSON list."""
    return head.lstrip(_BLANKS).startswith("[")


def list_elements(stream: IO[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    """Yield number, from 1, and text of each element of the list that a stream holds.

    Raises
    ------
    RefusedFileError
        When it is no list, or not a whole one: what cannot be read to its end may have lost anything.
    """
    window = _Window(decoded(stream, encoding))
    window.take("[")
    if window.next() == "]":
        window.take("]")
    else:
        yield 1, window.element()
        while window.next() == ",":
            window.take(",")
            number = window.found + 1
            yield number, window.element()
        window.take("]")
    if window.next():
        raise _broken("there is more text behind the list of records; write one object a line, or one list")


class _Window:
    """What is held of the text, and the place in it."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.found = 0
        self._blocks = blocks
        self._held = ""
        self._at = 0

    def next(self) -> str:
        """Return the next character that is no blank, without taking it; nothing at the end."""
        while True:
            while self._at < len(self._held) and self._held[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def take(self, mark: str) -> None:
        """Go past `mark`."""
        if self.next() != mark:
            raise self._stopped()
        self._at += 1

    def element(self) -> str:
        """Take one element and return its text."""
        self.next()
        while True:
            end = self._end()
            if end is not None:
                text, self._at = self._held[self._at : end], end
                self.found += 1
                return text
            if len(self._held) - self._at > MAX_RECORD_CHARACTERS or not self._more():
                raise self._stopped()

    def _end(self) -> int | None:
        """Return where the element ends; None when more of it must be read, as it must for a number at the very end."""
        try:
            end = _DECODER.raw_decode(self._held, self._at)[1]
        except RecursionError as error:
            raise self._stopped() from error
        except ValueError:
            return None
        return end if end < len(self._held) else None

    def _more(self) -> bool:
        """Read on, as much again as is held, so that a long element is tried a few times only."""
        held = [self._held[self._at :]]
        wanted = max(len(held[0]), 1)
        while wanted > 0 and (block := next(self._blocks, "")):
            held.append(block)
            wanted -= len(block)
        self._held, self._at = "".join(held), 0
        return len(held) > 1

    def _stopped(self) -> RefusedFileError:
        return _broken(
            f"the list of records cannot be read beyond record {self.found}: it is cut short, is no JSON there, or the "
            "next record is too long"
        )


def _broken(detail: str) -> RefusedFileError:
    return RefusedFileError("bad_json", detail)
