"""Section `models`: stages and their rules, the built-in models, and the vocabulary of event names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import Label, Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import ConditionField
from journeyflow.utils.yaml import read_yaml

BUILTIN_MODELS = ("four_stage", "value_journey")
Ordinal = Annotated[StrictInt, Field(ge=1)]


class After(Section):
    """Condition on history: an earlier event of the same person."""

    event: Text
    """Name of the earlier event."""
    within: PositiveDuration
    """Longest time since that event."""


class Nth(Section):
    """Condition on history: the ordinal of the event among the person's events that satisfy `when`."""

    at_least: Ordinal | None = None
    """This ordinal or a higher one."""
    is_: Ordinal | None = Field(default=None, alias="is")
    """Exactly this ordinal."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.is_ is None):
            raise PydanticCustomError("nth", "needs exactly one bound", {"allowed": "one of at_least, is"})
        return self


class Rule(Section):
    """A rule that assigns events to a stage."""

    id: Name
    """Name of the rule, unique in the model; shown in the table `event_kinds` and by `journeyflow explain`."""
    when: ConditionField
    """Events that the rule assigns."""
    after: After | None = None
    """Only after an earlier event of the same person."""
    nth: Nth | None = None
    """Only the person's n-th such event."""

    @property
    def has_history(self) -> bool:
        """Whether the rule depends on earlier events of the person."""
        return self.after is not None or self.nth is not None

    @property
    def is_repeat(self) -> bool:
        """Whether the rule asks for the second such event of a person, or a later one."""
        return self.nth is not None and (self.nth.at_least or self.nth.is_ or 1) > 1


class Stage(Section):
    """A stage of a model."""

    name: Name
    """Name of the stage, unique in the model."""
    label: Label | None = None
    """What people read in place of the name, on the page and in headlines. Tables keep the name."""
    owner: Text | None = None
    """The team or person responsible. Default: that of `map.owners`."""
    rules: tuple[Rule, ...] = ()
    """Rules that assign events to the stage. Over all stages, those with `after` or `nth` are tried first; the first
    match wins.
    """


def _builtin(raw: object) -> object:
    return {"builtin": True} if raw == "builtin" else raw


class ModelSection(Section):
    """A journey model: a built-in one, or user-defined stages that may extend another model."""

    builtin: bool = False
    """Written as `four_stage: builtin`."""
    extends: Name | None = None
    """A model whose stages and rules are inherited; the rules written here are tried first."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=50)] | None = None
    """Stages in the order of the journey."""

    @model_validator(mode="after")
    def _stages_or_builtin(self) -> Self:
        if self.builtin == (self.stages is not None) or (self.builtin and self.extends):
            raise PydanticCustomError(
                "model", "is not a model", {"allowed": "builtin, or a mapping with stages and optionally extends"}
            )
        return self


ModelField = Annotated[ModelSection, BeforeValidator(_builtin)]


@dataclass(frozen=True)
class PlacedRule:
    """A rule of a resolved model; `rule_index` is its 1-based position in the order of matching."""

    rule_id: str
    rule_index: int
    stage: str
    stage_index: int
    rule: Rule


@dataclass(frozen=True)
class JourneyModel:
    """A resolved model with everything it inherits; `model_index` is 1-based, in the order of the configuration.

    Stages are in the order of the journey, and their `rules` are empty. All rules are in `rules`, in the order of
    matching: the first match wins.
    """

    model: str
    model_index: int
    stages: tuple[Stage, ...]
    rules: tuple[PlacedRule, ...]

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages in the order of the journey."""
        return tuple(stage.name for stage in self.stages)


def resolve_models(sections: Mapping[str, ModelSection]) -> tuple[JourneyModel, ...]:
    """Resolve `builtin` and `extends` of every model; `validation` reports unknown and circular references."""
    return tuple(_resolved(name, index, sections) for index, name in enumerate(sections, start=1))


def builtin_model(name: str) -> JourneyModel:
    """Return the built-in model `name` as if it were the only one."""
    return _resolved(name, 1, {name: ModelSection(builtin=True)})


def _resolved(name: str, index: int, sections: Mapping[str, ModelSection]) -> JourneyModel:
    layers = _layers(name, sections)
    stages: dict[str, Stage] = {}
    for layer in reversed(layers):
        for stage in layer:
            inherited = stages.get(stage.name)
            owner = stage.owner or (inherited.owner if inherited else None)
            label = stage.label or (inherited.label if inherited else None)
            stages[stage.name] = Stage(name=stage.name, label=label, owner=owner)
    names = list(stages)
    ordered = [placed for layer in layers for placed in _in_matching_order(layer)]
    rules = tuple(
        PlacedRule(rule.id, rule_index, stage, names.index(stage) + 1, rule)
        for rule_index, (stage, rule) in enumerate(ordered, start=1)
    )
    return JourneyModel(name, index, tuple(stages.values()), rules)


def _layers(name: str, sections: Mapping[str, ModelSection]) -> list[tuple[Stage, ...]]:
    """Return the stages of a model, then those of each model it extends."""
    layers: list[tuple[Stage, ...]] = []
    seen: set[str] = set()
    current: str | None = name
    while current is not None and current not in seen:
        seen.add(current)
        section = sections.get(current)
        if section is None or section.builtin:
            return [*layers, builtin_stages(current)] if current in BUILTIN_MODELS else layers
        layers.append(section.stages or ())
        current = section.extends
    return layers


def _in_matching_order(layer: tuple[Stage, ...]) -> list[tuple[str, Rule]]:
    """Return stage and rule pairs of a layer; a rule with history narrows one without, so it comes first."""
    pairs = [(stage.name, rule) for stage in layer for rule in stage.rules]
    return sorted(pairs, key=lambda pair: not pair[1].has_history)


@cache
def builtin_stages(name: str) -> tuple[Stage, ...]:
    """Return the stages of the built-in model `name` with their rules."""
    data = (files("journeyflow.config") / "builtin" / f"{name}.yml").read_bytes()
    return ModelSection.model_validate(read_yaml(data).content).stages or ()


@dataclass(frozen=True)
class Word:
    """An event name of the vocabulary, and its meaning in one sentence.

    Words that may occur anywhere in a journey are not staged: the built-in models leave them unclassified. Passive
    words reach a person without an act of theirs.
    """

    event: str
    meaning: str
    is_staged: bool
    is_passive: bool


@cache
def vocabulary() -> tuple[Word, ...]:
    """Return every event name of the vocabulary, in the order of a journey."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "vocabulary.yml").read_bytes()).content
    return tuple(
        Word(event, meaning, is_staged=group == "staged", is_passive=event in content["passive"])
        for group in ("staged", "anywhere")
        for event, meaning in content[group].items()
    )


@cache
def referrers() -> tuple[tuple[str, str], ...]:
    """Return the known sites that visits come from, each with its marketing channel."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "referrers.yml").read_bytes()).content
    return tuple((site, channel) for channel, sites in content.items() for site in sites)
