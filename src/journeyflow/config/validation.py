"""Cross-field validation: one small function and one code a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from journeyflow.config.conditions import Condition, leaves
from journeyflow.config.config import Config
from journeyflow.config.funnels import Funnel
from journeyflow.config.journey_models import BUILTIN_MODELS
from journeyflow.config.personas import RESERVED_PERSONAS
from journeyflow.config.problems import Loc


@dataclass(frozen=True)
class Violation:
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


Rule = Callable[[Config], Iterator[Violation]]


RESERVED_STAGES = ("unclassified", "exit", "open", "all")
MOST_STAGES = 63
"""Paths are kept as six bits a visit."""


def _builtin_known(config: Config) -> Iterator[Violation]:
    for name, section in config.models.items():
        if section.builtin and name not in BUILTIN_MODELS:
            yield Violation("unknown_builtin", ("models", name), "is not built in", name, BUILTIN_MODELS)


def _builtin_not_redefined(config: Config) -> Iterator[Violation]:
    for name, section in config.models.items():
        if not section.builtin and name in BUILTIN_MODELS:
            expected = f"another name, with extends: {name} to build on it"
            yield Violation(
                "builtin_redefined", ("models", name), "is the name of a built-in model", name, expected=expected
            )


def _extends_known(config: Config) -> Iterator[Violation]:
    known = tuple(dict.fromkeys((*config.models, *BUILTIN_MODELS)))
    for name, section in config.models.items():
        if section.extends is not None and section.extends not in known:
            loc = ("models", name, "extends")
            yield Violation("unknown_model", loc, "is not a model", section.extends, known, looked_in=("models",))


def _extends_not_circular(config: Config) -> Iterator[Violation]:
    for name, section in config.models.items():
        seen, current = {name}, section.extends
        while current is not None and current in config.models and current not in seen:
            seen.add(current)
            current = config.models[current].extends
        if current == name:
            yield Violation(
                "circular_model", ("models", name, "extends"), "leads back to the model itself", section.extends
            )


def _stages_distinct(config: Config) -> Iterator[Violation]:
    for name, section in config.models.items():
        seen: set[str] = set()
        for index, stage in enumerate(section.stages or ()):
            loc = ("models", name, "stages", index, "name")
            if stage.name in seen:
                yield Violation("duplicate_stage", loc, "is another stage's name too", stage.name)
            if stage.name in RESERVED_STAGES:
                yield Violation("reserved_stage", loc, "is a reserved name", stage.name, expected="any other name")
            seen.add(stage.name)


def _stages_fit(config: Config) -> Iterator[Violation]:
    for model in config.journey_models:
        if (count := len(model.stages)) > MOST_STAGES:
            message = f"has {count} stages, inherited ones included"
            yield Violation("too_many_stages", ("models", model.model), message, expected=f"{MOST_STAGES} at most")


def _rule_ids_distinct(config: Config) -> Iterator[Violation]:
    for model in config.journey_models:
        repeated = {
            rule_id for rule_id, count in Counter(placed.rule_id for placed in model.rules).items() if count > 1
        }
        for stage_index, stage in enumerate(config.models[model.model].stages or ()):
            for index, rule in enumerate(stage.rules):
                if rule.id in repeated:
                    loc = ("models", model.model, "stages", stage_index, "rules", index, "id")
                    yield Violation(
                        "duplicate_rule", loc, "is another rule's id too, perhaps an inherited one", rule.id
                    )


def _stages_have_rules(config: Config) -> Iterator[Violation]:
    for model in config.journey_models:
        ruled = {placed.stage for placed in model.rules}
        for index, stage in enumerate(config.models[model.model].stages or ()):
            if stage.name not in ruled:
                loc = ("models", model.model, "stages", index)
                yield Violation(
                    "stage_without_rules", loc, "has no rule, so no event is ever in it", stage.name, severity="warning"
                )


MODEL_RULES: tuple[Rule, ...] = (
    _builtin_known,
    _builtin_not_redefined,
    _extends_known,
    _extends_not_circular,
    _stages_distinct,
    _stages_fit,
    _rule_ids_distinct,
    _stages_have_rules,
)


UNCLASSIFIED = "unclassified"


def _name_not_a_model(config: Config) -> Iterator[Violation]:
    for name in config.funnels:
        if name in config.models:
            message = "is the name of a model, whose stage funnel has it already"
            yield Violation("funnel_named_as_model", ("funnels", name), message, name, expected="another name")


def _model_known(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        if funnel.model is not None and funnel.model not in config.models:
            loc = ("funnels", name, "model")
            yield Violation(
                "unknown_model", loc, "is not a model", funnel.model, tuple(config.models), looked_in=("models",)
            )


def _goal_known(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        if funnel.goal is not None and funnel.goal not in config.goals:
            loc = ("funnels", name, "goal")
            yield Violation(
                "unknown_goal", loc, "is not a goal", funnel.goal, tuple(config.goals), looked_in=("goals",)
            )


def _steps_distinct(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        for index, step in enumerate(funnel.steps):
            if step.name in funnel.step_names[:index]:
                yield Violation(
                    "duplicate_step", ("funnels", name, "steps", index, "name"), "is another step's name too", step.name
                )


def _exclusions_between_steps(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        for index, exclusion in enumerate(funnel.exclusions):
            loc: Loc = ("funnels", name, "exclusions", index, "between")
            unknown = [step for step in exclusion.between if step not in funnel.step_names]
            for step in unknown:
                yield Violation(
                    "unknown_step", (*loc, exclusion.between.index(step)), "is not a step", step, funnel.step_names
                )
            first, last = (
                funnel.step_names.index(step) if step in funnel.step_names else -1 for step in exclusion.between
            )
            if not unknown and first >= last:
                yield Violation(
                    "exclusion_order", loc, "does not go forward", expected="[an earlier step, a later step]"
                )


def _any_order_is_plain(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        if funnel.order != "any_order":
            continue
        message = "has no meaning in any order"
        for index, step in enumerate(funnel.steps):
            if step.within is not None:
                loc = ("funnels", name, "steps", index, "within")
                yield Violation("any_order_within", loc, message, expected="order: ordered or strict, or no within")
        if funnel.exclusions:
            yield Violation(
                "any_order_exclusions",
                ("funnels", name, "exclusions"),
                message,
                expected="order: ordered or strict, or no exclusions",
            )


def _grace_only_ordered(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        loc = ("funnels", name, "grace")
        if funnel.grace > timedelta(0) and funnel.order != "ordered":
            yield Violation(
                "grace_order", loc, f"has no meaning with order: {funnel.order}", expected="order: ordered, or no grace"
            )
        if funnel.grace > funnel.window:
            yield Violation("grace_window", loc, "is longer than the window", expected="at most the window")


def _first_step_has_no_within(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        if funnel.steps[0].within is not None:
            loc = ("funnels", name, "steps", 0, "within")
            yield Violation("first_within", loc, "has no step before it", expected="within from the second step on")


def _entered_goes_forward(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        entered = funnel.entered
        if entered.from_ and entered.to and entered.from_ > entered.to:
            yield Violation(
                "entered_order", ("funnels", name, "entered"), "ends before it begins", expected="from at most to"
            )


def _stages_known(config: Config) -> Iterator[Violation]:
    for name, funnel in config.funnels.items():
        for loc, condition in _conditions(funnel):
            yield from _stage_findings(config, funnel, ("funnels", name, *loc), condition)


def _conditions(funnel: Funnel) -> Iterator[tuple[Loc, Condition]]:
    for index, step in enumerate(funnel.steps):
        yield ("steps", index, "when"), step.when
    for index, exclusion in enumerate(funnel.exclusions):
        yield ("exclusions", index, "when"), exclusion.when


def _stage_findings(config: Config, funnel: Funnel, loc: Loc, condition: Condition) -> Iterator[Violation]:
    wanted = [
        str(value)
        for leaf in leaves(condition)
        if leaf.field == "stage"
        for value in _names(leaf.operator, leaf.values)
    ]
    reads = any(leaf.field == "stage" for leaf in leaves(condition))
    if reads and funnel.model is None:
        yield Violation(
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
            yield Violation(
                "unknown_stage", loc, "is not a stage of the funnel's model", stage, known, looked_in=("models",)
            )


def _names(operator: str, values: tuple[object, ...]) -> tuple[object, ...]:
    return values if operator in ("in", "not_in") else ()


FUNNEL_RULES: tuple[Rule, ...] = (
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


def _persona_names(config: Config) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, persona in enumerate(config.personas):
        loc: Loc = ("personas", index, "name")
        if persona.name in RESERVED_PERSONAS:
            yield Violation("reserved_persona", loc, "is a reserved name", persona.name, expected="any other name")
        if persona.name in seen:
            yield Violation("duplicate_persona", loc, "is another persona's name too", persona.name)
        seen.add(persona.name)


def _outcomes_as_of_now(config: Config) -> Iterator[Violation]:
    for index, persona in enumerate(config.personas):
        if not persona.is_outcome_based:
            continue
        if persona.as_of != "now":
            message = (
                "reads an outcome (count, session_count, days_since_last), which is not known when a journey begins"
            )
            yield Violation(
                "outcome_needs_now", ("personas", index, "when"), message, persona.name, expected="as_of: now"
            )
        else:
            message = "reads an outcome, so that its own funnels are partly true by definition; its figures are marked"
            yield Violation("outcome_based", ("personas", index), message, persona.name, severity="warning")


def _traits_known(config: Config) -> Iterator[Violation]:
    known = tuple(dict.fromkeys(trait for people in config.people for trait in people.traits))
    for index, persona in enumerate(config.personas):
        for trait in persona.traits:
            if trait not in known:
                loc = ("personas", index, "when")
                expected = "a trait of people:, of which there is none"
                yield Violation("unknown_trait", loc, "is not a trait", trait, known, expected, looked_in=("people",))


def _traits_dated(config: Config) -> Iterator[Violation]:
    undated = {trait for people in config.people if people.valid_from is None for trait in people.traits}
    for index, persona in enumerate(config.personas):
        read = [trait for trait in persona.traits if trait in undated]
        if read:
            message = (
                f"reads {', '.join(read)}, whose file has no valid_from: values of today, not of the journey; marked so"
            )
            yield Violation("trait_undated", ("personas", index), message, persona.name, severity="warning")


def _promises_known(config: Config) -> Iterator[Violation]:
    stages = _all_stages(config)
    for index, promise in enumerate(config.promises):
        loc: Loc = ("promises", index)
        if promise.stage not in stages:
            yield Violation(
                "unknown_stage",
                (*loc, "stage"),
                "is not a stage of any model",
                promise.stage,
                stages,
                looked_in=("models",),
            )
        if promise.measure is not None and promise.measure not in config.surveys:
            surveys = tuple(config.surveys)
            yield Violation(
                "unknown_survey", (*loc, "measure"), "is not a survey", promise.measure, surveys, looked_in=("surveys",)
            )


def _names_distinct(config: Config) -> Iterator[Violation]:
    for section in ("promises", "friction"):
        seen: set[str] = set()
        for index, each in enumerate(getattr(config, section)):
            if each.name in seen:
                yield Violation(
                    f"duplicate_{section}", (section, index, "name"), "is the name of another one too", each.name
                )
            seen.add(each.name)


def _map_known(config: Config) -> Iterator[Violation]:
    stages = _all_stages(config)
    personas = tuple(persona.name for persona in config.personas) + RESERVED_PERSONAS
    for persona in config.map.personas:
        if persona not in personas:
            yield Violation(
                "unknown_persona",
                ("map", "personas", persona),
                "is not a persona",
                persona,
                personas,
                looked_in=("personas",),
            )
    for loc, stage in _map_stages(config):
        if stage not in stages:
            yield Violation("unknown_stage", loc, "is not a stage of any model", stage, stages, looked_in=("models",))


def _map_stages(config: Config) -> Iterator[tuple[Loc, str]]:
    yield from ((("map", "owners", stage), stage) for stage in config.map.owners)
    for persona, supplied in config.map.personas.items():
        for row in ("goals", "needs", "quotes", "desired"):
            yield from ((("map", "personas", persona, row, stage), stage) for stage in getattr(supplied, row))


def _all_stages(config: Config) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage for model in config.journey_models for stage in model.stage_names))


PERSONA_RULES: tuple[Rule, ...] = (
    _persona_names,
    _outcomes_as_of_now,
    _traits_known,
    _traits_dated,
    _promises_known,
    _names_distinct,
    _map_known,
)
