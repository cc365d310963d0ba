"""Model metadata: the typed `.yml` beside a model (grain, columns, checks, cases)."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from journeyflow.errors import ModelError
from journeyflow.utils.files import sql_folder
from journeyflow.utils.yaml import Mistake, read_yaml

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
