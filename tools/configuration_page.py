"""The reference page of the configuration, generated from its JSON Schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from journeyflow.config.base import NAME_PATTERN, PATTERN
from journeyflow.config.conditions import EVENTS, FUNNELS, OPERATORS, PERSONAS, TRAFFIC
from journeyflow.config.load import CONDITION, json_schema, meanings, sections
from journeyflow.config.sources import SIZE_PATTERN, SPAN_PATTERN, known_formats

Schema = dict[str, Any]

HEAD = """\
# Configuration

Every key of `journeyflow.yml`. Generated from the classes in `src/journeyflow/config/`; `make docs` writes it. Only
`sources` is required, and paths are relative to the file. Unknown keys are errors; `journeyflow check` lists every
error with its line, the allowed values and the nearest name. The effect of the settings on the figures is defined in
[semantics.md](semantics.md). `data/sample/journeyflow.yml` uses every section once.

A **duration** is one or more whole numbers, each with a unit of `us ms s m h d w`: `30m`, `1h30m`; a bare number is
an error. A **name** has 1 to 100 characters and no slash.
"""
_PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}


def configuration_page() -> str:
    """Return the Markdown of `docs/reference/configuration.md`: a table for each section, then conditions."""
    schema = json_schema()
    found = list(_placed(schema, schema, "", set()))
    places = {name: place for place, name in found if name}
    return "\n".join(line for place, name in found for line in _section(schema, place, name, places)) + _conditions()


def _placed(whole: Schema, part: Schema, place: str, seen: set[str]) -> Iterator[tuple[str, str]]:
    """Yield YAML path and class name of every section, depth first; a section is listed at its first path only."""
    yield place, _name_of(part, whole)
    for key, value in part["properties"].items():
        for path, name in _references(value, f"{place}.{key}".lstrip(".")):
            # The channel is described with the other columns.
            if name not in seen and key != "channel":
                seen.add(name)
                yield from _placed(whole, whole["$defs"][name], path, seen)


def _name_of(part: Schema, whole: Schema) -> str:
    return "" if part is whole else str(part["title"])


def _references(value: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Yield path and class name of the sections in a key."""
    if "$ref" in value:
        yield path, value["$ref"].rpartition("/")[2]
    for option in value.get("anyOf", ()):
        yield from _references(option, path)
    if "items" in value:
        yield from _references(value["items"], f"{path}[]")
    for option in _values_of(value):
        yield from _references(option, f"{path}.<name>")


def _values_of(value: Schema) -> list[Schema]:
    if value.get("description", "").find(CONDITION) >= 0:
        return []
    options = [*value.get("patternProperties", {}).values(), value.get("additionalProperties")]
    return [option for option in options if isinstance(option, dict)]


def _section(whole: Schema, place: str, name: str, places: dict[str, str]) -> Iterator[str]:
    if not name:
        yield HEAD
    else:
        yield f"## `{place}`\n"
        yield f"{whole['$defs'][name]['description']}\n"
    part = whole["$defs"][name] if name else whole
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for key, value in part["properties"].items():
        default = "required" if key in part.get("required", ()) else _default(value)
        yield f"| `{key}` | {_type(value, places)} | {default} | {_meaning(name, key, value)} |"
    yield ""


def _meaning(name: str, key: str, value: Schema) -> str:
    text = meanings(sections()[name])[key] if name else value["description"]
    if (name, key) == ("Source", "format"):
        text += f" Adapters: {', '.join(f'`{each}`' for each in known_formats()[3:])}."
    if (name, key) == ("Source", "columns"):
        text += f" Names: {', '.join(f'`{each}`' for each in value['propertyNames']['enum'])}."
    return str(text).replace("|", "\\|")


def _default(value: Schema) -> str:
    default = value.get("default")
    if default is None or default in ([], {}, ""):
        return ""
    return f"`{default}`" if isinstance(default, str) else f"`{json.dumps(default)}`".replace('"', "")


def _type(value: Schema, places: dict[str, str]) -> str:
    options = [option for option in value.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        return _type(options[0], places)
    if "$ref" in value:
        place = places[value["$ref"].rpartition("/")[2]]
        return f"[mapping](#{re.sub(r'[^a-z0-9_-]', '', place.lower())})"
    if CONDITION in value.get("description", ""):
        return "[condition](#conditions)"
    if "prefixItems" in value:
        return f"two of {_type(value['prefixItems'][0], places)}"
    if value.get("type") == "array":
        return f"list of {_type(value['items'], places)}"
    if value.get("type") == "object":
        return f"name → {_type(_values_of(value)[0], places)}"
    return _scalar(value)


def _scalar(value: Schema) -> str:
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if "format" in value:
        return "day" if value["format"] == "date" else "path"
    by_pattern = {PATTERN: "duration", NAME_PATTERN: "name", "^[A-Z]{3}$": "currency code"}
    by_pattern |= {SPAN_PATTERN: "duration, `forever`, `none`", SIZE_PATTERN: "size"}
    return by_pattern.get(value.get("pattern", ""), _PLAIN[value["type"]])


def _conditions() -> str:
    further = {"funnels": FUNNELS, "`where`, `bots` and `internal`": TRAFFIC}
    more = "; ".join(
        f"in {place} {', '.join(f'`{name}`' for name in scope.fields if name not in EVENTS.fields)}"
        for place, scope in further.items()
    )
    return f"""
## Conditions

A mapping of fields to matchers; all must hold. A matcher is a value (equals), a list (any of), or a mapping with one or
more of {", ".join(f"`{name}`" for name in OPERATORS)}. `all: [...]` and `any: [...]` combine conditions, and
`not: {{...}}` negates one. An empty condition holds for any event.

- Fields of events: {", ".join(f"`{name}`" for name in EVENTS.fields)}, `properties.<key>` (points for nested
  objects); {more}.
- Fields of personas: `trait.<name>`, `first.<field>` (the journey's first event), `count.<event>`,
  {", ".join(f"`{name}`" for name in PERSONAS.fields)}.
- A missing field satisfies only `exists: false`, `not` and `not_in`. Comparisons are case-sensitive. Numbers compare as
  numbers, texts as texts. In `glob`, `**` matches `/`, and `*` and `?` do not. A `regex` (RE2) may match any part.

Reasons: [ADR 5](../adr/0005-conditions.md).
"""
