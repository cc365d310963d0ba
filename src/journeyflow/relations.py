"""The relations that Python fills: registered name → function. The only list of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from journeyflow.errors import ModelError

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine

Filler = Callable[["Engine", "Config"], None]

FILLERS: dict[str, str] = {
    "identity.person_components": "journeyflow.identity:person_components",
    "identity.user_aliases": "journeyflow.identity:user_aliases",
    "kernel": "journeyflow.kernel:fill",
    "restatements": "journeyflow.restatements:fill",
    "statistics.pain_tests": "journeyflow.statistics.touches:fill_pain_tests",
    "statistics.promise_intervals": "journeyflow.statistics.promises:fill_promise_intervals",
    "statistics.stage_feelings": "journeyflow.statistics.sentiment:fill_stage_feelings",
    "statistics.stage_intervals": "journeyflow.statistics:fill_stage_intervals",
    "statistics.step_intervals": "journeyflow.statistics:fill_step_intervals",
    "statistics.step_survival": "journeyflow.statistics:fill_step_survival",
    "statistics.touchpoint_tests": "journeyflow.statistics.touches:fill_touchpoint_tests",
    "statistics.text_scores": "journeyflow.statistics.text:fill_text_scores",
}
"""`filled_by` → ``module:function`` of type ``(Engine, Config) -> None``. Imported when a night needs it."""

COMPILED: dict[str, str] = {
    "compiled.staging_events": "journeyflow.compile:staging_events",
    "compiled.kind_truths": "journeyflow.compile:kind_truths",
    "compiled.personas": "journeyflow.compile:personas",
    "compiled.survey_answers": "journeyflow.compile:survey_answers",
}
"""`filled_by` → ``module:function`` of type ``(Config) -> str``, the SELECT that the configuration compiles to."""


def filler(name: str, relation: str) -> Filler:
    """Return the function that fills `relation`.

    Parameters
    ----------
    name : str
        What the side file says under `filled_by`.
    relation : str
        ``layer.name``; only a compiled SELECT needs to be told where its rows go.

    Raises
    ------
    ModelError
        When nothing is registered under `name`.
    """
    if name in COMPILED:
        select: Callable[[Config], str] = _imported(COMPILED[name])
        return lambda engine, config: engine.run(relation, select(config))
    if name in FILLERS:
        fill: Filler = _imported(FILLERS[name])
        return fill
    known = ", ".join(sorted({*FILLERS, *COMPILED}))
    raise ModelError(f"{relation} is filled_by {name}, which is not registered in relations.py; there are {known}.")


def is_registered(name: str) -> bool:
    """Tell whether `filled_by: name` can be carried out, the relations that loading makes included."""
    return name in FILLERS or name in COMPILED or name in ("load", "config")


def _imported(target: str) -> Any:  # noqa: ANN401 - the caller says what it is
    module, function = target.split(":")
    return getattr(import_module(module), function)
