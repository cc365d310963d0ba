"""Erasure journal: the pending erasure that the next run must complete first."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from journeyflow.errors import InputError, JourneyflowError
from journeyflow.state.paths import ERASURE
from journeyflow.utils.files import replaced_file, sync

ErasedRecords = tuple[str, str, tuple[int, ...], tuple[int, ...]]
"""Source, hash of archived records, numbers of those to remove, and of those in which the ids are blanked."""


@dataclass(frozen=True)
class PendingErasure:
    """What an erasure deletes, without an id: hashes of ids, archived files, sources to read again and local days.

    `archives` say which records are removed, and in which the ids are blanked, see `ErasedRecords`; the archived
    records and originals of `dropped` are deleted whole. `again` are sources in which another person's event regains
    its place. `days` explain figures that the erasure changed.
    """

    suppressions: tuple[str, ...] = ()
    archives: tuple[ErasedRecords, ...] = ()
    dropped: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    days: tuple[str, ...] = ()

    def joined(self, other: PendingErasure) -> PendingErasure:
        """Return one erasure of both."""
        both = {each.name: {*getattr(self, each.name), *getattr(other, each.name)} for each in fields(self)}
        return PendingErasure(**{name: tuple(sorted(found)) for name, found in both.items()})


def pending_erasure(state: Path) -> PendingErasure | None:
    """Return the erasure of a state folder that is begun and not done; InputError when its file cannot be read."""
    path = state / ERASURE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if "tombstones" in found:  # The key in earlier versions.
            found["suppressions"] = found.pop("tombstones")
        # Earlier versions rewrote files of these contents, which are now deleted whole.
        contents = [sha256 for _, sha256 in found.pop("contents", ())]
        erasure = PendingErasure(**{name: tuple(values) for name, values in found.items()})
        archives = ((source, sha256, tuple(rows), tuple(blanked)) for source, sha256, rows, blanked in erasure.archives)
        return replace(erasure, archives=tuple(archives), dropped=(*erasure.dropped, *contents))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}, the note of an erasure that is not done, cannot be read. Move it away and run `journeyflow "
            "erase` with the same ids again."
        ) from error


def begin_erasure(state: Path, erasure: PendingErasure) -> None:
    """Record an erasure, joined with one that is not done; every run completes it first from now on."""
    earlier = pending_erasure(state)
    whole = earlier.joined(erasure) if earlier else erasure
    try:
        with replaced_file(state / ERASURE) as file:
            file.write(json.dumps(asdict(whole)).encode())
    except OSError as error:
        raise JourneyflowError(
            f"Cannot write {ERASURE} in {state}: {error.strerror or type(error).__name__}. Nothing was erased; make "
            "room."
        ) from error


def end_erasure(state: Path) -> None:
    """Remove the record of an erasure: it is done."""
    (state / ERASURE).unlink(missing_ok=True)
    sync(state)
