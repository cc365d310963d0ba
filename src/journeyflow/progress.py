"""How long work tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by long work; does nothing when nobody watches."""

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None = unknown) units of `what` in a phase of the night."""


def silent(phase: str, what: str, done: int, total: int | None = None) -> None:
    """Report to nobody."""


def tell(progress: Progress, event: str, **facts: str | float | None) -> None:
    """Tell that something happened, to those who write it down: a `Progress` that has a method `note` too.

    Parameters
    ----------
    progress : Progress
        Who watches.
    event : str
        A name of `logs.EVENTS`.
    **facts
        Names, counts and seconds; never a value of a row or an id of a person.
    """
    note = getattr(progress, "note", None)
    if note is not None:
        note(event, facts)
