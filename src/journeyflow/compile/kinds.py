"""SQL over event kinds: which conditions hold for which kind."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlglot import exp

from journeyflow.compile.conditions import column, compile_condition, leaf_truth, sql, text
from journeyflow.compile.events import BITS, ubigint
from journeyflow.config.conditions import Leaf
from journeyflow.config.predicates import KIND_FIELDS, Predicate, deep_leaves, predicates
from journeyflow.config.root import Config

UNCLASSIFIED = "unclassified"
"""What a condition on `stage` reads where no rule matched; stage_index 0."""


def kind_truths(config: Config) -> str:
    """Compile `config.kind_truths`: the conditions that hold, per event kind.

    Returns
    -------
    str
        A SELECT over `journeys.event_kinds`. Grain: kind_ix, stage_index, predicate; only where the condition holds
        (`is_true` is always true). stage_index is 0 where the condition reads no stage; where it does, there is a row
        for each stage in which it holds, 0 for unclassified. No order.
    """
    deep = {leaf: bit for bit, leaf in enumerate(deep_leaves(config))}
    selects = [select for predicate in predicates(config) for select in _selects(predicate, deep)]
    if not selects:
        return sql(_select("", 0, exp.false()))
    union: exp.Query = selects[0]
    for select in selects[1:]:
        union = exp.union(union, select, distinct=False, copy=False)
    return sql(union)


def _selects(predicate: Predicate, deep: dict[Leaf, int]) -> Iterator[exp.Select]:
    stages = (UNCLASSIFIED, *predicate.model.stage_names) if predicate.model else (UNCLASSIFIED,)
    for stage_index, stage in enumerate(stages):
        condition = compile_condition(predicate.condition, partial(_truth, deep=deep, stage=stage))
        yield _select(predicate.name, stage_index, condition)


def _select(predicate: str, stage_index: int, condition: exp.Expr) -> exp.Select:
    columns = {
        "kind_ix": column("kind_ix"),
        "stage_index": exp.cast(exp.Literal.number(stage_index), "int"),
        "predicate": text(predicate),
        "is_true": exp.true(),
    }
    named = [exp.alias_(expression, name) for name, expression in columns.items()]
    return exp.select(*named).from_(exp.table_("event_kinds", db="journeys")).where(condition)


def _truth(leaf: Leaf, deep: dict[Leaf, int], stage: str) -> exp.Expr:
    if leaf.field == "stage":
        return leaf_truth(leaf, text(stage))
    if leaf.field in KIND_FIELDS:
        return leaf_truth(leaf, column("event_name" if leaf.field == "event" else "channel"))
    bit = deep[leaf]
    if len(deep) > BITS:
        digit = exp.func("substr", column("truths"), exp.Literal.number(bit + 1), exp.Literal.number(1))
        return exp.EQ(this=digit, expression=text("1"))
    shared = exp.paren(exp.BitwiseAnd(this=column("truths"), expression=ubigint(1 << bit)))
    return exp.NEQ(this=shared, expression=ubigint(0))
