"""`init`, `check --trial` and `suggest` as a user meets them."""

from __future__ import annotations

import csv
import json

import pytest
from typer.testing import CliRunner

import journeyflow
from journeyflow.cli.app import app
from journeyflow.config import check, load_config
from journeyflow.errors import ExitCode, InputError
from journeyflow.ingest.files import matching_paths
from journeyflow.setup.proposal import nobody
from journeyflow.setup.sources import draft_sources
from support.exports import SHAPES
from support.in_process_parser import parse_in_process

CSV = "ts,cookie,customer,event,url,colour\n1767225600000,c1,,view,/p/1,red\n1767225601000,c1,u1,cart,/p/1,no\n"


@pytest.fixture(autouse=True)
def _in_process(monkeypatch):
    parse_in_process(monkeypatch)


def call(*arguments, code=ExitCode.OK):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, f"{done.output}\n{done.exception!r}"
    return done.output


def errors(config):
    return [problem for problem in check(config) if problem.severity == "error"]


def test_the_example_is_a_right_configuration(tmp_path):
    call("init", "-o", tmp_path / "journeyflow.yml")
    assert errors(tmp_path / "journeyflow.yml") == []


def test_an_existing_file_is_not_replaced(tmp_path):
    (tmp_path / "journeyflow.yml").write_text("mine")
    done = CliRunner().invoke(app, ["init", "-o", str(tmp_path / "journeyflow.yml")])
    assert "exists" in str(done.exception)
    assert (tmp_path / "journeyflow.yml").read_text() == "mine"


@pytest.mark.parametrize(
    ("folder", "name"), [("2026", "null"), ("---", "d[x]"), ("yes", "a*b?"), ("colon: [", "quote\"'")]
)
def test_what_init_writes_check_accepts_whatever_files_and_folders_are_called(tmp_path, folder, name):
    place = tmp_path / "project" if "[" in folder else tmp_path / folder
    data = place / folder.replace("[", "") / f"{name}.csv"
    data.parent.mkdir(parents=True)
    data.write_text(CSV)
    call("init", data, "-o", place / "journeyflow.yml")
    config = load_config(place / "journeyflow.yml")
    (source,) = config.sources.values()
    assert matching_paths(str(source.path), config.folder) == [data]
    assert check(place / "journeyflow.yml") == []


def test_names_and_values_of_the_data_cannot_write_configuration(tmp_path):
    hostile = ["ts", "user_id", "event", "a: [", "b\n    state: /x", "# c", "'d", '"e"', "{f", "*g", "&h", "!i", "%j"]
    names = ["x\n    state: elsewhere", "y: z", "*", "# n", "{", "'", '"', "\u2028models: {}", "null", "view"]
    with (tmp_path / "e.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(hostile)
        writer.writerows(["2026-01-01", f"u{n}", name, *"klmnopqrst"] for n, name in enumerate(names * 3))
    call("init", tmp_path / "e.csv", "-o", tmp_path / "journeyflow.yml")
    config = load_config(tmp_path / "journeyflow.yml")
    assert config.state == tmp_path / "state"
    assert set(config.sources["e"].properties) == set(hostile[3:])


@pytest.mark.parametrize("row_count", [50, 3_000])
def test_a_text_of_unknown_encoding_is_an_error_that_names_the_key(tmp_path, row_count):
    rows = "".join(f"2026-01-01,u{n % 9},\u8cb7\u3044\u7269\n" for n in range(row_count))
    (tmp_path / "e.csv").write_bytes(f"ts,user_id,event\n{rows}".encode("shift_jis"))
    done = CliRunner().invoke(app, ["init", str(tmp_path / "e.csv"), "-o", str(tmp_path / "journeyflow.yml")])
    assert "set `encoding` of the source" in str(done.exception)
    assert not (tmp_path / "journeyflow.yml").exists()


def test_a_trial_names_the_file_and_no_copy_of_it(tmp_path):
    SHAPES["retail"](tmp_path / "data")
    config = tmp_path / "journeyflow.yml"
    call("init", tmp_path / "data", "-o", config)
    (data,) = (path for path in (tmp_path / "data").rglob("*") if path.is_file())
    data.write_bytes(b"\xff,\xff\n" * 90_000)
    done = CliRunner().invoke(app, ["check", "--trial", "-c", str(config)])
    assert data.name in str(done.exception)
    assert "trial-" not in str(done.exception)


def test_event_names_that_cannot_be_seen_are_renamed_by_what_init_writes(tmp_path):
    names = ["Add\u2028to cart", "Purchase\x85", "view\x7f", "\x80product view", "home\ufffe"]
    with (tmp_path / "e.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["ts", "user_id", "event"], *(["2026-01-01", f"u{n}", name] for n, name in enumerate(names * 6))]
        )
    call("init", tmp_path / "e.csv", "-o", tmp_path / "journeyflow.yml")
    (source,) = load_config(tmp_path / "journeyflow.yml").sources.values()
    assert source.rename
    assert set(source.rename) <= set(names)


def test_a_column_of_ids_that_another_file_names_is_that_of_persons(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    rows = [(f"2026-01-0{day}", f"u{n}", day) for n in range(20) for day in range(1, 5)]
    (data / "a.csv").write_text("ts,user_id,event\n" + "".join(f"{at},{who},view\n" for at, who, _ in rows))
    (data / "b.csv").write_text("when;number;who\n" + "".join(f"{at};{day};{who}\n" for at, who, day in rows))
    (data / "c.csv").write_text("when;number;what\n" + "".join(f"{at};{day};call\n" for at, _, day in rows))
    shown = call("init", data, "-o", tmp_path / "journeyflow.yml")
    sources = load_config(tmp_path / "journeyflow.yml").sources
    assert set(sources) == {"a", "b"}
    assert sources["b"].columns["user_id"].column == "who"
    assert "b.csv: who is taken as user_id" in shown


@pytest.mark.parametrize(
    ("shape", "template", "last", "share"),
    [
        ("cosmetics", "shop", "purchase", "100.0 %"),
        ("retail", "shop", "purchase", "100.0 %"),
        ("marketing", "leads", "purchase", "100.0 %"),
        ("orders", "shop", "delivered", "100.0 %"),
        ("activation", "saas", "subscription_started", "87.2 %"),
        ("appointments", "appointments", "attended", "100.0 %"),
    ],
)
def test_a_known_shape_gives_a_configuration_that_needs_no_edit(tmp_path, shape, template, last, share):
    shown = call("init", SHAPES[shape](tmp_path / "data"), "-o", tmp_path / "journeyflow.yml")
    config = load_config(tmp_path / "journeyflow.yml")
    assert list(config.models) == [template]
    assert config.funnels["main"].steps[-1].name == last
    assert f"{share} of events are in a stage of {template}" in shown
    assert errors(tmp_path / "journeyflow.yml") == []


def test_what_cannot_be_known_is_a_comment_with_its_readings(tmp_path):
    call("init", SHAPES["activation"](tmp_path / "data"), "-o", tmp_path / "journeyflow.yml")
    lines = [line for line in (tmp_path / "journeyflow.yml").read_text().splitlines() if "first_report_built" in line]
    assert len(lines) == 1
    assert lines[0].strip().startswith("# - first_report_built: ")
    assert lines[0].count(", ") >= 1


def test_prices_of_what_is_only_looked_at_are_no_revenue(tmp_path):
    call("init", SHAPES["cosmetics"](tmp_path / "data"), "-o", tmp_path / "journeyflow.yml")
    config = load_config(tmp_path / "journeyflow.yml")
    assert "revenue_amount" not in config.sources["cosmetics"].columns
    assert config.goals["order"].value == "properties.price"


def test_a_row_with_several_times_is_several_sources_and_a_users_file_is_people(tmp_path):
    call("init", SHAPES["orders"](tmp_path / "data"), "-o", tmp_path / "journeyflow.yml")
    config = load_config(tmp_path / "journeyflow.yml")
    assert len(config.sources) == 4
    assert [people.traits for people in config.people] == [("customer_state",)]
    assert {persona.name for persona in config.personas} == {
        "customer_state_sp",
        "customer_state_rj",
        "customer_state_mg",
    }
    # The order is where the funnel begins: what follows puts nothing of its value at stake.
    assert config.funnels["main"].goal is None


def test_files_that_are_alike_are_one_source(tmp_path):
    for month in ("01", "02"):
        (tmp_path / f"2026-{month}.csv").write_text(CSV)
    call("init", tmp_path / "2026-01.csv", tmp_path / "2026-02.csv", "-o", tmp_path / "journeyflow.yml")
    (source,) = load_config(tmp_path / "journeyflow.yml").sources.values()
    assert source.path.name == "*.csv"


def test_personal_data_and_empty_columns_are_no_properties(tmp_path):
    rows = "".join(f"2026-01-01,u{n},view,a{n}@b.example,192.0.2.{n},,red\n" for n in range(30))
    (tmp_path / "e.csv").write_text(f"ts,user_id,event,email,ip,nothing,colour\n{rows}")
    call("init", tmp_path / "e.csv", "-o", tmp_path / "journeyflow.yml")
    assert load_config(tmp_path / "journeyflow.yml").sources["e"].properties == ("colour",)


def test_a_table_without_persons_says_what_is_missing(tmp_path):
    (tmp_path / "e.csv").write_text("colour,size\nred,1\nblue,2\n")
    done = CliRunner().invoke(app, ["init", str(tmp_path / "e.csv"), "-o", str(tmp_path / "journeyflow.yml")])
    assert "a time in every row or an identifier of a person" in str(done.exception)


def test_a_table_of_thousands_of_columns_is_tried(tmp_path):
    names = [f"c{number}" for number in range(4_997)]
    rows = [[f"2026-03-{1 + n:02}", f"u{n % 9}", ("view", "cart")[n % 2], *names] for n in range(20)]
    (tmp_path / "wide.csv").write_text("\n".join(map(",".join, [["time", "user_id", "event", *names], *rows])))
    shown = call("init", tmp_path / "wide.csv", "-o", tmp_path / "journeyflow.yml")
    assert "20 of 20 rows load" in shown
    assert "4,997 columns without a role: the first 200 are kept" in shown


def test_a_trial_keeps_nothing_and_prints_no_id(tmp_path):
    SHAPES["retail"](tmp_path / "data")
    config = tmp_path / "journeyflow.yml"
    call("init", tmp_path / "data", "-o", config)
    before = sorted(tmp_path.rglob("*"))
    shown = call("check", "--trial", "-c", config)
    assert "400 people" in shown
    assert "1000" not in shown
    assert sorted(tmp_path.rglob("*")) == before
    found = json.loads(call("check", "--trial", "--json", "-c", config))
    assert found["trial"]["person_count"] == 400
    assert found["trial"]["funnels"]["main"][0] == {"step": "product_view", "person_count": 400}


def write_events(folder, names, people=40):
    rows = "".join(
        f"2026-01-{1 + n % 20:02} 10:{i:02}:00,u{n},{name}\n" for n in range(people) for i, name in enumerate(names)
    )
    (folder / "e.csv").write_text(f"ts,user,event\n{rows}")


def configured(folder, extra=""):
    (folder / "journeyflow.yml").write_text(
        "sources:\n  e:\n    format: csv\n    path: e.csv\n    channel: web\n"
        f"    columns: {{occurred_at: ts, user_id: user, event_name: event}}\n{extra}"
    )
    return folder / "journeyflow.yml"


def test_a_map_without_a_staged_event_has_an_exit_code_of_its_own(tmp_path):
    write_events(tmp_path, ["alpha", "beta"])
    config = configured(tmp_path)
    shown = call("check", "--trial", "-c", config, code=ExitCode.EMPTY_MAP)
    assert "No event is in any stage of model four_stage" in shown
    assert "journeyflow suggest" in call("run", "-c", config, code=ExitCode.EMPTY_MAP)


def test_a_stage_after_which_all_are_lost_for_want_of_rules_is_an_empty_map(tmp_path):
    write_events(tmp_path, ["page_view", "product_view", "alpha"])
    config = configured(tmp_path)
    shown = call("check", "--trial", "-c", config, code=ExitCode.EMPTY_MAP)
    assert "Everybody is lost after stage consideration of model four_stage" in shown
    # What is lost has no name of its own: nobody went on.
    write_events(tmp_path, ["page_view", "product_view", "login"])
    call("check", "--trial", "-c", config)
    # The goal is reached: only what follows it has no events.
    write_events(tmp_path, ["product_view", "purchase", "alpha"])
    call("check", "--trial", "-c", config)


def test_suggestions_are_printed_as_yaml_and_never_applied(tmp_path):
    write_events(tmp_path, ["page_view", "product_view", "cart_emptied", "checkout_started", "purchase"])
    config = configured(tmp_path)
    text = config.read_text()
    journeyflow.run(config)
    shown = call("suggest", "-c", config)
    assert "four_stage: 1 event name without a stage. Hiding each of 4 names with a rule" in shown
    assert "cart_emptied" in shown
    (found,) = json.loads(call("suggest", "-c", config, "--json"))
    assert found["suggestions"][0]["stages"][0]["stage"] == "decision"
    assert config.read_text() == text


def test_suggest_needs_a_run(tmp_path):
    write_events(tmp_path, ["alpha"])
    done = CliRunner().invoke(app, ["suggest", "-c", str(configured(tmp_path))])
    assert "journeyflow run" in str(done.exception)


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "exports").mkdir()
    with pytest.raises(InputError, match="exports: name files of events, or another folder"):
        draft_sources([tmp_path / "exports"], tmp_path, nobody)


def test_the_next_step_names_only_another_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "then journeyflow check\n" in call("init")
    assert "then journeyflow check --config shop.yml\n" in call("init", "-o", "shop.yml")
