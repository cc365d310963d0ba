"""Rules on journey models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from journeyflow.config.journey_models import BUILTIN_MODELS
from journeyflow.config.root import Config
from journeyflow.config.rules.finding import Finding, Rule

RESERVED_STAGES = ("unclassified", "exit", "open", "all")
MOST_STAGES = 63
"""Paths are kept as six bits a visit."""


def _builtin_known(config: Config) -> Iterator[Finding]:
    for name, section in config.models.items():
        if section.builtin and name not in BUILTIN_MODELS:
            yield Finding("unknown_builtin", ("models", name), "is not built in", name, BUILTIN_MODELS)


def _builtin_not_redefined(config: Config) -> Iterator[Finding]:
    for name, section in config.models.items():
        if not section.builtin and name in BUILTIN_MODELS:
            expected = f"another name, with extends: {name} to build on it"
            yield Finding(
                "builtin_redefined", ("models", name), "is the name of a built-in model", name, expected=expected
            )


def _extends_known(config: Config) -> Iterator[Finding]:
    known = tuple(dict.fromkeys((*config.models, *BUILTIN_MODELS)))
    for name, section in config.models.items():
        if section.extends is not None and section.extends not in known:
            loc = ("models", name, "extends")
            yield Finding("unknown_model", loc, "is not a model", section.extends, known, looked_in=("models",))


def _extends_not_circular(config: Config) -> Iterator[Finding]:
    for name, section in config.models.items():
        seen, current = {name}, section.extends
        while current is not None and current in config.models and current not in seen:
            seen.add(current)
            current = config.models[current].extends
        if current == name:
            yield Finding(
                "circular_model", ("models", name, "extends"), "leads back to the model itself", section.extends
            )


def _stages_distinct(config: Config) -> Iterator[Finding]:
    for name, section in config.models.items():
        seen: set[str] = set()
        for index, stage in enumerate(section.stages or ()):
            loc = ("models", name, "stages", index, "name")
            if stage.name in seen:
                yield Finding("duplicate_stage", loc, "is another stage's name too", stage.name)
            if stage.name in RESERVED_STAGES:
                yield Finding("reserved_stage", loc, "is a reserved name", stage.name, expected="any other name")
            seen.add(stage.name)


def _stages_fit(config: Config) -> Iterator[Finding]:
    for model in config.journey_models:
        if (count := len(model.stages)) > MOST_STAGES:
            message = f"has {count} stages, inherited ones included"
            yield Finding("too_many_stages", ("models", model.model), message, expected=f"{MOST_STAGES} at most")


def _rule_ids_distinct(config: Config) -> Iterator[Finding]:
    for model in config.journey_models:
        repeated = {
            rule_id for rule_id, count in Counter(placed.rule_id for placed in model.rules).items() if count > 1
        }
        for stage_index, stage in enumerate(config.models[model.model].stages or ()):
            for index, rule in enumerate(stage.rules):
                if rule.id in repeated:
                    loc = ("models", model.model, "stages", stage_index, "rules", index, "id")
                    yield Finding("duplicate_rule", loc, "is another rule's id too, perhaps an inherited one", rule.id)


def _stages_have_rules(config: Config) -> Iterator[Finding]:
    for model in config.journey_models:
        ruled = {placed.stage for placed in model.rules}
        for index, stage in enumerate(config.models[model.model].stages or ()):
            if stage.name not in ruled:
                loc = ("models", model.model, "stages", index)
                yield Finding(
                    "stage_without_rules", loc, "has no rule, so no event is ever in it", stage.name, severity="warning"
                )


RULES: tuple[Rule, ...] = (
    _builtin_known,
    _builtin_not_redefined,
    _extends_known,
    _extends_not_circular,
    _stages_distinct,
    _stages_fit,
    _rule_ids_distinct,
    _stages_have_rules,
)
