"""The search for pain points finds the same whatever arrived first, ties included."""

from __future__ import annotations

import polars as pl
import pytest
from benchmarks.worlds.draw import draw_world
from benchmarks.worlds.files import write_world
from benchmarks.worlds.simulate import live

from external.projects import scratch
from journeyflow.config import load_config
from journeyflow.pipeline.run import Run

FOUND = ("statistics.pains", "statistics.pain_parts", "statistics.pain_persons")
KINDS = ("incident_error", "gap_browser", "notice", "promise")


def found(root, world, life, unit, order):
    """Return what the search found where times are cut to a unit and each file is dealt out to three, in an order."""
    path = write_world(world, life, scratch(root), with_slices=True)
    for file in (path.parent / "data").glob("*.parquet"):
        rows = pl.read_parquet(file).with_columns(pl.col("at").dt.truncate(unit))
        if "browser" in rows.columns:
            # Events of one name and instant that say different things of the person.
            other = pl.int_range(pl.len()) % 7 == 0
            rows = rows.with_columns(pl.when(other).then(pl.lit("Other")).otherwise("browser").alias("browser"))
        rows = rows.sample(fraction=1.0, shuffle=True, seed=1)
        for place, part in enumerate(order):
            rows[part :: len(order)].write_parquet(file.with_name(f"{file.stem}_{place}.parquet"))
        file.unlink()
    text = path.read_text(encoding="utf-8").replace(".parquet", "_*.parquet")
    path.write_text(text, encoding="utf-8")
    with Run(load_config(path)) as run:
        for phase in (run.load, run.stitch, run.classify, run.build):
            phase()
        engine = run.builder.engine
        return {name: pl.DataFrame(engine.rows(f"select * from {name}")) for name in FOUND}


@pytest.mark.check
@pytest.mark.parametrize("unit", ["1h", "1d"])
def test_two_orders_of_files_give_the_same_pain_points(tmp_path, unit):
    world = draw_world(3, size=(6_000, 7_000), kinds=KINDS, business="shop")
    life = live(world)
    one, two = (found(tmp_path, world, life, unit, order) for order in ((0, 1, 2), (2, 0, 1)))
    assert len(one["statistics.pains"]) > 0
    for name, rows in one.items():
        rows = rows.sort(rows.columns[:3]) if name.endswith("persons") else rows
        other = two[name].sort(rows.columns[:3]) if name.endswith("persons") else two[name]
        assert rows.equals(other, null_equal=True), name
