"""A model: one node of the graph with its metadata, the function that fills it, or what its SELECT declares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, TypeVar

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from sqlglot import exp, parse
from sqlglot.errors import ParseError, TokenError
from sqlglot.optimizer.scope import Scope, build_scope, traverse_scope

from journeyflow.errors import ModelError
from journeyflow.utils.files import Mistake, read_yaml, sql_folder

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


Scalar = str | int | float | bool

LOADED_LAYERS = ("load", "config")
"""Values of `python_model` for relations that exist before models are built."""

INHERITED = "inherited"
"""Meaning of a column of which a python model declares the type alone: `name: BIGINT`."""

_ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "UBIGINT": pa.uint64(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
}
_DECIMAL = re.compile(r"DECIMAL\((\d+), ?(\d+)\)")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """A column's SQL type, unit and meaning."""

    type: str
    unit: str | None = None
    meaning: str = Field(min_length=3)

    @model_validator(mode="before")
    @classmethod
    def _type_alone(cls, given: Any) -> Any:  # noqa: ANN401 - plain YAML
        return {"type": given, "meaning": INHERITED} if isinstance(given, str) else given

    @property
    def has_meaning(self) -> bool:
        """Unit and meaning are given here and not inherited."""
        return self.meaning != INHERITED


class Check(_Strict):
    """One check of a built table; exactly one of the fields is given."""

    not_null: tuple[str, ...] | None = None
    unique: tuple[str, ...] | None = None
    accepted: dict[str, tuple[Scalar, ...]] | None = None
    range: dict[str, tuple[float | None, float | None]] | None = None
    no_rows: str | None = None

    @model_validator(mode="after")
    def _is_one_check(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a check is exactly one of not_null, unique, accepted, range, no_rows")
        return self

    @property
    def columns(self) -> set[str]:
        """The columns it names."""
        return {*(self.not_null or ()), *(self.unique or ()), *(self.accepted or ()), *(self.range or ())}


class Case(_Strict):
    """A small given/expect example of the model, as text tables."""

    name: str
    given: dict[str, str] = {}
    expect: str


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


class Measures(_Strict):
    """How the numbers of a published table may be put together; whatever is not named here must not be summed."""

    totals: tuple[str, ...] = ()
    """Columns of the grain in which `all` is a row beside the others, whether these add up to it or not."""
    additive: dict[str, tuple[str, ...]] = {}
    """Column of the grain → counts and amounts that may be summed over its rows, the row `all` left out."""
    ratios: dict[str, tuple[str, str]] = {}
    """Rate or ratio → numerator and denominator over columns of the row, from whose sums it is to be computed."""

    def words(self) -> set[str]:
        """Return the names of all columns it names."""
        texts = [*self.totals, *self.additive, *(name for names in self.additive.values() for name in names)]
        texts += [*self.ratios, *(part for parts in self.ratios.values() for part in parts)]
        return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", " ".join(texts)))


class ModelMetadata(_Strict):
    """The metadata file of one model."""

    description: str = Field(min_length=10)
    grain: tuple[str, ...] | None = None
    columns: Annotated[dict[str, Column | None], BeforeValidator(_none_is_empty)] = {}
    """Columns described here. A model with a SELECT inherits the rest by name; a python model lists all."""
    is_shaped_by_configuration: bool = False
    """The configuration adds columns behind the listed ones, and may change their types."""
    measures: Measures = Measures()
    """What of a published table may be summed, and from what its rates are to be computed."""
    kind: Literal["table", "view"] = "table"
    unique_key: tuple[str, ...] = ()
    """Columns that name the person, device or attempt of a row (any of them): an incremental run recomputes only the
    rows of affected keys."""
    surrogate_key: dict[str, tuple[str, ...]] = {}
    """The column that numbers the rows, and those that identify them: an incremental run keeps assigned numbers."""
    python_model: str | None = None
    """`load`, `config`, the module of the registered function, or the model whose function fills this one too."""
    inputs: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    cases: tuple[Case, ...] = ()
    source: str | None = None

    @property
    def is_loaded(self) -> bool:
        """The relation exists before models are built."""
        return self.python_model in LOADED_LAYERS

    def unknown_columns(self, columns: Collection[str]) -> str:
        """Return a sentence on names that are not among `columns`; empty when all are."""
        keys = {
            *self.unique_key,
            *self.surrogate_key,
            *(name for names in self.surrogate_key.values() for name in names),
        }
        tested = {*(self.grain or ()), *(name for check in self.checks for name in check.columns)}
        named = (
            ("grain or checks", tested),
            ("unique_key or surrogate_key", keys),
            ("measures", self.measures.words()),
        )
        for where, names in named:
            if unknown := sorted(names - set(columns)):
                return f"{where} name {', '.join(unknown)}, which is not among the columns"
        return ""


@cache
def arrow_schema(name: str) -> pa.Schema:
    """Return the columns of a built-in relation that Python fills, as `sql/<layer>/<name>.yml` declares them."""
    layer, table = name.split(".")
    metadata = read_metadata(sql_folder() / layer / f"{table}.yml")
    return pa.schema([(column, _arrow_type(name, column, given)) for column, given in metadata.columns.items()])


def _arrow_type(name: str, column: str, given: Column | None) -> pa.DataType:
    declared = given.type if given else ""
    if decimal := _DECIMAL.fullmatch(declared):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if declared not in _ARROW_TYPES:
        raise ModelError(f"{name} declares no type for `{column}` that Arrow has; allowed: {', '.join(_ARROW_TYPES)}.")
    return _ARROW_TYPES[declared]


def read_metadata(path: Path) -> ModelMetadata:
    """Return the metadata file at `path`, validated.

    Raises
    ------
    ModelError
        When the file is no YAML, repeats a key, has an anchor, an alias or a tag, or breaks the format; names the file
        and every wrong key.
    """
    return _parsed(read_text(path), short_path(path))


@lru_cache(maxsize=1024)
def _parsed(text: str, where: str) -> ModelMetadata:
    document = read_yaml(text.encode(), is_fast=True)
    if document.mistakes:
        faults = "; ".join(f"{where}{_place(mistake)} {mistake.message}" for mistake in document.mistakes)
        raise ModelError(f"{faults}.")
    try:
        return ModelMetadata.model_validate(document.content if document.content is not None else {})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {_fault(item)}" for item in error.errors())
        is_cut = any(item["type"] == "extra_forbidden" and item["input"] is None for item in error.errors())
        hint = " A text with a comma or a colon needs quotes." if is_cut else ""
        raise ModelError(f"{where} breaks the format of docs/architecture.md: {faults}.{hint}") from error


def _place(mistake: Mistake) -> str:
    line = f":{mistake.line}" if mistake.line else ""
    return f"{line}: {mistake.loc[-1]}" if mistake.loc else line


def _fault(item: ErrorDetails) -> str:
    return "is not a key here" if item["type"] == "extra_forbidden" else item["msg"]


def is_adapter(path: Path) -> bool:
    """Return whether the file at `path` describes a collector's format (it has `raw:`) and not a model."""
    return path.exists() and any(line.startswith("raw:") for line in read_text(path).splitlines())


def read_text(path: Path) -> str:
    """Return the text of a model's file; a `ModelError` when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{short_path(path)} cannot be read as UTF-8 text ({type(error).__name__}).") from error


def short_path(path: Path) -> str:
    """Return the end of a path that identifies a model's file in messages."""
    return "/".join(path.parts[-3:])


_EVENTS = ("config", "sources", "staging", "identity", "journeys", "kernel")
_BELOW_MARTS = (*_EVENTS, "ledger", "funnels", "map", "statistics", "analyses")

MAY_READ: dict[str, tuple[str, ...]] = {
    "raw": (),
    "ledger": (),
    # Predicates are configuration, evaluated over the event types.
    "config": ("config", "staging", "journeys"),
    "sources": ("raw", "config"),
    "staging": ("config", "sources", "staging"),
    "identity": ("config", "sources", "staging", "identity", "kernel"),
    "journeys": _EVENTS,
    # Exposures are what the kernel looks for; the other relations of `map` aggregate its output.
    "kernel": ("config", "staging", "identity", "journeys", "map", "kernel"),
    "funnels": (*_EVENTS, "funnels"),
    "map": (*_EVENTS, "map"),
    "statistics": (*_EVENTS, "funnels", "map", "statistics"),
    "analyses": (*_EVENTS, "funnels", "map", "statistics", "analyses"),
    "marts": _BELOW_MARTS,
    "insights": (*_BELOW_MARTS, "marts", "insights"),
}
"""Layers that a layer may read; `docs/architecture.md` draws it."""


def check_arrow(model: Model, upstream: Model) -> None:
    """Refuse an arrow against the layers.

    A user's own model may read any published table; a private model is for its own folder.
    """
    if upstream.is_private:
        if upstream.layer != model.layer:
            raise ModelError(f"{model.name} reads {upstream.name}, which is private to {upstream.layer}/.")
        return
    if model.is_own and upstream.is_published and model.is_published:
        return
    allowed = MAY_READ[model.layer]
    if upstream.layer not in allowed:
        names = ", ".join(allowed) or "nothing"
        raise ModelError(f"{model.name} reads {upstream.name}, but {model.layer} may read only: {names}.")


LAYERS = tuple(MAY_READ)
PUBLISHED_LAYERS = ("marts", "insights")


@dataclass(frozen=True)
class Model:
    """A SELECT of `sql/`, or a relation that Python fills."""

    name: str
    path: Path
    sql: str | None
    inputs: tuple[str, ...]
    """Models it reads, in the order of the text."""
    metadata: ModelMetadata
    columns: Mapping[str, Column]
    """Every column in the table's order, inherited descriptions filled in."""
    is_own: bool = False
    """It comes from the user's project."""
    origins: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Columns that the SELECT passes on unchanged → the model and column they come from."""
    filled_with: str | None = None
    """The model whose Python function fills this one too."""

    @property
    def layer(self) -> str:
        """The folder of its file."""
        return self.name.split(".")[0]

    @property
    def table(self) -> str:
        """Its name without the layer."""
        return self.name.split(".")[1]

    @property
    def is_private(self) -> bool:
        """It starts with `_`: only its own folder may read it."""
        return self.table.startswith("_")

    @property
    def is_published(self) -> bool:
        """It is part of the interface to users."""
        return self.layer in PUBLISHED_LAYERS and not self.is_private

    @property
    def grain(self) -> tuple[str, ...] | None:
        """Its key columns; empty for a table of one row, None where rows have no key."""
        return self.metadata.grain


Function = Callable[..., pa.Table | pa.RecordBatchReader | str | None]
F = TypeVar("F", bound=Function)

_REGISTRY: dict[str, Function] = {}


def python_model(*relations: str) -> Callable[[F], F]:
    """Register a function as the python model of `relations`.

    The `.yml` of each relation names the module that holds the function, which is imported when the model is built. The
    function takes `engine`, `config`, both or neither, by these names. It returns the rows of its one relation as an
    Arrow table or record batch reader, or a SELECT; or None when it has filled its relations itself.

    Parameters
    ----------
    relations : str
        ``layer.name`` of the relation; of several, the first is the one whose `.yml` names the module, the others'
        name it.

    """

    def register(function: F) -> F:
        _REGISTRY.update(dict.fromkeys(relations, function))
        return function

    return register


def build_python_model(engine: Engine, config: Config, model: Model) -> None:
    """Fill the relation of `model`; one that another model's function fills is there already."""
    function = _function_of(model)
    if function is None:
        return
    given = {"engine": engine, "config": config}
    result = function(**{name: given[name] for name in inspect.signature(function).parameters if name in given})
    if isinstance(result, str):
        engine.run(model.name, result)
    elif result is not None:
        engine.register(model.name, result.read_all() if isinstance(result, pa.RecordBatchReader) else result)


def select_of(config: Config, model: Model) -> str:
    """Return the SELECT that the configuration compiles to; ModelError where the function needs more than that."""
    function = _function_of(model)
    names = set(inspect.signature(function).parameters) if function else {"engine"}
    result = function(**dict.fromkeys(names, config)) if function and names <= {"config"} else None
    if not isinstance(result, str):
        raise ModelError(f"{model.name} is filled by Python, not by a SELECT.")
    return result


def registered(module: str) -> dict[str, Function]:
    """Import `module` and return the python models that it registers, by relation."""
    import_module(module)
    return {name: function for name, function in _REGISTRY.items() if function.__module__ == module}


def _function_of(model: Model) -> Function | None:
    if model.filled_with:
        return None
    module = model.metadata.python_model or ""
    if not _exists(module):
        raise ModelError(
            f"{model.name} says python_model {module}, which is no module; name the one that holds the function "
            f'decorated with @python_model("{model.name}").'
        )
    found = registered(module)
    if model.name not in found:
        known = ", ".join(sorted(found)) or "nothing"
        raise ModelError(f"{model.name} says python_model {module}, but that module registers {known}.")
    return found[model.name]


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


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
