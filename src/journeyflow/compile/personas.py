"""Compile `journeys.personas` from the persona rules."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from journeyflow.compile.conditions import call, column, compile_condition, leaf_truth, sql, text
from journeyflow.config.conditions import Leaf, leaves
from journeyflow.config.config import UNASSIGNED, Config, Persona
from journeyflow.config.predicates import first_leaves, first_predicate
from journeyflow.models.python_models import python_model


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
