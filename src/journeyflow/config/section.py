"""What every section of the configuration has in common: frozen, unknown keys refused, names, paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PlainSerializer,
    SerializationInfo,
    StrictStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError


class Section(BaseModel):
    """A part of the configuration; its attributes are the keys of the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, use_enum_values=True)

    @model_validator(mode="wrap")
    @classmethod
    def _unknown_keys_refused(cls, raw: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(raw, dict):
            return handler(raw)
        names = {name for key, info in cls.model_fields.items() for name in (key, info.alias) if name}
        allowed = tuple(info.alias or key for key, info in cls.model_fields.items())
        unknown = [key for key in raw if key not in names]
        if not unknown:
            return handler(raw)
        errors = [_unknown(key, allowed) for key in unknown]
        try:
            handler({key: value for key, value in raw.items() if key in names})
        except ValidationError as error:
            errors += [_kept(item) for item in error.errors(include_url=False)]
        raise ValidationError.from_exception_data(cls.__name__, errors)


def _unknown(key: str, allowed: tuple[str, ...]) -> InitErrorDetails:
    kind = PydanticCustomError("unknown_key", "is not a key here", {"allowed": allowed})
    return InitErrorDetails(type=kind, loc=(key,), input=key)


def _kept(item: ErrorDetails) -> InitErrorDetails:
    context = {**item.get("ctx", {})}
    kind = PydanticCustomError(item["type"], item["msg"].replace("{", "{{").replace("}", "}}"), context or None)
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"])


def _absolute(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / path)) if folder else path


def _relative(path: Path, info: SerializationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return Path(os.path.relpath(path, folder)).as_posix() if folder else str(path)


NAME_PATTERN = r"^[^\s/\x00-\x1f\x7f]([^/\x00-\x1f\x7f]{0,98}[^\s/\x00-\x1f\x7f])?$"
Name = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN)]
"""A name that is published: 1 to 100 printable characters without a slash (predicates are paths of names)."""
Text = Annotated[StrictStr, StringConstraints(min_length=1, max_length=2000)]
FilePath = Annotated[Path, AfterValidator(_absolute), PlainSerializer(_relative)]
"""A path or glob, relative to the configuration's folder; absolute once it is read."""
