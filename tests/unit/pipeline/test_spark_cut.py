"""What a run with `engine: spark` builds there follows from the graph, and its exceptions are listed."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from journeyflow.config import load_config
from journeyflow.config.sources import Spark
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError
from journeyflow.models import load_graph
from journeyflow.models.model import select_of
from journeyflow.operations.erase import RequestedId, erase, plan_erasure
from journeyflow.pipeline.builder import (
    ON_DRIVER,
    READ_LATER,
    SparkBuilder,
    is_of_entities,
    spark_cut,
    spark_engine,
)
from journeyflow.pipeline.run import run
from journeyflow.state.folder import SHARED, clear_shared, foreign
from journeyflow.utils.files import sample_folder, sql_folder
from support.order_project import write_project

if TYPE_CHECKING:
    from journeyflow.engines.spark import SparkEngine

GRAPH = load_graph(sql_folder(), own=sample_folder() / "sql")
CUT = spark_cut(GRAPH)
PEOPLE = {model.name for model in GRAPH if is_of_entities(model)}


def test_each_relation_of_people_is_in_the_cut_or_a_listed_exception() -> None:
    assert {name for name in ON_DRIVER if is_of_entities(GRAPH[name])} == PEOPLE - CUT


def test_nothing_else_reads_a_relation_of_people_in_duckdb() -> None:
    readers = {model.name for model in GRAPH if PEOPLE & {*model.inputs} and not model.is_own}
    assert readers - CUT <= set(ON_DRIVER)


def test_exceptions_are_models_that_would_be_in_the_cut() -> None:
    readers = {model.name for model in GRAPH if PEOPLE & {*model.inputs}}
    assert set(ON_DRIVER) <= PEOPLE | readers
    assert set(READ_LATER) <= CUT & PEOPLE


def test_a_users_own_models_stay_in_duckdb() -> None:
    assert not [name for name in CUT if GRAPH[name].is_own]


@pytest.mark.parametrize("name", sorted(CUT))
def test_each_model_of_the_cut_is_a_select_or_of_the_kernel(name: str) -> None:
    model = GRAPH[name]
    if model.layer == "kernel" and model.sql is None:
        return
    config = load_config(sample_folder() / "journeyflow.yml")
    assert model.sql or select_of(config, model)


def test_the_kernel_of_the_cut_is_whole() -> None:
    filled = {model.name for model in GRAPH if model.layer == "kernel"}
    assert filled <= CUT


def test_the_key_of_person_ids_stays_on_this_machine() -> None:
    shipped: dict[str, list[dict[str, object]]] = {}
    spark = SimpleNamespace(
        columns=lambda name: {}, write=lambda name, rows, types: shipped.update({name: rows.read_all().to_pylist()})
    )
    with DuckDBEngine(threads=1) as engine:
        engine.run("config.settings", "select 'key' as person_secret, 30 as min_count")
        builder = SparkBuilder(
            engine, cast("SparkEngine", spark), GRAPH, load_config(sample_folder() / "journeyflow.yml")
        )
        builder.ship(GRAPH["config.settings"])
    assert shipped == {"config.settings": [{"person_secret": "", "min_count": 30}]}


def test_no_model_of_the_cut_reads_the_key() -> None:
    assert not [name for name in CUT if "person_secret" in (GRAPH[name].sql or "")]


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    monkeypatch.setattr("journeyflow.engines.spark.SparkEngine", lambda address, folder: made.append(folder))
    shared = tmp_path / "shared"
    shared.mkdir()
    config = load_config(write_project(tmp_path / "project")).model_copy(
        update={"spark": Spark(address="sc://127.0.0.1:1", folder=shared)}
    )
    spark_engine(config, "run")
    (place,) = made
    assert place.parent.parent == shared
    (tmp_path / "elsewhere").mkdir()
    place.parent.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="cannot be removed"):
        spark_engine(config, "run")


def test_an_erasure_removes_what_a_killed_run_left_in_the_shared_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journeyflow.engines.spark.SparkEngine", lambda address, folder: folder.mkdir(parents=True))
    shared, file = tmp_path / "shared", write_project(tmp_path / "project")
    others = shared / "journeyflow-0123456789abcdef" / "run"
    others.mkdir(parents=True)
    run(file)
    config = load_config(file)
    spark_engine(config.model_copy(update={"spark": Spark(address="sc://127.0.0.1:1", folder=shared)}), "killed")
    (left,) = (folder for folder in shared.iterdir() if folder != others.parent)
    (left / "killed" / "part-0.parquet").write_bytes(b"u1")
    # Neither the engine nor the folder is configured any more.
    erase(config, plan_erasure(config, [RequestedId("user", "u1")]))
    assert list(shared.iterdir()) == [others.parent]
    assert not foreign(config)
    assert not (config.state / SHARED).exists()


def test_leftovers_that_cannot_be_reached_are_not_forgotten(tmp_path: Path) -> None:
    state, folder = tmp_path / "state", tmp_path / "shared" / "journeyflow-0123456789abcdef"
    state.mkdir()
    folder.mkdir(parents=True)
    clear_shared(state, folder)
    folder.mkdir()
    folder.parent.rename(tmp_path / "away")
    with pytest.raises(InputError, match="mount it"):
        clear_shared(state)
    (tmp_path / "away").rename(folder.parent)
    clear_shared(state)
    assert not folder.exists()


def test_a_copied_state_folder_leaves_what_the_original_uses(tmp_path: Path) -> None:
    state, folder = tmp_path / "state", tmp_path / "shared" / "journeyflow-0123456789abcdef"
    state.mkdir()
    folder.parent.mkdir()
    clear_shared(state, folder)
    folder.mkdir()
    copy = Path(shutil.copytree(state, tmp_path / "copy"))
    clear_shared(copy)
    assert folder.exists()
    assert not (copy / SHARED).exists()
    shutil.rmtree(copy)
    moved = state.rename(tmp_path / "moved")
    clear_shared(moved)
    assert not folder.exists()
