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
"""Start of the description of every condition."""


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:  # noqa: ANN401 - as pydantic declares it
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `journeyflow.yml`, for editors.

    It has the type, default and meaning of every key, but neither the matchers of conditions nor the rules between
    sections.
    """
    schema = Config.model_json_schema(by_alias=True, schema_generator=_Schema)
    summary = schema["description"].splitlines()[0]
    schema |= {"title": FILE_NAME, "description": summary}
    _describe(schema, Config)
    for name, section in sections().items():
        _describe(schema["$defs"][name], section)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def sections() -> dict[str, type[Section]]:
    """Return the section classes by name, without `Config`."""
    return {section.__name__: section for section in Section.__subclasses__() if section is not Config}


def meanings(section: type[Section]) -> dict[str, str]:
    """Return YAML key → meaning of a section: the texts below its fields, read from its source.

    Pydantic's `use_attribute_docstrings` would do this at import and cost every command a tenth of a second.
    """
    names = {name: field.alias or name for name, field in section.model_fields.items()}
    return {names[name]: " ".join(text.split()) for name, text in _field_texts(section) if name in names}


def _field_texts(section: type[Section]) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield ast.unparse(field.target), str(below.value.value)


def _describe(schema: dict[str, Any], section: type[Section]) -> None:
    """Add the meaning of each key; remove defaults that are not in the form of the YAML."""
    for key, meaning in meanings(section).items():
        described = schema["properties"][key]
        is_condition = described.get("description", "").startswith(CONDITION)
        if is_condition or "$ref" in described:
            described.pop("default", None)
        described["description"] = f"{meaning} {described['description']}" if is_condition else meaning
