"""`journeyflow suggest`: stages for the event names that no rule of a project covers, from its last build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from journeyflow.config.journey_models import JourneyModel, resolve_models, vocabulary
from journeyflow.setup.lexicon import Words, top
from journeyflow.setup.stages import EventLog, Suggestion, suggest
from journeyflow.setup.trial import read_event_log, read_known_stages
from journeyflow.setup.writer import comment, flow
from journeyflow.utils.formatting import count, escaped, numbered, percent

if TYPE_CHECKING:
    from journeyflow.config import Config

_UNSTAGED = frozenset(word.event for word in vocabulary() if not word.is_staged)


@dataclass(frozen=True)
class Accuracy:
    """How the method does on names with a rule, each hidden in turn: how many, offered, and right of those offered."""

    name_count: int
    offered_count: int
    right_count: int

    @property
    def rate(self) -> float | None:
        """Share of right ones of those offered."""
        return self.right_count / self.offered_count if self.offered_count else None


@dataclass(frozen=True)
class ModelSuggestions:
    """The suggestions for one journey model."""

    model: str
    suggestions: tuple[Suggestion, ...]
    accuracy: Accuracy

    def lines(self) -> list[str]:
        """Return a block of YAML to copy, and what was not sure."""
        offered = [each for each in self.suggestions if each.is_offered]
        others = [each for each in self.suggestions if not each.is_offered]
        a = self.accuracy
        right = (
            f"{percent(a.rate)} of {a.offered_count} offered were right" if a.rate is not None else "none was offered"
        )
        lines = [
            f"# {escaped(self.model)}: {numbered(len(self.suggestions), 'event name')} without a stage. "
            f"Hiding each of {a.name_count} names with a rule: {right}."
        ]
        if offered:
            lines += [
                "models:",
                f"  {flow(self.model)}:",
                "    # put these rules into its stages; they are suggestions",
                "    stages:",
            ]
            for stage in dict.fromkeys(each.stage for each in offered):
                lines += [f"      - name: {flow(stage)}", "        rules:"]
                lines += [f"          - {_rule(each)}" for each in offered if each.stage == stage]
        lines += [f"# not sure: {comment(flow(each.name))}: {_readings(each)}" for each in others]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON content."""
        return {
            "model": self.model,
            "hidden_name_count": self.accuracy.name_count,
            "offered_count": self.accuracy.offered_count,
            "right_count": self.accuracy.right_count,
            "suggestions": [
                {
                    "event": each.name,
                    "is_offered": each.is_offered,
                    "person_count": each.person_count,
                    "is_stable": each.is_stable,
                    "basis": each.basis,
                    "stages": [{"stage": stage, "probability": round(share, 4)} for stage, share in each.readings],
                }
                for each in self.suggestions
            ],
        }


def _rule(each: Suggestion) -> str:
    rule = {"id": f"suggested_{each.name}"[:100].replace("/", "_"), "when": {"event": each.name}}
    return f"{flow(rule)}  # {each.probability:.2f}, {count(each.person_count)} persons, by its {each.basis}"


def _readings(each: Suggestion) -> str:
    likely = ", ".join(f"{comment(stage)} {share:.2f}" for stage, share in top(each.readings))
    return f"{likely} ({count(each.person_count)} persons{'' if each.is_stable else '; two halves of them disagree'})"


def suggest_stages(config: Config) -> list[ModelSuggestions]:
    """Suggest stages for every journey model from the last build; InputError when there is none."""
    from journeyflow.state.paths import open_build

    with open_build(config, "kernel.events") as build:
        events = read_event_log(build)
        stages = read_known_stages(build)
    found = []
    for model in resolve_models(config.models):
        names = model.stage_names
        place = stages.get(model.model, {})
        known = {name: stage for name, stage in place.items() if stage is not None}
        wanted = [name for name, stage in place.items() if stage is None and name not in _UNSTAGED]
        words = words_of(model)
        found.append(
            ModelSuggestions(
                model.model, tuple(suggest(events, names, known, wanted, words)), hidden_accuracy(events, model, known)
            )
        )
    return found


def words_of(model: JourneyModel, hidden: frozenset[str] = frozenset()) -> Words:
    """Return the words of a model's stages: of their names, and of the events that their rules name."""
    from journeyflow.config.conditions import leaves

    named: dict[str, set[str]] = {stage: {stage} for stage in model.stage_names}
    for placed in model.rules:
        for leaf in leaves(placed.rule.when):
            if leaf.field == "event" and leaf.operator == "in" and not placed.rule.has_history:
                named[placed.stage] |= {str(value) for value in leaf.values}
    return Words(named, hidden)


def hidden_accuracy(events: EventLog, model: JourneyModel, known: Mapping[str, str]) -> Accuracy:
    """Hide each name with a rule in turn, and count how often its stage is offered, and rightly."""
    results = hide_each(events, model.stage_names, known, lambda name: words_of(model, frozenset((name,))))
    offered = [found for found in results if found.is_offered]
    return Accuracy(len(results), len(offered), sum(found.stage == known[found.name] for found in offered))


def hide_each(
    events: EventLog,
    stages: Sequence[str],
    known: Mapping[str, str],
    words: Any,  # noqa: ANN401 - name to Words or None
) -> list[Suggestion]:
    """Return what would be suggested for each known name if it had no rule and its word were unknown."""
    found = []
    for name in known:
        others = {other: stage for other, stage in known.items() if other != name}
        found += suggest(events, stages, others, [name], words(name))
    return found
