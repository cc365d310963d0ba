"""Work for tasks that fail or are killed once, after they have written rows; workers import it by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa


@dataclass(frozen=True)
class Counting:
    """Yields the keys of a bucket and their numbers; in its first attempt at bucket 1 fails as `how` says."""

    before: Mapping[int, int]
    folder: str
    how: str

    def __call__(self, batches: Iterator[pa.RecordBatch], bucket: int) -> Iterator[dict[str, list[pa.Table]]]:
        """Yield a table of each batch."""
        position = self.before[bucket]
        for batch in batches:
            numbers = pa.array(range(position, position + batch.num_rows), pa.int64())
            position += batch.num_rows
            yield {"made.numbers": [pa.table({"key": batch.column("key").view(pa.uint64()), "number": numbers})]}
        if bucket == 1 and self._is_first():
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("once")

    def _is_first(self) -> bool:
        try:
            Path(self.folder, "failed").touch(exist_ok=False)
        except FileExistsError:
            return False
        return self.how != "no"
