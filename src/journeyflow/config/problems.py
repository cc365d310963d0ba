"""Configuration errors: message, YAML path, allowed values, nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from journeyflow.errors import ConfigError
from journeyflow.utils.yaml import Loc as Loc


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or doubtful, in a configuration.

    Parameters
    ----------
    severity : str
        ``error`` stops a run, ``warning`` does not.
    code : str
        Stable name of the rule.
    file : str
        Path of the file as it was given.
    line : int or None
        1-based line of the key or item, where there is one.
    path : str
        YAML path, such as ``funnels.checkout.steps[1].when``.
    value : str or None
        What is written there, shortened.
    allowed : str or None
        What may be written there.
    nearest : str or None
        The allowed name that looks most like the value.
    message : str
        What is wrong, as the end of a sentence.
    """

    severity: Literal["error", "warning"]
    code: str
    file: str
    line: int | None
    path: str
    value: str | None
    allowed: str | None
    nearest: str | None
    message: str

    def __str__(self) -> str:
        """Return one line: file, line, path, value, what is wrong, what is allowed, the nearest name."""
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        place = f"{where}: {self.severity}: {self.path or 'the file'}"
        said = f"{place}: {self.value!r} {self.message}" if self.value is not None else f"{place}: {self.message}"
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        nearest = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{said}{allowed}{nearest} [{self.code}]"


class InvalidConfigError(ConfigError):
    """A configuration with errors; `problems` holds them all, warnings too.

    Parameters
    ----------
    problems : sequence of Problem
        At least one of severity ``error``.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [problem for problem in problems if problem.severity == "error"]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__("\n".join([f"The configuration has {count}:", *(f"  {problem}" for problem in errors)]))
        self.problems = tuple(problems)


def nearest_name(value: object, names: Sequence[str]) -> str | None:
    """Return the name most like `value`, or None when none is like it."""
    found = difflib.get_close_matches(str(value), list(names), n=1, cutoff=0.6)
    longer = [name for name in names if name.startswith(str(value))]
    return next(iter([*found, *longer]), None)


def path_text(loc: Loc) -> str:
    """Write a place as a YAML path.

    Examples
    --------
    >>> path_text(("funnels", "checkout", "steps", 1, "when"))
    'funnels.checkout.steps[1].when'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def value_text(value: object) -> str | None:
    """Return a scalar of the configuration as text of at most 80 characters; None for anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return None
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
