"""Erasure journal: the pending erasure that the next run must complete first."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.state.paths import ERASURE
from journeyflow.utils.files import sync


@dataclass(frozen=True)
class PendingErasure:
    """What is to be erased, without an id in it.

    Parameters
    ----------
    tombstones : tuple of str
        Keyed hashes of the ids.
    contents : tuple of (str, str)
        Source, and SHA-256 of a file as it came, whose kept copy holds records of them.
    dropped : tuple of str
        SHA-256 of files whose kept copies go whole.
    again : tuple of str
        Sources to read again: an event of another person comes back into its place there.
    days : tuple of str
        Local days of the erased events, to tell which figures moved for it.
    """

    suppressions: tuple[str, ...] = ()
    contents: tuple[tuple[str, str], ...] = ()
    dropped: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    def joined(self, other: PendingErasure) -> PendingErasure:
        """Return one erasure of all that two tell of."""
        both = {each.name: {*getattr(self, each.name), *getattr(other, each.name)} for each in fields(self)}
        return PendingErasure(**{name: tuple(sorted(found)) for name, found in both.items()})


def pending_erasure(state: Path) -> PendingErasure | None:
    """Return the erasure that was begun in a state folder and is not done; None without one.

    Raises
    ------
    InputError
        When its note cannot be read.
    """
    path = state / ERASURE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return replace(
            PendingErasure(**{name: tuple(found) for name, found in told.items()}),
            contents=tuple((source, sha256) for source, sha256 in told["contents"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, the note of an erasure that is not done, cannot be read. Move it away and run `journeyflow "
            "forget` with the same ids again."
        ) from error


def begin_erasure(state: Path, erasure: PendingErasure) -> None:
    """Write an erasure down beside one that is not done yet; from then on every night carries it out first.

    Raises
    ------
    JourneyflowError
        When it cannot be written; nothing is erased then.
    """
    earlier = pending_erasure(state)
    whole = earlier.joined(erasure) if earlier else erasure
    fresh = state / f"{ERASURE}.unfinished"
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(whole), file)
        sync(fresh)
        fresh.replace(state / ERASURE)
        sync(state)
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {ERASURE} in {state}: {error.strerror or type(error).__name__}. Nothing was erased; make room."
        ) from error


def end_erasure(state: Path) -> None:
    """Take the note of an erasure away: it is done."""
    (state / ERASURE).unlink(missing_ok=True)
    sync(state)
