"""The flows against a real, throw-away Prefect server; one module, for the server takes its time to start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint
from prefect.testing.utilities import prefect_test_harness
from ruamel.yaml import YAML

import backfill
import nightly
from journeyflow.cli import main
from journeyflow.errors import ConfigError, EngineError, InputError
from journeyflow.utils import files
from support.order_project import write_project

OF_THE_RUN = {
    "runs": ["run_id", "started_at", "finished_at", "elapsed_seconds"],
    "load_audit": ["run_id"],
}
"""Columns that tell runs apart; every other published value must be the same."""


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


def published(config: Path) -> dict[str, pl.DataFrame]:
    folder = config.parent / "published" / "current"
    tables = {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    return {name: table.drop(OF_THE_RUN.get(name, [])) for name, table in tables.items()}


def test_flow_and_command_line_publish_the_same_tables(project: Path, tmp_path: Path) -> None:
    other = write_project(tmp_path / "other")
    # The key behind person_id is drawn once a project, so both get the same.
    for config in (project, other):
        (config.parent / "state").mkdir()
        (config.parent / "state" / "pseudonym.key").write_text("0" * 64)
    with pytest.raises(SystemExit) as ended:
        main(["run", "--config", str(other), "--quiet"])
    assert ended.value.code == 0
    report = nightly.nightly(project)
    assert report.status == "published"
    by_flow, by_command = published(project), published(other)
    assert set(by_flow) == set(by_command)
    assert {"funnel_steps", "drop_offs", "person_stages"} <= set(by_flow)
    for name, table in by_flow.items():
        assert table.equals(by_command[name]), name
    assert by_flow["funnel_steps"].height > 10


def test_a_run_leaves_its_artifacts(project: Path) -> None:
    report = nightly.nightly(project)
    with get_client(sync_client=True) as client:
        found = {artifact.key: artifact.data for artifact in client.read_latest_artifacts()}
    assert report.run_id in found["journeyflow-run"]
    headlines = [line.headline for line in report.briefing.lines]
    assert headlines
    places = [found["journeyflow-run"].index(text) for text in ("**Who:**", "**Where:**", "**What hurts", "| phase |")]
    assert places == sorted(places)
    rows = json.loads(found["journeyflow-drop-offs"])
    assert rows[0]["funnel"]
    assert rows == sorted(rows, key=lambda row: -row["drop_off_count"])


def test_a_wrong_parameter_is_refused_before_anything_runs(project: Path) -> None:
    with pytest.raises(Exception, match="as_of"):
        nightly.nightly(project, as_of="yesterday")
    assert not (project.parent / "state").exists()


def test_a_backfill_goes_on_after_a_failed_run(project: Path) -> None:
    state = backfill.backfill(project, date(2026, 2, 28), date(2026, 3, 2), return_state=True)
    assert state.is_failed()
    assert "1 of 3 runs failed: 2026-02-28" in state.message
    assert (project.parent / "published" / "current").exists()
    manifest = json.loads((project.parent / "published" / "current" / "manifest.json").read_text())
    assert manifest["high_water_at"].startswith("2026-03-02T23:59:59")


@pytest.mark.parametrize(
    ("entrypoint", "parameters"),
    [
        ("nightly.py:nightly", {"config_path": "journeyflow.yml", "as_of": "2026-03-01T00:00:00Z"}),
        ("backfill.py:backfill", {"config_path": "journeyflow.yml", "first": "2026-03-01", "last": "2026-03-02"}),
    ],
)
def test_a_worker_can_load_a_flow_and_read_its_parameters(entrypoint: str, parameters: dict[str, str]) -> None:
    flow = load_flow_from_entrypoint(str(files.pipelines_folder() / entrypoint))
    assert flow.validate_parameters(parameters)["config_path"] == Path("journeyflow.yml")


def test_the_deployments_name_flows_and_parameters_that_exist() -> None:
    root = files.pipelines_folder().parent
    for deployment in YAML(typ="safe").load(root / "prefect.yaml")["deployments"]:
        flow = load_flow_from_entrypoint(str(root / deployment["entrypoint"]))
        assert set(deployment["parameters"]) <= set(flow.parameters.properties)


def test_days_are_both_included() -> None:
    assert backfill.days(date(2026, 2, 27), date(2026, 3, 1)) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]
    with pytest.raises(ValueError, match="before the first"):
        backfill.days(date(2026, 3, 2), date(2026, 3, 1))


def test_a_time_with_a_zone_becomes_naive_utc() -> None:
    in_berlin = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert nightly.naive_utc(in_berlin) == datetime(2026, 3, 1)
    assert nightly.naive_utc(datetime(2026, 3, 1, tzinfo=UTC)) == nightly.naive_utc(datetime(2026, 3, 1))
    assert nightly.naive_utc(None) is None


class _State:
    def __init__(self, error: Exception, cause: Exception | None = None) -> None:
        error.__cause__ = cause
        self.error = error

    def result(self, *, raise_on_failure: bool) -> Exception:
        return self.error


@pytest.mark.parametrize(
    ("state", "is_retried"),
    [
        (_State(OSError("gone")), True),
        (_State(EngineError("failed"), OSError("gone")), True),
        (_State(EngineError("failed"), ValueError("x")), False),
        (_State(InputError("missing")), False),
        (_State(ConfigError("wrong"), OSError("gone")), False),
    ],
)
def test_only_faults_that_may_pass_are_tried_again(state: _State, is_retried: bool) -> None:
    assert nightly.is_transient(None, None, state) is is_retried


def test_a_wrong_schedule_is_reported_before_anything_is_started(project: Path) -> None:
    with pytest.raises(InputError, match="give five fields"):
        nightly.serve_nightly(project, "x y z", print)
