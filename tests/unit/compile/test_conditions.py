"""Compiled conditions on the database: every matcher on a value that fits, one that does not, and a missing one."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyflow.compile.conditions import compile_condition, leaf_truth, sql
from journeyflow.compile.staging_events import event_value
from journeyflow.config.conditions import All, Leaf, Not, is_numeric_field, parse
from journeyflow.engines import DuckDBEngine
from support.examples import examples

COLUMNS = {
    "event_name": pa.string(),
    "channel": pa.string(),
    "target": pa.string(),
    "page_path": pa.string(),
    "revenue_amount": pa.decimal128(18, 4),
    "properties": pa.string(),
}


@pytest.fixture(scope="module")
def engine():
    with DuckDBEngine(threads=1) as engine:
        yield engine


def judged(engine, condition, events):
    """Return the truth of a condition for each event, an event being a mapping of columns."""
    arrays = [pa.array([event.get(name) for event in events], type=kind) for name, kind in COLUMNS.items()]
    arrays.append(pa.array(range(len(events)), type=pa.int64()))
    engine.register("test.landed", pa.table(arrays, names=[*COLUMNS, "n"]))
    expression = compile_condition(condition, lambda leaf: leaf_truth(leaf, event_value(leaf.field)))
    select = f"select {sql(expression)} as truth from test.landed order by n"
    return engine.rows(select)["truth"].to_pylist()


MATCHERS = [
    # (matcher, a value that fits, one that does not, truth of a missing value)
    ("a", "a", "b", False),
    (["a", "b"], "b", "c", False),
    ({"is": "a"}, "a", "A", False),
    ({"is": ["a", "b"]}, "b", "c", False),
    ({"not": "a"}, "b", "a", True),
    ({"not": ["a", "b"]}, "c", "b", True),
    ({"in": ["a", "b"]}, "a", "ab", False),
    ({"not_in": ["a", "b"]}, "c", "a", True),
    ({"prefix": "ab"}, "abc", "cab", False),
    ({"prefix": ["x", "ab"]}, "abc", "bab", False),
    ({"suffix": "bc"}, "abc", "bca", False),
    ({"contains": "b%"}, "ab%c", "abc", False),
    ({"glob": "/p/*"}, "/p/shoe", "/p/shoe/red", False),
    ({"glob": "/p/**"}, "/p/shoe/red", "/q/p/shoe", False),
    ({"glob": "/p/?"}, "/p/a", "/p//", False),
    ({"glob": "a.b[c]"}, "a.b[c]", "axb[c]", False),
    ({"glob": "a**"}, "a\nb", "b\na", False),
    ({"regex": "^b|c$"}, "abc", "cba", False),
    ({"regex": "(?i)SHOE"}, "a shoe", "a sho", False),
    ({"exists": True}, "", None, False),
    ({"exists": False}, None, "", True),
    ({"above": 5}, "5.1", "5", False),
    ({"at_least": 5}, "5.0", "4.9", False),
    ({"below": 5}, "4", "5", False),
    ({"at_most": 5}, "5", "five", False),
    ({"between": [1, 5]}, "1", "0.99", False),
    ({"between": [1, 5]}, "5.0", "5.01", False),
    ({"at_least": 1, "below": 3}, "2", "3", False),
    ({"above": 5}, "1e1", "nan", False),
    ({"below": 5}, "-1", "-inf", False),
    (10, "10.0", "100", False),
    ({"not": 10}, "ten", "10", True),
    (["a", 10], "10", "b", False),
    (["a", 10], "a", "11", False),
    (True, "true", "false", False),
    ({"in": [True, "x"]}, "x", "1", False),
    ("10", "10", "10.0", False),
]


@pytest.mark.parametrize(("matcher", "fits", "fits_not", "missing"), MATCHERS)
def test_every_matcher(engine, matcher, fits, fits_not, missing):
    events = [{"target": fits}, {"target": fits_not}, {"target": None}]
    wanted = [True, False, missing]
    assert judged(engine, parse({"target": matcher}), events) == wanted
    negated = [not truth for truth in wanted]
    assert judged(engine, parse({"not": {"target": matcher}}), events) == negated, (
        "never null, so `not` is the exact opposite"
    )


@pytest.mark.parametrize(
    ("matcher", "truths"),
    [
        ({"at_least": 10}, [True, True, False, False]),
        ({"above": 10}, [False, True, False, False]),
        (10, [True, False, False, False]),
        ({"not": 10}, [False, True, True, True]),
        ({"in": [0.1, 10]}, [True, False, True, False]),
        ({"exists": False}, [False, False, False, True]),
        ({"between": [0.1, 10.0]}, [True, False, True, False]),
    ],
)
def test_amounts_are_compared_exactly(engine, matcher, truths):
    amounts = ["10.0000", "10.0001", "0.1000", None]
    events = [{"revenue_amount": amount and Decimal(amount)} for amount in amounts]
    assert judged(engine, parse({"revenue_amount": matcher}), events) == truths


@pytest.mark.parametrize(
    ("properties", "truths"),
    [
        ('{"plan": "pro", "seats": 5, "paid": true, "page": {"url": "/a"}}', [True, True, True, True]),
        ('{"plan": "free", "seats": "5", "paid": "true", "page": null}', [False, True, True, False]),
        ('{"plan": null, "seats": null, "page": {"url": null}}', [False, False, False, False]),
        ("{}", [False, False, False, False]),
        (None, [False, False, False, False]),
    ],
)
def test_properties(engine, properties, truths):
    raw = [
        {"properties.plan": "pro"},
        {"properties.seats": 5},
        {"properties.paid": True},
        {"properties.page.url": {"exists": True}},
    ]
    assert [judged(engine, parse(each), [{"properties": properties}])[0] for each in raw] == truths


@pytest.mark.parametrize(
    ("raw", "truths"),
    [
        ({}, [True, True, True]),
        ({"event": "a", "channel": "web"}, [True, False, False]),
        ({"any": [{"event": "a"}, {"channel": "web"}]}, [True, True, True]),
        ({"all": [{"event": "a"}, {"not": {"channel": "web"}}]}, [False, True, False]),
        ({"event": "b", "any": [{"channel": "web"}, {"channel": "app"}]}, [False, False, True]),
        ({"not": {"any": [{"event": "b"}, {"channel": "app"}]}}, [True, False, False]),
    ],
)
def test_conditions_combine(engine, raw, truths):
    events = [
        {"event_name": "a", "channel": "web"},
        {"event_name": "a", "channel": "app"},
        {"event_name": "b", "channel": "web"},
    ]
    assert judged(engine, parse(raw), events) == truths


PAYLOADS = [
    "'",
    "''",
    "' or 1=1 --",
    "'; drop table test.landed; --",
    '"',
    "\\",
    "\\'",
    "$1",
    "$$",
    "{{ x }}",
    "?",
    "%",
    "é\n\t",
    "/* */",
    "E'\\x27'",
]


# A question mark is a sign in globs.
AS_VALUES = [
    (operator, payload)
    for operator in ("is", "prefix", "suffix", "contains", "glob")
    for payload in PAYLOADS
    if operator != "glob" or "?" not in payload
]


@pytest.mark.parametrize(("operator", "payload"), AS_VALUES)
def test_values_are_only_ever_values(engine, payload, operator):
    events = [{"target": payload}, {"target": "x"}]
    wanted = [True, operator == "glob" and payload == "**"]
    if operator == "glob" and "*" in payload:
        wanted = [True, False]
    assert judged(engine, parse({"target": {operator: payload}}), events) == wanted


@pytest.mark.parametrize(
    "payload", ["a'b", "a' or '1'='1", "$", "[0]", "*", "a b", 'a"b', "a\\b", "a/b", "a~b", "~1", "0"]
)
def test_keys_of_properties_are_only_ever_keys(engine, payload):
    import json

    events = [{"properties": json.dumps({payload: "x"})}, {"properties": json.dumps({"other": "x"})}]
    assert judged(engine, parse({f"properties.{payload}": "x"}), events) == [True, False]


# A plain evaluator of conditions, and the agreement of both on random ones.

NAMES = st.sampled_from(["a", "b", "ab", "/p/a", "/p/a/b", "7", "7.5", "-3", "true", "", "A"])
NUMBERS = st.one_of(st.integers(-10, 10), st.sampled_from([7.5, 0.1, -3.0]))
FIELDS = st.sampled_from(["event", "channel", "target", "page_path", "revenue_amount", "properties.x", "properties.y"])
TEXTS = st.text("abp/7.", min_size=1, max_size=3)
GLOBS = st.lists(st.sampled_from(["a", "b", "/", "p", "*", "**", "?", "."]), min_size=1, max_size=4).map("".join)
REGEXES = st.sampled_from(["^a", "b$", "a|b", "[0-9]+", "/p/.", "^$", "a.?b", "(a)(b)?"])


def _texts_of(operator):
    values = GLOBS if operator == "glob" else REGEXES if operator == "regex" else TEXTS
    return st.lists(values, min_size=1, max_size=2).map(tuple)


@st.composite
def random_leaves(draw):
    field = draw(FIELDS)
    operators = ["in", "not_in", "exists", "above", "at_least", "below", "at_most", "between"]
    if not is_numeric_field(field):
        operators += ["prefix", "suffix", "contains", "glob", "regex"]
    operator = draw(st.sampled_from(operators))
    if operator == "exists":
        return Leaf(field, operator, (draw(st.booleans()),))
    if operator == "between":
        return Leaf(field, operator, tuple(sorted((draw(NUMBERS), draw(NUMBERS)))))
    if operator in ("above", "at_least", "below", "at_most"):
        return Leaf(field, operator, (draw(NUMBERS),))
    if operator in ("in", "not_in"):
        values = NUMBERS if is_numeric_field(field) else st.one_of(NAMES, NUMBERS, st.booleans())
        return Leaf(field, operator, tuple(draw(st.lists(values, min_size=1, max_size=3))))
    return Leaf(field, operator, draw(_texts_of(operator)))


CONDITIONS = st.recursive(
    random_leaves(),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: parse({"any": [{}]}).__class__(tuple(parts))),
    ),
    max_leaves=6,
)
EVENTS = st.fixed_dictionaries(
    {
        "event_name": NAMES,
        "channel": st.none() | NAMES,
        "target": st.none() | NAMES,
        "page_path": st.none() | NAMES,
        "revenue_amount": st.none() | st.sampled_from([Decimal("7.5"), Decimal(7), Decimal("-3"), Decimal("0.1")]),
        "properties": st.none()
        | st.sampled_from(['{"x": "a"}', '{"x": 7, "y": true}', '{"x": null, "y": "7.5"}', '{"y": "/p/a"}']),
    }
)


def holds(condition, event):
    if isinstance(condition, Leaf):
        return leaf_holds(condition, field_of(condition.field, event))
    if isinstance(condition, Not):
        return not holds(condition.part, event)
    return (all if isinstance(condition, All) else any)(holds(part, event) for part in condition.parts)


def field_of(field, event):
    if not field.startswith("properties."):
        return event["event_name" if field == "event" else field]
    import json

    value = json.loads(event["properties"] or "{}").get(field.removeprefix("properties."))
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def leaf_holds(leaf, value):
    if leaf.operator == "exists":
        return (value is not None) == leaf.values[0]
    if value is None:
        return leaf.operator == "not_in"
    if leaf.operator in ("in", "not_in"):
        return any(is_equal(value, wanted) for wanted in leaf.values) == (leaf.operator == "in")
    if leaf.operator in ("above", "at_least", "below", "at_most", "between"):
        number = as_number(value)
        return number is not None and is_within(leaf.operator, number, [Decimal(str(bound)) for bound in leaf.values])
    return any(text_holds(leaf.operator, value, wanted) for wanted in leaf.values)


def is_equal(value, wanted):
    if isinstance(wanted, bool):
        return value == str(wanted).lower()
    if isinstance(wanted, str):
        return value == wanted
    return as_number(value) == Decimal(str(wanted))


def as_number(value):
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def is_within(operator, number, bounds):
    tests = {
        "above": number > bounds[0],
        "at_least": number >= bounds[0],
        "below": number < bounds[0],
        "at_most": number <= bounds[0],
    }
    return bounds[0] <= number <= bounds[1] if operator == "between" else tests[operator]


def text_holds(operator, value, wanted):
    tests = {"prefix": value.startswith(wanted), "suffix": value.endswith(wanted), "contains": wanted in value}
    if operator == "regex":
        return re.search(wanted, value) is not None
    return glob_holds(wanted, value) if operator == "glob" else tests[operator]


def glob_holds(glob, value):
    """Try every way of a glob, sign by sign."""
    if not glob:
        return not value
    if glob.startswith("**"):
        return any(glob_holds(glob[2:], value[n:]) for n in range(len(value) + 1))
    if glob[0] == "*":
        ends = [n for n in range(len(value) + 1) if "/" not in value[:n]]
        return any(glob_holds(glob[1:], value[n:]) for n in ends)
    if glob[0] == "?":
        return bool(value) and value[0] != "/" and glob_holds(glob[1:], value[1:])
    return bool(value) and value[0] == glob[0] and glob_holds(glob[1:], value[1:])


@given(condition=CONDITIONS, events=st.lists(EVENTS, min_size=1, max_size=8))
@settings(max_examples=examples(300), deadline=None)
def test_the_database_agrees_with_a_plain_evaluator(engine, condition, events):
    assert judged(engine, condition, events) == [holds(condition, event) for event in events]
