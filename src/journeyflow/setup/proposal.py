"""A proposal: from files to the text of a configuration, and a trial of it."""

from __future__ import annotations

import csv
import glob
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from journeyflow.config import load_config
from journeyflow.config.urls import RemotePath, is_url, remote_path
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.setup.lexicon import templates
from journeyflow.setup.model import FirstModel, first_model, read_facts
from journeyflow.setup.sample import read_sample
from journeyflow.setup.sources import Ask, Draft, draft_sources
from journeyflow.setup.trial import TRIAL_ROWS, Trial, build_events, loaded_trial, read_event_log, try_configuration
from journeyflow.setup.writer import configuration
from journeyflow.utils.formatting import escaped, numbered
from journeyflow.utils.yaml import read_yaml

_MOST_TRAIT_VALUES = 12
_MOST_REMOTE_FILES = 20


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


def propose(given: Sequence[Path | str], folder: Path, ask: Ask = nobody, rows: int = TRIAL_ROWS) -> Proposal:
    """Propose a configuration in `folder` for files, folders and URLs of events, and try it.

    Of files at a URL the beginnings are downloaded and removed again. InputError when a file cannot be read or none
    holds events.
    """
    with tempfile.TemporaryDirectory(prefix="journeyflow-init-") as name:
        remote = Path(name).resolve()
        urls = {remote / str(number): _url(str(each)) for number, each in enumerate(given) if is_url(str(each))}
        names = {file: shown for place, url in urls.items() for file, shown in _heads(url, place).items()}
        paths = [remote / str(number) if is_url(str(each)) else Path(each) for number, each in enumerate(given)]
        try:
            return _proposal(paths, folder, ask, rows, _Remote(urls, names))
        except InputError as error:
            message = error.message
            for file, shown in names.items():
                message = message.replace(str(file), shown)
            raise InputError(message) from error


@dataclass(frozen=True)
class _Remote:
    """Folders with the beginnings of remote files: the URL of each folder, and the name of each file."""

    urls: dict[Path, RemotePath]
    names: dict[Path, str]

    def path(self, written: str, folder: Path) -> str:
        """Return what to write for a path of a draft: the URL, where its files were downloaded."""
        local = Path(os.path.normpath(folder.resolve() / written))
        if local.parent not in self.urls:
            return written
        is_all = glob.has_magic(local.name) or sum(file.parent == local.parent for file in self.names) == 1
        return self.urls[local.parent].url if is_all else glob.escape(self.names[local])


def _url(text: str) -> RemotePath:
    try:
        return remote_path(text)
    except PydanticCustomError as error:
        raise InputError(f"The URL {error.message()}; allowed: {(error.context or {}).get('allowed')}.") from error


def _heads(url: RemotePath, place: Path) -> dict[Path, str]:
    """Download the beginnings of the files at a URL under their names."""
    from journeyflow.ingest.remote import download_heads

    place.mkdir()
    heads = download_heads(url, "init", place, _MOST_REMOTE_FILES)
    if not heads:
        raise InputError(f"There is no file at {escaped(url)}.")
    return heads


def _proposal(paths: Sequence[Path], folder: Path, ask: Ask, rows: int, remote: _Remote) -> Proposal:
    draft = draft_sources(paths, folder, ask)
    name = paths[0] if paths[0].is_dir() else paths[0].resolve().parent
    if paths[0] in remote.urls:
        name = Path(remote.urls[paths[0]].place)
    content = {"sources": {source.name: source.content for source in draft.sources}, "people": draft.people}
    try:
        with loaded_trial(load_config(content, folder=folder), rows) as (engine, loaded, _):
            build_events(engine, loaded)
            facts, log = read_facts(engine), read_event_log(engine)
    except JourneyflowError as error:
        _write_urls(draft, folder, remote)
        text = configuration(name, draft, FirstModel(templates()["shop"]))
        return Proposal(text, tuple(draft.notes), (*draft.doubts, error.message), None)
    draft.currency = draft.currency or facts.currency
    model = first_model(facts, log, _traits(draft, folder), ask, draft.price)
    _write_urls(draft, folder, remote)
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


def _write_urls(draft: Draft, folder: Path, remote: _Remote) -> None:
    for content in (*(source.content for source in draft.sources), *draft.people):
        content["path"] = remote.path(content["path"], folder)


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
        unsure = numbered(len(model.readings), "event name")
        notes.append(f"{unsure} without a sure stage; the likeliest ones are comments")
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
