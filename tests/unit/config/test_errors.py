"""One row for every rule: a change to a valid configuration, and the code, place and text of its problem."""

from __future__ import annotations

import textwrap

import pytest

from journeyflow.config import InvalidConfigError, check, load_config
from journeyflow.config.sources import known_formats
from journeyflow.errors import ConfigError

GOOD = """\
sources:
  web:
    format: csv
    path: web.csv
    columns: {occurred_at: ts, anonymous_id: cookie, event_name: event}
"""
SOURCE = "{format: csv, path: web.csv, columns: {occurred_at: ts, user_id: u, event_name: e}"

ROWS = [
    # (added YAML, code, line, path, text)
    ("sesions: {}", "unknown_key", 6, "sesions", "'sesions' is not a key here; allowed: project, "),
    ("sesions: {}", "unknown_key", 6, "sesions", "did you mean 'sessions'?"),
    (
        "sessions: {timeout: 30}",
        "duration",
        6,
        "sessions.timeout",
        "'30' is not a duration; allowed: whole numbers with",
    ),
    ("sessions: {timeout: 0s}", "duration_zero", 6, "sessions.timeout", "'0s' must be longer than zero"),
    ("sessions: {timeout: 99999999w}", "duration", 6, "sessions.timeout", "longer than a hundred years"),
    ("sessions: {max_duration: 1m}", "session_cap", 6, "sessions.max_duration", "is shorter than the timeout"),
    ("clock_skew: 1 h", "duration", 6, "clock_skew", "'1 h' is not a duration"),
    ("timezone: Europe/Berlim", "unknown_timezone", 6, "timezone", "did you mean 'Europe/Berlin'?"),
    ("min_count: many", "int_type", 6, "min_count", "'many' is not a whole number"),
    ("project: a/b", "string_pattern_mismatch", 6, "project", "'a/b' is not a name"),
    ("state: out\npublish: ./out", "folders_alike", 7, "publish", "is the same folder as state"),
    ("currency: {report: eur}", "string_pattern_mismatch", 6, "currency.report", "'eur'"),
    ("currency: {report: EUR, rates: {EUR: 2}}", "report_rate", 6, "currency.rates.EUR", "whose rate is 1"),
    ("currency: {rates: {USD: 0}}", "greater_than", 6, "currency.rates.USD", "'0' is too small; allowed: above 0"),
    ("privacy: {person_id: open}", "literal_error", 6, "privacy.person_id", "allowed: 'pseudonymous' or 'clear'"),
    # actions
    (
        "actions: [{name: a, subject: {funnel: cart, step: paid}, from: 2026-01-01}]",
        "unknown_funnel",
        6,
        "actions[0].subject.funnel",
        "'cart' is not a funnel; allowed: four_stage, cart_abandonment; did you mean 'cart_abandonment'?",
    ),
    (
        "actions: [{name: a, subject: {funnel: four_stage, step: awareness}, from: 2026-01-01}]",
        "unknown_step",
        6,
        "actions[0].subject.step",
        "'awareness' is not a later step of the funnel; allowed: consideration, ",
    ),
    (
        "actions: [{name: a, subject: {funnel: four_stage, step: decision, persona: x, channel: y}, from: 2026-01-01}]",
        "action",
        6,
        "actions[0].subject",
        "names two slices; allowed: a persona or a channel",
    ),
    (
        "actions: [{name: a, subject: {funnel: four_stage, step: decision, persona: x}, from: 2026-01-01}]",
        "unknown_persona",
        6,
        "actions[0].subject.persona",
        "'x' is not a persona",
    ),
    (
        "actions: [{name: a, subject: {funnel: four_stage, step: decision}, from: May}]",
        "date",
        6,
        "actions[0].from",
        "'May' is not a date; allowed: a day such as 2026-01-31",
    ),
    (
        "actions:\n"
        "  - {name: a, subject: {funnel: four_stage, step: decision}, from: 2026-01-01}\n"
        "  - {name: a, subject: {funnel: four_stage, step: decision}, from: 2026-02-01}",
        "duplicate_action",
        8,
        "actions[1].name",
        "'a' is the name of another action",
    ),
    # conditions
    (
        "touchpoints: [{label: P, when: {evnt: a}}]",
        "unknown_field",
        6,
        "touchpoints[0].when.evnt",
        "did you mean 'event'?",
    ),
    (
        "touchpoints: [{label: P, when: {event: {prefx: a}}}]",
        "matcher",
        6,
        "touchpoints[0].when.event.prefx",
        "'prefix'?",
    ),
    ("touchpoints: [{label: P, when: {event: {}}}]", "matcher", 6, "touchpoints[0].when.event", "has no matcher"),
    (
        "touchpoints: [{label: P, when: {event: {regex: '(?=a)'}}}]",
        "operand",
        6,
        "touchpoints[0].when.event.regex",
        "RE2",
    ),
    ("touchpoints: [{label: P, when: {event: null}}]", "operand", 6, "touchpoints[0].when.event", "{exists: false}"),
    ("touchpoints: [{label: P, when: {event: []}}]", "operand", 6, "touchpoints[0].when.event", "is an empty list"),
    (
        "touchpoints: [{label: P, when: {target: {between: [5, 1]}}}]",
        "operand",
        6,
        "touchpoints[0].when.target.between",
        "smaller",
    ),
    (
        "touchpoints: [{label: P, when: {target: {above: x}}}]",
        "operand",
        6,
        "touchpoints[0].when.target.above",
        "one number",
    ),
    (
        "touchpoints: [{label: P, when: {target: {exists: 1}}}]",
        "operand",
        6,
        "touchpoints[0].when.target.exists",
        "true, false",
    ),
    (
        "touchpoints: [{label: P, when: {revenue_amount: a}}]",
        "operand",
        6,
        "touchpoints[0].when.revenue_amount",
        "is a number",
    ),
    ("touchpoints: [{label: P, when: {any: {}}}]", "condition_list", 6, "touchpoints[0].when.any", "needs a list"),
    ("touchpoints: [{label: P, when: {not: [a]}}]", "condition", 6, "touchpoints[0].when.not", "is not a condition"),
    (
        "touchpoints: [{label: P, when: {stage: a}}]",
        "unknown_field",
        6,
        "touchpoints[0].when.stage",
        "is not a field here",
    ),
    (
        "touchpoints: [{label: P, when: {user_id: a}}]",
        "unknown_field",
        6,
        "touchpoints[0].when.user_id",
        "not a field here",
    ),
    (
        "touchpoints: [{label: P, when: {'properties.a..b': a}}]",
        "unknown_field",
        6,
        "touchpoints[0].when.properties.a..b",
        "field",
    ),
    # models
    ("models: {four_stages: builtin}", "unknown_builtin", 6, "models.four_stages", "did you mean 'four_stage'?"),
    ("models: {four_stage: {stages: [{name: a}]}}", "builtin_redefined", 6, "models.four_stage", "extends: four_stage"),
    ("models: {m: {extends: four_stag, stages: [{name: a}]}}", "unknown_model", 6, "models.m.extends", "'four_stage'?"),
    (
        "models:\n  a: {extends: b, stages: [{name: x}]}\n  b: {extends: a, stages: [{name: x}]}",
        "circular_model",
        7,
        "models.a.extends",
        "leads back to the model itself",
    ),
    ("models: {m: {extends: four_stage}}", "model", 6, "models.m", "is not a model"),
    (
        "models: {m: {stages: [{name: a}, {name: a}]}}",
        "duplicate_stage",
        6,
        "models.m.stages[1].name",
        "the name of another stage",
    ),
    ("models: {m: {stages: [{name: exit}]}}", "reserved_stage", 6, "models.m.stages[0].name", "reserved name"),
    ("models: {m: {stages: [{name: a}]}}", "stage_without_rules", 6, "models.m.stages[0]", "no event is ever in it"),
    (
        "models: {m: {extends: four_stage, stages: [{name: a, rules: [{id: purchase, when: {}}]}]}}",
        "duplicate_rule",
        6,
        "models.m.stages[0].rules[0].id",
        "perhaps an inherited one",
    ),
    (
        "models: {m: {stages: [{name: a, rules: [{id: r, when: {}, nth: {is: 1, at_least: 2}}]}]}}",
        "nth",
        6,
        "models.m.stages[0].rules[0].nth",
        "exactly one bound",
    ),
    # funnels
    (
        "funnels: {f: {steps: [{name: a}]}}",
        "too_short",
        6,
        "funnels.f.steps",
        "has too few items; allowed: at least 2 items",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: a}]}}",
        "duplicate_step",
        6,
        "funnels.f.steps[1].name",
        "the name of another step",
    ),
    (
        "funnels: {four_stage: {steps: [{name: a}, {name: b}]}}",
        "funnel_named_as_model",
        6,
        "funnels.four_stage",
        "another name",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], model: shop}}",
        "unknown_model",
        6,
        "funnels.f.model",
        "allowed: four_stage",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], goal: ordr}}",
        "unknown_goal",
        6,
        "funnels.f.goal",
        "did you mean 'order'?",
    ),
    ("attribution: {goal: ordr}", "unknown_goal", 6, "attribution.goal", "did you mean 'order'?"),
    (
        "cohorts: {starts: {s: {start: ordr}}}",
        "unknown_goal",
        6,
        "cohorts.starts.s.start",
        "did you mean 'order'?",
    ),
    ("cohorts: {starts: {s: {return: lead}}}", "unknown_goal", 6, "cohorts.starts.s.return", "order"),
    ("cohorts: {repeat: lead}", "unknown_goal", 6, "cohorts.repeat", "order"),
    ("cohorts: {starts: {s: {return: {evnt: a}}}}", "unknown_field", 6, "cohorts.starts.s.return.evnt", "event"),
    ("cohorts: {starts: {s: {bucket: 7}}}", "duration", 6, "cohorts.starts.s.bucket", "30m"),
    ("cohorts: {starts: {s: {bucket: 0d}}}", "duration_zero", 6, "cohorts.starts.s.bucket", "above 0s"),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], order: any}}",
        "literal_error",
        6,
        "funnels.f.order",
        "did you mean 'any_order'",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b, within: 1d}], order: any_order}}",
        "any_order_within",
        6,
        "funnels.f.steps[1].within",
        "has no meaning in any order",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], order: any_order, exclusions: [{between: [a, b], when: {}}]}}",
        "any_order_exclusions",
        6,
        "funnels.f.exclusions",
        "has no meaning in any order",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], order: strict, grace: 1s}}",
        "grace_order",
        6,
        "funnels.f.grace",
        "order: strict",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], order: any_order, grace: 1s}}",
        "grace_order",
        6,
        "funnels.f.grace",
        "any_order",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], window: 1h, grace: 2h}}",
        "grace_window",
        6,
        "funnels.f.grace",
        "window",
    ),
    (
        "funnels: {f: {steps: [{name: a, within: 1h}, {name: b}]}}",
        "first_within",
        6,
        "funnels.f.steps[0].within",
        "no step before",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], exclusions: [{between: [b, a], when: {}}]}}",
        "exclusion_order",
        6,
        "funnels.f.exclusions[0].between",
        "does not go forward",
    ),
    (
        "funnels: {f: {steps: [{name: cart}, {name: b}], exclusions: [{between: [card, b], when: {}}]}}",
        "unknown_step",
        6,
        "funnels.f.exclusions[0].between[0]",
        "'card' is not a step; allowed: cart, b; did you mean 'cart'?",
    ),
    (
        "funnels: {f: {steps: [{name: a, when: {stage: decision}}, {name: b}]}}",
        "stage_without_model",
        6,
        "funnels.f.steps[0].when",
        "reads stage in a funnel without a model",
    ),
    (
        "funnels: {f: {model: four_stage, steps: [{name: a, when: {stage: decison}}, {name: b}]}}",
        "unknown_stage",
        6,
        "funnels.f.steps[0].when",
        "did you mean 'decision'?",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], entered: {from: 2026-02-30}}}",
        "date",
        6,
        "funnels.f.entered.from",
        "'2026-02-30' is not a date",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], entered: {from: 2026-02-02, to: 2026-02-01}}}",
        "entered_order",
        6,
        "funnels.f.entered",
        "ends before it begins",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], unit: household}}",
        "literal_error",
        6,
        "funnels.f.unit.kind",
        "'person'",
    ),
    (
        "funnels: {f: {steps: [{name: a}, {name: b}], unit: {property: a..b}}}",
        "property_key",
        6,
        "funnels.f.unit.property",
        "a key",
    ),
    # goals, personas
    (
        "goals: {order: {when: {}, value: revenue}}",
        "goal_value",
        6,
        "goals.order.value",
        "revenue_amount, properties.<key>",
    ),
    ("personas: [{name: all, when: {}}]", "reserved_persona", 6, "personas[0].name", "reserved name"),
    ("personas: [{name: unassigned, when: {}}]", "reserved_persona", 6, "personas[0].name", "reserved name"),
    (
        "personas: [{name: a, when: {}}, {name: a, when: {}}]",
        "duplicate_persona",
        6,
        "personas[1].name",
        "the name of another persona",
    ),
    (
        "personas: [{name: a, when: {count.purchase: 1}}]",
        "outcome_needs_now",
        6,
        "personas[0].when",
        "allowed: as_of: now",
    ),
    ("personas: [{name: a, when: {session_count: 1}}]", "outcome_needs_now", 6, "personas[0].when", "as_of: now"),
    ("personas: [{name: a, when: {days_since_last: 1}}]", "outcome_needs_now", 6, "personas[0].when", "as_of: now"),
    (
        "personas: [{name: a, as_of: now, when: {count.purchase: 1}}]",
        "outcome_based",
        6,
        "personas[0]",
        "by definition",
    ),
    ("slices: [chanel]", "unknown_slice", 6, "slices[0]", "did you mean 'channel'?"),
    ("slices: [user_agent]", "slice_column", 6, "slices[0]", "too many values"),
    ("slices: [channel, channel]", "duplicate_slice", 6, "slices[1]", "another slice"),
    ("personas: [{name: a, when: {trait.plan: x}}]", "unknown_trait", 6, "personas[0].when", "which has none"),
    ("referrals: {referred_by: trait.by}", "unknown_trait", 6, "referrals.referred_by", "which has none"),
    ("referrals: {referred_by: by}", "trait_or_property", 6, "referrals.referred_by", "properties.<key>"),
    (
        "people: [{path: web.csv, user_id: u, traits: [plan]}]\npersonas: [{name: a, when: {trait.plan: x}}]",
        "trait_undated",
        7,
        "personas[0]",
        "reads plan, whose file has no valid_from",
    ),
    ("personas: [{name: a, when: {event: x}}]", "unknown_field", 6, "personas[0].when.event", "trait.<name>"),
    (
        "personas: [{name: a, when: {first.evnt: x}}]",
        "unknown_field",
        6,
        "personas[0].when.first.evnt",
        "is not a field here",
    ),
    # promises, surveys, friction, map
    (
        "promises: [{name: P, stage: decison, from: {}, to: {}, within: 3d}]",
        "unknown_stage",
        6,
        "promises[0].stage",
        "'decision'?",
    ),
    (
        "promises: [{name: P, stage: decision, measure: csat, target: {at_least: 4}}]",
        "unknown_survey",
        6,
        "promises[0].measure",
        "survey",
    ),
    ("promises: [{name: P, stage: decision, within: 3d}]", "promise", 6, "promises[0]", "from, to, within"),
    ("surveys: {csat: {event: a, score: properties.s}}", "survey", 6, "surveys.csat", "needs score and scale together"),
    ("surveys: {csat: {event: a, score: properties.s, scale: [5, 1]}}", "survey", 6, "surveys.csat", "does not rise"),
    (
        "friction: [{name: a, when: {}}, {name: a, when: {}}]",
        "duplicate_friction",
        6,
        "friction[1].name",
        "the name of another item",
    ),
    ("map: {owners: {decison: Sales}}", "unknown_stage", 6, "map.owners.decison", "did you mean 'decision'?"),
    (
        "map: {personas: {student: {needs: {decision: Pay}}}}",
        "unknown_persona",
        6,
        "map.personas.student",
        "is not a persona",
    ),
    (
        "map: {personas: {all: {desired: {decision: {reach_rate: 2}}}}}",
        "less_than_equal",
        6,
        "map.personas.all.desired.decision.reach_rate",
        "1",
    ),
]
SOURCE_ROWS = [
    (f"app: {SOURCE}, formatt: x}}", "unknown_key", "sources.app.formatt", "did you mean 'format'?"),
    ("app: {format: cvs, path: web.csv}", "unknown_format", "sources.app.format", "did you mean 'csv'?"),
    ("app: {format: csv}", "missing", "sources.app.path", "is missing"),
    (
        "app: {format: csv, path: web.csv, columns: {occured_at: ts}}",
        "literal_error",
        "sources.app.columns.occured_at",
        "'occurred_at'?",
    ),
    (
        "app: {format: csv, path: web.csv, columns: {user_id: u, event_name: e}}",
        "column_missing",
        "sources.app.columns",
        "lacks occurred_at",
    ),
    (
        "app: {format: csv, path: web.csv, columns: {occurred_at: u, user_id: e}}",
        "column_missing",
        "sources.app.columns",
        "lacks event_name",
    ),
    (
        "app: {format: csv, path: web.csv, columns: {occurred_at: u, event_name: e}}",
        "identifier_missing",
        "sources.app.columns",
        "has no identifier of a person",
    ),
    (
        f"app: {SOURCE}, rename: {{sent: email_sent}}, passive: [sent]}}",
        "passive_renamed",
        "sources.app.passive[0]",
        "allowed: email_sent",
    ),
    (
        "app: {format: access_log, path: web.csv, columns: {user_id: u}}",
        "columns_not_used",
        "sources.app.columns",
        "format access_log",
    ),
    (f"app: {SOURCE}, records: a}}", "key_not_used", "sources.app.records", "is not used with format csv"),
    (
        "app: {format: access_log, path: a, header: [a]}",
        "key_not_used",
        "sources.app.header",
        "is not used with format access_log",
    ),
    (f"app: {SOURCE}, header: [a, b, a]}}", "doubled_column", "sources.app.header", "names a column more than once"),
    (
        "app: {format: ga4, path: a, timezone: Europe/Berlin}",
        "timezone_not_used",
        "sources.app.timezone",
        "is not used with format ga4, whose times are UTC",
    ),
    (
        f"app: {SOURCE}, timezone: Mars/Base}}",
        "unknown_timezone",
        "sources.app.timezone",
        "'Mars/Base' is not a time zone",
    ),
    (f"app: {SOURCE}, encoding: utf-99}}", "unknown_encoding", "sources.app.encoding", "'utf-99' is not an encoding"),
    (f"app: {SOURCE}, encoding: base64}}", "unknown_encoding", "sources.app.encoding", "'base64' is not an encoding"),
    (
        f"app: {SOURCE}, where: {{properties.app_id: {{nt: a}}}}}}",
        "matcher",
        "sources.app.where.properties.app_id.nt",
        "'not'?",
    ),
    (
        "app: {format: csv, path: a, channel: w, columns: {occurred_at: t, user_id: u, event_name: e, channel: c}}",
        "channel_twice",
        "sources.app.channel",
        "under columns",
    ),
    (
        "app: {format: csv, path: web.csv, columns: {occurred_at: t, user_id: {column: u, unit: ms}, event_name: e}}",
        "not_a_time",
        "sources.app.columns.user_id",
        "occurred_at, received_at",
    ),
    (
        "app: {format: csv, path: a, columns: {occurred_at: {column: t, unit: s, format: x}, user_id: u}}",
        "time_unit",
        "sources.app.columns.occurred_at",
        "another way to read the time",
    ),
    (
        "app: {format: csv, path: web.csv, columns: {occurred_at: t, user_id: u, event_name: {hash: [a]}}}",
        "not_an_identifier",
        "sources.app.columns.event_name",
        "hash is for identifiers",
    ),
    (
        "app: {format: csv, path: a, columns: {occurred_at: t, user_id: {column: a, constant: b}, event_name: e}}",
        "column_mapping",
        "sources.app.columns.user_id",
        "one of column, columns, hash, constant",
    ),
    (
        "app: {format: csv, path: gone.csv, columns: {occurred_at: t, user_id: u, event_name: e}}",
        "no_file",
        "sources.app.path",
        "no file",
    ),
]


@pytest.fixture
def write(tmp_path):
    (tmp_path / "web.csv").write_text("")

    def written(text):
        path = tmp_path / "journeyflow.yml"
        path.write_text(textwrap.dedent(text))
        return path

    return written


def test_the_valid_configuration_has_no_problems(write):
    assert check(write(GOOD)) == []


@pytest.mark.parametrize(("added", "code", "line", "path", "text"), ROWS)
def test_every_rule_says_where_and_what(write, added, code, line, path, text):
    file = write(GOOD + added + "\n")
    found = [problem for problem in check(file) if problem.code == code and problem.path == path]
    assert found, [str(problem) for problem in check(file)]
    assert found[0].line == line
    assert str(found[0]).startswith(f"{file}:{line}: {found[0].severity}: {path}: ")
    assert text in str(found[0])


@pytest.mark.parametrize(("added", "code", "path", "text"), SOURCE_ROWS)
def test_every_rule_on_sources(write, added, code, path, text):
    problems = check(write(f"{GOOD}  {added}\n"))
    found = [problem for problem in problems if problem.code == code and problem.path == path]
    assert found, [str(problem) for problem in problems]
    assert found[0].line == 6
    assert text in str(found[0])


def test_every_row_breaks_one_thing_only(write):
    for added, code, _, _, _ in ROWS:
        codes = {problem.code for problem in check(write(GOOD + added + "\n"))}
        assert code in codes, added
        assert codes <= {code, "stage_without_rules"}, added


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(write):
    file = write("""\
        sources:
          web: {format: csv, path: web.csv, columns: {occurred_at: ts, event_name: event}}
          app: {format: cvs, path: web.csv}
        sessions: {timeout: 30, max_duration: long}
        models: {four_stage: builtin, shop: {stages: [{name: exit}]}}
        funnels:
          good: {model: four_stage, steps: [{name: a}, {name: a}]}
          bad: {model: shop, steps: []}
        """)
    with pytest.raises(InvalidConfigError) as caught:
        load_config(file)
    codes = [(problem.line, problem.code) for problem in caught.value.problems if problem.severity == "error"]
    assert codes == [
        (2, "identifier_missing"),
        (3, "unknown_format"),
        (4, "duration"),
        (4, "duration"),
        (5, "reserved_stage"),
        (7, "duplicate_step"),
        (8, "too_short"),
    ]
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith("The configuration has 7 errors:\n")
    assert all(str(problem) in caught.value.message for problem in caught.value.problems if problem.severity == "error")


def test_a_mistake_in_one_item_hides_no_mistake_of_another(write):
    file = write(
        GOOD + "personas:\n"
        "  - {name: a, when: {evnt: x}}\n"
        "  - {name: b, when: {count.purchase: 1}}\n"
        "  - {name: b, when: {}}\n"
        "promises: [{name: p, stage: nowhere, from: {event: a}, to: {event: b}, within: 3}]\n"
        "friction: [{name: f}, {name: g, when: {}}, {name: g, when: {}}]\n"
        "map: {owners: {nowhere: Us}, personas: 3}\n"
    )
    assert [(problem.line, problem.code, problem.path) for problem in check(file)] == [
        (7, "unknown_field", "personas[0].when.evnt"),
        (8, "outcome_needs_now", "personas[1].when"),
        (9, "duplicate_persona", "personas[2].name"),
        (10, "duration", "promises[0].within"),
        (11, "missing", "friction[0].when"),
        (11, "duplicate_friction", "friction[2].name"),
        (12, "unknown_stage", "map.owners.nowhere"),
        (12, "dict_type", "map.personas"),
    ]


def test_a_model_has_63_stages_at_most_inherited_ones_included(write):
    stages = [f"{{name: s{number}, rules: [{{id: r{number}, when: {{event: e}}}}]}}" for number in range(60)]

    def models(last):
        own = {"a": ("four_stage", stages[:40]), "b": ("a", stages[40:last])}
        listed = [f"{name}: {{extends: {below}, stages: [{', '.join(each)}]}}" for name, (below, each) in own.items()]
        return f"models: {{{', '.join(listed)}}}\n"

    assert check(write(GOOD + models(59))) == []
    (problem,) = check(write(GOOD + models(60)))
    assert (problem.code, problem.path) == ("too_many_stages", "models.b")
    assert "63 at most" in str(problem)


def test_a_funnel_has_62_exclusions_at_most(write):
    def funnels(count):
        exclusions = ", ".join(["{between: [a, b], when: {event: e}}"] * count)
        return f"funnels: {{f: {{steps: [{{name: a}}, {{name: b}}], exclusions: [{exclusions}]}}}}\n"

    assert check(write(GOOD + funnels(62))) == []
    (problem,) = check(write(GOOD + funnels(63)))
    assert (problem.code, problem.path) == ("too_long", "funnels.f.exclusions")
    assert "at most 62 items" in str(problem)


def test_names_of_a_broken_section_are_not_called_unknown(write):
    file = write(
        GOOD + "goals: {lead: {when: {evnt: lead}}}\nfunnels: {f: {goal: lead, steps: [{name: a}, {name: b}]}}\n"
    )
    assert [problem.code for problem in check(file)] == ["unknown_field"]


def test_a_slice_is_a_property_that_some_source_keeps(write):
    kept = GOOD + "    properties: [device, os]\n"
    assert check(write(kept + "slices: [device, os.version, channel]\n")) == []
    (problem,) = check(write(kept + "slices: [devise]\n"))
    assert (problem.code, problem.path) == ("unknown_slice", "slices[0]")
    assert "did you mean 'device'?" in str(problem)
    assert check(write(GOOD + "    properties: '*'\nslices: [devise]\n")) == []


def test_warnings_stop_nothing(write):
    file = write(GOOD + "personas: [{name: a, as_of: now, when: {count.purchase: 1}}]\n")
    assert [problem.severity for problem in check(file)] == ["warning"]
    assert load_config(file).personas[0].is_outcome_based


@pytest.mark.parametrize("text", ["", "[]", "a"])
def test_a_file_that_is_no_mapping(write, text):
    assert [problem.code for problem in check(write(text))] == ["not_a_mapping"]


def test_sources_are_required(write):
    (problem,) = check(write("project: a"))
    assert (problem.code, problem.path) == ("missing", "sources")


def test_a_missing_file_names_the_way_out(tmp_path):
    with pytest.raises(ConfigError, match="journeyflow init"):
        load_config(tmp_path)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "access_log", "snowplow"])
def test_formats_are_the_mapped_ones_and_the_adapters(name):
    assert name in known_formats()
    assert not {"events", "traits"} & set(known_formats()), "models of sql/sources/ are no adapters"


def test_a_text_that_is_not_yaml_is_one_problem(tmp_path):
    (tmp_path / "journeyflow.yml").write_text("sources:\n  web:\n    format: csv\n   path: web.csv\n")
    (problem,) = check(tmp_path / "journeyflow.yml")
    assert (problem.code, problem.line) == ("yaml_syntax", 4)
    assert "indentation" in str(problem)
