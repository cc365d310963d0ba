"""Load and check `journeyflow.yml`: a `Config`, or the list of all errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from journeyflow.config import source_validation, validation
from journeyflow.config.config import FILE_NAME, Config
from journeyflow.config.problems import InvalidConfigError, Loc, Problem, nearest_name, path_text, value_text
from journeyflow.config.validation import Rule, Violation
from journeyflow.errors import ConfigError
from journeyflow.utils.yaml import Document, Mistake, read_yaml

RULES: tuple[Rule, ...] = (
    *source_validation.SOURCE_RULES,
    *validation.MODEL_RULES,
    *validation.FUNNEL_RULES,
    *validation.PERSONA_RULES,
)


def violations(config: Config) -> list[Violation]:
    """Return what every rule finds in `config`."""
    return [finding for rule in RULES for finding in rule(config)]


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


_NAMED_SECTIONS = ("sources", "models", "funnels", "goals", "surveys")


def load_config(source: Path | str | Mapping[str, Any], *, folder: Path | None = None) -> Config:
    """Read and check a configuration.

    Parameters
    ----------
    source : Path, str or mapping
        A `journeyflow.yml`, the folder that holds it, or its content as a mapping.
    folder : Path or None
        Of a mapping: where relative paths start; None is the working directory.

    Raises
    ------
    InvalidConfigError
        Listing every error with its file, line, YAML path, value, what is allowed and the nearest name.
    """
    if isinstance(source, Mapping):
        place = (folder or Path()).absolute()
        config, problems = _judged(Document(content=dict(source)), place, "mapping", None)
    else:
        config, problems = _examined(Path(source))
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
    if not isinstance(document.content, dict):
        allowed = "a mapping with the key sources"
        whole = Problem("error", "not_a_mapping", name, None, "", None, allowed, None, "is not a mapping")
        return None, problems or [whole]
    config = None
    try:
        config = Config.model_validate(document.content, context={"folder": folder})
    except ValidationError as error:
        faults = _own_faults(error.errors(include_url=False))
        problems += [_from_error(item, document, name) for item in faults]
        found = _findings_beside(document.content, [item["loc"] for item in faults], folder)
    else:
        config = config.placed(folder, path)
        found = violations(config)
    problems += [_from_finding(finding, document, name) for finding in found]
    problems.sort(key=lambda problem: (problem.line or 0, problem.path))
    has_error = any(problem.severity == "error" for problem in problems)
    return (None if has_error else config), problems


def _own_faults(faults: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out what only follows from other faults: defaults that wait for a section, sections short of an item."""
    places = [item["loc"] for item in faults]
    return [
        item
        for item in faults
        if item["type"] != "default_factory_not_called"
        and not (item["type"] == "too_short" and any(loc[: len(item["loc"])] == item["loc"] != loc for loc in places))
    ]


def _findings_beside(content: dict[str, Any], faults: Sequence[Loc], folder: Path) -> list[Violation]:
    """Judge what is left when the parts with faults are taken away, so that every mistake is told in one go."""
    left, broken = dict(content), {str(loc[0]) for loc in faults if loc}
    places: dict[str, list[int]] = {}
    for name in broken:
        section, inner = (
            left.pop(name, None),
            {loc[1] if len(loc) > 1 else None for loc in faults if loc[:1] == (name,)},
        )
        if None in inner:
            continue
        if isinstance(section, list):
            places[name] = [place for place in range(len(section)) if place not in inner]
            left[name] = [section[place] for place in places[name]]
        elif isinstance(section, dict) and name in (*_NAMED_SECTIONS, "map"):
            left[name] = {key: value for key, value in section.items() if key not in inner}
    if not left.get("sources"):
        left["sources"] = {"stand-in": {"format": "snowplow", "path": "."}}
    left = {key: value for key, value in left.items() if value or key not in _NAMED_SECTIONS}
    try:
        config = Config.model_validate(left, context={"folder": folder})
    except ValidationError:
        return []
    found = violations(config.placed(folder, None))
    # Names of what was taken away are not unknown, and what stands in for it was never written.
    known = [finding for finding in found if not broken & set(finding.looked_in)]
    return [_placed(finding, places) for finding in known if _is_written(finding.loc, content, broken)]


def _is_written(loc: Loc, content: Mapping[str, Any], broken: set[str]) -> bool:
    section = content.get(str(loc[0]))
    return loc[0] not in broken or isinstance(section, list) or (isinstance(section, dict) and loc[1] in section)


def _placed(finding: Violation, places: Mapping[str, Sequence[int]]) -> Violation:
    """Say the place in the list as it was written, before items with faults were taken out."""
    section, *rest = finding.loc
    if section not in places:
        return finding
    return replace(finding, loc=(section, places[str(section)][int(rest[0])], *rest[1:]))


def _from_mistake(mistake: Mistake, file: str) -> Problem:
    return Problem("error", mistake.code, file, mistake.line, path_text(mistake.loc), None, None, None, mistake.message)


def _from_error(item: ErrorDetails, document: Document, file: str) -> Problem:
    context = item.get("ctx") or {}
    code = item["type"]
    # Pydantic marks a wrong key of a mapping by one more part.
    loc: Loc = tuple(part for part in item["loc"] if part != "[key]")
    allowed = context.get("allowed", context.get("expected"))
    value = None if code == "missing" else value_text(item["input"])
    names = allowed if isinstance(allowed, tuple) else _expected_names(context.get("expected"))
    nearest = nearest_name(value, names) if value is not None and names else None
    shown = ", ".join(allowed) if isinstance(allowed, tuple) else allowed or _bounds(context)
    message = _MESSAGES.get(code, item["msg"])
    return Problem("error", code, file, document.line(loc), path_text(loc), value, shown, nearest, message)


def _bounds(context: Mapping[str, Any]) -> str | None:
    said = [text.format(context[bound]) for bound, text in _BOUNDS.items() if context.get(bound) is not None]
    return " and ".join(said) or None


def _expected_names(expected: object) -> Sequence[str]:
    return tuple(part.strip("'") for part in str(expected).replace(" or ", ", ").split(", ")) if expected else ()


def _from_finding(finding: Violation, document: Document, file: str) -> Problem:
    nearest = nearest_name(finding.value, finding.allowed) if finding.value is not None else None
    allowed = ", ".join(finding.allowed) if finding.allowed else finding.expected
    line = document.line(finding.loc)
    value = value_text(finding.value)
    return Problem(
        finding.severity, finding.code, file, line, path_text(finding.loc), value, allowed, nearest, finding.message
    )
