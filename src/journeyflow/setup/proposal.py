"""A proposed `journeyflow.yml` as text, what is not sure as comments, with a trial; stages for uncovered names."""

from __future__ import annotations

import csv
import glob
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from journeyflow.config import load_config
from journeyflow.config.models_and_funnels import JourneyModel, resolve_models, vocabulary
from journeyflow.config.sources import RemotePath, is_url, remote_path
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.setup.model import FirstModel, first_model, read_facts
from journeyflow.setup.sample import read_sample
from journeyflow.setup.sources import Ask, Draft, SourceDraft, draft_sources
from journeyflow.setup.stages import EventLog, Suggestion, Words, suggest, templates, top
from journeyflow.setup.trial import (
    TRIAL_ROWS,
    Trial,
    build_events,
    loaded_trial,
    read_event_log,
    read_known_stages,
    try_configuration,
)
from journeyflow.utils.files import read_yaml
from journeyflow.utils.formatting import count, escaped, numbered, percent

if TYPE_CHECKING:
    from journeyflow.config import Config


_YAML_WORDS = frozenset(("yes", "no", "on", "off", "true", "false", "null", "y", "n", "nan", "inf"))
_WIDTH = 120
_HEADER_NAMES = 40


def quoted(text: str) -> str:
    """Return a text as a YAML scalar that is read as this text, with what cannot be seen as escapes."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text) and text.lower() not in _YAML_WORDS:
        return text
    return '"' + _visible(re.sub(r'(["\\])', r"\\\1", text)) + '"'


def comment(text: str) -> str:
    """Return a text that comes from data as one line of a comment."""
    return _visible(re.sub(r"[^\S ]+", " ", text))


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else _escape(ord(character)) for character in text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 1 << 8 else f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def flow(value: Any) -> str:  # noqa: ANN401 - YAML
    """Return a value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def identifier(name: str) -> str:
    """Return a folder's name as the name of a project."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "my-project"


def configuration(project: Path, draft: Draft, model: FirstModel) -> str:
    """Return the text of a configuration for a draft of sources and a first model."""
    parts = [
        _HEAD.substitute(project=quoted(identifier(project.resolve().name))),
        "sources:",
        *(line for source in draft.sources for line in _source_lines(source, model.rename.get(source.name, {}))),
        "",
        *_people_lines(draft),
        *_model_lines(model),
        *_analysis_lines(draft, model),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _source_lines(source: SourceDraft, rename: Mapping[str, str]) -> Iterator[str]:
    yield f"  {quoted(source.name)}:"
    for text in source.comments.get("", ()):
        yield f"    # {comment(text)}"
    content = dict(source.content)
    columns, properties = content.pop("columns", None), content.pop("properties", None)
    known = content.pop("rename", {})
    rename = {old: rename.get(new, new) for old, new in known.items()} | {
        old: new for old, new in rename.items() if old not in known.values()
    }
    for key, value in content.items():
        yield from (f"    # {comment(text)}" for text in source.comments.get(key, ()))
        if isinstance(value, list) and len(value) > _HEADER_NAMES:
            yield f"    {key}: ["
            yield from _wrapped(value, "      ")
            yield "    ]"
        else:
            yield f"    {key}: {flow(value)}"
    if rename:
        yield f"    rename: {flow(rename)}"
    if columns:
        yield "    columns:"
        for name, column in columns.items():
            yield from (f"      # {comment(text)}" for text in source.comments.get(name, ()))
            yield f"      {name}: {flow(column)}"
    if properties:
        yield f"    properties: {flow(properties)}"


def _wrapped(names: list[str], indent: str) -> Iterator[str]:
    line = indent
    for name in names:
        item = f"{quoted(name)}, "
        if len(line) + len(item) > _WIDTH:
            yield line.rstrip()
            line = indent
        line += item
    yield line.rstrip()


def _people_lines(draft: Draft) -> Iterator[str]:
    if draft.people:
        yield "people:                            # traits of users, for personas"
        yield from (f"  - {flow(people)}" for people in draft.people)
    else:
        yield "# people:                          # traits of users, for personas"
        yield "#   - {path: data/crm.csv, user_id: customer, traits: [birth_year, plan], valid_from: changed_at}"
    yield ""


def _model_lines(model: FirstModel) -> Iterator[str]:
    yield "models:"
    if model.model == "builtin":
        yield f"  {model.model_name}: builtin              # awareness, consideration, decision, post_purchase"
    else:
        yield f"  {model.model_name}:"
        if "extends" in model.model:
            yield f"    extends: {model.model['extends']}"
        yield "    stages:"
        for stage in model.model["stages"]:
            yield f"      - name: {stage['name']}"
            yield "        rules:"
            for rule in stage["rules"]:
                yield f"          - {flow(rule)}{_basis(rule, model)}"
        if model.unseen and "extends" not in model.model:
            yield f"      # in these files nothing happened in: {', '.join(model.unseen)}"
    if model.guessed:
        yield "    # No name is known, so each was put into its likeliest stage. These are guesses:"
        yield from map(_reading, model.guessed)
    if model.readings:
        yield "    # In no stage yet (the likeliest stages, with their probability):"
        yield from map(_reading, model.readings)
    yield ""


def _reading(found: tuple[str, list[tuple[str, float]], str]) -> str:
    name, readings, why = found
    likely = ", ".join(f"{stage} {share:.2f}" for stage, share in readings) or "no word of it is known"
    return f"    # - {comment(quoted(name))}: {likely} ({why})"


def _basis(rule: Mapping[str, Any], model: FirstModel) -> str:
    names = rule["when"]["event"]
    found = [
        model.suggested[name] for name in ([names] if isinstance(names, str) else names) if name in model.suggested
    ]
    return f"  # suggested by its {found[0].basis}, probability {found[0].probability:.2f}" if found else ""


def _analysis_lines(draft: Draft, model: FirstModel) -> Iterator[str]:
    if model.personas:
        yield "personas:                          # the first that matches; all others are `unassigned`"
        yield from (f"  - {flow(persona)}" for persona in model.personas)
    else:
        yield "# personas:                        # the first that matches; all others are `unassigned`"
        yield "#   - {name: from_campaigns, when: {first.utm_medium: [cpc, social, email]}}"
    yield ""
    if model.goals:
        yield "goals:                             # conversions and their value"
        yield from (f"  {name}: {flow(goal)}" for name, goal in model.goals.items())
        yield ""
    if model.funnel:
        yield "funnels:                           # two to twenty steps"
        yield "  main:"
        yield "    window: 14d"
        name, goal = next(iter(model.goals.items()))
        if model.funnel[-1]["when"] == goal["when"]:  # What follows the goal puts nothing of its value at stake.
            yield f"    goal: {name}"
        yield "    steps:"
        yield from (f"      - {flow(step)}" for step in model.funnel)
        yield ""
    if draft.currency:
        yield f"currency: {{report: {draft.currency}}}"
    if model.slices:
        yield f"slices: {flow(model.slices)}              # few values, along which pain points are searched"


_HEAD = Template("""\
# Inputs, definitions and outputs of journeyflow. Paths are relative to this file.
# Every key: docs/reference/configuration.md. Editors complete them from `journeyflow schema > journeyflow.schema.json`.
project: $project
timezone: UTC                      # of reporting days; stored times are UTC
state: state/                      # private: the warehouse and the archive of input files
publish: published/                # tables for BI tools
""")

EXAMPLE = """\
# Inputs, definitions and outputs of journeyflow. Paths are relative to this file.
# Every key: docs/reference/configuration.md. Editors complete them from `journeyflow schema > journeyflow.schema.json`.
project: my-project
timezone: UTC                      # of reporting days; stored times are UTC
state: state/                      # private: the warehouse and the archive of input files
publish: published/                # tables for BI tools

sources:
  web:
    format: csv                    # csv, jsonl, parquet, access_log, snowplow, ga4, …
    path: data/web/*.csv.gz
    channel: web
    timezone: UTC                  # of timestamps without a zone
    columns:                       # canonical name: column of the file
      occurred_at: ts
      anonymous_id: cookie
      user_id: customer
      event_name: event
      page_path: url
      revenue_amount: amount

# people:                          # traits of users, for personas
#   - {path: data/crm.csv, user_id: customer, traits: [birth_year, plan], valid_from: changed_at}

models:
  four_stage: builtin              # awareness, consideration, decision, post_purchase

# personas:                        # the first that matches; all others are `unassigned`
#   - {name: from_campaigns, when: {first.utm_medium: [cpc, social, email]}}

# funnels:                         # two to twenty steps
#   checkout:
#     steps:
#       - {name: product, when: {event: product_view}}
#       - {name: cart, when: {event: add_to_cart}}
#       - {name: paid, when: {event: purchase}}
#     window: 7d

# goals:                           # conversions and their value
#   order: {when: {event: purchase}, value: revenue_amount}
# currency: {report: EUR}
"""
"""A configuration to fill in by hand."""


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
        if not self.suggestions:
            return [f"# {escaped(self.model)}: every event name has a stage."]
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
