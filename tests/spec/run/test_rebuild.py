"""Everything can be rebuilt from the raw store, and what is published equals the rebuild."""

from __future__ import annotations

import hashlib
import shutil

import polars as pl
import pytest

import journeyflow
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import DifferenceError, ExitCode, InputError, LockedError
from journeyflow.operations.rebuild import ARRIVALS, rebuild, verify
from journeyflow.state.folder import project_lock
from support.order_project import ONE_FUNNEL
from support.templates import built_once, copy_of

BUILT = ("marts.funnel_steps", "marts.person_stages", "marts.paths")

HEAD = "id,at,cookie,customer,event\n"
FIRST = """1,2026-03-01 10:00:00,a,,product_view
2,2026-03-01 11:00:00,b,ann,product_view
3,2026-03-01 12:00:00,b,ann,purchase
bad,gestern,b,ann,purchase
"""
SECOND = """3,2026-03-01 12:00:00,b,ann,purchase
4,2026-03-05 12:00:00,a,ben,purchase
5,2026-02-28 09:00:00,c,,product_view
"""


@pytest.fixture
def project(tmp_path, tmp_path_factory):
    """A copy of a project after two runs."""
    return copy_of(built_once(tmp_path_factory, "rebuild", _run_twice), tmp_path / "shop")


def _run_twice(folder):
    (folder / "web").mkdir(parents=True)
    (folder / "journeyflow.yml").write_text(ONE_FUNNEL, encoding="utf-8")
    for name, rows in (("one", FIRST), ("two", SECOND)):
        (folder / "web" / f"{name}.csv").write_text(HEAD + rows, encoding="utf-8")
        journeyflow.run(folder)


def config(project):
    from journeyflow.config import load_config

    return load_config(project)


def tables(project):
    with journeyflow.open(project / "published") as published:
        return {name: published.table(name) for name in published.tables if name not in ARRIVALS}


def firsts(project):
    with DuckDBEngine(project / "state" / "warehouse.duckdb", read_only=True) as warehouse:
        return warehouse.rows(
            "select source_file, first_loaded_at, is_loaded from ledger.files order by file_ix"
        ).to_pylist()


def test_a_rebuild_without_the_input_publishes_the_same(project):
    before, known = tables(project), firsts(project)
    shutil.rmtree(project / "web")
    report = rebuild(config(project))
    assert report.record_count == 7
    assert firsts(project) == known
    after = tables(project)
    assert {name for name in before if not before[name].equals(after[name])} == set()


def test_a_rebuild_makes_a_warehouse_that_is_gone_or_damaged(project):
    before, known = tables(project), firsts(project)
    warehouse = project / "state" / "warehouse.duckdb"
    for damage in (warehouse.unlink, lambda: warehouse.write_bytes(b"no database" * 1000)):
        damage()
        rebuild(config(project))
        assert firsts(project) == known
        assert tables(project)["funnel_steps"].equals(before["funnel_steps"])
    assert not (project / "state" / "damaged-warehouse.duckdb").exists()
    journeyflow.run(project)
    assert tables(project)["funnel_steps"].equals(before["funnel_steps"])


def test_a_rebuild_reads_no_new_file(project):
    (project / "web" / "three.csv").write_text(HEAD + "9,2026-03-06 12:00:00,z,,product_view\n", encoding="utf-8")
    assert rebuild(config(project)).event_count == 5
    assert journeyflow.run(project).event_count == 6


def test_a_rebuild_that_dies_before_the_swap_changes_nothing(project, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    before, known = (project / "published" / "current").readlink(), firsts(project)
    monkeypatch.setattr("journeyflow.operations.rebuild.replace_warehouse", dies)
    with pytest.raises(KeyboardInterrupt):
        rebuild(config(project))
    assert firsts(project) == known
    assert (project / "published" / "current").readlink() == before
    assert not (project / "state" / "work").exists()


def test_what_is_not_kept_is_read_from_the_input_and_else_refused(project):
    shutil.rmtree(project / "state" / "raw")
    assert rebuild(config(project)).event_count == 5
    shutil.rmtree(project / "state" / "raw")
    (project / "web" / "one.csv").unlink()
    before = hashlib.sha256((project / "state" / "warehouse.duckdb").read_bytes()).digest()
    with pytest.raises(InputError, match=r"web/one\.csv .1 of 2 files. is neither archived nor in the input"):
        rebuild(config(project))
    assert len(firsts(project)) == 2
    assert before
    assert journeyflow.run(project).event_count == 5


def test_verify_finds_what_is_published_to_be_what_a_rebuild_gives(project):
    shutil.rmtree(project / "web")
    found = verify(config(project))
    assert "funnel_steps" in found.tables
    assert not set(ARRIVALS) & set(found.tables)
    assert found.row_count > 20
    assert not (project / "state" / "work" / "scratch").exists()


def test_verify_reads_as_far_as_the_generation_did(project, monkeypatch):
    current = (project / "published" / "current").readlink()
    (project / "web" / "three.csv").write_text(HEAD + "9,2026-03-01 12:30:00,z,,product_view\n", encoding="utf-8")
    from journeyflow.pipeline.run import Run

    with Run(config(project)) as run:
        run.load()
    assert (project / "published" / "current").readlink() == current
    verify(config(project))


def test_verify_names_the_first_difference_and_no_value(project):
    path = project / "published" / "current" / "funnel_steps.parquet"
    rows = pl.read_parquet(path)
    changed = rows.with_columns(
        pl.when(pl.arange(0, rows.height) == 2).then(987_654).otherwise(pl.col("person_count")).alias("person_count")
    )
    changed.cast(rows.schema).write_parquet(path)
    with pytest.raises(DifferenceError, match=r"funnel_steps at \{.*\"funnel\".*\}: column person_count") as raised:
        verify(config(project))
    assert "987" not in raised.value.message
    assert raised.value.exit_code is ExitCode.DIFFERENT


def test_verify_notices_rows_that_are_gone(project):
    path = project / "published" / "current" / "person_stages.parquet"
    pl.read_parquet(path)[1:].write_parquet(path)
    with pytest.raises(DifferenceError, match=r"person_stages at .*: the row is not published"):
        verify(config(project))


def test_verify_needs_the_rules_of_the_generation(project):
    (project / "journeyflow.yml").write_text(ONE_FUNNEL.replace("2d", "3d"), encoding="utf-8")
    with pytest.raises(InputError, match="Run `journeyflow run`, then verify"):
        verify(config(project))


def test_neither_works_beside_a_run(project):
    settings = config(project)
    with project_lock(settings.state):
        for work in (rebuild, verify):
            with pytest.raises(LockedError):
                work(settings)
