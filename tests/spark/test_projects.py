"""A run with `engine: spark` publishes what a run on one machine does, and each relation that it builds is equal."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from external.projects import EXTERNAL_DATA, write_config
from journeyflow.config import load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.models import Graph, Model
from journeyflow.pipeline.builder import SparkBuilder
from journeyflow.pipeline.run import Run, RunReport, run
from journeyflow.utils.files import sample_folder
from properties import random_projects
from support.order_project import write_project
from support.shop import Shop
from support.shop_project import ShopProject

OF_THE_RUN = ("run_id", "config_hash", "started_at", "finished_at", "elapsed_seconds")
"""Columns that differ between any two runs."""
OF_AN_ENGINE = {("map.promise_events", "match_value")}
"""The text of a person's key, whose bits engines read signed or unsigned: only whether two are equal counts."""


def _real(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        if not (data := os.environ.get(EXTERNAL_DATA)):
            pytest.skip(f"{EXTERNAL_DATA} is not set: it names the folder of the real inputs")
        folder.mkdir()
        write_config(Path(__file__).parents[1] / "external" / name / "journeyflow.yml", folder, Path(data).absolute())

    return make


def _shop(folder: Path) -> None:
    """Six sources of twelve days; a funnel counts orders, named by a property."""
    project, shop = ShopProject(folder), Shop(5, shoppers=60, visits=20)
    project.put_events([event for day in range(12) for event in shop.day(date(2025, 3, 20) + timedelta(days=day))])


def _random(folder: Path) -> None:
    """Every setting of a funnel, over a log with ties, shared devices and several units."""
    path = random_projects.make_project(folder.parent)
    random_projects.add_file(path, "log.csv", random_projects.log_of(3, 400))
    path.parent.rename(folder)


MAKE: dict[str, Callable[[Path], object]] = {
    "small": write_project,
    "sample": lambda folder: shutil.copytree(sample_folder(), folder),
    "random": _random,
    "shop": _shop,
    "otto": _real("otto"),
    "eshop_2008": _real("eshop_2008"),
    "snowplow_ecommerce": _real("snowplow_ecommerce"),
}
IN_CI = ("small", "sample", "random", "otto")


@dataclass(frozen=True)
class Pair:
    """Two builds of one project in one engine, as ``spark`` and ``duckdb``; the published tables too."""

    engine: DuckDBEngine
    graph: Graph
    report: RunReport
    expected: RunReport
    shared: Path

    def differences(self, model: Model) -> int:
        """Count rows of either build that the other one lacks; floats are equal to a relative 1e-9."""
        there, here = (f"{name}.{model.name}" for name in ("spark", "duckdb"))
        types = self.engine.columns(there)
        assert types == self.engine.columns(here)
        columns = {name: kind for name, kind in types.items() if not self._may_differ(model.name, name)}
        keys = [name for name in model.grain or () if name in columns] or list(columns)
        on = " and ".join(f'this."{name}" is not distinct from other."{name}"' for name in keys)
        differ = [_differ(name, kind) for name, kind in columns.items() if name not in keys]
        if not model.grain:
            near = (f'round("{name}", 6)' if kind == "DOUBLE" else f'"{name}"' for name, kind in columns.items())
            mine, theirs = (f"select {listed} from {side}" for listed in [", ".join(near)] for side in (there, here))
            return self._count(f"from (({mine} except all {theirs}) union all ({theirs} except all {mine}))")
        condition = " or ".join(["this._is is null", "other._is is null", *differ])
        sides = [f"(select *, true as _is from {side}) as {name}" for side, name in ((there, "this"), (here, "other"))]
        return self._count(f"from {sides[0]} full join {sides[1]} on {on} where {condition}")

    @staticmethod
    def _may_differ(model: str, column: str) -> bool:
        return column in OF_THE_RUN or (model, column) in OF_AN_ENGINE

    def _count(self, rest: str) -> int:
        return int(self.engine.values(f"select count(*) {rest}")[0][0])


def _differ(name: str, kind: str) -> str:
    this, other = f'this."{name}"', f'other."{name}"'
    if kind != "DOUBLE":
        return f"{this} is distinct from {other}"
    is_near = f"abs({this} - {other}) <= 1e-9 * greatest(abs({this}), abs({other}))"
    return f"({this} is distinct from {other} and not coalesce({is_near}, false))"


@pytest.fixture(
    scope="module", params=[name if name in IN_CI else pytest.param(name, marks=pytest.mark.long) for name in MAKE]
)
def pair(request: pytest.FixtureRequest, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder, shared = tmp_path_factory.mktemp("projects"), tmp_path_factory.mktemp("shared")
    for name in ("duckdb", "spark"):
        MAKE[request.param](folder / name)
    expected = run(folder / "duckdb" / "journeyflow.yml")
    (folder / "spark" / "state").mkdir()
    shutil.copy(folder / "duckdb" / "state" / "pseudonym.key", folder / "spark" / "state")
    file = folder / "spark" / "journeyflow.yml"
    rules = YAML(typ="safe").load(file)
    rules |= {"engine": "spark", "spark": {"address": address, "folder": str(shared)}}
    file.write_text(json.dumps(rules, default=str), encoding="utf-8")
    with Run(load_config(file)) as started:
        report = started.execute()
        builder = started.builder
        assert isinstance(builder, SparkBuilder)
        for model in started.graph:  # Also what no model in DuckDB reads.
            builder.bring(model)
    builds = {name: folder / name / "state" / "build.duckdb" for name in ("spark", "duckdb")}
    with DuckDBEngine(attached=builds) as engine:
        yield Pair(engine, started.graph, report, expected, shared)


def test_every_relation_is_equal(pair: Pair) -> None:
    built = "select schema_name || '.' || table_name from duckdb_tables() where database_name = 'duckdb'"
    names = {name for (name,) in pair.engine.values(built)}
    tables = [model for model in pair.graph if model.name in names]
    assert len(tables) > 200
    differ = {model.name: count for model in tables if (count := pair.differences(model))}
    assert not differ


def test_as_many_checks_are_made(pair: Pair) -> None:
    assert pair.report.check_count == pair.expected.check_count
    assert pair.report.built == "full refresh: on Spark"


def test_nothing_stays_in_the_shared_folder(pair: Pair) -> None:
    assert not [path for path in pair.shared.rglob("*") if path.is_file()]
