"""Lint of `sql/`: the portable subset and the style, checked on the parsed tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from journeyflow.models.dag import Graph
from journeyflow.models.model import Model
from journeyflow.models.sql import parsed

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
