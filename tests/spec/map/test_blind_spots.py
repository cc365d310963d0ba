"""What the tables cannot see, worked out by hand: one small world a kind, known up to noon of the last of March."""

# ruff: noqa: E501 - tables are easier to read unbroken
from __future__ import annotations

from datetime import date, timedelta

import pytest

from support.marts import built

SETTINGS = """
    run_id | high_water_at       | min_count | report_currency | journeys_window_us | journeys_timeout_us
    r2     | 2026-03-31 12:00:00 | 3         | EUR             | 2592000000000      | 2592000000000
"""
SHOP = {
    "config.models": """
        model | model_index
        shop  | 1
    """,
    "config.stages": """
        model | model_index | stage | stage_index
        shop  | 1           | look  | 1
        shop  | 1           | buy   | 2
    """,
}
OTHERS = (
    "analyses.referral_claims",
    "analyses.referrals",
    "marts.identity_audit",
    "map.exposures",
    "map.exposure_event_types",
    "map.survey_answers",
    "statistics.survey_texts",
)
"""Empty where a test does not write them."""
LAST = date(2026, 3, 31)
EVENTS = (
    "event_ix | source_ix | event_name | occurred_at | channel | touchpoint | condition_bits | is_bot | is_internal"
)


def spots(given):
    """Return the blind spots of a world: (kind, subject) → the rest of the row."""
    world = {"config.settings": SETTINGS, **dict.fromkeys(OTHERS, ""), **given}
    with built(("insights.blind_spots",), world) as engine:
        rows = engine.rows("select * from insights.blind_spots").to_pylist()
    return {(row["kind"], row["subject"]): row for row in rows}


def told(found, kind):
    """Return subject → severity of one kind."""
    return {subject: row["severity"] for (each, subject), row in found.items() if each == kind}


def days_before(*ages):
    return [LAST - timedelta(days=age) for age in ages]


def events(*runs, source_ix=1, is_bot="false"):
    """Write one event at noon of each day of ``(name, days)``."""
    rows = [
        f"{source_ix} | {name} | {day} 12:00:00 | web | web: {name} | 0 | {is_bot} | false"
        for name, days in runs
        for day in days
    ]
    return "\n".join([EVENTS, *(f"{at} | {row}" for at, row in enumerate(rows, 1))])


def sources(*names):
    return "\n".join(["source | source_ix", *(f"{name} | {at}" for at, name in enumerate(names, 1))])


def rhythm(*runs, names=("web",)):
    return spots({"config.sources": sources(*names), "staging.events": events(*runs)})


DAILY = days_before(*range(10, 40))
EVERY_THIRD = days_before(*range(7, 40, 3))


@pytest.mark.parametrize(
    ("days", "is_silent"),
    [
        pytest.param(days_before(*range(3, 12)), True, id="every day, then three days of nothing"),
        pytest.param(days_before(*range(2, 12)), False, id="two days are not enough"),
        pytest.param(days_before(*range(7, 28, 3)), True, id="every third day, seven of them, then a week"),
        pytest.param(days_before(*range(6, 27, 3)), False, id="twice its longest gap, and no longer"),
        pytest.param(days_before(*range(7, 25, 3)), False, id="six days show no rhythm"),
        pytest.param([*days_before(*range(5, 12)), *days_before(20)], False, id="it was away for longer once"),
    ],
)
def test_a_source_is_silent_by_its_own_rhythm(days, is_silent):
    found = rhythm(("view", days))
    assert told(found, "silent_source") == ({"web": "critical"} if is_silent else {})


def test_a_silence_is_reported_in_numbers_and_once():
    row = rhythm(("view", DAILY), ("click", DAILY))["silent_source", "web"]
    assert (row["item_count"], row["share_rate"]) == (60, 1.0)
    assert row["detail"].startswith(
        "Source web has been silent for 10 days, since 2026-03-21; before, it was never silent for more than 1 day "
        "(60 events on 30 days)."
    )
    assert not told(rhythm(("view", DAILY), ("click", DAILY)), "vanished_event")


def test_a_source_that_never_spoke_is_silent():
    found = rhythm(("view", days_before(0)), names=("web", "calls"))
    assert told(found, "silent_source") == {"calls": "critical"}
    assert found["silent_source", "calls"]["item_count"] == 0


def test_bots_do_not_break_a_silence_and_are_reported():
    log = (
        events(("view", DAILY))
        + "\n"
        + events(("view", days_before(0)), is_bot="true").splitlines()[1].replace("1 |", "99 |", 1)
    )
    found = spots({"config.sources": sources("web"), "staging.events": log})
    assert told(found, "silent_source") == {"web": "critical"}
    assert found["bots", "web"]["item_count"] == 1
    assert found["bots", "web"]["share_rate"] == pytest.approx(1 / 31)
    assert found["bots", "web"]["severity"] == "note"


def test_an_event_vanished_while_its_source_speaks():
    found = rhythm(("view", days_before(*range(40))), ("click", DAILY), ("rare", days_before(40, 39)))
    assert told(found, "vanished_event") == {"web: click": "warning"}
    row = found["vanished_event", "web: click"]
    assert row["item_count"] == 30
    assert "has sent no `click` for 10 days, since 2026-03-21" in row["detail"]


@pytest.mark.parametrize(("min_count", "is_told"), [(30, True), (31, False)])
def test_a_rare_event_may_stay_away(min_count, is_told):
    given = {
        "config.settings": SETTINGS.replace("| 3 ", f"| {min_count} "),
        "config.sources": sources("web"),
        "staging.events": events(("view", days_before(*range(40))), ("click", DAILY)),
    }
    assert bool(told(spots(given), "vanished_event")) == is_told


def test_a_goal_that_vanished_is_critical():
    given = {
        "config.sources": sources("web"),
        "staging.events": events(("view", days_before(*range(40))), ("click", DAILY)),
        "config.event_type_predicates": "event_type_ix | stage_index | predicate | is_true\n1 | 0 | goal/order | true",
    }
    assert told(spots(given), "vanished_event") == {"web: click": "critical"}  # kind 1 is click: kinds go by name


def test_the_end_of_a_failure_is_a_note():
    given = {
        "config.sources": sources("web"),
        "staging.events": events(("view", days_before(*range(40))), ("error", DAILY)),
        "map.exposures": "exposure_ix | exposure_kind | subject\n1 | signal | error",
        "map.exposure_event_types": "exposure_ix | event_type_ix\n1 | 1",
    }
    assert told(spots(given), "vanished_event") == {"web: error": "note"}


def test_a_new_name_in_an_old_source():
    old = ("view", days_before(*range(29)))
    found = rhythm(old, ("fresh", days_before(0, 1, 6)), ("older", days_before(0, 7)), ("one", days_before(2)))
    assert told(found, "new_event") == {"web: fresh": "warning", "web: one": "note"}
    assert "first sent `fresh` on 2026-03-25" in found["new_event", "web: fresh"]["detail"]
    assert not told(rhythm(("view", days_before(*range(28))), ("fresh", days_before(0))), "new_event")


def classified(*labels, persons=100, event_count=1000):
    """Write labels of ``(event_type_ix, stage_index, count)``, with an event for each, by persons of their own."""
    heads, lines, key = [], [], 0
    for at, (kind, stage, count) in enumerate(labels, 1):
        heads.append(f"{at} | 1 | {kind} | {stage} | {count}")
        for _ in range(count):
            key += 1
            lines.append(f"{key} | {key} | 1 | {at}")
    rest = [f"{n + 1000} | {event_count // persons} | 2026-03-01 | 2026-03-01" for n in range(persons)]
    return {
        "kernel.classifications": "\n".join(
            ["classification_key | model_index | event_type_ix | stage_index | event_count", *heads]
        ),
        "kernel.events": "\n".join(["event_ix | person_key | journey_index | classification_key", *lines]),
        "kernel.persons": "\n".join(["person_key | event_count | first_event_at | last_event_at", *rest]),
    }


KINDS = "event_type_ix | event_name | channel\n1 | ping | web\n2 | ping | app\n3 | pong | web\n4 | login | web\n5 | view | web"


def test_events_in_no_stage_name_the_model_and_the_channels():
    world = classified((1, 0, 30), (2, 0, 20), (3, 0, 3), (3, 1, 2), (4, 0, 200), (5, 1, 3))
    found = spots({**SHOP, **world, "journeys.event_types": KINDS, "config.unstaged_events": "event_name\nlogin"})
    assert told(found, "unclassified") == {
        "shop: ping": "critical",  # 50 of 1,000 events
        "shop: pong": "warning",  # 3 of 1,000
        "shop: login": "note",  # happens anywhere
    }
    ping, pong = found["unclassified", "shop: ping"], found["unclassified", "shop: pong"]
    assert (ping["item_count"], ping["share_rate"]) == (50, 0.05)
    assert ping["detail"].startswith(
        "No rule of model shop covers `ping` on app, web: 50 events of 50 persons are in no stage."
    )
    assert pong["detail"].startswith(
        "The rules of model shop cover only some of `pong` on web: 3 of 5 events of 3 persons are in no stage."
    )


@pytest.mark.parametrize(
    ("count", "persons", "events", "severity"),
    [
        pytest.param(3, 1000, 3000, "warning", id="a thousandth of the events"),
        pytest.param(3, 1000, 4000, "note", id="fewer, of few people"),
        pytest.param(3, 300, 4000 * 3, "warning", id="a hundredth of the people"),
        pytest.param(2, 20, 20, "note", id="too few to say"),
    ],
)
def test_how_bad_events_in_no_stage_are(count, persons, events, severity):
    world = classified((3, 0, count), persons=persons, event_count=events)
    assert told(spots({**SHOP, **world, "journeys.event_types": KINDS}), "unclassified") == {"shop: pong": severity}


def test_rules_that_put_nothing_into_their_stage():
    given = {
        **SHOP,
        "config.rules": """
            model | model_index | rule_id | rule_index | stage | stage_index | has_history
            shop  | 1           | second  | 1          | buy   | 2           | true
            shop  | 1           | used    | 2          | buy   | 2           | false
            shop  | 1           | hidden  | 3          | buy   | 2           | false
            shop  | 1           | typo    | 4          | look  | 1           | false
            shop  | 1           | search  | 5          | look  | 1           | false
            shop  | 1           | view    | 6          | look  | 1           | false
        """,
        "config.builtin_rules": "model_index | rule_index\n1 | 5\n1 | 6",
        "config.event_type_predicates": """
            event_type_ix | stage_index | predicate         | is_true
            1       | 0           | model/shop/second | true
            1       | 0           | model/shop/used   | true
            1       | 0           | model/shop/hidden | true
            2       | 0           | model/shop/view   | true
        """,
        "kernel.classifications": """
            classification_key | model_index | event_type_ix | stage_index | rule_index | event_count
            1         | 1           | 1       | 2           | 2          | 1
            2         | 1           | 2       | 1           | 6          | 1
        """,
        "journeys.event_types": "event_type_ix | event_name | channel\n1 | purchase | web\n2 | view | web",
    }
    found = spots(given)
    assert told(found, "idle_rule") == {
        "shop: second": "warning",
        "shop: hidden": "warning",
        "shop: typo": "warning",
        "shop: built-in rules": "note",
    }
    assert "but never its `after` or `nth`" in found["idle_rule", "shop: second"]["detail"]
    assert "a rule before it takes every event" in found["idle_rule", "shop: hidden"]["detail"]
    assert "no event satisfies its `when`" in found["idle_rule", "shop: typo"]["detail"]
    shipped = found["idle_rule", "shop: built-in rules"]
    assert (shipped["item_count"], shipped["share_rate"]) == (1, 0.5)
    assert "into a stage: search." in shipped["detail"]


PERSONAS = """
    persona    | persona_index | is_outcome_based | is_trait_undated
    a          | 1             | false            | false
    b          | 2             | false            | false
    few        | 3             | false            | false
    buyers     | 4             | true             | false
    unassigned | 5             | false            | false
"""


def journeys_of(*personas):
    """Write one journey a person, each of the given persona."""
    keys = range(1, len(personas) + 1)
    return {
        "config.personas": PERSONAS,
        "journeys.personas": "\n".join(
            [
                "person_key | journey_index | persona",
                *(f"{key} | 1 | {persona}" for key, persona in zip(keys, personas, strict=True)),
            ]
        ),
        "kernel.journeys": "\n".join(
            [
                "person_key | journey_index | entered_at | last_event_at",
                *(f"{key} | 1 | 2026-02-01 | 2026-02-01" for key in keys),
            ]
        ),
        "kernel.persons": "\n".join(
            [
                "person_key | journey_count | event_count | first_event_at | last_event_at",
                *(f"{key} | 1 | 1 | 2026-02-01 | 2026-02-01" for key in keys),
            ]
        ),
    }


def visits(*rows):
    """Write stage visits of ``(person, stage, days after entry)``."""
    lines = [f"1 | {key} | 1 | 1 | {stage} | {date(2026, 2, 1) + timedelta(days=days)}" for key, stage, days in rows]
    return {
        "kernel.stage_visits": "\n".join(
            ["model_index | person_key | journey_index | visit_index | stage_index | entered_at", *lines]
        )
    }


def test_a_stage_that_a_persona_never_shows():
    people = journeys_of(*["a"] * 4, *["b"] * 3, *["few"] * 2, *["unassigned"] * 3)
    world = visits(*((key, 2, 0) for key in (1, 2, 3)), *((key, 1, 0) for key in (4, 5, 8, 10)))
    found = spots({**SHOP, **people, **world})
    # Of the eight others, three buy: of b's three journeys 3 x 3/9 = 1 would, which is not 3.
    assert told(found, "missing_stage") == {"shop: buy: b": "note", "shop: buy: unassigned": "note"}
    assert found["missing_stage", "shop: buy: b"]["item_count"] == 3
    assert "none of its 3 journeys, where 33.3 % of all others do" in found["missing_stage", "shop: buy: b"]["detail"]


def test_a_persona_that_ought_to_show_a_stage_is_a_warning_unless_an_outcome_selected_it():
    people = journeys_of(*["a"] * 4, *["b"] * 4, *["unassigned"] * 4)
    world = visits(*((key, 2, 0) for key in (1, 2, 3, 4)))
    # Four of the eight others buy; the look is shown by nobody.
    found = told(spots({**SHOP, **people, **world}), "missing_stage")
    assert found == {"shop: buy: b": "note", "shop: buy: unassigned": "note", "shop: look": "warning"}
    all_buy = visits(*((key, 2, 0) for key in (1, 2, 3, 4)), *((key, 2, 0) for key in (9, 10, 11, 12)))
    found = spots({**SHOP, **people, **all_buy})
    assert told(found, "missing_stage")["shop: buy: b"] == "warning"  # 4 x 8/8
    selected = visits(*((key, 2, 0) for key in range(1, 9)))
    found = spots({**SHOP, **people, **selected})
    assert told(found, "missing_stage")["shop: buy: unassigned"] == "note"  # 4 x 8/8, but behind `buyers`
    assert "by definition" in found["missing_stage", "shop: buy: unassigned"]["detail"]


def orders(*ties):
    """Write the stage visits of a person for each text: `=` where a tie leads to the next visit, `>` where a time does."""
    lines = []
    for key, text in enumerate(ties, 1):
        for index in range(len(text) // 2 + 1):
            tied = {"=": "true", ">": "false", "": ""}[text[2 * index + 1 : 2 * index + 2]]
            lines.append(f"1 | {key} | 1 | {index + 1} | {text[2 * index]} | 2026-02-01 | {tied}")
    header = "model_index | person_key | journey_index | visit_index | stage_index | entered_at | is_next_tied"
    return {"kernel.stage_visits": "\n".join([header, *lines])}


def test_journeys_that_only_ties_put_in_order():
    def tied(*texts):
        return spots({**SHOP, **journeys_of(*["a"] * len(texts)), **orders(*texts)}).get(("tied_stages", "shop"))

    row = tied("1=2", "1=2", "1>2", "1=2>1", "1", "2")
    assert (row["severity"], row["item_count"], row["share_rate"]) == ("warning", 2, 0.5)
    assert "In 2 of 4 journeys with more than one stage visit of model shop" in row["detail"]
    assert tied("1=2", "1=2", "1>2")["severity"] == "critical"
    assert tied("1=2", *["1>2"] * 20)["severity"] == "note"
    assert tied("1>2", "1=2>1", "1") is None


def test_journeys_without_a_stage_in_time():
    people = journeys_of(*["a"] * 20)
    staged = [(key, 1, 0) for key in range(1, 19)]
    found = spots({**SHOP, **people, **visits(*staged, (19, 1, 30), (20, 1, 31))})
    row = found["unstaged_journeys", "shop"]
    assert (row["severity"], row["item_count"], row["share_rate"]) == ("warning", 1, 0.05)
    found = spots({**SHOP, **people, **visits(*staged[:15])})
    assert found["unstaged_journeys", "shop"]["severity"] == "critical"


def test_people_of_no_persona_and_personas_of_no_people():
    found = spots({**SHOP, **journeys_of("a", "unassigned", "b", "unassigned", "buyers")})
    assert told(found, "no_persona") == {"unassigned": "note", "persona: few": "warning"}
    assert found["no_persona", "unassigned"]["share_rate"] == 0.4
    found = spots({**SHOP, **journeys_of("a", "unassigned")})
    assert told(found, "no_persona")["unassigned"] == "warning"


def test_without_personas_everybody_is_unassigned_and_that_is_a_note():
    given = {
        **SHOP,
        **journeys_of("unassigned"),
        "config.personas": "persona | persona_index | is_outcome_based | is_trait_undated\nunassigned | 1 | false | false",
    }
    row = spots(given)["no_persona", "unassigned"]
    assert row["severity"] == "note"
    assert "none is configured" in row["detail"]


@pytest.mark.parametrize(
    ("joined", "severity"), [pytest.param(3, "note", id="fewer than half"), pytest.param(2, "warning", id="half")]
)
def test_devices_that_no_account_was_seen_on(joined, severity):
    audit = f"""
        decision         | device_count | person_count | event_count
        anonymous        | 3            | 3            | 30
        joined           | {joined}     | 2            | 40
        shared_named     | 1            | 2            | 20
        shared_anonymous | 1            | 1            | 10
        aliased          | 1            | 1            | 40
    """
    found = spots({"marts.identity_audit": audit})
    assert told(found, "unstitched_devices") == {"anonymous devices": severity, "shared devices": "note"}
    assert found["unstitched_devices", "anonymous devices"]["share_rate"] == 3 / (4 + joined)
    shared = found["unstitched_devices", "shared devices"]
    assert (shared["item_count"], shared["share_rate"]) == (1, 0.1)
    assert shared["detail"].startswith("10 events of 1 devices")


def test_without_accounts_nothing_can_be_stitched_and_that_is_a_note():
    audit = "decision | device_count | person_count | event_count\nanonymous | 9 | 9 | 9"
    row = spots({"marts.identity_audit": audit})["unstitched_devices", "anonymous devices"]
    assert row["severity"] == "note"
    assert "No source gives a user_id" in row["detail"]


def test_what_came_late_in_which_money_and_what_was_kept_aside():
    given = {
        "config.sources": sources("web", "shop"),
        "config.rates": "currency | rate\nEUR | 1\nUSD | 0.9",
        "sources.events": """
            event_ix | source | occurred_at         | received_at         | revenue_amount | currency
            1        | web    | 2026-03-01 00:00:00 | 2026-03-02 00:00:00 |                |
            2        | web    | 2026-03-01 00:00:00 | 2026-03-02 00:00:01 | 10             | USD
            3        | web    | 2026-03-01 00:00:00 | 2026-03-30 00:00:00 | 10             | CHF
            4        | shop   | 2026-03-01 00:00:00 |                     | 10             |
        """,
        "ledger.reasons": """
            source | reason   | reason_count | loaded_count
            web    | bad_time | 2            | 100
            web    | no_name  | 3            | 100
            shop   | no_name  | 1            | 100
            people | no_name  | 9            | 10
            gone   | no_name  | 9            | 10
        """,
        "ledger.loads": """
            run_id | source | source_file | status
            r1     | web    | a.csv       | refused
            r2     | shop   | b.csv       | refused
            r2     | shop   | c.csv       | loaded
        """,
        "statistics.survey_texts": """
            survey | text_count | read_count
            nps    | 10         | 5
            csat   | 10         | 6
            stars  | 10         | 10
        """,
    }
    found = spots(given)
    late = found["late", "web"]
    assert (late["severity"], late["item_count"], late["share_rate"]) == ("warning", 2, pytest.approx(2 / 3))
    assert "more than a day after they happened, 1 of them in the last week" in late["detail"]
    assert told(found, "late") == {"web": "warning"}
    assert told(found, "missing_rate") == {"CHF": "critical"}
    assert found["missing_rate", "CHF"]["item_count"] == 1
    assert told(found, "quarantined") == {"web": "critical", "shop": "warning", "shop: refused files": "critical"}
    assert found["quarantined", "web"]["detail"].startswith(
        "5 of 100 records of source web are in quarantine and in no figure: no_name 3, bad_time 2."
    )
    assert told(found, "unreadable_text") == {"nps": "warning", "csat": "note"}
    assert (found["unreadable_text", "csat"]["item_count"], found["unreadable_text", "csat"]["share_rate"]) == (4, 0.4)


def test_untrusted_names_cannot_flood_the_table_or_break_its_key():
    counts = {at: 2 if at > 34 else 1 for at in range(1, 41)}
    long = "x" * 300
    names = {at: f"n{at:02d}" for at in counts} | {1: f"{long}a", 2: f"{long}b", 3: "a\tb"}
    world = classified(*((at, 0, count) for at, count in counts.items()), persons=10, event_count=100_000)
    kinds = "\n".join(["event_type_ix | event_name | channel", *(f"{at} | {name} | web" for at, name in names.items())])
    found = spots({**SHOP, **world, "journeys.event_types": kinds})
    rows = {subject: row for (kind, subject), row in found.items() if kind == "unclassified"}
    assert len(rows) == 31
    assert all(len(subject) <= 200 for subject in rows)
    # Forty names, of which two are one once they are cut: nine rows are left for the rest.
    assert rows["other"]["detail"].startswith("9 more of this kind")
    assert sum(row["item_count"] for row in rows.values()) == 46
    assert rows["shop: n40"]["item_count"] == 2
    assert "shop: a\tb" in rows


NEWS = "first_event_ix\n1"


def run_of(share, earlier, *, whole=1000, kind="bots"):
    """Return the spots of a run in which `share` of `whole` events are of programs, after runs with such shares."""
    history = [f"r1{at:02} | {kind} | web | {round(rate * 1000)} | 1000" for at, rate in enumerate(earlier)]
    flags = "\n".join(
        f"{at} | 1 | x | 2026-03-31 08:00:00 | web | x | 0 | {at <= share * whole} | false"
        for at in range(1, whole + 1)
    )
    given = {
        "config.settings": SETTINGS.replace("r2 ", "r199"),
        "config.sources": sources("web"),
        "ledger.new_events": NEWS,
        "ledger.shares": "\n".join(["run_id | kind | subject | item_count | whole_count", *history]),
        "staging.events": f"{EVENTS}\n{flags}",
    }
    return told(spots(given), "jumped_share")


QUIET = [0.02, 0.03, 0.01, 0.02, 0.03, 0.02, 0.02]


@pytest.mark.parametrize(
    ("share", "earlier", "is_told"),
    [
        (0.09, QUIET, True),
        (0.06, QUIET, False),  # Not more than twice the most.
        (0.2, QUIET[1:], False),  # Six runs show no habit.
        (0.62, [0.5] * 7, True),
        (0.59, [0.5] * 7, False),  # Of large shares, ten points more.
        (0.011, [0] * 7, True),
        (0.009, [0] * 7, False),  # Less than one in a hundred.
        (0.09, [0.5, *[0.02] * 27], False),
        (0.09, [0.5, *[0.02] * 28], True),  # What lies more than 28 runs back is forgotten.
    ],
)
def test_a_share_jumps_when_it_is_far_above_the_most_of_the_last_runs(share, earlier, is_told):
    assert run_of(share, earlier) == ({"bots: web": "critical"} if is_told else {})


def test_few_events_show_no_jump():
    assert run_of(0.9, QUIET, whole=99) == {}
    assert run_of(0.09, QUIET, whole=100) == {}  # Nine, fewer than ten.
    assert run_of(0.3, QUIET, whole=100) == {"bots: web": "critical"}


def test_a_source_without_accepted_rows_is_reported():
    given = {
        "config.sources": sources("web", "shop", "app", "idle"),
        "ledger.loads": """
            run_id | source | source_file | record_count | accepted_count | duplicate_count | filtered_count | erased_count | status
            r2     | web    | a.csv       | 3            | 0              | 0               | 3              | 0            | loaded
            r2     | web    | b.csv       | 2            | 0              | 0               | 2              | 0            | loaded
            r2     | shop   | c.csv       | 3            | 0              | 3               | 0              | 0            | loaded
            r2     | app    | d.csv       | 3            | 0              | 0               | 2              | 1            | loaded
            r2     | idle   | e.csv       | 0            | 0              | 0               | 0              | 0            | loaded
            r1     | shop   | f.csv       | 9            | 0              | 0               | 9              | 0            | loaded
            r2     | gone   | g.csv       | 9            | 0              | 0               | 9              | 0            | loaded
        """,
    }
    found = spots(given)
    assert told(found, "empty_input") == {"web": "critical"}
    assert found["empty_input", "web"]["item_count"] == 5
