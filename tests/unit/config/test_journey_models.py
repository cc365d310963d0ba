from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from tools.vocabulary_page import vocabulary_page

from journeyflow.config import load_config
from journeyflow.config.conditions import leaves
from journeyflow.config.models_and_funnels import BUILTIN_MODELS, vocabulary

WEB = {"format": "access_log", "path": "a"}


def resolved(**models):
    return {model.model: model for model in load_config({"sources": {"web": WEB}, "models": models}).journey_models}


def names_read(model):
    return {
        value
        for placed in model.rules
        for leaf in leaves(placed.rule.when)
        if leaf.field == "event"
        for value in leaf.values
    } | {placed.rule.after.event for placed in model.rules if placed.rule.after}


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_builtin_models_read_the_documented_vocabulary(name):
    model = resolved(**{name: "builtin"})[name]
    staged = {word.event for word in vocabulary() if word.is_staged}
    assert names_read(model) == staged
    assert max(Counter(placed.rule_id for placed in model.rules).values()) == 1


def test_builtin_stages_are_the_documented_ones():
    models = resolved(four_stage="builtin", value_journey="builtin")
    assert models["four_stage"].stage_names == ("awareness", "consideration", "decision", "post_purchase")
    assert models["value_journey"].stage_names == (
        "aware", "engage", "subscribe", "convert", "excite", "ascend", "advocate", "promote",
    )  # fmt: skip
    assert [model.model_index for model in models.values()] == [1, 2]


def test_rules_with_history_are_tried_first():
    rules = resolved(value_journey="builtin")["value_journey"].rules
    assert [(placed.rule_id, placed.rule_index) for placed in rules if placed.rule.has_history] == [
        ("contact_soon_after", 1),
        ("second_purchase", 2),
    ]


def test_own_rules_come_before_inherited_ones_and_new_stages_after():
    shop = {
        "extends": "four_stage",
        "stages": [
            {"name": "decision", "owner": "Sales", "rules": [{"id": "quick", "when": {"event": "page_view"}}]},
            {"name": "loyal", "rules": [{"id": "again", "when": {"event": "purchase"}, "nth": {"at_least": 2}}]},
        ],
    }
    model = resolved(shop=shop)["shop"]
    assert model.stage_names == ("awareness", "consideration", "decision", "post_purchase", "loyal")
    assert [(placed.rule_id, placed.stage_index) for placed in model.rules[:3]] == [
        ("again", 5),
        ("quick", 3),
        ("advertising", 1),
    ]
    assert model.stages[2].owner == "Sales"
    assert [placed.rule_index for placed in model.rules] == list(range(1, len(model.rules) + 1))


def test_an_extension_may_be_extended():
    first = {"extends": "four_stage", "stages": [{"name": "decision", "rules": [{"id": "a", "when": {"event": "x"}}]}]}
    second = {"extends": "first", "stages": [{"name": "decision", "rules": [{"id": "b", "when": {"event": "x"}}]}]}
    model = resolved(second=second, first=first)["second"]
    assert [placed.rule_id for placed in model.rules[:3]] == ["b", "a", "advertising"]


def test_the_page_of_the_vocabulary_is_fresh():
    page = Path(__file__).parents[3] / "docs" / "reference" / "vocabulary.md"
    if os.environ.get("JOURNEYFLOW_WRITE_DOCS"):
        page.write_text(vocabulary_page(), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == vocabulary_page(), "run `make docs`"
