from __future__ import annotations

import pytest

from journeyflow.compile.conditions import personas

PEOPLE = [{"path": "crm.csv", "user_id": "u", "traits": ["plan", "birth year"], "valid_from": "since"}]
FACTS = """
    create schema journeys; create schema kernel; create schema config;
    create table journeys.persona_facts as select * from (values
        (1::ubigint, 1, 7, 3, 10), (1::ubigint, 2, 8, 3, 10), (2::ubigint, 1, 7, 1, 100), (3::ubigint, 1, 9, 0, 5)
    ) as facts (person_key, journey_index, first_event_type_ix, session_count, days_since_last);
    create table journeys.traits_as_of as select * from (values
        (1::ubigint, 1, 'plan', 'free', 'pro'), (1::ubigint, 2, 'plan', 'pro', 'pro'),
        (2::ubigint, 1, 'plan', null, 'pro'), (2::ubigint, 1, 'birth year', '2001', '2001')
    ) as traits (person_key, journey_index, trait, trait_value, latest_value);
    create table kernel.person_event_counts as select * from (values
        (1::ubigint, 'purchase', 2), (2::ubigint, 'purchase', 1)
    ) as counts (person_key, event_name, event_count);
    create table config.event_type_predicates as select * from (values
        (7, 'persona/p/first/1', true), (9, 'persona/p/first/2', true), (7, 'persona/other/first/1', true)
    ) as truths (event_type_ix, predicate, is_true);
"""


@pytest.fixture
def assigned(engine, configured):
    engine.execute(FACTS)

    def found(*rules):
        named = [{"name": f"p{n}" if n else "p", **rule} for n, rule in enumerate(rules)]
        engine.run("journeys.personas", personas(configured(personas=named, people=PEOPLE)))
        rows = engine.rows("select * from journeys.personas order by person_key, journey_index").to_pylist()
        return [row["persona"] for row in rows]

    return found


def test_without_rules_everybody_is_unassigned(assigned):
    assert assigned() == ["unassigned"] * 4


@pytest.mark.parametrize(
    ("rule", "who"),
    [
        # journeys: (1, 1), (1, 2), (2, 1), (3, 1)
        ({"when": {"trait.plan": "pro"}}, [0, 1, 0, 0]),
        ({"as_of": "now", "when": {"trait.plan": "pro"}}, [1, 1, 1, 0]),
        ({"when": {"trait.plan": {"exists": False}}}, [0, 0, 1, 1]),
        ({"when": {"trait.birth year": {"at_least": 2000}}}, [0, 0, 1, 0]),
        ({"when": {"first.utm_medium": "social"}}, [1, 0, 1, 0]),
        ({"when": {"any": [{"first.utm_medium": "social"}, {"first.event": "a"}]}}, [1, 0, 1, 1]),
        ({"when": {"not": {"first.utm_medium": "social"}}}, [0, 1, 0, 1]),
        ({"as_of": "now", "when": {"count.purchase": {"at_least": 2}}}, [1, 1, 0, 0]),
        ({"as_of": "now", "when": {"count.purchase": 0}}, [0, 0, 0, 1]),
        ({"as_of": "now", "when": {"count.refund": {"below": 1}}}, [1, 1, 1, 1]),
        ({"as_of": "now", "when": {"session_count": {"at_least": 3}}}, [1, 1, 0, 0]),
        ({"as_of": "now", "when": {"days_since_last": {"above": 10}}}, [0, 0, 1, 0]),
        ({"when": {}}, [1, 1, 1, 1]),
    ],
)
def test_every_kind_of_fact(assigned, rule, who):
    assert assigned(rule) == ["p" if is_one else "unassigned" for is_one in who]


def test_the_first_rule_that_holds_wins(assigned):
    rules = [
        {"when": {"trait.plan": "pro"}},
        {"when": {"first.utm_medium": "social"}},
        {"when": {"trait.plan": "free"}},
    ]
    # The other personas' conditions on the first event have predicates of their own, false here.
    assert assigned(*rules) == ["p2", "p", "unassigned", "unassigned"]
