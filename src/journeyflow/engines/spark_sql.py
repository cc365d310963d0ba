"""Rules that turn the portable subset of DuckDB SQL, in which models are written, into Spark SQL with the same rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sqlglot import exp, parse_one

from journeyflow.errors import EngineError

Rule = Callable[[exp.Expr], exp.Expr]
_ONLY_POINTERS = "json_extract_string() is translated to Spark SQL for JSON pointers (/a/b) without quotes."
_POINTER = re.compile(r"(?:/[^/']+)+")


def spark_select(select: str, pointers: Sequence[str] = ()) -> str:
    """Return a SELECT of the portable subset as Spark SQL.

    Relations `layer.name` become the views ``layer__name``. 64-bit keys, UBIGINT here, are BIGINT of the same bits
    there. The session's time zone must be UTC. The order of the rows is left out. `pointers` are all JSON pointers that
    a column may hold which names a property to read.

    Raises
    ------
    EngineError
        For a function that has no rule here and is none of Spark's.

    Examples
    --------
    >>> spark_select("select quantile_cont(waits.seconds, 0.5) as median from journeys.waits")
    'SELECT PERCENTILE(`waits`.`seconds`, 0.5) AS `median` FROM `journeys__waits` AS `waits`'
    """
    tree = parse_one(select, read="duckdb")
    if not tree.args.get("limit"):
        tree.set("order", None)
    # Inner nodes first: a rule finds the parts of its node as Spark has them.
    for node in reversed(list(tree.walk(bfs=True))):
        rule = _RULES.get(type(node))
        changed = rule(node) if rule else node
        if isinstance(node, exp.JSONExtractScalar):
            changed = _json_text(node, pointers)
        if changed is not node:
            if node is tree:
                tree = changed
            else:
                node.replace(changed)
    if unknown := sorted({node.name.lower() for node in tree.find_all(exp.Anonymous)} - _SPARK_FUNCTIONS):
        raise EngineError(f"No translation to Spark SQL is known for {', '.join(unknown)}().")
    return tree.sql(dialect="spark", identify=True, comments=False)


def view_name(name: str) -> str:
    """Return the name of the view of a relation `layer.name`."""
    return name.replace(".", "__")


def _table(node: exp.Expr) -> exp.Expr:
    """`layer.name` → ``layer__name``, known by the same alias as before."""
    if not node.args.get("db"):
        return node
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name))
    return exp.Table(this=exp.to_identifier(view_name(f"{node.text('db')}.{node.name}")), alias=alias)


def _column(node: exp.Expr) -> exp.Expr:
    """`layer.name.column` → `name.column`, as `_table` calls it."""
    return exp.column(node.this.copy(), table=node.args["table"].copy()) if node.args.get("db") else node


def _concat(node: exp.Expr) -> exp.Expr:
    """`concat` skips nulls and takes numbers."""
    return _function(
        "concat", *(_function("coalesce", _text(part), exp.Literal.string("")) for part in node.expressions)
    )


def _concat_ws(node: exp.Expr) -> exp.Expr:
    separator, *parts = node.expressions
    return _function("concat_ws", separator.copy(), *(_text(part) for part in parts))


def _date_difference(node: exp.Expr) -> exp.Expr:
    """Microseconds between instants; Sail has no such unit."""
    if node.text("unit").lower() == "microsecond":
        ends = [_function("unix_micros", _instant(node.args[side])) for side in ("this", "expression")]
        return exp.Paren(this=exp.Sub(this=ends[0], expression=ends[1]))
    if node.text("unit").lower() == "day":
        days = [exp.cast(node.args[side].copy(), "date") for side in ("this", "expression")]
        return exp.cast(_function("datediff", *days), "bigint")
    raise EngineError(f"No translation to Spark SQL is known for date_diff('{node.text('unit').lower()}').")


def _quantile(node: exp.Expr) -> exp.Expr:
    """`percentile` interpolates as `quantile_cont` does."""
    return _function("percentile", node.this.copy(), node.args["expression"].copy())


def _division(node: exp.Expr) -> exp.Expr:
    """`/` is of doubles, and null by zero."""
    divisor = exp.Nullif(this=_double(node.args["expression"]), expression=exp.Literal.number(0))
    return exp.Paren(this=exp.Div(this=_double(node.this), expression=divisor, typed=True))


def _json_text(node: exp.Expr, pointers: Sequence[str]) -> exp.Expr:
    """`json_extract_string` with a JSON pointer (`/a/b`) → a JSON path (`$['a']['b']`).

    A path must be a literal: of one that is held in a column Sail reads some and answers null for others.
    """
    pointer = node.args["expression"]
    if isinstance(pointer, exp.Literal):
        return _function("get_json_object", node.this.copy(), _json_path(pointer.name))
    if not isinstance(pointer, exp.Column):
        raise EngineError(_ONLY_POINTERS)
    found = exp.Case(this=pointer.copy())
    for known in pointers:
        found = found.when(exp.Literal.string(known), _function("get_json_object", node.this.copy(), _json_path(known)))
    return found if pointers else exp.cast(exp.null(), "text")


def _json_path(pointer: str) -> exp.Expr:
    if not _POINTER.fullmatch(pointer):
        raise EngineError(_ONLY_POINTERS)
    names = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    return exp.Literal.string("$" + "".join(f"['{name}']" for name in names))


def _full_match(node: exp.Expr) -> exp.Expr:
    flags = node.args["options"].name if node.args.get("options") else ""
    pattern = node.args["expression"]
    if not isinstance(pattern, exp.Literal) or set(flags) - {"s", "i"}:
        raise EngineError("regexp_full_match() has a translation to Spark SQL for literal patterns only.")
    start = f"(?{flags})" if flags else ""
    # `$` would let a line break follow.
    return exp.RegexpLike(this=node.this.copy(), expression=exp.Literal.string(rf"{start}\A(?:{pattern.name})\z"))


def _named(node: exp.Expr) -> exp.Expr:
    name, arguments = node.name.lower(), node.expressions
    if name == "md5_number_lower":
        return _key(arguments[0])
    return node


def _key(value: exp.Expr) -> exp.Expr:
    """The last eight bytes of an MD5, little endian: two halves, since Sail's `conv` has 63 bits."""
    digest = exp.MD5(this=_text(value))
    high, low = (
        _function(
            "conv",
            _function(
                "concat",
                *(
                    exp.Substring(this=digest.copy(), start=exp.Literal.number(at), length=exp.Literal.number(2))
                    for at in places
                ),
            ),
            exp.Literal.number(16),
            exp.Literal.number(10),
        )
        for places in ((31, 29, 27, 25), (23, 21, 19, 17))
    )
    shifted = _function("shiftleft", exp.cast(high, "bigint"), exp.Literal.number(32))
    return exp.Paren(this=exp.BitwiseOr(this=shifted, expression=exp.cast(low, "bigint")))


def _data_type(node: exp.Expr) -> exp.Expr:
    return exp.DataType.build("bigint") if node.this == exp.DType.UBIGINT else node


def _window(node: exp.Expr) -> exp.Expr:
    """Ranks are BIGINT, and know no frame other than the whole."""
    if not isinstance(node.this, exp.RowNumber | exp.Rank | exp.DenseRank | exp.Ntile | exp.Lag | exp.Lead):
        return node
    found = node.copy()
    found.set("spec", None)
    return found if isinstance(node.this, exp.Lag | exp.Lead) else exp.cast(found, "bigint")


def _joined_text(node: exp.Expr) -> exp.Expr:
    """`string_agg` in an order → the sorted array of its parts, joined."""
    ordered = node.this
    if not isinstance(ordered, exp.Order):
        raise EngineError("string_agg() has a translation to Spark SQL with an order only.")
    return node


def _function(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _text(value: exp.Expr) -> exp.Expr:
    is_text = isinstance(value, exp.Literal) and value.is_string
    return value.copy() if is_text else exp.cast(value.copy(), "text")


def _double(value: exp.Expr) -> exp.Expr:
    return exp.cast(value.copy(), "double")


def _instant(value: exp.Expr) -> exp.Expr:
    return exp.cast(value.copy(), exp.DType.TIMESTAMPLTZ)


_RULES: dict[type[exp.Expr], Rule] = {
    exp.Table: _table,
    exp.Column: _column,
    exp.Concat: _concat,
    exp.ConcatWs: _concat_ws,
    exp.DateDiff: _date_difference,
    exp.PercentileCont: _quantile,
    exp.Div: _division,
    exp.RegexpFullMatch: _full_match,
    exp.Anonymous: _named,
    exp.DataType: _data_type,
    exp.Window: _window,
    exp.GroupConcat: _joined_text,
}
"""Node of the tree → what stands for it. What is not here sqlglot writes as Spark has it, or Spark has the same."""

_SPARK_FUNCTIONS = frozenset({
    "coalesce", "concat", "concat_ws", "conv", "datediff", "get_json_object", "percentile", "replace", "shiftleft",
    "unix_micros",
})  # fmt: skip
"""Functions that the rules write by name."""
