"""Writing of the sample's files, with an account of what every file holds."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Account:
    """What a loader should find in one file: records = accepted + quarantined + duplicate + filtered."""

    accepted: int = 0
    duplicate: int = 0
    conflicting: int = 0  # of the duplicates, those whose content differs
    filtered: int = 0
    late: int = 0  # accepted more than a day after they occurred
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> int:
        """Return the number of records in the file."""
        return self.accepted + self.duplicate + self.filtered + sum(self.quarantined.values())


@dataclass
class TextFile:
    """Lines of one file to be; `good` rows first, then what is wrong with it is mixed in."""

    path: str
    header: Sequence[str] = ()
    delimiter: str = ","
    encoding: str = "utf-8"
    lines: list[str] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    def line(self, row: Mapping[str, object] | Sequence[object]) -> str:
        """Return a row as a CSV line, or as a JSON line where the file has no header."""
        if not self.header:
            return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"
        values = [row.get(name, "") for name in self.header] if isinstance(row, Mapping) else row
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerow(values)
        return text.getvalue()

    def good(self, row: Mapping[str, object], count: int = 1, *, is_late: bool = False) -> None:
        """Add a row whose `count` records are accepted."""
        self.lines.append(self.line(row))
        self.account.accepted += count
        self.account.late += count if is_late else 0

    def repeat(self, row: Mapping[str, object], rng: random.Random, count: int = 1, *, differs: bool = False) -> None:
        """Mix in a row whose records were delivered already."""
        self._mix(self.line(row), rng)
        self.account.duplicate += count
        self.account.conflicting += count if differs else 0

    def filtered(self, row: Mapping[str, object]) -> None:
        """Add a row that the source's `where` leaves out."""
        self.lines.append(self.line(row))
        self.account.filtered += 1

    def bad(self, reason: str, row: Mapping[str, object] | Sequence[object] | str, rng: random.Random) -> None:
        """Mix in a row that must be quarantined."""
        self._mix(row if isinstance(row, str) else self.line(row), rng)
        self.account.quarantined[reason] += 1

    def _mix(self, line: str, rng: random.Random) -> None:
        self.lines.insert(rng.randrange(len(self.lines) + 1), line)

    def write(self, folder: Path) -> None:
        """Write the file; the same lines give the same bytes (no file name or time in the gzip header)."""
        head = self.line(list(self.header)) if self.header else ""
        content = (head + "".join(self.lines)).encode(self.encoding)
        target = folder / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(gzip.compress(content, 9, mtime=0) if target.suffix == ".gz" else content)
