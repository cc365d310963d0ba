"""Named predicates of a configuration, and conditions as SQL that is never null; `journeys.personas` from its rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlglot import exp

from journeyflow.config.conditions import ALWAYS, All, Condition, Leaf, Not, Scalar, is_numeric_field, leaves
from journeyflow.config.config import UNASSIGNED, Config, Persona
from journeyflow.config.models_and_funnels import JourneyModel
from journeyflow.models.model import python_model

EVENT_TYPE_FIELDS = ("event", "channel")
"""Fields that are columns of an event type. Conditions on other fields are *event-level*: one bit each."""


@dataclass(frozen=True)
class Predicate:
    """A condition on events, named as in the column `predicate` of `config.event_type_predicates`.

    Prefixes such as ``first.`` are removed. `model` is the model whose stages the condition reads; None for no stage.
    """

    name: str
    condition: Condition
    model: JourneyModel | None = None


def rule_predicate(model: str, rule_id: str) -> str:
    """Return the name of a stage rule's predicate."""
    return f"model/{model}/{rule_id}"


def step_predicate(funnel: str, step: str) -> str:
    """Return the name of a funnel step's predicate."""
    return f"funnel/{funnel}/{step}"


def exclusion_predicate(funnel: str, number: int) -> str:
    """Return the name of an exclusion's predicate; `number` is 1-based."""
    return f"funnel/{funnel}/exclusion/{number}"


def goal_predicate(goal: str) -> str:
    """Return the name of a goal's predicate."""
    return f"goal/{goal}"


def attribution_predicate(number: int) -> str:
    """Return the name of the predicate of an entry of `attribution.channels`; `number` is 1-based."""
    return f"attribution/{number}"


def first_predicate(persona: str, number: int) -> str:
    """Return the name of a persona's predicate on the journey's first event; `number` is 1-based."""
    return f"persona/{persona}/first/{number}"


def friction_predicate(name: str) -> str:
    """Return the name of a friction event's predicate."""
    return f"friction/{name}"


def promise_predicate(name: str, end: str) -> str:
    """Return the name of the predicate of a promise's start (``from``) or fulfilment (``to``)."""
    return f"promise/{name}/{end}"


def cohort_predicate(start: str, end: str) -> str:
    """Return the name of the predicate of a cohort's ``start`` or ``return``."""
    return f"cohort/{start}/{end}"


def predicates(config: Config) -> tuple[Predicate, ...]:
    """Return every predicate of a configuration, in its order; names are unique."""
    groups = (
        _of_models, _of_funnels, _of_goals, _of_personas, _of_friction, _of_promises, _of_cohorts, _of_attribution
    )  # fmt: skip
    return tuple(predicate for group in groups for predicate in group(config))


def event_level_conditions(config: Config) -> tuple[Leaf, ...]:
    """Return the distinct event-level leaves; the n-th, from 0, is bit n of an event's condition bits."""
    found = (leaf for predicate in predicates(config) for leaf in leaves(predicate.condition))
    return tuple(dict.fromkeys(leaf for leaf in found if leaf.field not in (*EVENT_TYPE_FIELDS, "stage")))


def first_leaves(persona: Persona) -> tuple[Leaf, ...]:
    """Return a persona's distinct leaves on the first event, without prefix, in the order of `first_predicate`."""
    found = (leaf for leaf in leaves(persona.when) if leaf.field.startswith("first."))
    return tuple(dict.fromkeys(Leaf(leaf.field.removeprefix("first."), leaf.operator, leaf.values) for leaf in found))


def reads_stage(condition: Condition) -> bool:
    """Return whether a condition reads the event's stage."""
    return any(leaf.field == "stage" for leaf in leaves(condition))


def _of_models(config: Config) -> Iterator[Predicate]:
    for model in config.journey_models:
        for placed in model.rules:
            yield Predicate(rule_predicate(model.model, placed.rule_id), placed.rule.when)


def _of_funnels(config: Config) -> Iterator[Predicate]:
    for name, funnel in config.funnels.items():
        model = config.journey_model(funnel.model) if funnel.model else None
        named = [(step_predicate(name, step.name), step.when) for step in funnel.steps]
        named += [(exclusion_predicate(name, n), exclusion.when) for n, exclusion in enumerate(funnel.exclusions, 1)]
        for predicate, condition in named:
            yield Predicate(predicate, condition, model if reads_stage(condition) else None)


def _of_goals(config: Config) -> Iterator[Predicate]:
    for name, goal in config.goals.items():
        yield Predicate(goal_predicate(name), goal.when)


def _of_personas(config: Config) -> Iterator[Predicate]:
    for persona in config.personas:
        for number, leaf in enumerate(first_leaves(persona), 1):
            yield Predicate(first_predicate(persona.name, number), leaf)


def _of_friction(config: Config) -> Iterator[Predicate]:
    for friction in config.friction:
        yield Predicate(friction_predicate(friction.name), friction.when)


def _of_promises(config: Config) -> Iterator[Predicate]:
    for promise in config.promises:
        if promise.from_ is not None and promise.to is not None:
            yield Predicate(promise_predicate(promise.name, "from"), promise.from_)
            yield Predicate(promise_predicate(promise.name, "to"), promise.to)


def _of_cohorts(config: Config) -> Iterator[Predicate]:
    """Yield no predicate for `any event`."""
    for name, cohort in config.cohorts.starts.items():
        for end, event in (("start", cohort.start), ("return", cohort.return_)):
            if event != ALWAYS:
                # A name that is no goal is refused before.
                condition = config.goals[event].when if isinstance(event, str) else event
                yield Predicate(cohort_predicate(name, end), condition)


def _of_attribution(config: Config) -> Iterator[Predicate]:
    for number, channel in enumerate(config.attribution.channels, 1):
        yield Predicate(attribution_predicate(number), channel.when)


NUMBER = "decimal(38, 10)"
"""Type to which texts are cast when compared with numbers: exact, with neither NaN nor infinity."""

LeafTruth = Callable[[Leaf], exp.Expr]
"""How a leaf is evaluated in a context: by its field's column, by a condition bit, …"""

_BOUNDS: dict[str, type[exp.Binary]] = {"above": exp.GT, "at_least": exp.GTE, "below": exp.LT, "at_most": exp.LTE}
_CALLS = {"prefix": "starts_with", "suffix": "ends_with", "contains": "contains", "regex": "regexp_matches"}


def text(value: str) -> exp.Expr:
    """Return a quoted text."""
    return exp.Literal.string(value)


def number(value: int | float | Decimal) -> exp.Expr:
    """Return an exact number of the type `NUMBER`."""
    literal = exp.Literal.string(format(Decimal(str(value)), "f"))
    return exp.cast(literal, NUMBER, dialect="duckdb")


def call(function: str, *arguments: exp.Expr) -> exp.Expr:
    """Return a call of a DuckDB function by its own name."""
    return exp.Anonymous(this=function, expressions=list(arguments))


def column(name: str, table: str | None = None) -> exp.Expr:
    """Return a column; its name is quoted when it must be."""
    return exp.column(exp.to_identifier(name), table=table)


def sql(expression: exp.Expr) -> str:
    """Return the DuckDB text of an expression."""
    return expression.sql("duckdb")


def compile_condition(condition: Condition, truth: LeafTruth) -> exp.Expr:
    """Compile a condition to a boolean that is never null, as `truth` of a leaf must not be.

    An empty condition matches any event.
    """
    if isinstance(condition, Leaf):
        return truth(condition)
    if isinstance(condition, Not):
        return exp.not_(exp.paren(compile_condition(condition.part, truth)))
    parts = [exp.paren(compile_condition(part, truth)) for part in condition.parts]
    if not parts:
        return exp.true() if isinstance(condition, All) else exp.false()
    return exp.and_(*parts) if isinstance(condition, All) else exp.or_(*parts)


def leaf_truth(leaf: Leaf, value: exp.Expr) -> exp.Expr:
    """Compile one test of a field's value: a number for numeric fields, else a text.

    The result is never null: a missing value satisfies only ``exists: false`` and the negative matchers.
    """
    if leaf.operator == "exists":
        missing = exp.Is(this=value, expression=exp.null())
        return exp.not_(missing) if leaf.values[0] else missing
    if leaf.operator == "not_in":
        return exp.not_(_known(_equals(value, leaf)))
    return _known(_positive(leaf, value))


def glob_pattern(glob: str) -> str:
    """Return a glob as a regular expression: `**` crosses `/`, `*` and `?` do not.

    Examples
    --------
    >>> glob_pattern("/p/**")
    '/p/.*'
    """
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(part) or re.escape(part) for part in re.findall(r"\*\*|.", glob, flags=re.DOTALL))


def _positive(leaf: Leaf, value: exp.Expr) -> exp.Expr:
    if leaf.operator == "in":
        return _equals(value, leaf)
    if leaf.operator == "between":
        low, high = (_literal(bound, is_numeric=True) for bound in leaf.values)
        return exp.Between(this=_as_number(leaf, value), low=low, high=high)
    if leaf.operator in _BOUNDS:
        return _BOUNDS[leaf.operator](
            this=_as_number(leaf, value), expression=_literal(leaf.values[0], is_numeric=True)
        )
    tests = [_text_test(leaf.operator, value, str(wanted)) for wanted in leaf.values]
    return exp.paren(exp.or_(*tests)) if len(tests) > 1 else tests[0]


def _text_test(operator: str, value: exp.Expr, wanted: str) -> exp.Expr:
    if operator == "glob":
        beginning = wanted.removesuffix("**")
        if wanted.endswith("**") and not re.search(r"[*?]", beginning):
            return call("starts_with", value.copy(), text(beginning))  # Ten times as fast as the pattern.
        return call("regexp_full_match", value.copy(), text(glob_pattern(wanted)), text("s"))
    return call(_CALLS[operator], value.copy(), text(wanted))


def _equals(value: exp.Expr, leaf: Leaf) -> exp.Expr:
    texts = [wanted for wanted in leaf.values if not _is_number(wanted)]
    numbers = [wanted for wanted in leaf.values if _is_number(wanted)]
    tests = []
    if texts:
        tests.append(_in(value.copy(), [_literal(wanted, is_numeric=False) for wanted in texts]))
    if numbers:
        tests.append(_in(_as_number(leaf, value), [_literal(wanted, is_numeric=True) for wanted in numbers]))
    return exp.paren(exp.or_(*(_known(test) for test in tests))) if len(tests) > 1 else tests[0]


def _in(value: exp.Expr, wanted: Sequence[exp.Expr]) -> exp.Expr:
    if len(wanted) == 1:
        return exp.EQ(this=value, expression=wanted[0])
    return exp.In(this=value, expressions=list(wanted))


def _as_number(leaf: Leaf, value: exp.Expr) -> exp.Expr:
    if is_numeric_field(leaf.field):
        return value.copy()
    return exp.TryCast(this=value.copy(), to=exp.DataType.build(NUMBER, dialect="duckdb"))


def _literal(value: Scalar, *, is_numeric: bool) -> exp.Expr:
    if is_numeric:
        return number(Decimal(str(value)))
    return text(str(value).lower() if isinstance(value, bool) else str(value))


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(test: exp.Expr) -> exp.Expr:
    return exp.Coalesce(this=test, expressions=[exp.false()])


@python_model("journeys.personas")
def personas(config: Config) -> str:
    """Compile the first persona whose rule holds for each journey, else `unassigned`."""
    return sql(_Personas(config).select())


class _Personas:
    """Builder of the SELECT; each wide CTE has one column per fact that some rule reads."""

    def __init__(self, config: Config) -> None:
        self.personas = config.personas
        self.traits = tuple(dict.fromkeys(trait for persona in config.personas for trait in persona.traits))
        read = (leaf.field for persona in config.personas for leaf in leaves(persona.when))
        self.events = tuple(dict.fromkeys(field.removeprefix("count.") for field in read if field.startswith("count.")))
        self.firsts = {
            (persona.name, leaf): (first_predicate(persona.name, number), f"first_{index}_{number}")
            for index, persona in enumerate(config.personas, 1)
            for number, leaf in enumerate(first_leaves(persona), 1)
        }

    def select(self) -> exp.Select:
        persona: exp.Expr = text(UNASSIGNED)
        if self.personas:
            chosen = exp.Case()
            for each in self.personas:
                chosen = chosen.when(compile_condition(each.when, self._truth_for(each)), text(each.name))
            persona = chosen.else_(persona)
        facts = exp.table_("persona_facts", db="journeys")
        key = [column(name, "persona_facts") for name in ("person_key", "journey_index")]
        query = exp.select(*key, exp.alias_(persona, "persona")).from_(facts)
        for name, cte, keys in self._wide_tables():
            on = exp.and_(
                *(exp.EQ(this=column(mine, name), expression=column(theirs, "persona_facts")) for mine, theirs in keys)
            )
            query = query.with_(name, as_=cte).join(name, on=on, join_type="left")
        return query

    def _wide_tables(self) -> list[tuple[str, exp.Select, list[tuple[str, str]]]]:
        journey = [("person_key", "person_key"), ("journey_index", "journey_index")]
        tables = []
        if self.traits:
            tables.append(("traits_spread", self._traits_spread(), journey))
        if self.events:
            tables.append(("counts_spread", self._counts_spread(), journey[:1]))
        if self.firsts:
            tables.append(("firsts_spread", self._firsts_spread(), [("event_type_ix", "first_event_type_ix")]))
        return tables

    def _traits_spread(self) -> exp.Select:
        columns = []
        for number, trait in enumerate(self.traits, 1):
            for when, value in (("entry", "trait_value"), ("now", "latest_value")):
                columns.append(_only_where("max", value, "trait", trait, f"{when}_{number}"))
        key = [column("person_key"), column("journey_index")]
        return exp.select(*key, *columns).from_(exp.table_("traits_as_of", db="journeys")).group_by(*key)

    def _counts_spread(self) -> exp.Select:
        columns = [
            _only_where("max", "event_count", "event_name", event, f"count_{number}")
            for number, event in enumerate(self.events, 1)
        ]
        key = column("person_key")
        return exp.select(key, *columns).from_(exp.table_("person_event_counts", db="kernel")).group_by(key)

    def _firsts_spread(self) -> exp.Select:
        columns = [_only_where("max", "is_true", "predicate", name, alias) for name, alias in self.firsts.values()]
        key = column("event_type_ix")
        return exp.select(key, *columns).from_(exp.table_("event_type_predicates", db="config")).group_by(key)

    def _truth_for(self, persona: Persona) -> Callable[[Leaf], exp.Expr]:
        def truth(leaf: Leaf) -> exp.Expr:
            prefix, _, name = leaf.field.partition(".")
            if prefix == "first":
                alias = self.firsts[persona.name, Leaf(name, leaf.operator, leaf.values)][1]
                return exp.Coalesce(this=column(alias, "firsts_spread"), expressions=[exp.false()])
            if prefix == "trait":
                number = self.traits.index(name) + 1
                return leaf_truth(leaf, column(f"{persona.as_of}_{number}", "traits_spread"))
            if prefix == "count":
                count = column(f"count_{self.events.index(name) + 1}", "counts_spread")
                return leaf_truth(leaf, exp.Coalesce(this=count, expressions=[exp.Literal.number(0)]))
            return leaf_truth(leaf, column(leaf.field, "persona_facts"))

        return truth


def _only_where(function: str, value: str, key: str, wanted: str, alias: str) -> exp.Expr:
    chosen = exp.Case().when(exp.EQ(this=column(key), expression=text(wanted)), column(value))
    return exp.alias_(call(function, chosen), alias)
