"""Section `models`: stages, rules, built-in models, and the vocabulary of event names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from journeyflow.config.base import Name, PositiveDuration, Section, Text
from journeyflow.config.conditions import ConditionField, leaves
from journeyflow.utils.yaml import read_yaml

BUILTIN_MODELS = ("four_stage", "value_journey")
Ordinal = Annotated[StrictInt, Field(ge=1)]


class After(Section):
    """History: an earlier event of the person, at most `within` ago."""

    event: Text
    """Name of the earlier event."""
    within: PositiveDuration
    """How long ago it may be at most."""


class Nth(Section):
    """History: which of the person's events that satisfy the rule's `when` this one is."""

    at_least: Ordinal | None = None
    """This one or a later one."""
    is_: Ordinal | None = Field(default=None, alias="is")
    """Exactly this one."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.is_ is None):
            raise PydanticCustomError("nth", "needs exactly one bound", {"allowed": "one of at_least, is"})
        return self


class Rule(Section):
    """A rule that puts events into a stage."""

    id: Name
    """Name of the rule, unique in the model; `event_kinds` and `explain` tell it."""
    when: ConditionField
    """Events that the rule takes."""
    after: After | None = None
    """Only with an earlier event of the same person."""
    nth: Nth | None = None
    """Only the person's n-th such event."""

    @property
    def has_history(self) -> bool:
        """Tell whether the rule must be judged event by event."""
        return self.after is not None or self.nth is not None


class Stage(Section):
    """A stage of a model."""

    name: Name
    """Name of the stage, unique in the model."""
    owner: Text | None = None
    """Who answers for it; else what `map.owners` says."""
    rules: tuple[Rule, ...] = ()
    """Rules that put events into it. Those with `after` or `nth` are tried first, then in order over all stages."""


def _builtin(raw: object) -> object:
    return {"builtin": True} if raw == "builtin" else raw


class ModelSection(Section):
    """A model as it is written: built in, or one's own stages, perhaps in front of those of another."""

    builtin: bool = False
    """Written as `four_stage: builtin`."""
    extends: Name | None = None
    """A model whose stages and rules come after these."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=50)] | None = None
    """Stages in the order of the journey."""

    @model_validator(mode="after")
    def _stages_or_builtin(self) -> Self:
        if self.builtin == (self.stages is not None) or (self.builtin and self.extends):
            raise PydanticCustomError(
                "model", "is not a model", {"allowed": "builtin, or a mapping with stages and perhaps extends"}
            )
        return self


ModelField = Annotated[ModelSection, BeforeValidator(_builtin)]


@dataclass(frozen=True)
class PlacedRule:
    """A rule in its place: `rule_index` is the order of matching, from 1."""

    rule_id: str
    rule_index: int
    stage: str
    stage_index: int
    rule: Rule


@dataclass(frozen=True)
class JourneyModel:
    """A model with everything it inherits.

    Parameters
    ----------
    model : str
    model_index : int
        From 1, in the order of the configuration.
    stages : tuple of Stage
        In the order of the journey; `stage_index` is the position from 1. Their rules are in `rules`.
    rules : tuple of PlacedRule
        In the order of matching; the first that matches wins.
    """

    model: str
    model_index: int
    stages: tuple[Stage, ...]
    rules: tuple[PlacedRule, ...]

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages in the order of the journey."""
        return tuple(stage.name for stage in self.stages)


@cache
def builtin_stages(name: str) -> tuple[Stage, ...]:
    """Return the stages of the built-in model `name`."""
    data = (files("journeyflow.config") / "builtin" / f"{name}.yml").read_bytes()
    return ModelSection.model_validate(read_yaml(data).content).stages or ()


def resolve_models(sections: Mapping[str, ModelSection]) -> tuple[JourneyModel, ...]:
    """Resolve `builtin` and `extends` of every model; unknown and circular references are left out: rules tell.

    Returns
    -------
    tuple of JourneyModel
        In the order of the configuration.
    """
    return tuple(_resolved(name, index, sections) for index, name in enumerate(sections, start=1))


def builtin_model(name: str) -> JourneyModel:
    """Return the built-in model `name`, as if it were the only one."""
    return _resolved(name, 1, {name: ModelSection(builtin=True)})


def lineage(name: str, sections: Mapping[str, ModelSection]) -> list[tuple[Stage, ...]]:
    """Return the layers of stages of a model, its own first, then what it extends."""
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


def _resolved(name: str, index: int, sections: Mapping[str, ModelSection]) -> JourneyModel:
    layers = lineage(name, sections)
    stages: dict[str, Stage] = {}
    for layer in reversed(layers):
        for stage in layer:
            inherited = stages.get(stage.name)
            owner = stage.owner or (inherited.owner if inherited else None)
            stages[stage.name] = Stage(name=stage.name, owner=owner)
    names = list(stages)
    found = [placed for layer in layers for placed in _in_order(layer)]
    rules = tuple(
        PlacedRule(rule.id, rule_index, stage, names.index(stage) + 1, rule)
        for rule_index, (stage, rule) in enumerate(found, start=1)
    )
    return JourneyModel(name, index, tuple(stages.values()), rules)


def _in_order(layer: tuple[Stage, ...]) -> list[tuple[str, Rule]]:
    """Order the rules of one layer: a rule with history narrows one without, so those come first."""
    listed = [(stage.name, rule) for stage in layer for rule in stage.rules]
    return sorted(listed, key=lambda placed: not placed[1].has_history)


@dataclass(frozen=True)
class Word:
    """An event name and what it says.

    Parameters
    ----------
    event : str
    meaning : str
        One sentence.
    is_staged : bool
        Whether the built-in models put it into a stage; events that happen anywhere in a journey stay unclassified.
    """

    event: str
    meaning: str
    is_staged: bool


@cache
def vocabulary() -> tuple[Word, ...]:
    """Return every event name of the vocabulary, in the order of a journey."""
    content = read_yaml((files("journeyflow.config") / "builtin" / "vocabulary.yml").read_bytes()).content
    return tuple(
        Word(event, meaning, is_staged=group == "staged")
        for group in ("staged", "anywhere")
        for event, meaning in content[group].items()
    )


def vocabulary_page() -> str:
    """Return `docs/reference/vocabulary.md`: every event name, its meaning, and its stage in each built-in model.

    Returns
    -------
    str
        Markdown, one table row per event name.
    """
    head = "| event | says | " + " | ".join(f"`{name}`" for name in BUILTIN_MODELS) + " |"
    rows = [_row(word) for word in vocabulary()]
    return "\n".join([_INTRODUCTION, head, "|---" * (2 + len(BUILTIN_MODELS)) + "|", *rows, ""])


_INTRODUCTION = """\
# Vocabulary

Generated from `src/journeyflow/config/builtin/`. The built-in journey models know these event names and no others; a
source's `rename` maps its own names onto them. A rule with history is tried before one without, the first that matches
wins; events without a stage are `unclassified`, counted and never dropped.
"""


def _row(word: Word) -> str:
    stages = [_stages(word.event, name) for name in BUILTIN_MODELS]
    return f"| `{word.event}` | {word.meaning} | {' | '.join(stages)} |"


def _stages(event: str, model: str) -> str:
    rules = [placed for placed in builtin_model(model).rules if _is_about(placed, event)]
    return "; ".join(_stage(placed) for placed in rules) or "none"


def _is_about(placed: PlacedRule, event: str) -> bool:
    return any(leaf.field == "event" and event in leaf.values for leaf in leaves(placed.rule.when))


def _stage(placed: PlacedRule) -> str:
    rule = placed.rule
    if rule.after:
        return f"{placed.stage}, when a {rule.after.event} came at most {rule.after.within.days} days earlier"
    if rule.nth:
        return f"{placed.stage}, from the person's {rule.nth.at_least}nd on"
    return placed.stage
