"""Rules across sections: one small function and one code each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from journeyflow.config.problems import Loc
from journeyflow.config.root import Config


@dataclass(frozen=True)
class Finding:
    """What a rule found: where, what is written there, what is allowed (names, or a sentence in `expected`)."""

    code: str
    loc: Loc
    message: str
    value: Any = None
    allowed: tuple[str, ...] = ()
    expected: str | None = None
    severity: Literal["error", "warning"] = "error"


RULES: list[Callable[[Config], Iterator[Finding]]] = []


def rule(function: Callable[[Config], Iterator[Finding]]) -> Callable[[Config], Iterator[Finding]]:
    """Add a rule to those that every configuration must keep."""
    RULES.append(function)
    return function


def findings(config: Config) -> list[Finding]:
    """Return what every rule finds in `config`."""
    return [finding for each in RULES for finding in each(config)]


@rule
def _funnel_models_known(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        if funnel.model is not None and funnel.model not in config.models:
            yield Finding(
                "unknown_model", ("funnels", name, "model"), "is not a model", funnel.model, tuple(config.models)
            )
