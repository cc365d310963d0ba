"""`check` and `plan` of the user-defined models beside the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from journeyflow.cli import main
from journeyflow.errors import ExitCode
from support.order_project import write_project

SQL = """-- Persons by number of purchases.
-- Grain: purchase_count.
select
    purchase_count,
    count(*) as person_count
from kernel.persons
group by purchase_count
"""
METADATA = """description: Persons by number of purchases.
grain: [purchase_count]
columns:
  purchase_count:
  person_count: {type: BIGINT, unit: persons, meaning: Persons with so many purchases.}
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A valid model of the user's; the working directory is its project."""
    write_project(tmp_path / "shop")
    monkeypatch.chdir(tmp_path / "shop")
    path = Path("sql/marts/purchase_counts.sql")
    path.parent.mkdir(parents=True)
    path.write_text(SQL)
    path.with_suffix(".yml").write_text(METADATA)
    return path


def checked(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = ExitCode.OK) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["check", *arguments])
    assert (ended.value.code or 0) == code
    return capsys.readouterr().out


def test_a_model_in_the_rules_is_valid(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(capsys) == "journeyflow.yml is valid.\n"


def test_a_broken_rule_is_a_warning_with_file_code_and_next_step(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.write_text(SQL.replace("group by purchase_count", "group by 1"))
    shown = checked(capsys).splitlines()
    assert shown[0].startswith(f"{model}: warning: marts.purchase_counts: group by the names of columns")
    assert shown[0].endswith("[S05]")
    assert shown[1] == "journeyflow.yml: 1 warning."
    (problem,) = json.loads(checked(capsys, "--json"))
    assert (problem["severity"], problem["code"], problem["file"]) == ("warning", "S05", str(model))


def test_a_model_that_cannot_be_built_is_an_error(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write_text(SQL.replace("kernel.persons", "kernel.person"))
    shown = checked(capsys, code=ExitCode.CONFIGURATION)
    assert "error: models: marts.purchase_counts reads kernel.person, which does not exist." in shown
    assert "Did you mean kernel.persons" in shown
    assert "[model]" in shown


def test_only_user_defined_models_are_linted(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("journeyflow.yml").write_text("sources: 3\n")
    model.write_text(SQL.replace("-- Grain: purchase_count.\n", ""))
    problems = json.loads(checked(capsys, "--json", code=ExitCode.CONFIGURATION))
    assert {problem["code"] for problem in problems if problem["severity"] == "warning"} == {"S07"}


def test_plan_lists_user_defined_models(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["plan"])
    shown = capsys.readouterr().out.splitlines()
    assert "User-defined models: 1" in shown
    assert f"  marts.purchase_counts   {model}" in shown
