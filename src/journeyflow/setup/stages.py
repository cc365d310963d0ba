"""Suggested stages of event names that no rule covers: by their words, and by where they stand in journeys.

Naive Bayes. A name's evidence: the words of the name, the nearest staged event of another name before and after it, its
position among the events of its person, and its channel; every person counts once. A stage's profile is the mean of its
names' profiles, each measured as if the name had no rule, so that known and unknown names are alike. Names of one stage
differ, so a name's counts follow a Dirichlet-multinomial distribution around the profile: many persons alone do not
make a stage certain. A suggestion is offered when its probability is high, enough persons have the event, and both
halves of the persons and the words of the name agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, lgamma, log
from typing import Any

import numpy as np
import numpy.typing as npt

from journeyflow.config.models_and_funnels import vocabulary
from journeyflow.utils.files import read_yaml

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


LEAST_PROBABILITY = 0.8
LEAST_PERSONS = 30
_CONCENTRATION = 6.0
_EFFECTIVE_PERSONS = 6.0
_JOURNEYS_WEIGHT = 0.25
"""The four facts on journeys are not independent. With this weight more than 80 % of offered suggestions are right
where names are hidden (benchmarks/stages.py); with 1 it is fewer.
"""
_POSITIONS = 4
_HALVES = 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EventLog:
    """Events in the order of each person, persons one after another; numbers refer to `names` and `channels`."""

    persons: npt.NDArray[np.int64]
    names_ix: npt.NDArray[np.int64]
    channels_ix: npt.NDArray[np.int64]
    names: tuple[str, ...]
    channels: tuple[str, ...]

    @classmethod
    def of(cls, persons: Sequence[Any], names: Sequence[str], channels: Sequence[str]) -> EventLog:
        """Number the persons, names and channels of ordered events."""
        _, person_ix = np.unique(np.asarray(persons), return_inverse=True)
        known_names, names_ix = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
        known_channels, channels_ix = np.unique(np.asarray(channels, dtype=object).astype(str), return_inverse=True)
        return cls(
            person_ix.astype(np.int64),
            names_ix.astype(np.int64),
            channels_ix.astype(np.int64),
            tuple(known_names.tolist()),
            tuple(known_channels.tolist()),
        )

    def person_counts(self) -> dict[str, int]:
        """Return how many persons have each name."""
        pairs = np.unique(np.stack([self.persons, self.names_ix]), axis=1)
        counts = np.bincount(pairs[1], minlength=len(self.names))
        return dict(zip(self.names, counts.tolist(), strict=True))


@dataclass(frozen=True)
class Suggestion:
    """The stages that an unclassified name may belong to, the likeliest first.

    `is_stable`: both halves of the persons, and the words of the name alone, give the same stage. `is_offered`: stable,
    probable enough, and of enough persons. `basis` is ``words``,
    ``journeys`` or ``words and journeys``.
    """

    name: str
    readings: tuple[tuple[str, float], ...]
    person_count: int
    is_stable: bool
    basis: str

    @property
    def stage(self) -> str:
        """The likeliest stage."""
        return self.readings[0][0]

    @property
    def probability(self) -> float:
        """The probability of the likeliest stage."""
        return self.readings[0][1]

    @property
    def is_offered(self) -> bool:
        """Whether to propose the likeliest stage."""
        return self.probability >= LEAST_PROBABILITY and self.person_count >= LEAST_PERSONS and self.is_stable


def suggest(
    log_of_events: EventLog,
    stages: Sequence[str],
    known: Mapping[str, str],
    wanted: Iterable[str],
    words: Words | None = None,
) -> list[Suggestion]:
    """Return a suggestion for each wanted name, those of most persons first.

    `known` is the stage of each name that has a rule; `words` None leaves the words of names out.
    """
    contexts = _Contexts(log_of_events, stages, known)
    persons = log_of_events.person_counts()
    found = []
    for name in wanted:
        whole = posterior(contexts.scores(name, words))
        halves = [next(iter(posterior(contexts.scores(name, words, half)))) for half in range(_HALVES)]
        knows_words = words is not None and words.knows(name)
        basis = "journeys" if not knows_words else "words and journeys" if contexts.has_profiles else "words"
        likeliest = {next(iter(whole)), *halves}
        if words is not None and knows_words:
            by_words = words.scores(name)
            # Journeys know nothing of a stage that no known name is in; its words must not be outvoted.
            likeliest.add(max(by_words, key=lambda stage: by_words[stage]))
        is_stable = len(likeliest) == 1
        found.append(Suggestion(name, tuple(whole.items()), persons.get(name, 0), is_stable, basis))
    return sorted(found, key=lambda suggestion: (-suggestion.person_count, suggestion.name))


class _Contexts:
    """Profiles of names: shares of the nearest stages around them, of positions and of channels."""

    def __init__(self, events: EventLog, stages: Sequence[str], known: Mapping[str, str]) -> None:
        self._stages = list(stages)
        self._index = {name: index for index, name in enumerate(events.names)}
        places = {stage: index for index, stage in enumerate(stages)}
        self._stage_of_name = np.array([places.get(known.get(name, ""), -1) for name in events.names], dtype=np.int64)
        none = len(stages)
        self._sizes = (none + 1, none + 1, _POSITIONS, max(len(events.channels), 1))
        before = _nearest_other(events, self._stage_of_name, none)
        after = _nearest_other(_reversed(events), self._stage_of_name, none)[::-1]
        self._tables = [self._profiles(events, before, after, half) for half in (*range(_HALVES), None)]
        self.has_profiles = bool((self._stage_of_name >= 0).any())

    def scores(self, name: str, words: Words | None, half: int | None = None) -> dict[str, float]:
        """Return the logarithm of the likelihood of each stage; `half` takes half of the persons only."""
        tables, counts = self._tables[_HALVES if half is None else half]
        index = self._index.get(name)
        by_words = words.scores(name) if words else dict.fromkeys(self._stages, 0.0)
        totals = {}
        for place, stage in enumerate(self._stages):
            members = np.flatnonzero((self._stage_of_name == place) & (counts > 0))
            members = members[members != index]
            score = by_words.get(stage, 0.0)
            if index is not None and counts[index] > 0:
                weight = min(float(counts[index]), _EFFECTIVE_PERSONS)
                for table in tables:
                    score += _JOURNEYS_WEIGHT * _likelihood(
                        table[index] * weight, self._mean(table, counts, members, index)
                    )
            totals[stage] = score
        return totals

    def _mean(self, table: Floats, counts: npt.NDArray[np.int64], members: npt.NDArray[np.int64], own: int) -> Floats:
        others = np.flatnonzero((self._stage_of_name >= 0) & (counts > 0))
        others = others[others != own]
        size = table.shape[1]
        overall = table[others].mean(axis=0) if len(others) else np.full(size, 1 / size)
        overall = (overall * len(others) + 1 / size) / (len(others) + 1)
        mean: Floats = (table[members].sum(axis=0) + overall) / (len(members) + 1)
        return mean

    def _profiles(
        self, events: EventLog, before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], half: int | None
    ) -> tuple[list[Floats], npt.NDArray[np.int64]]:
        chosen = np.ones(len(events.persons), dtype=bool) if half is None else events.persons % _HALVES == half
        persons, names = events.persons[chosen], events.names_ix[chosen]
        count = len(events.names)
        pairs = persons * count + names
        _, place, repeats = np.unique(pairs, return_inverse=True, return_counts=True)
        weights = 1.0 / repeats[place] if len(pairs) else np.zeros(0)
        seen = (before[chosen], after[chosen], _positions(events)[chosen], events.channels_ix[chosen])
        tables = []
        for values, size in zip(seen, self._sizes, strict=True):
            sums = (
                np.bincount(names * size + values, weights, minlength=count * size)
                .astype(np.float64)
                .reshape(count, size)
            )
            totals = sums.sum(axis=1, keepdims=True)
            tables.append(np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0))
        person_counts = (
            np.bincount(np.unique(pairs) % count, minlength=count) if len(pairs) else np.zeros(count, np.int64)
        )
        return tables, person_counts.astype(np.int64)


def _likelihood(counts: Floats, mean: Floats) -> float:
    """Return the logarithm of a Dirichlet-multinomial likelihood around a mean, constants left out."""
    parameters = _CONCENTRATION * mean
    total = float(counts.sum())
    terms = (lgamma(a + n) - lgamma(a) for a, n in zip(parameters.tolist(), counts.tolist(), strict=True) if n > 0)
    return lgamma(_CONCENTRATION) - lgamma(_CONCENTRATION + total) + sum(terms) if total else log(1.0)


def _nearest_other(events: EventLog, stage_of_name: npt.NDArray[np.int64], none: int) -> npt.NDArray[np.int64]:
    """Return, per event, the stage of the last staged event before it that has another name; `none` where none has."""
    found = np.full(len(events.persons), none, dtype=np.int64)
    person, last, last_stage, other_stage = -1, -1, none, none
    stages = stage_of_name.tolist()
    for position, (this, name) in enumerate(zip(events.persons.tolist(), events.names_ix.tolist(), strict=True)):
        if this != person:
            person, last, last_stage, other_stage = this, -1, none, none
        found[position] = other_stage if name == last else last_stage
        if stages[name] >= 0 and name != last:
            last, last_stage, other_stage = name, stages[name], last_stage
    return found


def _reversed(events: EventLog) -> EventLog:
    return EventLog(
        events.persons[::-1], events.names_ix[::-1], events.channels_ix[::-1], events.names, events.channels
    )


def _positions(events: EventLog) -> npt.NDArray[np.int64]:
    """Return the quarter of its person's events that each event stands in."""
    count = len(events.persons)
    if not count:
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.diff(events.persons, prepend=events.persons[0] - 1))
    lengths = np.diff(np.append(starts, count))
    rank = np.arange(count) - np.repeat(starts, lengths)
    share = rank / np.maximum(np.repeat(lengths, lengths) - 1, 1)
    quarter: npt.NDArray[np.int64] = np.minimum((share * _POSITIONS).astype(np.int64), _POSITIONS - 1)
    return quarter
