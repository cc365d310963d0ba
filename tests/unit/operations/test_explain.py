"""A run with one person for each outcome, and the explanation of each."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from journeyflow.cli.query import as_text, print_events, print_person
from journeyflow.config import Config, load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError, NotFoundError
from journeyflow.operations.explain import EventFilter, ExplainedPerson, explain_event, explain_person, find_events
from journeyflow.pipeline.run import run
from support.in_process_parser import parsing_in_process

CONFIG = """\
sources:
  shop:
    format: csv
    path: events.csv
    channel: web
    columns: {event_id: id, occurred_at: at, anonymous_id: cookie, user_id: customer, event_name: event}
exclude_traffic: {internal: {any: [{user_id: {suffix: "@acme.example"}}]}}
models:
  own:
    stages:
      - {name: looking, rules: [{id: views, when: {event: product_view}}]}
      - name: buying
        rules: [{id: cart, when: {event: [add_to_cart, payment_error]}}, {id: first_order, when: {event: purchase}}]
      - name: loyal
        rules:
          - {id: again, when: {event: purchase}, nth: {at_least: 2}}
          - {id: soon, when: {event: support_call}, after: {event: purchase, within: 14d}}
funnels:
  checkout:
    steps:
      - {name: product, when: {event: product_view}}
      - {name: cart, when: {event: add_to_cart}, within: 1d}
      - {name: paid, when: {event: purchase}}
    window: 7d
    exclusions: [{between: [cart, paid], when: {event: payment_error}}]
  either_way:
    steps: [{name: viewed, when: {event: product_view}}, {name: called, when: {event: support_call}}]
    order: any_order
    window: 7d
  staged:
    model: own
    steps: [{name: looked, when: {stage: looking}}, {name: bought, when: {stage: buying}}]
    window: 7d
"""
EVENTS = """\
01T10:00 converts product_view
01T11:00 converts add_to_cart
01T12:00 converts purchase
03T12:00 converts support_call
05T12:00 converts purchase
20T12:00 converts support_call
01T10:00 waits product_view
01T11:00 waits add_to_cart
01T10:00 errs product_view
01T11:00 errs add_to_cart
01T11:30 errs payment_error
01T12:00 errs purchase
01T10:00 dawdles product_view
03T10:00 dawdles add_to_cart
20T10:00 pends product_view
20T11:00 pends add_to_cart
02T10:00 strolls page_view
02T10:00 me@acme.example product_view
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("explain")
    with (folder / "events.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "at", "cookie", "customer", "event"])
        for line in EVENTS.splitlines():
            at, who, name = line.split()
            rows.writerow([f"{who}-{at}", f"2026-03-{at}:00", f"cookie-{who}", who, name])
    (folder / "journeyflow.yml").write_text(CONFIG)
    settings = load_config(folder)
    with parsing_in_process():
        run(settings)
    return settings


def only(explained: ExplainedPerson) -> tuple[str, str]:
    (attempt,) = explained.attempts
    return attempt.outcome, attempt.reason


@pytest.mark.parametrize(
    ("who", "outcome", "reason"),
    [
        ("converts", "converted", "the last step, paid, was reached."),
        ("waits", "dropped", "paid was not reached within 7d of the first step."),
        ("errs", "dropped", "payment_error at 2026-03-01 11:30:00 UTC is excluded after cart and ended it."),
        ("dawdles", "dropped", "cart was not reached within 1d of the step before, by 2026-03-02 10:00:00 UTC."),
        ("pends", "pending", "paid was not reached and still may be, until 2026-03-27 10:00:00 UTC."),
    ],
)
def test_why_a_person_ended_there(config: Config, who: str, outcome: str, reason: str) -> None:
    assert only(explain_person(config, who, "checkout")) == (outcome, reason)


def test_a_person_is_found_by_every_id(config: Config) -> None:
    by_user = explain_person(config, "waits", "checkout")
    assert explain_person(config, "cookie-waits", "checkout") == by_user
    assert explain_person(config, by_user.person_id, "checkout") == by_user
    assert "waits" not in by_user.person_id


def test_the_timeline_names_the_steps_that_each_event_satisfies(config: Config) -> None:
    (attempt,) = explain_person(config, "errs", "checkout").attempts
    assert [(event.event_name, event.matches) for event in attempt.timeline] == [
        ("product_view", ("product",)),
        ("add_to_cart", ("cart",)),
        ("payment_error", ("exclusion 1",)),
    ]
    assert [reach.reached_at is not None for reach in attempt.reaches] == [True, True, False]


def test_a_step_may_read_the_stage(config: Config) -> None:
    (attempt,) = explain_person(config, "waits", "staged").attempts
    assert [event.matches for event in attempt.timeline] == [("looked",), ("bought",)]


def test_a_stage_funnel(config: Config) -> None:
    outcome, reason = only(explain_person(config, "pends", "own"))
    assert outcome == "pending"
    assert reason.startswith("loyal was not reached")
    (attempt,) = explain_person(config, "pends", "own").attempts
    assert [event.matches for event in attempt.timeline] == [("looking",), ("buying",)]


def test_levels_of_any_order_have_no_names(config: Config) -> None:
    (attempt,) = explain_person(config, "waits", "either_way").attempts
    assert [reach.step for reach in attempt.reaches] == ["1 of 2 steps", "2 of 2 steps"]


def test_a_person_without_an_attempt_has_a_note(config: Config) -> None:
    explained = explain_person(config, "strolls", "checkout")
    assert explained.attempts == ()
    assert "no event matches the step product" in (explained.note or "")
    assert "no event matches a step on" in (explain_person(config, "strolls", "either_way").note or "")


def verdict(config: Config, event_id: str) -> tuple[str, str | None, str | None, tuple[str, ...]]:
    (event,) = explain_event(config, event_id)
    (found,) = event.verdicts
    return found.stage, found.rule_id, found.history, found.passed_over


def test_why_an_event_is_in_its_stage(config: Config) -> None:
    views = ("looking", "views", None, ())
    again = ("loyal", "again", "it is number 2 of the person's such events", ())
    first = ("buying", "first_order", None, ("event is purchase, number 2 or later of the person's such events",))
    assert verdict(config, "converts-01T10:00") == views
    assert verdict(config, "converts-01T12:00") == first
    assert verdict(config, "converts-05T12:00") == again


def test_history_names_the_earlier_event(config: Config) -> None:
    stage, rule, history, _ = verdict(config, "converts-03T12:00")
    assert (stage, rule) == ("loyal", "soon")
    assert history == "the person's last purchase before it was 2d earlier, 2026-03-01 12:00:00"


def test_a_rule_whose_history_is_too_old_is_passed_over(config: Config) -> None:
    stage, rule, _, passed_over = verdict(config, "converts-20T12:00")
    assert (stage, rule) == ("unclassified", None)
    assert passed_over == ("event is support_call, at most 14d after purchase",)


def test_excluded_traffic_has_a_reason(config: Config) -> None:
    (event,) = explain_event(config, "me@acme.example-02T10:00")
    assert (event.left_out, event.verdicts, event.person_id) == ("internal traffic", (), None)


@pytest.mark.parametrize(("who", "funnel"), [("nobody", "checkout"), ("waits", "chekout")])
def test_unknown_names_are_errors_without_the_id(config: Config, who: str, funnel: str) -> None:
    with pytest.raises(NotFoundError) as error:
        explain_person(config, who, funnel)
    assert "nobody" not in str(error.value)


def test_an_unknown_event_is_an_error_without_the_id(config: Config) -> None:
    with pytest.raises(NotFoundError, match="no event with this id"):
        explain_event(config, "nothing")


def test_nothing_to_explain_before_the_first_run(tmp_path: Path) -> None:
    (tmp_path / "journeyflow.yml").write_text(CONFIG)
    with pytest.raises(NotFoundError, match="journeyflow run"):
        explain_event(load_config(tmp_path), "x")


def test_a_build_without_relations_of_persons_says_why(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = DuckDBEngine.columns
    is_aggregate = r"(?!kernel\.).*"
    monkeypatch.setattr(
        DuckDBEngine, "columns", lambda engine, name: columns(engine, name) if re.fullmatch(is_aggregate, name) else {}
    )
    for explain in (
        lambda: explain_person(config, "converts", "checkout"),
        lambda: explain_event(config, "nothing"),
        lambda: find_events(config, None, EventFilter(), 1),
    ):
        with pytest.raises(InputError, match="made on Spark"):
            explain()


def test_screens_and_json(config: Config) -> None:
    text = io.StringIO()
    out = Console(file=text, width=200, highlight=False)
    person, events = explain_person(config, "errs", "checkout"), explain_event(config, "converts-05T12:00")
    print_person(person, out)
    print_events(events, out)
    shown = text.getvalue()
    assert "dropped: payment_error at" in shown
    assert "<- exclusion 1" in shown
    assert "own: loyal" in shown
    assert "because it is number 2" in shown
    assert json.loads(as_text(person))["attempts"][0]["outcome"] == "dropped"
    assert json.loads(as_text(events))[0]["verdicts"][0]["stage"] == "loyal"
