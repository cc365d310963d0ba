"""Audiences in the configuration: what is refused, and with which words."""

from __future__ import annotations

import pytest

from journeyflow.config import InvalidConfigError, load_config

BASE = {
    "sources": {"web": {"format": "snowplow", "path": "."}},
    "people": [{"path": ".", "user_id": "id", "traits": ["mail", "news"]}],
    "funnels": {
        "order": {"steps": [{"name": "seen"}, {"name": "paid"}], "window": "1d"},
        "visits": {"steps": [{"name": "seen"}, {"name": "paid"}], "window": "1d", "unit": "session"},
        "tries": {"steps": [{"name": "seen"}, {"name": "paid"}], "window": "1d", "count": "attempts"},
    },
    "promises": [{"name": "kind", "stage": "decision", "measure": "csat", "target": {"at_least": 4}}],
    "surveys": {"csat": {"event": "csat", "score": "properties.score", "scale": [1, 5]}},
}
GOOD = {"name": "left", "who": {"dropped_at": {"funnel": "order", "step": "seen"}}, "consent": "trait.news"}


def load(*audiences):
    return load_config(BASE | {"audiences": list(audiences)})


@pytest.mark.parametrize(
    "who",
    [
        {"dropped_at": {"funnel": "order", "step": "seen"}, "lifecycle": "buyer"},
        {"dropped_at": {"funnel": "four_stage", "step": "decision"}},
        {"pending": {"funnel": "order", "within": "1d"}},
        {"stage": {"model": "four_stage", "stage": "post_purchase"}},
        {"persona": "unassigned"},
        {"lifecycle": "lapsed"},
    ],
)
def test_what_says_who(who):
    assert load(GOOD | {"who": who}).audiences[0].who.kind in who


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"consent": None}, "audiences[0].consent"),
        ({"consent": "news"}, "audiences[0].consent"),
        ({"consent": "trait.sms"}, "is not a trait"),
        ({"email": "trait.address"}, "is not a trait"),
        ({"columns": ["trait.mail", "trait.age"]}, "audiences[0].columns[1]"),
        ({"format": ["mailchimp"]}, "has a format that needs an address"),
        ({"format": []}, "audiences[0].format"),
        ({"name": ".."}, "audiences[0].name"),
        ({"name": "a/b"}, "audiences[0].name"),
        ({"name": "Left"}, "audiences[0].name"),
        ({"who": {}}, "does not say who"),
        ({"who": {"persona": "unassigned", "stage": {"model": "four_stage", "stage": "decision"}}}, "does not say who"),
        ({"who": {"persona": "student"}}, "is not a persona"),
        ({"who": {"lifecycle": "dead"}}, "audiences[0].who.lifecycle"),
        ({"who": {"stage": {"model": "order", "stage": "seen"}}}, "is not a model"),
        ({"who": {"stage": {"model": "four_stage", "stage": "seen"}}}, "is not a stage of it"),
        ({"who": {"dropped_at": {"funnel": "orders", "step": "seen"}}}, "is not a funnel"),
        ({"who": {"dropped_at": {"funnel": "order", "step": "cart"}}}, "is not a step of it"),
        ({"who": {"dropped_at": {"funnel": "order", "step": "paid"}}}, "nobody leaves"),
        ({"who": {"dropped_at": {"funnel": "visits", "step": "seen"}}}, "does not count persons"),
        ({"who": {"pending": {"funnel": "tries"}}}, "does not count persons"),
        ({"who": {"promise_due": {"promise": "kind"}}}, "is not a promise with within"),
    ],
)
def test_what_is_refused(changes, said):
    audience = {key: value for key, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(InvalidConfigError) as caught:
        load(audience)
    assert said in str(caught.value)


def test_a_consent_is_a_trait_or_a_property():
    (audience,) = load(GOOD | {"consent": "properties.agreed"}).audiences
    assert (audience.consent_trait, audience.consent_property) == (None, "agreed")
    (audience,) = load(GOOD).audiences
    assert (audience.consent_trait, audience.consent_property) == ("news", None)


def test_two_audiences_do_not_share_a_folder():
    with pytest.raises(InvalidConfigError, match="is the name of another audience"):
        load(GOOD, GOOD)
