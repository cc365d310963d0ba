"""Compares a project with a new one that reads all its files in one run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

import journeyflow
from journeyflow.config import load_config
from journeyflow.pipeline.run import Run
from journeyflow.publish.generation import order_of
from journeyflow.publish.reader import read_manifest
from journeyflow.state.paths import graph_of

ARRIVALS = ("audiences", "briefing", "forecast_scores", "load_audit", "restatements", "runs")
"""Tables about how the rows came in; they may differ between two histories of the same figures."""
ARRIVAL_SPOTS = ("late", "quarantined")
Tables = dict[str, pl.DataFrame]


@dataclass(frozen=True)
class Comparison:
    """What a comparison found: rows that are alike, and what differs, in words."""

    row_count: int
    differences: tuple[str, ...]


def published(project: Path) -> Tables:
    """Return every published table but those of arrivals."""
    with journeyflow.open(project / "published") as opened:
        return {name: _figures(name, opened.table(name)) for name in opened.tables if name not in ARRIVALS}


def mark_of(project: Path) -> datetime:
    """Return the high-water mark of what is published, naive UTC."""
    manifest = read_manifest((project / "published" / "current").resolve())
    return manifest.high_water_at.replace(tzinfo=None)


def rebuild(
    project: Path, inputs: Mapping[str, bytes], folder: Path, as_of: datetime | None = None
) -> tuple[Tables, datetime]:
    """Read files into a new project with the rules, the traits and the key of another one.

    Parameters
    ----------
    project : Path
        The other one.
    inputs : mapping
        Content of each file by its name in the input folder.
    folder : Path
        A folder that is not there yet; it is removed again.
    as_of : datetime or None
        The mark; None is the latest event.

    Returns
    -------
    tuple
        Every published table but those of arrivals, and the mark. They were built, not published: nothing else reads
        the tables of a run before they are written.
    """
    (folder / "in").mkdir(parents=True)
    (folder / "state").mkdir()
    shutil.copy(project / "journeyflow.yml", folder)
    shutil.copy(project / "state" / "pseudonym.key", folder / "state")
    shutil.copytree(project / "crm", folder / "crm")
    for name, content in inputs.items():
        (folder / "in" / name).write_bytes(content)
    try:
        return _built(folder, as_of)
    finally:
        shutil.rmtree(folder)


def compare(mine: Tables, theirs: Tables) -> Comparison:
    """Compare tables, row by row; the order of rows does not matter."""
    differences = (
        [f"only one side has the tables {sorted(mine.keys() ^ theirs.keys())}"] if mine.keys() ^ theirs.keys() else []
    )
    shared = sorted(mine.keys() & theirs.keys())
    for name in shared:
        differences += _difference(name, mine[name], theirs[name])
    return Comparison(sum(mine[name].height for name in shared), tuple(differences))


def _built(folder: Path, as_of: datetime | None) -> tuple[Tables, datetime]:
    with Run(load_config(folder / "journeyflow.yml"), as_of=as_of) as run:
        for phase in (run.load, run.stitch, run.classify, run.build):
            phase()
        models = [model for model in graph_of(run.config).published() if model.table not in ARRIVALS]
        engine = run.builder.engine
        rows = {
            model.table: pl.from_arrow(engine.rows(f"select * from {model.name} order by {order_of(model)}"))
            for model in models
        }
        return {name: _figures(name, pl.DataFrame(table)) for name, table in rows.items()}, run.loaded.high_water_at


def _figures(name: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~pl.col("kind").is_in(ARRIVAL_SPOTS)) if name == "blind_spots" else rows


def _difference(name: str, mine: pl.DataFrame, theirs: pl.DataFrame) -> list[str]:
    if mine.equals(theirs, null_equal=True):
        return []
    if mine.schema != theirs.schema:
        return [f"{name} has other columns: {mine.schema} and {theirs.schema}"]
    every = mine.columns
    left, right = (
        side.group_by(every).len("_times").join(
            other.group_by(every).len("_times"), on=[*every, "_times"], how="anti", nulls_equal=True
        )
        for side, other in ((mine, theirs), (theirs, mine))
    )  # fmt: skip
    if left.is_empty() and right.is_empty():
        return []
    rows = [
        f"  {side}: {row}" for side, found in (("here", left), ("rebuilt", right)) for row in found.head(3).to_dicts()
    ]
    return ["\n".join([f"{name}: {left.height} rows are here only, {right.height} rebuilt only", *rows])]
