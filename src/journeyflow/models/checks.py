"""Checks of models: data tests before publication, and the lint of `sql/` (portable subset, style)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from journeyflow.engines import Engine
from journeyflow.engines.base import relation, text, word
from journeyflow.errors import CheckFailedError, EngineError
from journeyflow.models.dag import Graph
from journeyflow.models.model import Model, Scalar, parsed

KEY_ROWS = 2_000_000
"""Internal tables of more rows are not searched for duplicate keys: the search costs as much as building them."""
STATEMENT_ROWS = 1_000_000
"""Rows that the queries of one statement read together. Planning a statement costs more than reading a small table, but
what a statement groups stays in memory until its end."""
STATEMENT_QUERIES = 50
"""Most queries of one statement."""


@dataclass(frozen=True)
class Failure:
    """A check that failed: the number of rows or keys that violate it, or why it could not be executed."""

    model: str
    check: str
    count: int
    error: str = ""

    def __str__(self) -> str:
        why = f"cannot be executed: {self.error}" if self.error else f"{self.count:,} against it"
        return f"{self.model}: {self.check} ({why})"


@dataclass(frozen=True)
class _Query:
    """Numbers read from one relation or subquery, which reads about `row_count` rows."""

    numbers: tuple[str, ...]
    source: str
    row_count: int = 0


def require_checks(engine: Engine, models: Iterable[Model]) -> int:
    """Run all checks of `models` and return how many there were.

    Views are skipped, because the tables built from them are checked. Keys of internal tables over `KEY_ROWS` rows are
    assumed unique; those of published tables are always searched. Keys of tables without rows need no search.

    Raises
    ------
    CheckFailedError
        Lists every failing check with its count; never a row.
    """
    tables = [model for model in models if model.metadata.kind != "view"]
    built = engine.relations()
    failed = [failure for model in tables for failure in _columns_differ(model, built.get(model.name, {}))]
    total = len(tables)
    # A table that lacks columns cannot be read.
    tables = [model for model in tables if set(model.columns) <= set(built.get(model.name, ()))]
    row_counts: dict[str, int] = {}
    for model, (row_count, *against) in zip(tables, _read(engine, map(_row_query, tables)), strict=True):
        row_counts[model.name] = row_count
        found = dict(zip(row_conditions(model), against, strict=True)) | _one_row(model, row_count)
        failed += [Failure(model.name, check, count) for check, count in found.items() if count]
        total += len(found)
    queries = {check: query for model in tables for check, query in _queries(model, row_counts).items()}
    total += len(queries)
    wanted = {check: query for check, query in queries.items() if query.row_count}
    found_failures: list[Failure] = []
    try:
        for (name, check), (count,) in zip(wanted, _read(engine, wanted.values()), strict=True):
            found_failures += [Failure(name, check, count)] if count else []
    except EngineError:
        found_failures = [*_one_by_one(engine, wanted)]
    failed += found_failures
    if failed:
        listed = "\n".join(f"  - {failure}" for failure in failed)
        raise CheckFailedError(
            f"{len(failed)} of {total} checks of the built tables failed; nothing was published, the last generation "
            f"is still served.\n{listed}"
        )
    return total


def tables_checked(model: Model) -> tuple[str, ...]:
    """Return the other relations that the checks of a model read."""
    from journeyflow.models.model import parsed, tables_read

    found = (
        tables_read(parsed(check.no_rows, model.path), model.path) for check in model.metadata.checks if check.no_rows
    )
    return tuple(dict.fromkeys(name for names in found for name in names if name != model.name))


def _one_by_one(engine: Engine, queries: Mapping[tuple[str, str], _Query]) -> Iterator[Failure]:
    """Yield the failures of queries one of which cannot be executed."""
    for (name, check), query in queries.items():
        try:
            ((count,),) = _answers(engine, [query])
        except EngineError as error:
            yield Failure(name, check, 1, str(error))
        else:
            if count:
                yield Failure(name, check, count)


def row_conditions(model: Model) -> dict[str, str]:
    """Return the name of each row check, and the condition that holds where a row violates it."""
    named = dict.fromkeys(model.grain or ())
    for check in model.metadata.checks:
        named |= dict.fromkeys(check.not_null or ())
    conditions = {f"{column} is not null": f"{word(column)} is null" for column in named}
    for check in model.metadata.checks:
        for column, values in (check.accepted or {}).items():
            listed = ", ".join(text(_as_text(value)) for value in values)
            conditions[f"{column} is one of {listed}"] = f"cast({word(column)} as varchar) not in ({listed})"
        for column, bounds in (check.range or {}).items():
            conditions[f"{column} is in {_shown(bounds)}"] = _out_of_range(model, column, bounds)
    return conditions


def _one_row(model: Model, row_count: int) -> dict[str, int]:
    return {"has one row": abs(row_count - 1)} if model.grain == () else {}


def _row_query(model: Model) -> _Query:
    """Count rows, and violations of all conditions, in one scan: a table may have a hundred million rows."""
    against = (f"count(*) filter (where {condition})" for condition in row_conditions(model).values())
    return _Query(("count(*)", *against), relation(model.name))


def _queries(model: Model, row_counts: Mapping[str, int]) -> dict[tuple[str, str], _Query]:
    """Return the queries of the number of violations of a whole table, by model and name of the check."""
    found: dict[str, _Query] = {}
    row_count = row_counts[model.name]
    if model.is_published or row_count <= KEY_ROWS:
        keys = [model.grain, *(check.unique for check in model.metadata.checks)]
        found = {f"({', '.join(key)}) is unique": _repeated(model, key, row_count) for key in keys if key}
    for check in model.metadata.checks:
        if check.no_rows:  # It may read any table, and at least one row of a table that says it has rows.
            source = f"(\n{check.no_rows.rstrip().rstrip(';')}\n) as found"
            name = f"no rows: {' '.join(check.no_rows.split())}"
            found[name] = _Query(("count(*)",), source, max(1, *row_counts.values()))
    return {(model.name, name): query for name, query in found.items()}


def _repeated(model: Model, key: tuple[str, ...], row_count: int) -> _Query:
    listed = ", ".join(word(column) for column in key)
    repeated = f"select {listed} from {relation(model.name)} group by {listed} having count(*) > 1"
    return _Query(("count(*)",), f"({repeated}) as repeated", row_count)


def _read(engine: Engine, queries: Iterable[_Query]) -> Iterator[list[int]]:
    """Yield the numbers of each query, many queries in one statement."""
    batch: list[_Query] = []
    for query in queries:
        is_full = sum(each.row_count for each in batch) + query.row_count > STATEMENT_ROWS
        if batch and (is_full or len(batch) == STATEMENT_QUERIES):
            yield from _answers(engine, batch)
            batch = []
        batch.append(query)
    if batch:
        yield from _answers(engine, batch)


def _answers(engine: Engine, queries: list[_Query]) -> list[list[int]]:
    selects = (
        f"select {at} as position, [{', '.join(query.numbers)}] as numbers from {query.source}"
        for at, query in enumerate(queries)
    )
    answers = dict(engine.values(" union all ".join(selects)))
    return [answers[at] for at in range(len(queries))]


def _out_of_range(model: Model, column: str, bounds: tuple[float | None, float | None]) -> str:
    low, high = bounds
    parts = [f"{word(column)} < {low}"] * (low is not None) + [f"{word(column)} > {high}"] * (high is not None)
    if model.columns[column].type == "DOUBLE":
        parts.append(f"isnan({word(column)})")  # Not a number is outside every range.
    return " or ".join(parts) or "false"


def _shown(bounds: tuple[float | None, float | None]) -> str:
    low, high = ("…" if bound is None else f"{bound:g}" for bound in bounds)
    return f"[{low}, {high}]"


def _as_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns_differ(model: Model, built: Mapping[str, str]) -> Iterator[Failure]:
    declared = {name: column.type for name, column in model.columns.items()}
    if model.metadata.is_shaped_by_configuration:
        built = {name: declared[name] for name in built if name in declared}
    if list(built) != list(declared):
        wrong = sorted(set(built) ^ set(declared))
        yield Failure(
            model.name,
            f"columns are those of its .yml, in order; see {', '.join(wrong) or 'the order'}",
            len(wrong) or 1,
        )
        return
    for name, built_type in built.items():
        if _plain(built_type) != _plain(declared[name]):
            yield Failure(model.name, f"{name} is {declared[name]} and not {built_type}", 1)


def _plain(sql_type: str) -> str:
    return sql_type.upper().replace(" ", "")


MOST_LINES = 150
_EVENT_KEYS = (frozenset({"event_id"}), frozenset({"event_ix"}))


@dataclass(frozen=True)
class Finding:
    """A broken rule: its code, the model, and what to do instead."""

    code: str
    model: str
    message: str

    def __str__(self) -> str:
        return f"{self.model}: {self.code} {self.message}"


@dataclass(frozen=True)
class LintedModel:
    """A model under lint: its tree, and the keys of the tables it reads."""

    model: Model
    tree: exp.Query
    keys: tuple[frozenset[str], ...]

    @property
    def text(self) -> str:
        """The text of the SELECT."""
        return self.model.sql or ""


Rule = Callable[[LintedModel], Iterator[str]]
RULES: dict[str, Rule] = {}


def _rule(code: str) -> Callable[[Rule], Rule]:
    def registered(rule: Rule) -> Rule:
        RULES[code] = rule
        return rule

    return registered


def lint(graph: Graph, models: Iterable[Model] | None = None) -> tuple[Finding, ...]:
    """Return the findings in `models` (by default all of the graph), by model and code."""
    return tuple(finding for model in models or graph if model.sql for finding in lint_model(graph, model))


def lint_model(graph: Graph, model: Model) -> Iterator[Finding]:
    """Yield the findings in one model that has a SELECT."""
    grains = [graph[name].grain for name in model.inputs] + [model.grain]
    linted = LintedModel(
        model, parsed(model.sql or "", model.path), tuple(frozenset(grain) for grain in grains if grain)
    )
    for code, rule in RULES.items():
        for message in rule(linted):
            yield Finding(code, model.name, message)


# The portable subset: what another engine computes differently or not at all.


@_rule("P01")
def _no_lists(linted: LintedModel) -> Iterator[str]:
    nested = (exp.ArrayAgg, exp.Array, exp.Bracket, exp.Struct, exp.Explode, exp.Unnest, exp.Lambda, exp.Transform)
    if found := linted.tree.find(*nested):
        yield f"lists and structs differ between engines: no {found.sql('duckdb')[:60]}."


@_rule("P02")
def _plain_date_differences(linted: LintedModel) -> Iterator[str]:
    for node in linted.tree.find_all(exp.DateDiff):
        unit = node.text("unit").lower()
        if unit not in ("microsecond", "day"):
            yield f"date_diff('{unit}') counts differently elsewhere: use 'microsecond' or 'day' and divide."


@_rule("P03")
def _exact_quantiles(linted: LintedModel) -> Iterator[str]:
    if linted.tree.find(exp.WithinGroup, exp.Median, exp.ApproxQuantile, exp.PercentileDisc, exp.Mode):
        yield "quantiles are quantile_cont(x, p); other forms become approximate elsewhere."
    if any(not isinstance(node.parent, exp.Round) for node in linted.tree.find_all(exp.PercentileCont)):
        yield "quantiles are round(quantile_cont(x, p), 6): between equal values interpolation may miss them."


@_rule("P04")
def _rounded_casts(linted: LintedModel) -> Iterator[str]:
    whole = (exp.Floor, exp.Ceil, exp.Round)
    for cast in linted.tree.find_all(exp.Cast):
        if not cast.to.is_type(*exp.DataType.INTEGER_TYPES) or isinstance(cast.this, whole):
            continue
        literal = isinstance(cast.this, exp.Literal) and "." in cast.this.name
        if literal or isinstance(cast.this.unnest(), exp.Div | exp.Avg | exp.PercentileCont):
            yield "a cast of a fraction to an integer rounds here and cuts elsewhere: write floor, ceil or round."


@_rule("P05")
def _no_chance_and_no_clock(linted: LintedModel) -> Iterator[str]:
    nodes = (exp.Rand, exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Uuid)
    named = ("hash", "now", "today", "random", "setseed", "get_current_timestamp", "transaction_timestamp")
    if linted.tree.find(*nodes) or any(name in named for name in _anonymous(linted)):
        yield "a run depends on its input alone: no hash(), random() or clock; now is config.settings.high_water_at."


@_rule("P06")
def _no_engine_clocks(linted: LintedModel) -> Iterator[str]:
    nodes = (exp.Extract, exp.TimeToUnix, exp.UnixToTime, exp.DayOfWeek)
    named = ("date_part", "epoch", "epoch_us", "epoch_ms", "epoch_ns", "dayofweek", "make_timestamp")
    if linted.tree.find(*nodes) or any(name in named for name in _anonymous(linted)):
        yield "extract(), date_part() and epoch*() differ between engines: use date_diff or a column of config.days."


@_rule("P07")
def _no_subtracted_times(linted: LintedModel) -> Iterator[str]:
    for node in linted.tree.find_all(exp.Sub):
        sides = [side for side in (node.left, node.right) if isinstance(side, exp.Column)]
        if len(sides) == 2 and all(side.name.endswith(("_at", "_date", "_day")) for side in sides):
            yield f"{node.sql('duckdb')} has another type elsewhere: use date_diff."


@_rule("P08")
def _no_engine_syntax(linted: LintedModel) -> Iterator[str]:
    tree = linted.tree
    if tree.find(exp.Columns, exp.Pivot, exp.TableSample, exp.Lateral):
        yield "COLUMNS(), PIVOT, SAMPLE and LATERAL are of one engine only."
    if any(join.method for join in tree.find_all(exp.Join)):
        yield "ASOF, NATURAL and POSITIONAL joins are of one engine only: say the condition."
    if any(union.args.get("by_name") for union in tree.find_all(exp.SetOperation)):
        yield "UNION BY NAME is of one engine only: list the columns in order."
    if any(distinct.args.get("on") for distinct in tree.find_all(exp.Distinct)):
        yield "DISTINCT ON is of one engine only: use QUALIFY row_number() over (…) = 1."


@_rule("P09")
def _known_functions(linted: LintedModel) -> Iterator[str]:
    if unknown := sorted(set(_anonymous(linted))):
        yield f"no translation is known for {', '.join(unknown)}()."


# The style: readable SQL with reproducible rows.


@_rule("S01")
def _no_stars(linted: LintedModel) -> Iterator[str]:
    for select in linted.tree.find_all(exp.Select):
        if any(isinstance(item, exp.Star) or item.is_star for item in select.expressions):
            yield "list the columns: no select *."
            return


@_rule("S02")
def _windows_in_total_order(linted: LintedModel) -> Iterator[str]:
    for scope in traverse_scope(linted.tree):
        for window in scope.find_all(exp.Window):
            if _needs_total_order(window) and not _has_total_order(window, scope, linted.keys):
                yield f"the window of {window.this.sql('duckdb')[:40]} has no total order: end its ORDER BY with a key."


@_rule("S03")
def _windows_with_frames(linted: LintedModel) -> Iterator[str]:
    ranking = (exp.RowNumber, exp.Rank, exp.DenseRank, exp.Ntile, exp.Lag, exp.Lead)
    for window in linted.tree.find_all(exp.Window):
        if window.args.get("order") and not window.args.get("spec") and not window.find(*ranking):
            yield f"the window of {window.this.sql('duckdb')[:40]} has no frame: write rows or range between … and …."


@_rule("S04")
def _no_idle_order(linted: LintedModel) -> Iterator[str]:
    if linted.model.metadata.kind == "view":
        return  # Python streams it in this order.
    for query in linted.tree.find_all(exp.Query):
        if query.args.get("order") and not query.args.get("limit"):
            yield "ORDER BY without LIMIT orders nothing: a table has no order."


@_rule("S05")
def _named_groups(linted: LintedModel) -> Iterator[str]:
    for group in linted.tree.find_all(exp.Group):
        if group.args.get("all") or any(isinstance(item, exp.Literal) for item in group.expressions):
            yield "group by the names of columns, not by position or ALL."


@_rule("S06")
def _typed_joins(linted: LintedModel) -> Iterator[str]:
    for join in linted.tree.find_all(exp.Join):
        if not (join.kind or join.side or join.method):
            yield "say which join: inner, left, full or cross."


@_rule("S07")
def _header(linted: LintedModel) -> Iterator[str]:
    head = list(takewhile(lambda line: line.startswith("--"), linted.text.splitlines()))
    if len(head) < 2 or not any(line.startswith("-- Grain:") for line in head[1:]):
        yield "start with a line of purpose and a line `-- Grain: …`, as comments."


@_rule("S08")
def _not_too_long(linted: LintedModel) -> Iterator[str]:
    if (count := len(linted.text.splitlines())) > MOST_LINES:
        yield f"{count} lines are too many for one model: split it ({MOST_LINES} are the most)."


def _anonymous(linted: LintedModel) -> list[str]:
    return [node.name.lower() for node in linted.tree.find_all(exp.Anonymous, exp.AnonymousAggFunc)]


def _needs_total_order(window: exp.Window) -> bool:
    picky = (exp.RowNumber, exp.Ntile, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue)
    spec = window.args.get("spec")
    return bool(window.find(*picky)) or (spec is not None and spec.text("kind").lower() == "rows" and _is_partial(spec))


def _is_partial(spec: exp.Expr) -> bool:
    return (spec.text("start"), spec.text("end")) != ("UNBOUNDED", "UNBOUNDED")


def _has_total_order(window: exp.Window, scope: Scope, keys: tuple[frozenset[str], ...]) -> bool:
    order = window.args.get("order")
    ordered = order.expressions if order else []
    terms = [*window.args.get("partition_by", []), *(item.this for item in ordered)]
    names = {column.name for term in terms for column in term.find_all(exp.Column)}
    return any(key <= names for key in (*keys, *_keys_of_sources(scope), *_EVENT_KEYS))


def _keys_of_sources(scope: Scope) -> Iterator[frozenset[str]]:
    """Yield the GROUP BY columns of the subqueries that a SELECT reads: each is a key of its rows."""
    for source in scope.sources.values():
        select = source.expression if isinstance(source, Scope) else None
        group = select.args.get("group") if select is not None else None
        if isinstance(group, exp.Group) and select is not None:
            yield frozenset(_grouped_names(group))


def _grouped_names(group: exp.Group) -> Iterator[str]:
    for column in group.find_all(exp.Column):
        yield column.name
