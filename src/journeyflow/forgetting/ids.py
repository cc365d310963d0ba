"""Ids of people as they are handed in, so that none need stand in the history of a shell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from journeyflow.errors import InputError

USER, DEVICE = "user", "device"
_KINDS = {"user": USER, "user_id": USER, "device": DEVICE, "anonymous_id": DEVICE}


@dataclass(frozen=True)
class Id:
    """One id of a person: `kind` is ``user`` for a user_id, ``device`` for an anonymous_id."""

    kind: str
    value: str


def read_ids(lines: Iterable[str]) -> list[Id]:
    """Read ids, one a line: ``user:…`` or ``device:…``; blank lines and those that begin with ``#`` say nothing.

    Raises
    ------
    InputError
        Names the lines that say something else, never what they say.

    Examples
    --------
    >>> read_ids(["# by request", "user: ann@shop.example", "device:c-17"])
    [Id(kind='user', value='ann@shop.example'), Id(kind='device', value='c-17')]
    """
    found, wrong = [], []
    for number, line in enumerate(lines, start=1):
        text = line.strip("\ufeff \t\r\n")
        if not text or text.startswith("#"):
            continue
        kind, _, value = text.partition(":")
        if kind.strip() in _KINDS and value.strip():
            found.append(Id(_KINDS[kind.strip()], value.strip()))
        else:
            wrong.append(str(number))
    if wrong:
        raise InputError(
            f"Lines {', '.join(wrong[:10])} of the ids ({len(wrong):,} in all) cannot be read; each must be `user:` "
            "and a user_id, or `device:` and an anonymous_id. Nothing was erased."
        )
    return found
