"""Promises with figures worked out by hand: ten orders of ten people, promised in two days, known up to 11 March.

Of the six of persona a, four are kept (two of those people go on to `loyal`, two do not), one is broken and its person
does not go on, and one was made on 10 March and may still be kept. Of persona b, one is kept and goes on, and three are
broken, of which one goes on. So of ten due, five are kept, four broken and one pending: kept rate 5 / 9; of those whose
promise was kept 3 of 5 went on, of those whose promise was broken 1 of 4.
"""

# ruff: noqa: E501 - tables are easier to read unbroken
from __future__ import annotations

import math

import pytest

from support.marts import built
from support.rows import assert_same_rows
from support.text_tables import rows_of

# person, persona, ordered, delivered, depth: `served` is the second of three stages.
PEOPLE = (
    (1, "a", "2026-03-01 10:00:00", "2026-03-02 10:00:00", 3),
    (2, "a", "2026-03-01 10:00:00", "2026-03-03 10:00:00", 3),
    (3, "a", "2026-03-02 10:00:00", "2026-03-02 10:00:00", 2),
    (4, "a", "2026-03-02 10:00:00", "2026-03-03 10:00:00", 2),
    (5, "a", "2026-03-02 10:00:00", "2026-03-05 10:00:00", 2),
    (6, "a", "2026-03-10 10:00:00", None, 1),
    (7, "b", "2026-02-28 10:00:00", "2026-03-01 10:00:00", 3),
    (8, "b", "2026-02-28 10:00:00", None, 2),
    (9, "b", "2026-03-01 10:00:00", "2026-03-09 10:00:00", 3),
    (10, "b", "2026-03-01 10:00:00", None, 2),
)
ORDERED, DELIVERED = 1, 2


def events():
    """Yield (event_ix, person, kind, instant): orders are numbered as people, deliveries 100 on."""
    for person, _, ordered, delivered, _ in PEOPLE:
        yield person, person, ORDERED, ordered
        if delivered:
            yield 100 + person, person, DELIVERED, delivered


def given_relations(min_count):
    journeys = "\n".join(f"{person} | 1 | {ordered} | {ordered}" for person, _, ordered, _, _ in PEOPLE)
    personas = "\n".join(f"{person} | 1 | {persona}" for person, persona, *_ in PEOPLE)
    counted = "\n".join(
        f"1 | {person} | 1 | {ordered} | {ordered[:7]} | {depth} | {person == 6} | {person != 6} | true | true"
        for person, _, ordered, _, depth in PEOPLE
    )
    kernel = "\n".join(f"{event_ix} | {person} | 1 | {kind}" for event_ix, person, kind, _ in events())
    properties = '{{"order":"{}"}}'
    landed = "\n".join(
        f"{event_ix} | {event_ix} | web | {instant} | {properties.format(person)}"
        for event_ix, person, _, instant in events()
    )
    return {
        "config.settings": f"""
            high_water_at       | min_count   | journeys_timeout_us | journeys_window_us
            2026-03-11 00:00:00 | {min_count} | 2592000000000       | 2592000000000
        """,
        "config.months": """
            month   | start_at            | end_at
            2026-02 | 2026-02-01 00:00:00 | 2026-03-01 00:00:00
            2026-03 | 2026-03-01 00:00:00 | 2026-04-01 00:00:00
        """,
        "config.promises": """
            promise | promise_index | kind  | model | model_index | stage  | stage_index | is_last_stage | within_us    | match_path | target
            fast    | 1             | timed | m     | 1           | served | 2           | false         | 172800000000 | /order     | 1
        """,
        "journeys.predicate_classifications": """
            predicate         | classification_key
            promise/fast/from | 1
            promise/fast/to   | 2
        """,
        "kernel.journeys": f"person_key | journey_index | entered_at | last_event_at\n{journeys}",
        "journeys.personas": f"person_key | journey_index | persona\n{personas}",
        "kernel.map_journeys": "model_index | person_key | journey_index | entered_at | month | depth | is_pending | is_matured"
        f" | is_furthest | is_furthest_in_month\n{counted}",
        "kernel.events": f"event_ix | person_key | journey_index | classification_key\n{kernel}",
        "sources.events": f"event_ix | event_id | source | occurred_at | properties\n{landed}",
        "config.sources": "source | source_ix\nweb | 1",
        "kernel.stage_visits": "",
        "map.survey_answers": "",
    }


@pytest.fixture(scope="module")
def promises():
    with built(("marts.promises",), given_relations(min_count=4)) as engine:
        rows = engine.rows("select * from marts.promises")
        yield engine, rows


def row_of(promises, persona, period="all"):
    (row,) = (row for row in promises[1].to_pylist() if (row["persona"], row["period"]) == (persona, period))
    return row


def test_the_counts_of_every_persona_and_month(promises):
    engine, rows = promises
    expected = """
        persona | period  | due_count | kept_count | broken_count | pending_count | matured_count | broken_person_count
        all     | all     | 10        | 5          | 4            | 1             | 9             | 4
        a       | all     | 6         | 4          | 1            | 1             | 5             | 1
        b       | all     | 4         | 1          | 3            | 0             | 4             | 3
        all     | 2026-02 | 2         | 1          | 1            | 0             | 2             | 1
        b       | 2026-02 | 2         | 1          | 1            | 0             | 2             | 1
        all     | 2026-03 | 8         | 4          | 3            | 1             | 7             | 3
        a       | 2026-03 | 6         | 4          | 1            | 1             | 5             | 1
        b       | 2026-03 | 2         | 0          | 2            | 0             | 2             | 2
    """
    types = engine.columns("marts.promises")
    wanted = rows_of(engine, types, expected)
    assert_same_rows(rows.select(wanted.column_names), wanted, ["persona", "period"])


def test_the_rate_its_interval_and_the_gap(promises):
    row = row_of(promises, "all")
    assert math.isclose(row["kept_rate"], 5 / 9)
    assert math.isclose(row["measured"], 5 / 9)
    assert math.isclose(row["gap"], 4 / 9)
    # Wilson by hand: z = 1.96, the middle (5 + z² / 2) / (9 + z²).
    z = 1.959963984540054
    middle = (5 + z**2 / 2) / (9 + z**2)
    half = z / (9 + z**2) * math.sqrt(5 * 4 / 9 + z**2 / 4)
    assert math.isclose(row["kept_low"], middle - half, rel_tol=1e-9)
    assert math.isclose(row["kept_high"], middle + half, rel_tol=1e-9)


def test_the_first_breach_is_when_the_time_was_up(promises):
    assert str(row_of(promises, "all")["first_broken_at"]) == "2026-03-02 10:00:00"
    assert str(row_of(promises, "a")["first_broken_at"]) == "2026-03-04 10:00:00"


def test_who_went_on_where_it_was_kept_and_where_it_was_broken(promises):
    row = row_of(promises, "all")
    assert (row["kept_journey_count"], row["kept_next_count"]) == (5, 3)
    assert (row["broken_journey_count"], row["broken_next_count"]) == (4, 1)
    assert (row["next_stage_rate_kept"], row["next_stage_rate_broken"]) == (0.6, 0.25)
    # Of persona a one was broken: too few to tell a rate of.
    assert row_of(promises, "a")["next_stage_rate_broken"] is None


def test_too_few_have_no_rate_but_a_count(promises):
    row = row_of(promises, "b", "2026-03")
    assert (row["is_small"], row["matured_count"], row["broken_count"]) == (True, 2, 2)
    assert {row[name] for name in ("kept_rate", "kept_low", "kept_high", "measured", "gap")} == {None}
