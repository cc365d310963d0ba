"""Configuration errors and warnings: place, value, allowed values, nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from journeyflow.errors import ConfigError
from journeyflow.utils.formatting import numbered
from journeyflow.utils.yaml import Loc as Loc

Severity = Literal["error", "warning"]
"""An error stops a run, a warning does not."""


@dataclass(frozen=True)
class Problem:
    """An error or warning in a configuration.

    Parameters
    ----------
    severity : str
        ``error`` stops a run, ``warning`` does not.
    code : str
        Stable name of the rule.
    file : str
        Path of the file as it was given.
    line : int or None
        1-based line of the key or item.
    path : str
        YAML path, such as ``funnels.checkout.steps[1].when``.
    value : str or None
        The value found, shortened.
    allowed : str or None
        The values allowed.
    nearest : str or None
        The allowed name most similar to the value.
    message : str
        What is wrong, as the end of a sentence.
    """

    severity: Severity
    code: str
    file: str
    line: int | None
    path: str
    value: str | None
    allowed: str | None
    nearest: str | None
    message: str

    def __str__(self) -> str:
        """Return one line: file, line, path, value, message, allowed values, nearest name, code."""
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        place = f"{where}: {self.severity}: {self.path or 'the file'}"
        sentence = f"{place}: {self.value!r} {self.message}" if self.value is not None else f"{place}: {self.message}"
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        nearest = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{sentence}{allowed}{nearest} [{self.code}]"


@dataclass(frozen=True)
class Violation:
    """A violated rule between keys of a valid configuration; `load` makes a `Problem` of it.

    Parameters
    ----------
    message : str
        What is wrong, as the end of a sentence.
    allowed : tuple of str
        The names allowed.
    expected : str or None
        What is allowed, where it is not a list of names.
    looked_in : tuple of str
        Sections that the allowed names come from. While one of them has errors, the violation is ignored.
    """

    code: str
    loc: Loc
    message: str
    value: str | None = None
    allowed: tuple[str, ...] = ()
    expected: str | None = None
    severity: Severity = "error"
    looked_in: tuple[str, ...] = ()


class InvalidConfigError(ConfigError):
    """A configuration with errors; `problems` lists them all, and the warnings."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        count = numbered(len(errors), "error")
        super().__init__("\n".join([f"The configuration has {count}:", *(f"  {problem}" for problem in errors)]))
        self.problems = tuple(problems)


def nearest_name(value: object, names: Sequence[str]) -> str | None:
    """Return the name most similar to `value`, or one that begins with it; None when there is neither."""
    similar = difflib.get_close_matches(str(value), list(names), n=1, cutoff=0.6)
    longer = [name for name in names if name.startswith(str(value))]
    return next(iter([*similar, *longer]), None)


def path_text(loc: Loc) -> str:
    """Return a place as a YAML path.

    Examples
    --------
    >>> path_text(("funnels", "checkout", "steps", 1, "when"))
    'funnels.checkout.steps[1].when'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def value_text(value: object) -> str | None:
    """Return a scalar as text of at most 80 characters; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
