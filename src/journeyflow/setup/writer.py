"""The text of a proposed `journeyflow.yml`: sections in force, and what is not sure as comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

from journeyflow.setup.model import FirstModel
from journeyflow.setup.sources import Draft, SourceDraft

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
