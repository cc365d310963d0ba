"""Suggested stages: by words, by place in journeys, and when to say nothing."""

from __future__ import annotations

import random

from journeyflow.setup.proposal import Accuracy, ModelSuggestions
from journeyflow.setup.stages import EventLog, Words, suggest

STAGES = ["look", "choose", "use"]
KNOWN = {
    **dict.fromkeys(("l1", "l2", "l3", "l4", "l5"), "look"),
    **dict.fromkeys(("c1", "c2", "c3", "c4", "c5"), "choose"),
    **dict.fromkeys(("u1", "u2", "u3", "u4", "u5"), "use"),
}


def log_of(extra, people=200, seed=1):
    """Everybody does all of a stage in any order before the next one; `extra` is among those of its stage."""
    chance, rows = random.Random(seed), []
    for person in range(people):
        for stage in STAGES:
            names = [name for name, of in {**KNOWN, **extra}.items() if of == stage]
            chance.shuffle(names)
            rows += [(person, name) for name in names]
    return EventLog.of([p for p, _ in rows], [n for _, n in rows], ["web"] * len(rows))


def test_a_name_is_known_by_the_stages_around_it():
    for stage in STAGES:
        (found,) = suggest(log_of({"xyzzy": stage}), STAGES, KNOWN, ["xyzzy"])
        assert found.stage == stage
        assert found.basis == "journeys"


def test_nothing_is_offered_for_few_persons():
    (found,) = suggest(log_of({"xyzzy": "use"}, people=29), STAGES, KNOWN, ["xyzzy"])
    assert (found.person_count, found.is_offered) == (29, False)


def test_nothing_is_offered_for_a_name_that_occurs_anywhere():
    chance, rows = random.Random(2), []
    for person in range(300):
        names = [name for stage in STAGES for name in KNOWN if KNOWN[name] == stage]
        names.insert(chance.randrange(len(names)), "xyzzy")
        rows += [(person, name) for name in names]
    log = EventLog.of([p for p, _ in rows], [n for _, n in rows], ["web"] * len(rows))
    (found,) = suggest(log, STAGES, KNOWN, ["xyzzy"])
    assert not found.is_offered


def test_words_that_contradict_the_journeys_offer_nothing():
    words = Words({"look": ["page_view"], "choose": ["add_to_cart"], "use": ["delivered"]})
    (found,) = suggest(log_of({"cart_bag": "use"}), STAGES, KNOWN, ["cart_bag"], words)
    assert not found.is_offered
    (agreed,) = suggest(log_of({"cart_bag": "choose"}), STAGES, KNOWN, ["cart_bag"], words)
    assert (agreed.stage, agreed.is_offered, agreed.basis) == ("choose", True, "words and journeys")


def test_the_order_of_persons_and_a_repeated_event_change_nothing():
    rows = [(p, n) for p in range(40) for n in ("l1", "xyzzy", "c1", "u1")]
    more = [(p, n) for p, n in rows for _ in range(3 if n == "xyzzy" else 1)]
    found = [
        suggest(EventLog.of([p for p, _ in each], [n for _, n in each], ["web"] * len(each)), STAGES, KNOWN, ["xyzzy"])[
            0
        ]
        for each in (rows, more)
    ]
    assert found[0].readings[0][0] == found[1].readings[0][0]
    assert found[0].person_count == found[1].person_count == 40


def test_no_event_at_all_is_no_error():
    (found,) = suggest(EventLog.of([], [], []), STAGES, KNOWN, ["xyzzy"])
    assert not found.is_offered


def test_a_model_whose_names_all_have_a_stage_says_so():
    assert ModelSuggestions("shop", (), Accuracy(5, 0, 0)).lines() == ["# shop: every event name has a stage."]
