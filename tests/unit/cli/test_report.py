"""`journeyflow report` on a hand-written generation."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from journeyflow.cli import main
from journeyflow.errors import ExitCode
from support.map_tables import MARKUP, publish_tables, rich_tables
from support.templates import copy_of, published_rich_tables


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    # A copy: a database that another fixture of this process holds open cannot be opened with other settings.
    return copy_of(published_rich_tables(tmp_path_factory), tmp_path_factory.mktemp("report") / "published")


@pytest.fixture
def call(published, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def ask(*arguments, code=ExitCode.OK):
        with pytest.raises(SystemExit) as ended:
            main(["report", *arguments, "--published", str(published)])
        captured = capfd.readouterr()
        assert (ended.value.code or 0) == code, captured.err
        return captured.out if code == ExitCode.OK else captured.err

    return ask


@pytest.mark.parametrize(
    ("form", "start"), [("html", b"<!doctype html>"), ("svg", b"<svg"), ("png", b"\x89PNG"), ("xlsx", b"PK")]
)
def test_a_file_of_every_form_is_written(call, form, start):
    assert call("--format", form) == f"Written: journey-map.{form}\n"
    assert start in Path(f"journey-map.{form}").read_bytes()[:400].lower().replace(start.lower(), start)


def test_a_message_is_printed_or_written(call):
    shown = call("--format", "md", "--model", "shop")
    assert shown.startswith("# acme-shop: journey maps")
    assert "## Shop, the whole time" in shown
    call("--format", "md", "--model", "shop", "--output", "summary.md")
    assert Path("summary.md").read_text(encoding="utf-8") == shown


def test_one_persona_and_month_can_be_chosen(call):
    call("--format", "xlsx", "--persona", MARKUP, "--period", "2026-01", "--output", "one.xlsx")
    with zipfile.ZipFile(io.BytesIO(Path("one.xlsx").read_bytes())) as packed:
        assert len([name for name in packed.namelist() if name.startswith("xl/worksheets/sheet")]) == 7


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--persona", "studnt"], "Did you mean 'student'?"),
        (["--model", "shopp"], "Did you mean 'shop'?"),
        (["--period", "2026-07"], "2026-01, 2026-02"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(call, arguments, hint):
    shown = call(*arguments, code=ExitCode.NOT_FOUND)
    assert hint in shown
    assert shown.isprintable() or shown.rstrip("\n").isprintable()


def test_a_month_without_the_persona_is_an_error(call, tmp_path):
    tables = rich_tables()
    tables["map_stages"] = [
        row for row in tables["map_stages"] if (row["persona"], row["period"]) != ("student", "2026-02")
    ]
    folder = tmp_path / "few"
    publish_tables(folder, tables)
    with pytest.raises(SystemExit) as ended:
        main(["report", "-f", "svg", "--persona", "student", "--period", "2026-02", "--published", str(folder)])
    assert ended.value.code == ExitCode.NOT_FOUND


def test_a_folder_that_is_not_there_is_an_error(call):
    assert "Cannot write nowhere/map.html" in call("--output", "nowhere/map.html", code=ExitCode.FAILED)


@pytest.mark.parametrize(("arguments", "form"), [(["-o", "map.PNG"], "png"), (["-f", "png", "-o", "map.html"], "html")])
def test_no_name_promises_another_form(call, arguments, form):
    shown = call(*arguments, code=ExitCode.CONFIGURATION).replace("│", " ")
    assert f"add --format {form}" in " ".join(shown.split())
    assert not Path(arguments[-1]).exists()
    call("-o", "map.htm")


def test_a_message_that_is_only_printed_cannot_be_opened(call):
    assert "--output" in call("--format", "md", "--open", code=ExitCode.CONFIGURATION)


def test_the_written_file_is_opened(call, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    call("--format", "svg", "--open")
    assert opened == ["journey-map.svg"]
