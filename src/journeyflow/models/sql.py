"""What a SELECT declares: tables read, output columns, and where each column originates."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sqlglot import exp, parse
from sqlglot.errors import ParseError, TokenError
from sqlglot.optimizer.scope import Scope, build_scope, traverse_scope

from journeyflow.errors import ModelError
from journeyflow.models.metadata import short_path

_TOKEN = re.compile(r"<Token token_type: [^,]*, text: (.*?), line: .*?>")


class Declared(NamedTuple):
    """What a SELECT declares."""

    columns: tuple[str, ...]
    """Names of its columns, in order."""
    inputs: tuple[str, ...]
    """`layer.name` of every table it reads, in the order of the text."""
    origins: dict[str, tuple[str, str]]
    """The upstream model and column of every column that it passes on unchanged."""


@lru_cache(maxsize=1024)
def declared(sql: str, path: Path) -> Declared:
    """Return what the one SELECT in `sql` declares; parsed once per text, since one edited model changes the graph."""
    tree = parsed(sql, path)
    return Declared(output_columns(tree), tables_read(tree, path), origins(tree))


def parsed(sql: str, path: Path) -> exp.Query:
    """Return the tree of the one SELECT in `sql`; a `ModelError` when it is not exactly one that parses."""
    where = short_path(path)
    try:
        trees = [tree for tree in parse(sql, read="duckdb") if tree is not None]
    except (ParseError, TokenError) as error:
        detail = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
        line = f":{detail['line']}" if detail.get("line") else ""
        # The parser's message has the representation of its token in place of the word.
        said = _TOKEN.sub(r"`\1`", detail.get("description") or "unfinished text")
        raise ModelError(f"{where}{line} does not parse: {said}.") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise ModelError(f"{where} must hold exactly one SELECT and nothing else.")
    return trees[0]


def tables_read(tree: exp.Query, path: Path) -> tuple[str, ...]:
    """Return `layer.name` of every table the query reads, in the order of the text; CTE names are not tables."""
    where = short_path(path)
    found: dict[str, None] = {}
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                if not isinstance(source.this, exp.Identifier):
                    raise ModelError(f"{where} reads a table function; a model reads tables of other models only.")
                if not source.db:
                    raise ModelError(f"{where} reads `{source.name}` without a layer; write `layer.{source.name}`.")
                found[f"{source.db}.{source.name}"] = None
    return tuple(found)


def output_columns(tree: exp.Expr) -> tuple[str, ...]:
    """Return the names of a query's columns, in order."""
    return tuple(tree.named_selects) if isinstance(tree, exp.Query) else ()


def origins(tree: exp.Query) -> dict[str, tuple[str, str]]:
    """Return the upstream model and column of every output column that the query passes on unchanged."""
    scope = build_scope(tree)
    found = {column: _origin(scope, column) for column in output_columns(tree)} if scope else {}
    return {column: origin for column, origin in found.items() if origin}


def _origin(scope: Scope, column: str) -> tuple[str, str] | None:
    if scope.set_operation_scopes:
        origins = {_origin(branch, column) for branch in scope.set_operation_scopes}
        return origins.pop() if len(origins) == 1 else None
    select = scope.expression
    if not isinstance(select, exp.Select):
        return None
    chosen = next((item for item in select.selects if item.alias_or_name == column), None)
    plain = chosen.unalias() if chosen is not None else None
    if not isinstance(plain, exp.Column) or plain.name != column:
        return None
    names = [plain.table] if plain.table else list(scope.selected_sources)
    for name in names:
        source = scope.sources.get(name)
        if isinstance(source, exp.Table) and (plain.table or len(names) == 1):
            return f"{source.db}.{source.name}", column
        if isinstance(source, Scope) and column in output_columns(source.expression):
            return _origin(source, column)
    return None
