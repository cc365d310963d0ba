"""From a file or a mapping to a `Config`, or to the list of everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from journeyflow.config.problems import InvalidConfigError, Loc, Problem, nearest_name, path_text, value_text
from journeyflow.config.root import FILE_NAME, Config
from journeyflow.config.rules import Finding, findings
from journeyflow.config.strict_yaml import Document, read_yaml
from journeyflow.errors import ConfigError

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
}


def load_config(path: Path | str) -> Config:
    """Read and check a configuration.

    Parameters
    ----------
    path : Path or str
        A `journeyflow.yml`, or the folder that holds it.

    Returns
    -------
    Config

    Raises
    ------
    InvalidConfigError
        Listing every error with its file, line, YAML path, value, what is allowed and the nearest name.
    """
    config, problems = _examined(Path(path))
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
    return _examined(Path(path))[1]


def config_of_mapping(mapping: Mapping[str, Any], folder: Path) -> Config:
    """Build a configuration from a mapping; see `Config.from_mapping`."""
    document = Document(content=dict(mapping))
    config, problems = _judged(document, folder.absolute(), "mapping", None)
    if config is None:
        raise InvalidConfigError(problems)
    return config


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `journeyflow.yml`, for editors."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": FILE_NAME}


def _examined(path: Path) -> tuple[Config | None, list[Problem]]:
    file = path / FILE_NAME if path.is_dir() else path
    try:
        document = read_yaml(file.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"Cannot read the configuration {file}: {error.strerror}. Write one with `journeyflow init`."
        ) from None
    return _judged(document, file.absolute().parent, str(file), file.absolute())


def _judged(document: Document, folder: Path, name: str, path: Path | None) -> tuple[Config | None, list[Problem]]:
    problems = [_from_mistake(mistake, name) for mistake in document.mistakes]
    config = None
    if not isinstance(document.content, dict):
        if not problems:
            problems = [
                Problem(
                    "error", "not_a_mapping", name, None, "", None, "a mapping with `sources`", None, "is not a mapping"
                )
            ]
        return None, problems
    try:
        config = Config.model_validate(document.content, context={"folder": folder})
    except ValidationError as error:
        problems += [_from_error(item, document, name) for item in error.errors(include_url=False)]
    else:
        config = config.placed(folder, path)
        problems += [_from_finding(finding, document, name) for finding in findings(config)]
    problems.sort(key=lambda problem: (problem.line or 0, problem.path))
    has_error = any(problem.severity == "error" for problem in problems)
    return (None if has_error else config), problems


def _from_mistake(mistake: Any, file: str) -> Problem:
    return Problem("error", mistake.code, file, mistake.line, path_text(mistake.loc), None, None, None, mistake.message)


def _from_error(item: Any, document: Document, file: str) -> Problem:
    context = item.get("ctx") or {}
    code = item["type"]
    is_key = context.get("is_key", False) or item["loc"][-1:] == ("[key]",)
    loc: Loc = tuple(part for part in item["loc"] if part != "[key]")
    allowed = context.get("allowed", context.get("expected"))
    value = None if code == "missing" else value_text(item["input"])
    names = allowed if isinstance(allowed, tuple) else _expected_names(context.get("expected"))
    nearest = nearest_name(value, names) if value is not None and names else None
    shown = ", ".join(allowed) if isinstance(allowed, tuple) else allowed
    message = _MESSAGES.get(code, item["msg"])
    return Problem(
        "error", code, file, document.line(loc), path_text(loc if not is_key else loc), value, shown, nearest, message
    )


def _expected_names(expected: Any) -> Sequence[str]:
    return tuple(part.strip("'") for part in str(expected).replace(" or ", ", ").split(", ")) if expected else ()


def _from_finding(finding: Finding, document: Document, file: str) -> Problem:
    nearest = nearest_name(finding.value, finding.allowed) if finding.value is not None else None
    allowed = ", ".join(finding.allowed) if finding.allowed else finding.expected
    line = document.line(finding.loc)
    value = value_text(finding.value)
    return Problem(
        finding.severity, finding.code, file, line, path_text(finding.loc), value, allowed, nearest, finding.message
    )
