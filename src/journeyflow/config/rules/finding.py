"""What a rule across sections finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from journeyflow.config.problems import Loc
from journeyflow.config.root import Config


@dataclass(frozen=True)
class Finding:
    """One finding.

    Parameters
    ----------
    code : str
        Stable name of the rule.
    loc : tuple
        Where.
    message : str
        What is wrong, as the end of a sentence.
    value : str or None
        What is written there.
    allowed : tuple of str
        Names that may be written there.
    expected : str or None
        The same as a sentence, where it is not a list of names.
    severity : str
        ``error`` or ``warning``.
    looked_in : tuple of str
        Sections that the names came from; a finding means nothing while one of them is itself wrong.
    """

    code: str
    loc: Loc
    message: str
    value: str | None = None
    allowed: tuple[str, ...] = ()
    expected: str | None = None
    severity: Literal["error", "warning"] = "error"
    looked_in: tuple[str, ...] = ()


Rule = Callable[[Config], Iterator[Finding]]
