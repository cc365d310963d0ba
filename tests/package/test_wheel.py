"""A wheel in an empty folder has everything it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
pytest.importorskip("hatchling", reason="the wheel is built with hatchling, which requirements-dev.txt brings")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the unpacked wheel and nothing else of the project."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    _share_compiled_kernel(site / "journeyflow" / "kernel")
    return site


def _share_compiled_kernel(kernel: Path) -> None:
    """Give the wheel the compiled code of the checkout, whose sources are the same: compiling again proves nothing."""
    checkout = REPOSITORY / "src" / "journeyflow" / "kernel"
    for source in checkout.glob("*.py"):
        assert (kernel / source.name).read_bytes() == source.read_bytes()
        # Numba looks at the time of a file.
        os.utime(kernel / source.name, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    (kernel / "__pycache__").mkdir(exist_ok=True)
    for compiled in (checkout / "__pycache__").glob("*.nb[ci]"):
        shutil.copy(compiled, kernel / "__pycache__")


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the unpacked wheel in an empty folder; the checkout comes after it on the path, if at all."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_carries_models_sample_and_flows_and_no_tests(installed: Path) -> None:
    package = installed / "journeyflow"
    for part in ("sql/marts/funnel_steps.sql", "sample/journeyflow.yml", "pipelines/nightly.py", "py.typed"):
        assert (package / part).is_file(), part
    assert {path.name.split("-")[0] for path in installed.iterdir()} == {"journeyflow"}
    assert not list(installed.rglob("*.duckdb"))
    assert not list(installed.rglob("published"))


def test_it_finds_its_own_folders(installed: Path, tmp_path: Path) -> None:
    code = "from journeyflow.utils import files as f; print(f.sql_folder(), f.sample_folder(), f.pipelines_folder())"
    done = run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert all(Path(folder).is_relative_to(installed) for folder in done.stdout.split())


def test_the_demo_runs(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-m", "journeyflow", "demo")
    assert done.returncode == 0, done.stderr
    assert "Published" in done.stdout
    assert (tmp_path / "journeyflow-demo" / "published" / "current" / "marts.duckdb").is_file()
    asked = run(installed, tmp_path / "journeyflow-demo", "-m", "journeyflow", "funnel", "checkout")
    assert asked.returncode == 0, asked.stderr
    assert "reached paid" in asked.stdout
