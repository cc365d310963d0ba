"""What the documentation shows is what happens."""

import re
import shlex

import pytest
import typer
from typer.testing import CliRunner

import journeyflow
from docs.pages import REPOSITORY, all_pages, anchors, blocks, commands, place, stories
from journeyflow.cli.app import app
from journeyflow.config import load_config
from journeyflow.models.model import ModelMetadata
from support.few_models import all_models
from support.in_process_parser import parse_in_process
from support.templates import built_once

LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")
TARGET = re.compile(r"`make ([a-z]+)")
TESTS = re.compile(r"`(tests/[\w/]+(?:\.py)?)`")
SHOWN = ("", "csv", "ini", "json", "text")
SOURCE = {"web": {"format": "access_log", "path": "access.log"}}
README = REPOSITORY / "README.md"
by_place = {"ids": place}


def run(command):
    arguments = shlex.split(command)
    assert arguments[0] == "journeyflow", f"a page runs {arguments[0]}"
    return CliRunner().invoke(app, arguments[1:])


def write(block, folder):
    file = folder / block.name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(block.body, encoding="utf-8")


def is_story(page):
    return any(block.name == "journeyflow.yml" for block in blocks(page)) or "journeyflow init exports" in commands(
        page
    )


def run_story(page, folder):
    """Write the files of a page and run its commands and its Python, from top to bottom."""
    for block in blocks(page):
        if block.name:
            write(block, folder)
        for command in block.commands:
            if not command.startswith("make "):
                done = run(command)
                assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
        if block.language == "python" and not block.reason:
            exec(compile(block.body, place(page), "exec"), {})


@pytest.fixture(scope="module")
def readme_project(tmp_path_factory):
    """The project of the README after all its commands, whose files the confined process parsed."""

    def build(folder):
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            run_story(README, folder)

    return built_once(tmp_path_factory, "readme", build)


@pytest.mark.check
def test_the_readme_runs_from_top_to_bottom(readme_project):
    assert (readme_project / "published" / "current" / "map.html").is_file()


@pytest.mark.check
@pytest.mark.parametrize("page", [page for page in stories() if is_story(page) and page != README], **by_place)
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    parse_in_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    run_story(page, tmp_path)


@pytest.mark.check
def test_the_queries_for_bi_tools_run(readme_project):
    queries = [block.body for block in blocks(REPOSITORY / "docs/how-to/bi.md") if block.language == "sql"]
    statements = [statement for query in queries for statement in query.split(";") if statement.strip()]
    assert len(statements) == 5
    with journeyflow.open(readme_project / "published") as tables:
        for statement in statements:
            tables.sql(statement)


@pytest.mark.parametrize("page", all_pages(), **by_place)
def test_every_example_is_run_or_says_why_not(page):
    for block in blocks(page):
        shown = f"{block.language}: {block.body[:60]}"
        if block.reason or block.name or block.language in SHOWN:
            continue
        if block.language == "yaml":
            assert_is_valid(block.body)
        elif block.language == "sh":
            assert all(is_understood(command) for command in block.commands), shown
            assert page in stories() or all(command.startswith(("make ", "journeyflow ")) for command in block.commands)
        else:
            runs = (block.language == "python" and is_story(page)) or (
                block.language == "sql" and page.stem in ("bi", "read-the-map")
            )
            assert runs, f"nothing runs {shown}"


def assert_is_valid(text):
    """A block of YAML is a part of a configuration or the side file of a model."""
    from ruamel.yaml import YAML

    content = YAML(typ="safe", pure=True).load(text)
    if "columns" in content:
        ModelMetadata.model_validate(content)
    else:
        load_config({"sources": SOURCE, **content}, folder=REPOSITORY)


def is_understood(command):
    """A target of make, or a command whose options there are; nothing is carried out."""
    program, *arguments = shlex.split(command.partition(" > ")[0])
    if program == "make":
        return arguments[0] in targets()
    node = typer.main.get_command(app)
    while isinstance(node, typer.core.TyperGroup) and arguments and not arguments[0].startswith("-"):
        node = node.commands[arguments.pop(0)]
    node.make_context(program, arguments)
    return program == "journeyflow"


def targets():
    return set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("page", all_pages(), **by_place)
def test_links_lead_somewhere(page):
    for link, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = (page.parent / link) if link else page
        assert target.exists(), f"{link} is gone"
        assert not anchor or anchor in anchors(target), f"{link} has no heading {anchor}"


@pytest.mark.parametrize("page", [*all_pages(), REPOSITORY / "SECURITY.md"], **by_place)
def test_tests_that_are_named_exist(page):
    named = TESTS.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("page", all_pages(), **by_place)
def test_make_targets_exist(page):
    named = {*TARGET.findall(page.read_text(encoding="utf-8"))}
    named |= {command.split()[1] for command in commands(page) if command.startswith("make ")}
    assert named <= targets()


def test_every_command_is_shown_to_newcomers():
    text = "\n".join(page.read_text(encoding="utf-8") for page in stories())
    names = typer.main.get_command(app).commands
    assert "run" in names
    assert not [name for name in names if f"journeyflow {name}" not in text]


def test_every_published_table_is_in_the_readme():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert not [model.table for model in all_models().published() if f"`{model.table}`" not in text]


def test_every_make_target_is_described_for_contributors():
    text = (REPOSITORY / "docs" / "contributing.md").read_text(encoding="utf-8")
    assert not [target for target in targets() if f"make {target}" not in text]


@pytest.mark.parametrize("name", ["funnel_steps", "drop_offs", "runs"])
def test_the_readme_links_each_table_to_its_columns(name):
    assert f"docs/reference/tables.md#{name}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_every_page_can_be_reached_from_the_readme():
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = [link for link, _ in LINK.findall(page.read_text(encoding="utf-8")) if link.endswith(".md")]
        waiting += {(page.parent / link).resolve() for link in links} - reached
    assert not [place(page) for page in all_pages() if page.resolve() not in reached]


def test_the_picture_shows_the_figures_of_the_sample_and_needs_no_network():
    picture = (REPOSITORY / "docs" / "images" / "demo.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' )<]+", picture)) == {"http://www.w3.org/2000/svg"}
    import polars as pl

    steps = pl.read_csv(REPOSITORY / "tests" / "golden" / "funnel_steps.csv")
    shown = steps.filter(pl.col("funnel") == "checkout", pl.col("persona") == "all", pl.col("period") == "all")
    assert shown.height == 4
    assert all(f"{count:,}" in picture for count in shown["person_count"])


def test_the_page_on_meanings_has_the_sections_that_others_name():
    text = (REPOSITORY / "docs" / "reference" / "semantics.md").read_text(encoding="utf-8")
    assert [int(n) for n in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)] == list(range(1, 15))


def test_the_architecture_lists_the_layers():
    from journeyflow.models.model import MAY_READ

    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("| layer | reads |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.+`) \| ([^|(]+)", table, re.MULTILINE)
    listed = {
        layer: set(re.findall(r"`(\w+)`", reads)) for layers, reads in rows for layer in re.findall(r"`(\w+)`", layers)
    }
    for layer, may_read in MAY_READ.items():
        assert layer in ("marts", "insights") or listed[layer] == set(may_read)


def test_the_reference_lists_every_relation_of_the_kernel():
    text = (REPOSITORY / "docs" / "reference" / "tables.md").read_text(encoding="utf-8").partition("## Behind them")[2]
    kernel = [model for model in all_models() if model.layer == "kernel"]
    assert kernel
    assert not [model.name for model in kernel if f"| `{model.name}` |" not in text]
    assert all(column.type and column.meaning for model in kernel for column in model.columns.values())
