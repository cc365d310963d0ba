"""Words of event names: what a name means, and how likely its words make each stage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, log
from typing import Any

from journeyflow.config.journey_models import vocabulary
from journeyflow.utils.yaml import read_yaml

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")
_IRREGULAR = {
    "bought": "buy",
    "paid": "pay",
    "sent": "send",
    "seen": "see",
    "won": "win",
    "began": "begin",
    "held": "hold",
}
_STOP_WORDS = frozenset(
    ("the", "a", "an", "to", "of", "in", "on", "from", "for", "user", "event", "test", "app", "web", "mp")
)
_LEAST_STEM = 4
_SMOOTHING = 0.4


@cache
def stems(name: str) -> tuple[str, ...]:
    """Return the words of a name without case, number and tense.

    Examples
    --------
    >>> stems("Products Searched") == stems("product_search")
    True
    """
    found = (_IRREGULAR.get(part.lower(), part.lower()) for part in _PART.findall(name))
    return tuple(_stem(word) for word in found)


def _stem(word: str) -> str:
    if len(word) > _LEAST_STEM and word.endswith("ies"):
        word = f"{word[:-3]}y"
    elif len(word) > _LEAST_STEM + 1 and word.endswith("ing"):
        word = word[:-3]
    elif len(word) > _LEAST_STEM and word.endswith("ed"):
        word = word[:-2]
    elif len(word) > _LEAST_STEM - 1 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) >= _LEAST_STEM else word


@dataclass(frozen=True)
class Template:
    """A first journey model of one kind of business."""

    name: str
    label: str
    stages: Mapping[str, tuple[str, ...]]
    signs: frozenset[str]
    goal: tuple[str, ...]
    readings: Mapping[str, tuple[str, ...]]

    def stage_of(self, name: str) -> str | None:
        """Return the stage of a name that the template knows."""
        return next((stage for stage, names in self.stages.items() if name in names), None)

    def meaning(self, name: str) -> str | None:
        """Return the known name whose phrase an event name is; None where it is no phrase."""
        return _meanings(self).get(frozenset(stems(name)) - _STOP_STEMS or frozenset(stems(name)))


_STOP_STEMS = frozenset(_stem(word) for word in _STOP_WORDS)


@cache
def templates() -> dict[str, Template]:
    """Return the templates by name."""
    return {
        name: Template(
            name,
            found["label"],
            {stage: tuple(names) for stage, names in found["stages"].items()},
            frozenset(found["signs"]),
            tuple(found["goal"]),
            {known: tuple(phrases) for known, phrases in found["readings"].items()},
        )
        for name, found in _content()["templates"].items()
    }


@cache
def phrases() -> dict[str, tuple[str, ...]]:
    """Return every known name with the phrases that mean it, its own first."""
    found = {name: (name, *more) for name, more in _content()["words"].items()}
    return {**{word.event: (word.event,) for word in vocabulary()}, **found}


@cache
def _content() -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = read_yaml((files("journeyflow.setup") / "templates.yml").read_bytes()).content
    return content


_MEANINGS: dict[str, dict[frozenset[str], str]] = {}


def _meanings(template: Template) -> dict[frozenset[str], str]:
    if template.name not in _MEANINGS:
        found: dict[frozenset[str], str] = {}
        for source in (template.readings, phrases()):
            for name, each in source.items():
                for phrase in each:
                    words = frozenset(stems(phrase))
                    found.setdefault(words - _STOP_STEMS or words, name)
        _MEANINGS[template.name] = found
    return _MEANINGS[template.name]


def choose_template(names: Iterable[str]) -> Template:
    """Return the template most of whose signs occur; where none does, content for views of pages, else a shop."""
    seen = list(names)
    scores: dict[str, float] = {}
    for template in templates().values():
        meanings = {meaning for name in seen if (meaning := template.meaning(name))}
        partial = sum(bool(template.signs & _near(name)) for name in seen) * 0.2
        scores[template.name] = len(meanings & template.signs) + partial
    best = max(scores, key=lambda name: scores[name])
    if not scores[best]:
        is_viewed = any(templates()["content"].meaning(name) == "page_view" for name in seen)
        best = "content" if is_viewed else "shop"
    return templates()[best]


def _near(name: str) -> frozenset[str]:
    words = set(stems(name)) - _STOP_STEMS
    return frozenset(
        known for known, each in phrases().items() for phrase in each if words and words >= set(stems(phrase))
    )


class Words:
    """Likelihood of the words of a name in each stage, by naive Bayes over the phrases of the stages' known names."""

    def __init__(self, stages: Mapping[str, Iterable[str]], hidden: frozenset[str] = frozenset()) -> None:
        known = phrases()
        self._counts: dict[str, dict[str, int]] = {}
        for stage, names in stages.items():
            counts: dict[str, int] = {}
            for name in names:
                # One vote a word and name, however many phrases have it.
                own = () if name in hidden else (name, *known.get(name, ()))
                for word in {word for phrase in own for word in stems(phrase)} - _STOP_STEMS:
                    counts[word] = counts.get(word, 0) + 1
            self._counts[stage] = counts
        self._size = len({word for counts in self._counts.values() for word in counts}) or 1

    def scores(self, name: str) -> dict[str, float]:
        """Return the logarithm of the likelihood by stage; words that no stage has say nothing."""
        words = [w for w in set(stems(name)) - _STOP_STEMS if any(w in counts for counts in self._counts.values())]
        return {
            stage: sum(
                log((counts.get(word, 0) + _SMOOTHING) / (sum(counts.values()) + _SMOOTHING * self._size))
                for word in words
            )
            for stage, counts in self._counts.items()
        }

    def knows(self, name: str) -> bool:
        """Return whether any stage has a word of a name."""
        return any(word in counts for word in set(stems(name)) - _STOP_STEMS for counts in self._counts.values())


def posterior(scores: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities from logarithms of likelihoods, the likeliest first."""
    most = max(scores.values())
    weights = {name: exp(score - most) for name, score in scores.items()}
    total = sum(weights.values())
    return dict(sorted(((name, w / total) for name, w in weights.items()), key=lambda pair: -pair[1]))


def top(scores: Sequence[tuple[str, float]], count: int = 3) -> list[tuple[str, float]]:
    """Return the first readings that are worth showing."""
    return [(name, share) for name, share in scores[:count] if share >= 0.1]
