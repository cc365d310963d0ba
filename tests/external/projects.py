"""Running the job in a scratch folder and asking what it published."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

import journeyflow
from journeyflow.config import load_config
from journeyflow.pipeline import run

EXTERNAL_DATA = "JOURNEYFLOW_EXTERNAL_DATA"
PLACEHOLDER = "@external@"
ARRIVALS = ("briefing", "forecast_scores", "load_audit", "restatements", "runs")
"""Tables that describe how the rows came in, and may differ between two histories that publish the same figures."""

RUN_SPOTS = ("empty_input", "jumped_share")
"""Kinds of blind spots that describe the input of one run."""


@dataclass(frozen=True)
class Project:
    """A project folder in which the job has run."""

    folder: Path

    def table(self, name: str) -> pl.DataFrame:
        """Return a published table."""
        with journeyflow.open(self.folder / "published") as published:
            return published.table(name)

    def steps(
        self, funnel: str, column: str = "person_count", *, persona: str = "all", period: str = "all"
    ) -> list[Any]:
        """Return one column of a funnel, a value a step."""
        keys = (pl.col("funnel") == funnel) & (pl.col("persona") == persona) & (pl.col("period") == period)
        rows = self.table("funnel_steps").filter(keys).sort("step_index")
        assert rows.height, f"no rows for {funnel}, {persona}, {period}"
        return rows[column].to_list()

    def entered(self, funnel: str, **keys: str) -> int:
        """Return how many units reached the first step."""
        return int(self.steps(funnel, **keys)[0])

    def audit(self, column: str) -> int:
        """Return the total of a count of `load_audit` over the files of the last run."""
        return int(self.table("load_audit")[column].sum())

    def kinds(self, model: str, *conditions: pl.Expr) -> int:
        """Return the number of events of a model's kinds that satisfy the conditions."""
        return int(self.table("event_kinds").filter(pl.col("model") == model, *conditions)["event_count"].sum())

    def warehouse_rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse, which nothing else holds open now."""
        with duckdb.connect(str(self.folder / "state" / "warehouse.duckdb"), read_only=True) as warehouse:
            return warehouse.sql(query).fetchall()

    def figures(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every published figure: each table but those of the arrivals, its rows in a fixed order."""
        with journeyflow.open(self.folder / "published") as published:
            names = [name for name in published.tables if name not in ARRIVALS]
        tables = {name: self.table(name) for name in names}
        if "blind_spots" in tables:
            tables["blind_spots"] = tables["blind_spots"].filter(~pl.col("kind").is_in(RUN_SPOTS))
        return {name: sorted(table.rows(), key=repr) for name, table in tables.items()}


def write_config(template: Path, folder: Path, data: Path, *, swap: Sequence[tuple[str, str]] = ()) -> Path:
    """Copy a configuration into a folder, with the folder of the real inputs in its place."""
    text = template.read_text(encoding="utf-8").replace(PLACEHOLDER, data.as_posix())
    for old, new in swap:
        assert old in text, f"{old} is not in {template}"
        text = text.replace(old, new)
    path = folder / "journeyflow.yml"
    path.write_text(text, encoding="utf-8")
    return path


def run_project(path: Path, **arguments: Any) -> Project:
    """Run the job on a configuration."""
    run.run(load_config(path), **arguments)
    return Project(path.parent)


def scratch(root: Path) -> Path:
    """Make a new folder for one run."""
    return Path(tempfile.mkdtemp(dir=root))
