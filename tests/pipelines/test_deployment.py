"""The deployment of `prefect.yaml`, started by a worker of a real server, with a fault that passes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from journeyflow.utils import files

SECONDS = 300


@pytest.fixture(scope="module", autouse=True)
def _server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def deployed(project: Path) -> Path:
    """Return the configuration of a project whose deployments were made as `prefect.yaml` says."""
    root = files.pipelines_folder().parent
    shutil.copy(root / "prefect.yaml", project.parent)
    shutil.copytree(root / "pipelines", project.parent / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    prefect(project.parent, "work-pool", "create", "nightly", "--type", "process")
    prefect(project.parent, "--no-prompt", "deploy", "--all")
    return project


def environment(folder: Path) -> dict[str, str]:
    settings = {"PREFECT_API_URL": PREFECT_API_URL.value(), "JOURNEYFLOW_HOME": str(folder)}
    settings |= {"PREFECT_HOME": str(folder / "prefect"), "JOURNEYFLOW_RETRY_SECONDS": "1"}
    return os.environ | settings


def prefect(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_for(what: str, found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < deadline, f"no {what} within {SECONDS} s"
        time.sleep(0.5)


def tasks_of(client: SyncPrefectClient, run: UUID) -> dict[str, TaskRun]:
    wanted = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run]))
    return {task.name.rsplit("-", 1)[0]: task for task in client.read_task_runs(task_run_filter=wanted)}


def test_a_deployment_is_run_by_a_worker_retried_and_seen_in_its_server(deployed: Path) -> None:
    folder = deployed.parent
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name("journeyflow-nightly/nightly")
        assert [schedule.schedule.cron for schedule in nightly.schedules] == ["0 2 * * *"]
        assert client.read_deployment_by_name("journeyflow-backfill/backfill")
        parameters = {"config_path": str(deployed)}
        run: FlowRun = client.create_flow_run_from_deployment(nightly.id, parameters=parameters)
        # Nothing can be published below a file: a fault of the disk, which passes when the file is taken away.
        (folder / "published").mkdir()
        obstacle = folder / "published" / "generations"
        obstacle.touch()
        worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "nightly", "--run-once"],
            cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for("retry", lambda: _is_retrying(client, run.id))
            obstacle.unlink()
            wait_for("end", lambda: client.read_flow_run(run.id).state.is_final())
        finally:
            worker.terminate()
            worker.wait(timeout=60)
        ended, tasks = client.read_flow_run(run.id), tasks_of(client, run.id)
        assert ended.state.is_completed(), ended.state.message
        assert {name: task.state.name for name, task in tasks.items()} == dict.fromkeys(
            ("load", "stitch", "classify", "build", "check", "publish"), "Completed"
        )
        assert tasks["publish"].run_count > 1
        assert tasks["load"].run_count == 1
        assert {artifact.key for artifact in client.read_latest_artifacts()} == {
            "journeyflow-drop-offs", "journeyflow-run",
        }  # fmt: skip
    assert (folder / "published" / "current" / "map.html").is_file()


def _is_retrying(client: SyncPrefectClient, run: UUID) -> bool:
    publish = tasks_of(client, run).get("publish")
    flow = client.read_flow_run(run).state
    assert not flow.is_final(), flow.message
    return publish is not None and publish.state.name in ("AwaitingRetry", "Retrying")
