"""The page of the vocabulary: every event name, its meaning, and its stage in each built-in model."""

from __future__ import annotations

from journeyflow.config.conditions import leaves
from journeyflow.config.models_and_funnels import BUILTIN_MODELS, PlacedRule, Word, builtin_model, vocabulary

HEAD = """\
# Vocabulary

Generated from `src/journeyflow/config/builtin/`; `make docs` writes it. The built-in journey models know only these
event names; the key `rename` of a source maps other names to them. A rule with history is tried before one without,
and the first match wins. Events without a stage are `unclassified`: they are counted and never dropped. *Passive*
events reach a person without an act of theirs, so they are never a pain point; `passive` of a source adds to them.
"""


def vocabulary_page() -> str:
    """Return the Markdown of `docs/reference/vocabulary.md`."""
    titles = "| event | meaning | passive | " + " | ".join(f"`{name}`" for name in BUILTIN_MODELS) + " |"
    rows = [_row(word) for word in vocabulary()]
    return "\n".join([HEAD, titles, "|---" * (3 + len(BUILTIN_MODELS)) + "|", *rows, ""])


def _row(word: Word) -> str:
    stages = [_stages(word.event, model) for model in BUILTIN_MODELS]
    return f"| `{word.event}` | {word.meaning} | {'yes' if word.is_passive else ''} | {' | '.join(stages)} |"


def _stages(event: str, model: str) -> str:
    rules = [placed for placed in builtin_model(model).rules if _reads(placed, event)]
    return "; ".join(_stage(placed) for placed in rules) or "none"


def _reads(placed: PlacedRule, event: str) -> bool:
    return any(leaf.field == "event" and event in leaf.values for leaf in leaves(placed.rule.when))


def _stage(placed: PlacedRule) -> str:
    rule = placed.rule
    if rule.after:
        return f"{placed.stage}, at most {rule.after.within.days} days after a {rule.after.event}"
    if rule.nth:
        return f"{placed.stage}, from the person's {rule.nth.at_least}nd on"
    return placed.stage
