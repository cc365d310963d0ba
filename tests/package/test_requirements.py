"""What is installed is pinned, hashed, and from nowhere in particular."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]
FILES = {
    "requirements.txt": ["build"],
    "requirements-dev.txt": ["build", "dev"],
    "requirements-bench.txt": ["build", "bench"],
}
PIN = re.compile(
    r"^(?P<pin>[a-z0-9][^\\]*?) \\\n(?P<hashes>(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(name: str) -> list[Requirement]:
    return [Requirement(match["pin"]) for match in PIN.finditer((REPOSITORY / name).read_text())]


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_nothing_but_hashed_pins(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    assert PIN.sub("", text).strip() == ""
    assert all(str(pin.specifier).startswith("==") for pin in pins(name))


@pytest.mark.parametrize(("name", "extras"), FILES.items())
def test_what_is_declared_is_pinned_within_its_bounds(name: str, extras: list[str]) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    pinned = {}
    for pin in pins(name):
        pinned.setdefault(pin.name, []).append(next(iter(pin.specifier)).version)
    for line in declared:
        wanted = Requirement(line)
        versions = pinned.get(wanted.name.replace(".", "-"), [])
        assert versions, f"{wanted.name} is not pinned: run `make requirements`"
        assert all(wanted.specifier.contains(version) for version in versions), wanted


def test_users_and_developers_get_the_same_versions() -> None:
    users = {str(pin) for pin in pins("requirements.txt")}
    assert users <= {str(pin) for pin in pins("requirements-dev.txt")}


@pytest.mark.parametrize("name", FILES)
def test_nothing_needless_comes_along(name: str) -> None:
    assert not [pin.name for pin in pins(name) if pin.name == "torch" or pin.name.startswith("nvidia-")]
