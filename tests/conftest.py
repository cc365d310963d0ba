"""The tiers of the suite: `pytest` alone runs the fast one; a named file or folder is always run whole.

`--tier test` (`make test`) leaves out what starts browsers, servers, real inputs or many runs; `--tier check`
(`make check`) leaves out what is marked `long`, and runs properties with a third of their examples; `--tier all` gives
them all. `services`, whose tests start servers, is run where it is named only (`make test-services`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # Before NumPy is imported; workers share two cores.
ONLY_IN_CHECK = {
    HERE / name
    for name in (
        "browser",
        "external",
        "faults",
        "package",
        "pipelines",
        "soak",
        "spark",
        "spec/ingest/test_properties.py",
        "spec/ingest/test_real_inputs.py",
        "spec/pipeline/test_selected.py",
        "spec/run/test_erasure.py",
        "spec/run/test_rebuild.py",
        "spec/run/test_restatements.py",
        "unit/cli/test_commands.py",
        "unit/cli/test_erase.py",
        "unit/cli/test_init.py",
        "unit/cli/test_json_log.py",
        "unit/cli/test_start.py",
        "unit/ingest/test_load_groups.py",
        "properties/test_incremental.py",
        "properties/test_incremental_identities.py",
        "properties/test_incremental_mutations.py",
        "properties/test_pipeline.py",
        "properties/test_run_histories.py",
        "properties/test_ties.py",
    )
}
ONLY_IN_SERVICES = HERE / "services"
COMPILE = "from support.preload import compile_kernel; compile_kernel()"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=("test", "check", "all"), help="the fast tests, or all of them")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.option.tier = os.environ["JOURNEYFLOW_TIER"]
        return
    is_named = config.args_source is pytest.Config.ArgsSource.ARGS
    tier = config.option.tier or ("all" if is_named else "test")
    config.option.tier = tier
    os.environ["JOURNEYFLOW_TIER"] = tier  # Read by `support.examples` when test modules are imported.
    if config.getoption("numprocesses", None) and not is_named:
        _compile_once()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = ONLY_IN_CHECK if config.option.tier == "test" else ()
    is_named = config.option.tier == "all"
    return True if collection_path in left_out or (collection_path == ONLY_IN_SERVICES and not is_named) else None


@pytest.fixture(autouse=True, scope="module")
def _few_models(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the runs of a module that names `BUILT` build these models only; see `support.few_models`."""
    names = getattr(request.module, "BUILT", None)
    if names is None:
        yield
        return
    from support.few_models import building_only

    with building_only(names):
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = {"test": ("check", "long"), "check": ("long",)}.get(config.option.tier, ())
    left = [item for item in items if not any(map(item.get_closest_marker, left_out))]
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = left


def _compile_once() -> None:
    """Compile the kernel before the workers start: they would do it at the same time, each for itself."""
    kernel = HERE.parent / "src" / "journeyflow" / "kernel"
    newest = max(path.stat().st_mtime for path in kernel.glob("*.py"))
    if not any(path.stat().st_mtime > newest for path in (kernel / "__pycache__").glob("*.nbi")):
        paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
        subprocess.run([sys.executable, "-c", COMPILE], env=os.environ | {"PYTHONPATH": paths}, check=False)
