"""Validation rules between sections of a configuration: one function per rule, one code per kind of violation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

from journeyflow.config.base import Violation
from journeyflow.config.conditions import Condition, leaves
from journeyflow.config.config import RESERVED_PERSONAS, UNASSIGNED, Config
from journeyflow.config.models_and_funnels import BUILTIN_MODELS, Funnel
from journeyflow.config.source_validation import source_violations
from journeyflow.utils.files import Loc

UNCLASSIFIED = "unclassified"
RESERVED_STAGES = (UNCLASSIFIED, "exit", "open", "all")
MOST_STAGES = 63
"""A visit takes six bits of an encoded path."""


def violations(config: Config) -> list[Violation]:
    """Return the violations of every rule."""
    found = list(source_violations(config))
    for rule in _MODEL_RULES:
        found += rule(config)
    for name, funnel in config.funnels.items():
        for funnel_rule in _FUNNEL_RULES:
            found += funnel_rule(config, name, funnel)
    for rule in _PERSONA_AND_MAP_RULES:
        found += rule(config)
    return found


def _unknown(kind: str, loc: Loc, value: str, known: Iterable[str], section: str) -> Violation:
    return Violation(f"unknown_{kind}", loc, f"is not a {kind}", value, tuple(known), looked_in=(section,))


def _unknown_stage(loc: Loc, value: str, known: Iterable[str], owner: str) -> Violation:
    message = f"is not a stage of {owner}"
    return Violation("unknown_stage", loc, message, value, tuple(known), looked_in=("models",))


def _repeated(names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield index and name of each name that an earlier item has."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield index, name
        seen.add(name)


def _engine(config: Config) -> Iterator[Violation]:
    if config.engine == "spark" and config.spark is None:
        expected = "a section `spark` with `address` and `folder`"
        yield Violation("missing_server", ("engine",), "needs a server", "spark", expected=expected)


def _builtin_models(config: Config) -> Iterator[Violation]:
    for name, section in config.models.items():
        loc = ("models", name)
        if section.builtin and name not in BUILTIN_MODELS:
            yield Violation("unknown_builtin", loc, "is not a built-in model", name, BUILTIN_MODELS)
        if not section.builtin and name in BUILTIN_MODELS:
            expected = f"another name, with extends: {name} to build on it"
            yield Violation("builtin_redefined", loc, "is the name of a built-in model", name, expected=expected)


def _extended_models(config: Config) -> Iterator[Violation]:
    known = tuple(dict.fromkeys((*config.models, *BUILTIN_MODELS)))
    for name, section in config.models.items():
        loc = ("models", name, "extends")
        if section.extends is not None and section.extends not in known:
            yield _unknown("model", loc, section.extends, known, "models")
        seen, current = {name}, section.extends
        while current is not None and current in config.models and current not in seen:
            seen.add(current)
            current = config.models[current].extends
        if current == name:
            yield Violation("circular_model", loc, "leads back to the model itself", section.extends)


def _stage_names(config: Config) -> Iterator[Violation]:
    for model, section in config.models.items():
        names = [stage.name for stage in section.stages or ()]
        loc: Loc = ("models", model, "stages")
        for index, name in _repeated(names):
            yield Violation("duplicate_stage", (*loc, index, "name"), "is the name of another stage", name)
        for index, name in enumerate(names):
            if name in RESERVED_STAGES:
                place, expected = (*loc, index, "name"), "any other name"
                yield Violation("reserved_stage", place, "is a reserved name", name, expected=expected)


def _stage_count(config: Config) -> Iterator[Violation]:
    for model in config.journey_models:
        if (count := len(model.stages)) > MOST_STAGES:
            message = f"has {count} stages, inherited ones included"
            yield Violation("too_many_stages", ("models", model.model), message, expected=f"{MOST_STAGES} at most")


def _rules_of_stages(config: Config) -> Iterator[Violation]:
    for model in config.journey_models:
        uses = Counter(placed.rule_id for placed in model.rules)
        stages_with_rules = {placed.stage for placed in model.rules}
        for stage_index, stage in enumerate(config.models[model.model].stages or ()):
            loc: Loc = ("models", model.model, "stages", stage_index)
            for index, rule in enumerate(stage.rules):
                if uses[rule.id] > 1:
                    message = "is the id of another rule, perhaps an inherited one"
                    yield Violation("duplicate_rule", (*loc, "rules", index, "id"), message, rule.id)
            if stage.name not in stages_with_rules:
                message = "has no rule, so no event is ever in it"
                yield Violation("stage_without_rules", loc, message, stage.name, severity="warning")


_MODEL_RULES: tuple[Callable[[Config], Iterator[Violation]], ...] = (
    _engine,
    _builtin_models,
    _extended_models,
    _stage_names,
    _stage_count,
    _rules_of_stages,
)


def _funnel_name(config: Config, name: str, _: Funnel) -> Iterator[Violation]:
    if name in config.models:
        message = "is the name of a journey model, and so of its stage funnel"
        yield Violation("funnel_named_as_model", ("funnels", name), message, name, expected="another name")


def _funnel_references(config: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    if funnel.model is not None and funnel.model not in config.models:
        yield _unknown("model", ("funnels", name, "model"), funnel.model, config.models, "models")
    if funnel.goal is not None and funnel.goal not in config.goals:
        yield _unknown("goal", ("funnels", name, "goal"), funnel.goal, config.goals, "goals")


def _step_names(_: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    for index, step in _repeated(funnel.step_names):
        loc = ("funnels", name, "steps", index, "name")
        yield Violation("duplicate_step", loc, "is the name of another step", step)


def _exclusion_steps(_: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    steps = funnel.step_names
    for index, exclusion in enumerate(funnel.exclusions):
        loc: Loc = ("funnels", name, "exclusions", index, "between")
        unknown = [place for place, step in enumerate(exclusion.between) if step not in steps]
        for place in unknown:
            yield Violation("unknown_step", (*loc, place), "is not a step", exclusion.between[place], steps)
        first, last = exclusion.between
        if not unknown and steps.index(first) >= steps.index(last):
            expected = "[an earlier step, a later step]"
            yield Violation("exclusion_order", loc, "does not go forward", expected=expected)


def _any_order_settings(_: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    if funnel.order != "any_order":
        return
    loc: Loc = ("funnels", name)
    message, expected = "has no meaning in any order", "order: ordered or strict, or no"
    for index, step in enumerate(funnel.steps):
        if step.within is not None:
            place = (*loc, "steps", index, "within")
            yield Violation("any_order_within", place, message, expected=f"{expected} within")
    if funnel.exclusions:
        yield Violation("any_order_exclusions", (*loc, "exclusions"), message, expected=f"{expected} exclusions")


def _grace(_: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    loc = ("funnels", name, "grace")
    if funnel.grace > timedelta(0) and funnel.order != "ordered":
        message = f"has no meaning with order: {funnel.order}"
        yield Violation("grace_order", loc, message, expected="order: ordered, or no grace")
    if funnel.grace > funnel.window:
        yield Violation("grace_window", loc, "is longer than the window", expected="at most the window")


def _within_of_first_step(_: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    if funnel.steps[0].within is not None:
        loc = ("funnels", name, "steps", 0, "within")
        yield Violation("first_within", loc, "has no step before it", expected="within from the second step on")


def _entry_days(_: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    entered = funnel.entered
    if entered.from_ and entered.to and entered.from_ > entered.to:
        loc = ("funnels", name, "entered")
        yield Violation("entered_order", loc, "ends before it begins", expected="from at most to")


def _stages_of_conditions(config: Config, name: str, funnel: Funnel) -> Iterator[Violation]:
    for place, condition in _conditions(funnel):
        loc: Loc = ("funnels", name, *place)
        read = [leaf for leaf in leaves(condition) if leaf.field == "stage"]
        if read and funnel.model is None:
            message = "reads stage in a funnel without a model"
            yield Violation("stage_without_model", loc, message, expected="model: <model> beside steps")
        elif funnel.model in config.models:
            known = (*config.journey_model(funnel.model).stage_names, UNCLASSIFIED)
            named = [str(value) for leaf in read if leaf.operator in ("in", "not_in") for value in leaf.values]
            for stage in named:
                if stage not in known:
                    yield _unknown_stage(loc, stage, known, "the funnel's model")


def _conditions(funnel: Funnel) -> Iterator[tuple[Loc, Condition]]:
    for index, step in enumerate(funnel.steps):
        yield ("steps", index, "when"), step.when
    for index, exclusion in enumerate(funnel.exclusions):
        yield ("exclusions", index, "when"), exclusion.when


_FUNNEL_RULES: tuple[Callable[[Config, str, Funnel], Iterator[Violation]], ...] = (
    _funnel_name,
    _funnel_references,
    _step_names,
    _exclusion_steps,
    _any_order_settings,
    _grace,
    _within_of_first_step,
    _entry_days,
    _stages_of_conditions,
)


def _persona_names(config: Config) -> Iterator[Violation]:
    names = [persona.name for persona in config.personas]
    for index, name in enumerate(names):
        if name in RESERVED_PERSONAS:
            loc, expected = ("personas", index, "name"), "any other name"
            yield Violation("reserved_persona", loc, "is a reserved name", name, expected=expected)
    for index, name in _repeated(names):
        yield Violation("duplicate_persona", ("personas", index, "name"), "is the name of another persona", name)


def _outcome_based_personas(config: Config) -> Iterator[Violation]:
    for index, persona in enumerate(config.personas):
        loc: Loc = ("personas", index)
        if persona.is_outcome_based and persona.as_of != "now":
            message = "reads an outcome (count, session_count, days_since_last), which is unknown when a journey begins"
            yield Violation("outcome_needs_now", (*loc, "when"), message, persona.name, expected="as_of: now")
        elif persona.is_outcome_based:
            message = "reads an outcome, so that its funnels are partly true by definition; its figures are flagged"
            yield Violation("outcome_based", loc, message, persona.name, severity="warning")


def _persona_traits(config: Config) -> Iterator[Violation]:
    known = tuple(dict.fromkeys(trait for people in config.people for trait in people.traits))
    undated = {trait for people in config.people if people.valid_from is None for trait in people.traits}
    for index, persona in enumerate(config.personas):
        loc: Loc = ("personas", index)
        for trait in persona.traits:
            if trait not in known:
                message, expected = "is not a trait", "a trait of people:, which has none"
                place = (*loc, "when")
                yield Violation("unknown_trait", place, message, trait, known, expected, looked_in=("people",))
        read = [trait for trait in persona.traits if trait in undated]
        if read:
            message = (
                f"reads {', '.join(read)}, whose file has no valid_from: current values, not those of the journey; "
                "its figures are flagged"
            )
            yield Violation("trait_undated", loc, message, persona.name, severity="warning")


def _promise_references(config: Config) -> Iterator[Violation]:
    stages = _all_stages(config)
    for index, promise in enumerate(config.promises):
        if promise.stage not in stages:
            yield _unknown_stage(("promises", index, "stage"), promise.stage, stages, "any model")
        if promise.measure is not None and promise.measure not in config.surveys:
            yield _unknown("survey", ("promises", index, "measure"), promise.measure, config.surveys, "surveys")


def _attributed_goal(config: Config) -> Iterator[Violation]:
    goal = config.attribution.goal
    if goal is not None and goal not in config.goals:
        yield _unknown("goal", ("attribution", "goal"), goal, config.goals, "goals")


def _promise_and_friction_names(config: Config) -> Iterator[Violation]:
    for section, items in (("promises", config.promises), ("friction", config.friction)):
        for index, name in _repeated(item.name for item in items):
            yield Violation(f"duplicate_{section}", (section, index, "name"), "is the name of another item", name)


def _actions(config: Config) -> Iterator[Violation]:
    for index, name in _repeated(action.name for action in config.actions):
        yield Violation("duplicate_action", ("actions", index, "name"), "is the name of another action", name)
    personas = (*(persona.name for persona in config.personas), UNASSIGNED)
    steps = {model.model: model.stage_names for model in config.journey_models}
    steps |= {name: funnel.level_names for name, funnel in config.funnels.items()}
    for index, action in enumerate(config.actions):
        subject, loc = action.subject, ("actions", index, "subject")
        if subject.funnel not in steps:
            yield _unknown("funnel", (*loc, "funnel"), subject.funnel, steps, "funnels")
        elif subject.step not in steps[subject.funnel][1:]:
            message, known = "is not a later step of the funnel", tuple(steps[subject.funnel][1:])
            yield Violation("unknown_step", (*loc, "step"), message, subject.step, known, looked_in=("funnels",))
        if subject.persona is not None and subject.persona not in personas:
            yield _unknown("persona", (*loc, "persona"), subject.persona, personas, "personas")


def _cohort_goals(config: Config) -> Iterator[Violation]:
    named: list[tuple[Loc, str | Condition | None]] = [(("repeat",), config.cohorts.repeat)]
    for name, cohort in config.cohorts.starts.items():
        named += [
            (("starts", name, end), event) for end, event in (("start", cohort.start), ("return", cohort.return_))
        ]
    for place, goal in named:
        if isinstance(goal, str) and goal not in config.goals:
            yield _unknown("goal", ("cohorts", *place), goal, config.goals, "goals")


def _map_references(config: Config) -> Iterator[Violation]:
    personas = (*(persona.name for persona in config.personas), *RESERVED_PERSONAS)
    for persona in config.map.personas:
        if persona not in personas:
            yield _unknown("persona", ("map", "personas", persona), persona, personas, "personas")
    stages = _all_stages(config)
    for loc, stage in _map_stages(config):
        if stage not in stages:
            yield _unknown_stage(loc, stage, stages, "any model")


def _map_stages(config: Config) -> Iterator[tuple[Loc, str]]:
    yield from ((("map", "owners", stage), stage) for stage in config.map.owners)
    for persona, supplied in config.map.personas.items():
        for row in ("goals", "needs", "quotes", "desired"):
            yield from ((("map", "personas", persona, row, stage), stage) for stage in getattr(supplied, row))


def _all_stages(config: Config) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage for model in config.journey_models for stage in model.stage_names))


def _audience_names(config: Config) -> Iterator[Violation]:
    for index, name in _repeated(audience.name for audience in config.audiences):
        yield Violation("duplicate_audience", ("audiences", index, "name"), "is the name of another audience", name)


def _audience_traits(config: Config) -> Iterator[Violation]:
    known = tuple(dict.fromkeys(trait for people in config.people for trait in people.traits))
    expected = "a trait of people:, which has none"
    for index, audience in enumerate(config.audiences):
        fields: list[tuple[Loc, str | None]] = [(("consent",), audience.consent_trait), (("email",), audience.email)]
        fields += [(("columns", place), field) for place, field in enumerate(audience.columns)]
        for loc, field in fields:
            if field is not None and (trait := field.removeprefix("trait.")) not in known:
                place = ("audiences", index, *loc)
                yield Violation("unknown_trait", place, "is not a trait", trait, known, expected, looked_in=("people",))


def _referral_trait(config: Config) -> Iterator[Violation]:
    known = tuple(dict.fromkeys(trait for people in config.people for trait in people.traits))
    if config.referrals is not None and (trait := config.referrals.trait) is not None and trait not in known:
        loc, expected = ("referrals", "referred_by"), "a trait of people:, which has none"
        yield Violation("unknown_trait", loc, "is not a trait", trait, known, expected, looked_in=("people",))


def _audience_references(config: Config) -> Iterator[Violation]:
    personas = (*(persona.name for persona in config.personas), "unassigned")
    promises = tuple(promise.name for promise in config.promises if promise.within is not None)
    for index, audience in enumerate(config.audiences):
        loc: Loc = ("audiences", index, "who")
        who = audience.who
        if who.persona is not None and who.persona not in personas:
            yield _unknown("persona", (*loc, "persona"), who.persona, personas, "personas")
        if who.promise_due is not None and who.promise_due.promise not in promises:
            place = (*loc, "promise_due", "promise")
            message = "is not a promise with within"
            yield Violation(
                "unknown_promise", place, message, who.promise_due.promise, promises, looked_in=("promises",)
            )
        if who.stage is not None:
            yield from _audience_step(config, (*loc, "stage"), ("model", who.stage.model), ("stage", who.stage.stage))
        for key in ("dropped_at", "pending"):
            if (found := getattr(who, key)) is not None:
                yield from _audience_step(config, (*loc, key), ("funnel", found.funnel), ("step", found.step))


def _audience_step(config: Config, loc: Loc, named: tuple[str, str], at: tuple[str, str | None]) -> Iterator[Violation]:
    (kind, name), (level, step) = named, at
    models = {model.model: model.stage_names for model in config.journey_models}
    funnels = {funnel: each.level_names for funnel, each in config.funnels.items()} if kind == "funnel" else {}
    known = models | funnels
    if name not in known:
        yield _unknown(kind, (*loc, kind), name, known, "models" if kind == "model" else "funnels")
        return
    funnel = config.funnels.get(name) if kind == "funnel" else None
    if funnel is not None and (str(funnel.unit) != "person" or funnel.count == "attempts"):
        message, expected = "does not count persons", "a funnel with unit: person that counts each once"
        yield Violation("audience_unit", (*loc, kind), message, name, expected=expected)
    if step is not None and step not in known[name]:
        yield Violation(f"unknown_{level}", (*loc, level), f"is not a {level} of it", step, tuple(known[name]))
    elif kind == "funnel" and step is not None and step == known[name][-1]:
        message = "is the last step, from which nobody leaves"
        yield Violation("audience_last_step", (*loc, level), message, step, expected="an earlier step")


_PERSONA_AND_MAP_RULES: tuple[Callable[[Config], Iterator[Violation]], ...] = (
    _persona_names,
    _outcome_based_personas,
    _persona_traits,
    _promise_references,
    _attributed_goal,
    _promise_and_friction_names,
    _actions,
    _cohort_goals,
    _map_references,
    _audience_names,
    _audience_traits,
    _referral_trait,
    _audience_references,
)
