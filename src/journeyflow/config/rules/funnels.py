"""Rules on funnels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from journeyflow.config.conditions import Condition, leaves
from journeyflow.config.funnels import Funnel
from journeyflow.config.problems import Loc
from journeyflow.config.root import Config
from journeyflow.config.rules.finding import Finding, Rule

UNCLASSIFIED = "unclassified"


def _name_not_a_model(config: Config) -> Iterator[Finding]:
    for name in config.funnels:
        if name in config.models:
            message = "is the name of a model, whose stage funnel has it already"
            yield Finding("funnel_named_as_model", ("funnels", name), message, name, expected="another name")


def _model_known(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        if funnel.model is not None and funnel.model not in config.models:
            loc = ("funnels", name, "model")
            yield Finding(
                "unknown_model", loc, "is not a model", funnel.model, tuple(config.models), looked_in=("models",)
            )


def _goal_known(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        if funnel.goal is not None and funnel.goal not in config.goals:
            loc = ("funnels", name, "goal")
            yield Finding("unknown_goal", loc, "is not a goal", funnel.goal, tuple(config.goals), looked_in=("goals",))


def _steps_distinct(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        for index, step in enumerate(funnel.steps):
            if step.name in funnel.step_names[:index]:
                yield Finding(
                    "duplicate_step", ("funnels", name, "steps", index, "name"), "is another step's name too", step.name
                )


def _exclusions_between_steps(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        for index, exclusion in enumerate(funnel.exclusions):
            loc: Loc = ("funnels", name, "exclusions", index, "between")
            unknown = [step for step in exclusion.between if step not in funnel.step_names]
            for step in unknown:
                yield Finding(
                    "unknown_step", (*loc, exclusion.between.index(step)), "is not a step", step, funnel.step_names
                )
            first, last = (
                funnel.step_names.index(step) if step in funnel.step_names else -1 for step in exclusion.between
            )
            if not unknown and first >= last:
                yield Finding("exclusion_order", loc, "does not go forward", expected="[an earlier step, a later step]")


def _any_order_is_plain(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        if funnel.order != "any_order":
            continue
        message = "has no meaning in any order"
        for index, step in enumerate(funnel.steps):
            if step.within is not None:
                loc = ("funnels", name, "steps", index, "within")
                yield Finding("any_order_within", loc, message, expected="order: ordered or strict, or no within")
        if funnel.exclusions:
            yield Finding(
                "any_order_exclusions",
                ("funnels", name, "exclusions"),
                message,
                expected="order: ordered or strict, or no exclusions",
            )


def _grace_only_ordered(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        loc = ("funnels", name, "grace")
        if funnel.grace > timedelta(0) and funnel.order != "ordered":
            yield Finding(
                "grace_order", loc, f"has no meaning with order: {funnel.order}", expected="order: ordered, or no grace"
            )
        if funnel.grace > funnel.window:
            yield Finding("grace_window", loc, "is longer than the window", expected="at most the window")


def _first_step_has_no_within(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        if funnel.steps[0].within is not None:
            loc = ("funnels", name, "steps", 0, "within")
            yield Finding("first_within", loc, "has no step before it", expected="within from the second step on")


def _entered_goes_forward(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        entered = funnel.entered
        if entered.from_ and entered.to and entered.from_ > entered.to:
            yield Finding(
                "entered_order", ("funnels", name, "entered"), "ends before it begins", expected="from at most to"
            )


def _stages_known(config: Config) -> Iterator[Finding]:
    for name, funnel in config.funnels.items():
        for loc, condition in _conditions(funnel):
            yield from _stage_findings(config, funnel, ("funnels", name, *loc), condition)


def _conditions(funnel: Funnel) -> Iterator[tuple[Loc, Condition]]:
    for index, step in enumerate(funnel.steps):
        yield ("steps", index, "when"), step.when
    for index, exclusion in enumerate(funnel.exclusions):
        yield ("exclusions", index, "when"), exclusion.when


def _stage_findings(config: Config, funnel: Funnel, loc: Loc, condition: Condition) -> Iterator[Finding]:
    wanted = [
        str(value)
        for leaf in leaves(condition)
        if leaf.field == "stage"
        for value in _names(leaf.operator, leaf.values)
    ]
    reads = any(leaf.field == "stage" for leaf in leaves(condition))
    if reads and funnel.model is None:
        yield Finding(
            "stage_without_model",
            loc,
            "reads stage in a funnel without a model",
            expected="model: <model> beside steps",
        )
        return
    if funnel.model not in config.models:
        return
    known = (*config.journey_model(funnel.model).stage_names, UNCLASSIFIED)
    for stage in wanted:
        if stage not in known:
            yield Finding(
                "unknown_stage", loc, "is not a stage of the funnel's model", stage, known, looked_in=("models",)
            )


def _names(operator: str, values: tuple[object, ...]) -> tuple[object, ...]:
    return values if operator in ("in", "not_in") else ()


RULES: tuple[Rule, ...] = (
    _name_not_a_model,
    _model_known,
    _goal_known,
    _steps_distinct,
    _exclusions_between_steps,
    _any_order_is_plain,
    _grace_only_ordered,
    _first_step_has_no_within,
    _entered_goes_forward,
    _stages_known,
)
