"""The JSON Schema of `journeyflow.yml`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from journeyflow.config.base import Section, format_duration
from journeyflow.config.config import FILE_NAME, Config

CONDITION = "A condition"
"""How the description of a condition begins."""


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - as pydantic declares it
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `journeyflow.yml`, for editors.

    Returns
    -------
    dict
        Draft 2020-12; every key with its type, its default where it has one, and its meaning. Looser than `check`:
        conditions are only sketched, and rules between sections are not in it.
    """
    schema = Config.model_json_schema(by_alias=True, schema_generator=_Schema)
    summary = schema["description"].splitlines()[0]
    schema |= {"title": FILE_NAME, "description": summary}
    _describe(schema, Config)
    for name, section in sections().items():
        _describe(schema["$defs"][name], section)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def sections() -> dict[str, type[Section]]:
    """Return the sections below the whole configuration, by the name of their class."""
    return {section.__name__: section for section in Section.__subclasses__() if section is not Config}


def meanings(section: type[Section]) -> dict[str, str]:
    """Return what the keys of a section mean: the texts below its fields, read from the source.

    Pydantic could do so when the classes are made, but that would cost every command a tenth of a second.

    Returns
    -------
    dict
        Key as in the YAML → meaning, on one line.
    """
    names = {name: field.alias or name for name, field in section.model_fields.items()}
    return {names[name]: " ".join(text.split()) for name, text in _texts_below(section) if name in names}


def _texts_below(section: type[Section]) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield ast.unparse(field.target), str(below.value.value)


def _describe(schema: dict[str, Any], section: type[Section]) -> None:
    """Give each key its meaning; leave out defaults that a reader could not write so."""
    for key, meaning in meanings(section).items():
        described = schema["properties"][key]
        is_condition = described.get("description", "").startswith(CONDITION)
        if is_condition or "$ref" in described:
            described.pop("default", None)
        described["description"] = f"{meaning} {described['description']}" if is_condition else meaning
