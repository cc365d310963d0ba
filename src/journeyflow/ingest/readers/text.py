"""Decode lines of text files; undecodable bytes are kept and reported."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from journeyflow.ingest.files import RefusedFileError

BLOCK_CHARACTERS = 1 << 18
MAX_LINE_CHARACTERS = 1 << 24


def text_lines(stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the lines of a stream with their line ends, a byte order mark left out.

    Bytes that are no UTF-8 are carried as lone surrogates, so that a bad line costs one record and not the file. Of a
    line longer than `MAX_LINE_CHARACTERS` one character more than that is handed out, so that `flaw_of` knows it.

    Raises
    ------
    RefusedFileError
        When the stream is no text of another encoding.
    """
    with _decoding(encoding):
        read = _text(stream, encoding).readline
        while line := read(MAX_LINE_CHARACTERS + 1):
            rest = line
            while len(rest) > MAX_LINE_CHARACTERS and rest[-1] not in "\r\n":
                rest = read(MAX_LINE_CHARACTERS + 1)
            yield line


def decoded(stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield the text of a stream in blocks, decoded as `text_lines` does.

    Raises
    ------
    RefusedFileError
        When the stream is no text of another encoding.
    """
    with _decoding(encoding):
        text = _text(stream, encoding)
        while block := text.read(BLOCK_CHARACTERS):
            yield block


def codec_of(encoding: str, *, is_written: bool = False) -> tuple[str, str]:
    """Return the codec of an encoding and how it treats bytes that are no text; no mark is written before UTF-8."""
    is_utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
    if not is_utf8:
        return encoding, "strict"
    return "utf-8" if is_written else "utf-8-sig", "surrogateescape"


def _text(stream: IO[bytes], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, *codec_of(encoding), newline="")


@contextmanager
def _decoding(encoding: str) -> Iterator[None]:
    try:
        yield
    except (UnicodeError, LookupError) as error:
        detail = f"the file is not {encoding} text; set `encoding` of the source"
        raise RefusedFileError("bad_encoding", detail) from error


def flaw_of(line: str) -> str | None:
    """Say why a line cannot be stored: ``too_long``, ``nul_byte``, ``bad_encoding`` or None."""
    if len(line) > MAX_LINE_CHARACTERS:
        return "too_long"
    if "\x00" in line:
        return "nul_byte"
    if line.isascii():
        return None
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return "bad_encoding"
    return None
