"""Load and check `journeyflow.yml`: a `Config`, or the list of all problems; the JSON Schema of the file."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from journeyflow.config.base import (
    InvalidConfigError,
    Problem,
    Section,
    Violation,
    format_duration,
    nearest_name,
    path_text,
    value_text,
)
from journeyflow.config.config import FILE_NAME, Config
from journeyflow.config.sources import SECRET_IN_URL, SERVER_ADDRESS
from journeyflow.config.validation import violations
from journeyflow.errors import ConfigError
from journeyflow.utils.files import Document, Loc, Mistake, read_yaml

_SECTIONS_BY_NAME = ("sources", "models", "funnels", "goals", "surveys")


def load_config(source: Path | str | Mapping[str, Any], *, folder: Path | None = None) -> Config:
    """Read and check a configuration.

    Parameters
    ----------
    source : Path, str or mapping
        A `journeyflow.yml`, its folder, or its content as a mapping.
    folder : Path or None
        Base of relative paths when `source` is a mapping; None is the working directory.

    Raises
    ------
    InvalidConfigError
        Lists every error with its file, line, YAML path, value, allowed values and the nearest name.
    """
    if isinstance(source, Mapping):
        base = (folder or Path()).absolute()
        config, problems = _validate(Document(content=dict(source)), base, "mapping", None)
    else:
        config, problems = _read(Path(source))
    if config is None:
        raise InvalidConfigError(problems)
    return config


def check(path: Path | str) -> list[Problem]:
    """Return every error and warning of a configuration, in the order of the file.

    Raises
    ------
    ConfigError
        When there is no such file.
    """
    return _read(Path(path))[1]


def _read(path: Path) -> tuple[Config | None, list[Problem]]:
    file = path / FILE_NAME if path.is_dir() else path
    try:
        document = read_yaml(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"Cannot read the configuration {file}: {error.strerror}. Write one with `journeyflow init`."
        ) from None
    return _validate(document, file.absolute().parent, str(file), file.absolute())


def _validate(document: Document, folder: Path, name: str, path: Path | None) -> tuple[Config | None, list[Problem]]:
    problems = [_problem_of_mistake(mistake, name) for mistake in document.mistakes]
    if any(mistake.is_end for mistake in document.mistakes):
        return None, problems  # What follows the mistake was not read, so nothing can be said to be missing.
    if not isinstance(document.content, dict):
        allowed = "a mapping with the key sources"
        whole = Problem("error", "not_a_mapping", name, None, "", None, allowed, None, "is not a mapping")
        return None, problems or [whole]
    config = None
    try:
        config = Config.model_validate(document.content, context={"folder": folder}).placed(folder, path)
    except ValidationError as error:
        errors = _root_errors(error.errors(include_url=False))
        problems += [_problem_of_error(item, document, name) for item in errors]
        found = _violations_beside_errors(document.content, [item["loc"] for item in errors], folder)
    else:
        found = violations(config)
    problems += [_problem_of_violation(violation, document, name) for violation in found]
    problems.sort(key=lambda problem: (problem.line or 0, problem.path))
    has_error = any(problem.severity == "error" for problem in problems)
    return (None if has_error else config), problems


def _root_errors(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Drop consequences of other errors: defaults that depend on a section, and lists short of an invalid item."""
    places = [item["loc"] for item in errors]
    return [
        item
        for item in errors
        if item["type"] != "default_factory_not_called"
        and not (item["type"] == "too_short" and any(loc[: len(item["loc"])] == item["loc"] != loc for loc in places))
    ]


def _violations_beside_errors(content: dict[str, Any], errors: Sequence[Loc], folder: Path) -> list[Violation]:
    """Return the violations of the valid parts, so that one check reports every problem."""
    valid, broken = dict(content), {str(loc[0]) for loc in errors if loc}
    positions: dict[str, list[int]] = {}
    for name in broken:
        section = valid.pop(name, None)
        invalid = {loc[1] if len(loc) > 1 else None for loc in errors if loc[:1] == (name,)}
        if None in invalid:
            continue
        if isinstance(section, list):
            positions[name] = [index for index in range(len(section)) if index not in invalid]
            valid[name] = [section[index] for index in positions[name]]
        elif isinstance(section, dict) and name in (*_SECTIONS_BY_NAME, "map"):
            valid[name] = {key: value for key, value in section.items() if key not in invalid}
    if not valid.get("sources"):
        valid["sources"] = {"stand-in": {"format": "snowplow", "path": "."}}
    valid = {key: value for key, value in valid.items() if value or key not in _SECTIONS_BY_NAME}
    try:
        config = Config.model_validate(valid, context={"folder": folder})
    except ValidationError:
        return []
    return [
        _at_written_position(violation, positions)
        for violation in violations(config.placed(folder, None))
        # Names of a section with errors are not unknown, and defaults were not written.
        if not broken & set(violation.looked_in) and _is_written(violation.loc, content, broken)
    ]


def _is_written(loc: Loc, content: Mapping[str, Any], broken: set[str]) -> bool:
    section = content.get(str(loc[0]))
    return loc[0] not in broken or isinstance(section, list) or (isinstance(section, dict) and loc[1] in section)


def _at_written_position(violation: Violation, positions: Mapping[str, Sequence[int]]) -> Violation:
    """Restore the list index from before invalid items were removed."""
    section, *rest = violation.loc
    if section not in positions:
        return violation
    return replace(violation, loc=(section, positions[str(section)][int(rest[0])], *rest[1:]))


def _problem_of_mistake(mistake: Mistake, file: str) -> Problem:
    return Problem("error", mistake.code, file, mistake.line, path_text(mistake.loc), None, None, None, mistake.message)


_MESSAGES = {
    "missing": "is missing",
    "literal_error": "is not one of the allowed values",
    "string_type": "is not a text",
    "string_pattern_mismatch": "is not a name",
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "bool_type": "is not true or false",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "tuple_type": "is not a list",
    "too_short": "has too few items",
    "too_long": "has too many items",
    "greater_than": "is too small",
    "greater_than_equal": "is too small",
    "less_than": "is too large",
    "less_than_equal": "is too large",
}
_BOUNDS = {
    "min_length": "at least {} items",
    "max_length": "at most {} items",
    "gt": "above {}",
    "ge": "at least {}",
    "lt": "below {}",
    "le": "at most {}",
}


def _problem_of_error(item: ErrorDetails, document: Document, file: str) -> Problem:
    context = item.get("ctx") or {}
    code = item["type"]
    # Pydantic marks an invalid key of a mapping by a last part "[key]".
    loc: Loc = tuple(part for part in item["loc"] if part != "[key]")
    allowed = context.get("allowed", context.get("expected"))
    value = None if code in ("missing", SECRET_IN_URL, SERVER_ADDRESS) else value_text(item["input"])
    names = allowed if isinstance(allowed, tuple) else _expected_names(context.get("expected"))
    nearest = nearest_name(value, names) if value is not None and names else None
    shown = ", ".join(allowed) if isinstance(allowed, tuple) else allowed or _bounds(context)
    message = _MESSAGES.get(code, item["msg"])
    return Problem("error", code, file, document.line(loc), path_text(loc), value, shown, nearest, message)


def _bounds(context: Mapping[str, Any]) -> str | None:
    bounds = [text.format(context[bound]) for bound, text in _BOUNDS.items() if context.get(bound) is not None]
    return " and ".join(bounds) or None


def _expected_names(expected: object) -> Sequence[str]:
    return tuple(part.strip("'") for part in str(expected).replace(" or ", ", ").split(", ")) if expected else ()


def _problem_of_violation(violation: Violation, document: Document, file: str) -> Problem:
    nearest = nearest_name(violation.value, violation.allowed) if violation.value is not None else None
    return Problem(
        violation.severity,
        violation.code,
        file,
        document.line(violation.loc),
        path_text(violation.loc),
        value_text(violation.value),
        ", ".join(violation.allowed) or violation.expected,
        nearest,
        violation.message,
    )


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
