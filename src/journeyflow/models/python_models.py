"""Python models: relations filled by registered functions or compiled from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from journeyflow.errors import ModelError

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


PythonModel = Callable[["Engine", "Config"], None]

FUNCTIONS: dict[str, str] = {
    "identity.person_components": "journeyflow.kernel.identity:person_components",
    "identity.user_aliases": "journeyflow.kernel.identity:user_aliases",
    "kernel": "journeyflow.kernel.run:fill_kernel",
    "restatements": "journeyflow.pipeline.restatements:fill",
    "statistics.pain_tests": "journeyflow.statistics.tests:fill_pain_tests",
    "statistics.promise_intervals": "journeyflow.statistics.proportions:fill_promise_intervals",
    "statistics.stage_sentiment": "journeyflow.statistics.sentiment:fill_stage_sentiment",
    "statistics.stage_intervals": "journeyflow.statistics.proportions:fill_stage_intervals",
    "statistics.step_intervals": "journeyflow.statistics.proportions:fill_step_intervals",
    "statistics.step_survival": "journeyflow.statistics.survival:fill_step_survival",
    "statistics.touchpoint_tests": "journeyflow.statistics.tests:fill_touchpoint_tests",
    "statistics.text_scores": "journeyflow.statistics.text:fill_text_scores",
}
"""`python_model` → ``module:function`` of type ``(Engine, Config) -> None``. Imported when a night needs it."""

COMPILED: dict[str, str] = {
    "compiled.staging_events": "journeyflow.compile.staging_events:staging_events",
    "compiled.event_type_predicates": "journeyflow.compile.staging_events:event_type_predicates",
    "compiled.personas": "journeyflow.compile.personas:personas",
    "compiled.survey_answers": "journeyflow.compile.staging_events:survey_answers",
}
"""`python_model` → ``module:function`` of type ``(Config) -> str``, the SELECT that the configuration compiles to."""


def python_model(name: str, relation: str) -> PythonModel:
    """Return the function that fills `relation`.

    Parameters
    ----------
    name : str
        What the side file says under `python_model`.
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
    if name in FUNCTIONS:
        fill: PythonModel = _imported(FUNCTIONS[name])
        return fill
    known = ", ".join(sorted({*FUNCTIONS, *COMPILED}))
    raise ModelError(f"{relation} is python_model {name}, which is not registered in relations.py; there are {known}.")


def is_registered(name: str) -> bool:
    """Tell whether `python_model: name` can be carried out, the relations that loading makes included."""
    return name in FUNCTIONS or name in COMPILED or name in ("load", "config")


def _imported(target: str) -> Any:  # noqa: ANN401 - the caller says what it is
    module, function = target.split(":")
    return getattr(import_module(module), function)
