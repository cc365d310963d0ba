"""The closed vocabulary of event names that the built-in models speak."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from journeyflow.config.conditions import leaves
from journeyflow.config.journey_models import BUILTIN_MODELS, PlacedRule, builtin_model
from journeyflow.strict_yaml import read_yaml


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
