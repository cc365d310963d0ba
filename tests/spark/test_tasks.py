"""Tasks over buckets: rows are numbered as on one machine, and a task that is repeated changes nothing."""

from __future__ import annotations

import json
import os
import random
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from journeyflow.engines.spark import SparkEngine
from support.repeated_work import Counting

CHANCE = random.Random(1)
KEYS = sorted(CHANCE.getrandbits(64) for _ in range(3000))
TYPES = {"made.numbers": {"key": "UBIGINT", "number": "BIGINT"}}


def _numbers(address: str, folder: Path, how: str) -> tuple[list[tuple[int, int]], list[Path]]:
    engine = SparkEngine(address, folder / "shared")
    try:
        shuffled = random.Random(2).sample(KEYS, len(KEYS))
        engine.register("given.keys", pa.table({"key": pa.array(shuffled, pa.uint64())}))
        work = partial(Counting, folder=str(folder), how=how)
        engine.mapped("given.keys", "key", ["key"], work, TYPES)
        rows = engine.reader("made.numbers").read_all()
        counted = engine.values("select count(*) from made.numbers")
        assert counted == [(len(KEYS),)]
        listed = json.loads((folder / "shared" / "given.keys.manifest.json").read_text())
        assert sum(row["rows"] for row in listed) == len(KEYS)
        files = sorted((folder / "shared" / "made.numbers").glob("*.parquet"))
    finally:
        engine.close()
    assert not (folder / "shared").exists()
    return sorted(zip(*rows.to_pydict().values(), strict=True)), files


def test_rows_are_numbered_in_the_order_of_unsigned_keys(address: str, tmp_path: Path) -> None:
    found, files = _numbers(address, tmp_path, "no")
    assert found == list(zip(KEYS, range(len(KEYS)), strict=True))
    assert len(files) == 8


@pytest.mark.skipif(not os.environ.get("JOURNEYFLOW_SPARK"), reason="Sail repeats no task: make spark runs it")
@pytest.mark.parametrize("how", ["fail", "kill"])
def test_a_task_that_is_repeated_changes_nothing(address: str, tmp_path: Path, how: str) -> None:
    found, files = _numbers(address, tmp_path, how)
    assert found == list(zip(KEYS, range(len(KEYS)), strict=True))
    assert len(files) > 8  # What the first attempt wrote is there, and nobody reads it.
