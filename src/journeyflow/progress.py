"""How long work tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by long work; does nothing when nobody watches."""

    def __call__(self, phase: str, what: str, done: int, total: int | None = None) -> None:
        """Report `done` of `total` (None = unknown) units of `what` in a phase of the night."""


def silent(phase: str, what: str, done: int, total: int | None = None) -> None:
    """Report to nobody."""
