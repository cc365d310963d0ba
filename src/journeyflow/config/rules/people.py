"""Rules on personas, promises, friction and what people supply to the map."""

from __future__ import annotations

from collections.abc import Iterator

from journeyflow.config.personas import RESERVED_PERSONAS
from journeyflow.config.problems import Loc
from journeyflow.config.root import Config
from journeyflow.config.rules.finding import Finding, Rule


def _persona_names(config: Config) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, persona in enumerate(config.personas):
        loc: Loc = ("personas", index, "name")
        if persona.name in RESERVED_PERSONAS:
            yield Finding("reserved_persona", loc, "is a reserved name", persona.name, expected="any other name")
        if persona.name in seen:
            yield Finding("duplicate_persona", loc, "is another persona's name too", persona.name)
        seen.add(persona.name)


def _outcomes_as_of_now(config: Config) -> Iterator[Finding]:
    for index, persona in enumerate(config.personas):
        if not persona.is_outcome_based:
            continue
        if persona.as_of != "now":
            message = (
                "reads an outcome (count, session_count, days_since_last), which is not known when a journey begins"
            )
            yield Finding(
                "outcome_needs_now", ("personas", index, "when"), message, persona.name, expected="as_of: now"
            )
        else:
            message = "reads an outcome, so that its own funnels are partly true by definition; its figures are marked"
            yield Finding("outcome_based", ("personas", index), message, persona.name, severity="warning")


def _traits_known(config: Config) -> Iterator[Finding]:
    known = tuple(dict.fromkeys(trait for people in config.people for trait in people.traits))
    for index, persona in enumerate(config.personas):
        for trait in persona.traits:
            if trait not in known:
                loc = ("personas", index, "when")
                expected = "a trait of people:, of which there is none"
                yield Finding("unknown_trait", loc, "is not a trait", trait, known, expected, looked_in=("people",))


def _traits_dated(config: Config) -> Iterator[Finding]:
    undated = {trait for people in config.people if people.valid_from is None for trait in people.traits}
    for index, persona in enumerate(config.personas):
        read = [trait for trait in persona.traits if trait in undated]
        if read:
            message = (
                f"reads {', '.join(read)}, whose file has no valid_from: values of today, not of the journey; marked so"
            )
            yield Finding("trait_undated", ("personas", index), message, persona.name, severity="warning")


def _promises_known(config: Config) -> Iterator[Finding]:
    stages = _all_stages(config)
    for index, promise in enumerate(config.promises):
        loc: Loc = ("promises", index)
        if promise.stage not in stages:
            yield Finding(
                "unknown_stage",
                (*loc, "stage"),
                "is not a stage of any model",
                promise.stage,
                stages,
                looked_in=("models",),
            )
        if promise.measure is not None and promise.measure not in config.surveys:
            surveys = tuple(config.surveys)
            yield Finding(
                "unknown_survey", (*loc, "measure"), "is not a survey", promise.measure, surveys, looked_in=("surveys",)
            )


def _names_distinct(config: Config) -> Iterator[Finding]:
    for section in ("promises", "friction"):
        seen: set[str] = set()
        for index, each in enumerate(getattr(config, section)):
            if each.name in seen:
                yield Finding(
                    f"duplicate_{section}", (section, index, "name"), "is the name of another one too", each.name
                )
            seen.add(each.name)


def _map_known(config: Config) -> Iterator[Finding]:
    stages = _all_stages(config)
    personas = tuple(persona.name for persona in config.personas) + RESERVED_PERSONAS
    for persona in config.map.personas:
        if persona not in personas:
            yield Finding(
                "unknown_persona",
                ("map", "personas", persona),
                "is not a persona",
                persona,
                personas,
                looked_in=("personas",),
            )
    for loc, stage in _map_stages(config):
        if stage not in stages:
            yield Finding("unknown_stage", loc, "is not a stage of any model", stage, stages, looked_in=("models",))


def _map_stages(config: Config) -> Iterator[tuple[Loc, str]]:
    yield from ((("map", "owners", stage), stage) for stage in config.map.owners)
    for persona, supplied in config.map.personas.items():
        for row in ("goals", "needs", "quotes", "desired"):
            yield from ((("map", "personas", persona, row, stage), stage) for stage in getattr(supplied, row))


def _all_stages(config: Config) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage for model in config.journey_models for stage in model.stage_names))


RULES: tuple[Rule, ...] = (
    _persona_names,
    _outcomes_as_of_now,
    _traits_known,
    _traits_dated,
    _promises_known,
    _names_distinct,
    _map_known,
)
