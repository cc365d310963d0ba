"""Model metadata: the typed `.yml` beside a model (grain, columns, checks, cases)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from journeyflow.errors import ModelError
from journeyflow.utils.yaml import Mistake, read_yaml

Scalar = str | int | float | bool


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """What a column says: its SQL type, its unit and its meaning in one sentence."""

    type: str
    unit: str | None = None
    meaning: str = Field(min_length=3)


class Check(_Strict):
    """One check of a built table; exactly one of the fields is given."""

    not_null: tuple[str, ...] | None = None
    unique: tuple[str, ...] | None = None
    accepted: dict[str, tuple[Scalar, ...]] | None = None
    range: dict[str, tuple[float | None, float | None]] | None = None
    no_rows: str | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a check is exactly one of not_null, unique, accepted, range, no_rows")
        return self


class Case(_Strict):
    """A tiny given/expect example of the model, as text tables."""

    name: str
    given: dict[str, str] = {}
    expect: str


def _none_is_empty(value: object) -> object:
    return {} if value is None else value


class ModelMetadata(_Strict):
    """The whole side file of one model."""

    description: str = Field(min_length=10)
    grain: tuple[str, ...] | None = None
    columns: Annotated[dict[str, Column | None], BeforeValidator(_none_is_empty)]
    is_shaped_by_configuration: bool = False
    """The configuration adds columns behind the listed ones, and may change their types."""
    kind: Literal["table", "view"] = "table"
    unique_key: tuple[str, ...] = ()
    """Each row is of one person, device or attempt, which these columns name (any of them): a night that renews makes
    only the rows of those anew who were touched."""
    surrogate_key: dict[str, tuple[str, ...]] = {}
    """The column that numbers the rows, and those that name them: a night that renews keeps numbers once given."""
    python_model: str | None = None
    inputs: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    cases: tuple[Case, ...] = ()
    source: str | None = None

    @model_validator(mode="after")
    def _names_are_columns(self) -> Self:
        named = set(self.grain or ())
        for check in self.checks:
            named |= {*(check.not_null or ()), *(check.unique or ()), *(check.accepted or ()), *(check.range or ())}
        if unknown := sorted(named - set(self.columns)):
            raise ValueError(f"grain or checks name {', '.join(unknown)}, which is not among the columns")
        renewed = {
            *self.unique_key,
            *self.surrogate_key,
            *(name for names in self.surrogate_key.values() for name in names),
        }
        if unknown := sorted(renewed - set(self.columns)):
            raise ValueError(f"unique_key or surrogate_key name {', '.join(unknown)}, which is not among the columns")
        return self


def read_metadata(path: Path) -> ModelMetadata:
    """Return the side file at `path`, validated.

    Raises
    ------
    ModelError
        When the file is no YAML, repeats a key, has an anchor, an alias or a tag, or breaks the format; names the file
        and every wrong key.
    """
    document = read_yaml(text_of(path).encode(), is_fast=True)
    if document.mistakes:
        raise ModelError(
            "; ".join(f"{_short(path)}{_where(mistake)} {mistake.message}" for mistake in document.mistakes) + "."
        )
    try:
        return ModelMetadata.model_validate(document.content if document.content is not None else {})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'file'}: {_said(item)}" for item in error.errors())
        is_cut = any(item["type"] == "extra_forbidden" and item["input"] is None for item in error.errors())
        hint = " A text with a comma or a colon needs quotes." if is_cut else ""
        raise ModelError(f"{_short(path)} breaks the format of docs/architecture.md: {faults}.{hint}") from error


def _where(mistake: Mistake) -> str:
    line = f":{mistake.line}" if mistake.line else ""
    return f"{line}: {mistake.loc[-1]}" if mistake.loc else line


def _said(item: ErrorDetails) -> str:
    return "is not a key here" if item["type"] == "extra_forbidden" else item["msg"]


def is_adapter(path: Path) -> bool:
    """Tell whether the side file at `path` describes a collector's format (it says `raw:`) and not a model."""
    return path.exists() and any(line.startswith("raw:") for line in text_of(path).splitlines())


def text_of(path: Path) -> str:
    """Return the text of a model's file.

    Raises
    ------
    ModelError
        When it cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{_short(path)} cannot be read as UTF-8 text ({type(error).__name__}).") from error


def _short(path: Path) -> str:
    return "/".join(path.parts[-3:])
