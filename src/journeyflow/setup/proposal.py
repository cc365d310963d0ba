"""A proposal: from files to the text of a configuration, and a trial of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from journeyflow.config import load_config
from journeyflow.errors import JourneyflowError
from journeyflow.setup.lexicon import templates
from journeyflow.setup.model import FirstModel, first_model, read_facts
from journeyflow.setup.sample import read_sample
from journeyflow.setup.sources import Ask, Draft, draft_sources
from journeyflow.setup.trial import TRIAL_ROWS, Trial, build_events, loaded_trial, read_event_log, try_configuration
from journeyflow.setup.writer import configuration
from journeyflow.utils.yaml import read_yaml

_MOST_TRAIT_VALUES = 12


@dataclass(frozen=True)
class Proposal:
    """The text of a `journeyflow.yml`, what was understood, what is doubtful, and the trial of it.

    `trial` is None where no row could be tried; `doubts` then say why.
    """

    text: str
    notes: tuple[str, ...]
    doubts: tuple[str, ...]
    trial: Trial | None


def nobody(question: str, answers: Sequence[str]) -> str | None:
    """Answer no question: what is not sure becomes a comment."""
    del question, answers
    return None


def propose(paths: Sequence[Path], folder: Path, ask: Ask = nobody, rows: int = TRIAL_ROWS) -> Proposal:
    """Propose a configuration in `folder` for files and folders of events, and try it.

    InputError when a file cannot be read or none holds events.
    """
    draft = draft_sources(paths, folder, ask)
    name = paths[0] if paths[0].is_dir() else paths[0].resolve().parent
    content = {"sources": {source.name: source.content for source in draft.sources}, "people": draft.people}
    try:
        with loaded_trial(load_config(content, folder=folder), rows) as (engine, loaded, _):
            build_events(engine, loaded)
            facts, log = read_facts(engine), read_event_log(engine)
    except JourneyflowError as error:
        text = configuration(name, draft, FirstModel(templates()["shop"]))
        return Proposal(text, tuple(draft.notes), (*draft.doubts, error.message), None)
    draft.currency = draft.currency or facts.currency
    model = first_model(facts, log, _traits(draft, folder), ask, draft.price)
    text = configuration(name, draft, model)
    guesses = ("no event name is known: their stages are guesses",) if model.guessed else ()
    notes, doubts = (*draft.notes, *_model_notes(model)), (*draft.doubts, *guesses)
    document = read_yaml(text.encode())
    if document.mistakes:
        wrong = [f"line {mistake.line} {mistake.message}" for mistake in document.mistakes]
        return Proposal(text, notes, (*doubts, *wrong), None)
    try:
        trial = try_configuration(load_config(document.content, folder=folder), rows)
    except JourneyflowError as error:
        return Proposal(text, notes, (*doubts, error.message), None)
    return Proposal(text, notes, (*doubts, *trial.doubts), trial)


def _model_notes(model: FirstModel) -> list[str]:
    notes = [f"the events look like those of {model.template.label}"]
    if model.rename:
        pairs = {old: new for found in model.rename.values() for old, new in found.items()}
        notes.append("renamed: " + ", ".join(f"{old} is {new}" for old, new in sorted(pairs.items())))
    if model.suggested:
        notes.append(
            "put into a stage by words and place in journeys: "
            + ", ".join(f"{name} in {s.stage} ({s.probability:.2f})" for name, s in sorted(model.suggested.items()))
        )
    if model.readings:
        notes.append(f"{len(model.readings)} event names are in no stage for sure; their likeliest stages are comments")
    return notes


def _traits(draft: Draft, folder: Path) -> dict[str, list[str]]:
    """Return the traits with few values, with these, the most frequent first."""
    found: dict[str, list[str]] = {}
    for people in draft.people:
        try:
            sample = read_sample(folder / people["path"])
        except (JourneyflowError, OSError, csv.Error):
            continue
        for trait in people["traits"]:
            values = sample.texts(trait)
            distinct = sorted(set(values), key=lambda value: (-values.count(value), value))
            if 1 < len(distinct) <= _MOST_TRAIT_VALUES:
                found.setdefault(trait, distinct)
    return found
