"""The catalogue of remedies: which entry is taken, and how a project extends or replaces it."""

import pytest

from journeyflow.config.experience import Remedies, builtin_remedies, suggestion

PAINS = ("incident", "gap", "exposure", "friction", "promise", "loss", "message", "promise_due")
STAGES = ("look", "checkout_payment", "after")


def of(*entries, builtin=False):
    return Remedies.model_validate({"builtin": builtin, "add": list(entries)}).entries


@pytest.mark.parametrize("kind", PAINS)
def test_the_built_in_catalogue_has_an_answer_for_every_kind(kind):
    assert suggestion(builtin_remedies(), kind, "xyzzy", subject="xyzzy")


def test_ids_are_unique_and_no_general_entry_hides_a_special_one():
    entries = builtin_remedies()
    assert len({entry.id for entry in entries}) == len(entries)
    for position, entry in enumerate(entries):
        if not (entry.stage or entry.touchpoint or entry.lifecycle):
            assert not [later.id for later in entries[position + 1 :] if set(later.kind) & set(entry.kind)]


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [
        ({}, True),
        ({"kind": ["loss", "gap"]}, True),
        ({"kind": ["gap"]}, False),
        ({"stage": ["Payment"]}, True),
        ({"stage": ["pay"]}, False),
        ({"stage": ["middle"]}, True),
        ({"stage": ["last"]}, False),
        ({"touchpoint": ["error"]}, True),
        ({"touchpoint": ["err"]}, False),
        ({"lifecycle": ["buyer"]}, True),
        ({"lifecycle": ["lapsed"]}, False),
        ({"stage": ["payment"], "touchpoint": ["call"]}, False),
    ],
)
def test_an_entry_is_taken_where_all_its_conditions_hold(condition, is_met):
    entries = of({"id": "own", "suggest": "Do it."} | condition)
    found = suggestion(entries, "loss", "checkout_payment", STAGES, "web: card_error", "buyer")
    assert found == ("Do it." if is_met else None)


def test_own_entries_come_first_and_replace_those_of_the_same_name():
    own = {"id": "loss_cart", "kind": ["loss"], "suggest": "Ask {stage}, not {unknown}."}
    entries = of(own, builtin=True)
    assert suggestion(entries, "loss", "the_cart") == "Ask The cart, not {unknown}."
    assert [entry.id for entry in entries].count("loss_cart") == 1
    assert len(entries) == len(builtin_remedies())
    assert suggestion(of(own), "gap") is None


def test_what_is_filled_in_is_not_read_as_a_blank():
    entries = of({"id": "own", "suggest": "{subject} {slice}"})
    assert suggestion(entries, "gap", subject="{slice}", blanks={"slice": "x"}) == "{slice} x"
