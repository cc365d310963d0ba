"""Counts of what happened in a simulated year."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of what happened, and of what was found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    day: int = 0

    def note(self, what: str, times: int = 1) -> None:
        """Count something."""
        self.counts[what] += times

    def add_differences(self, found: list[str] | tuple[str, ...]) -> None:
        """Record the differences found on this day."""
        self.differences += [f"day {self.day}: {text}" for text in found]

    def summary(self) -> str:
        """Return the year in lines."""
        lines = [f"{count:>9,} {what}" for what, count in sorted(self.counts.items())]
        return "\n".join(
            [f"{self.day} days", *lines, f"{len(self.differences):>9,} differences", *self.differences[:20]]
        )
