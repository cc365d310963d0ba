"""What the pages of docs/how-to/collectors state of columns and configurations, read from the adapters and mappings."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import sqlglot
from sqlglot import exp

from docs.pages import REPOSITORY
from journeyflow.config.sources import MAPPED_FORMATS, known_formats
from journeyflow.ingest.adapters import Adapter, RawColumn, load_adapter
from journeyflow.setup.columns import SYNONYMS, Export, known_exports
from journeyflow.setup.model import FirstModel
from journeyflow.setup.proposal import configuration, nobody
from journeyflow.setup.sources import draft_sources
from journeyflow.setup.stages import templates
from support.text_tables import parse
from support.tool_exports import TOOL_EXPORTS

FOLDER = REPOSITORY / "docs" / "how-to" / "collectors"
HEADINGS = ("Export", "What is read", "Persons", "Configuration", "What to know")
FIELDS = (
    "event_id", "occurred_at", "received_at", "anonymous_id", "user_id", "session_id", "sequence", "event_name",
    "channel", "page_path", "referrer_host", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "target", "user_agent", "revenue_amount", "currency", "properties",
)  # fmt: skip
SUFFIXES = {"access_log": "log", "adobe": "tsv", "pendo": "csv", "snowplow": "tsv"}
TABLES = "tables"
_MARK = re.compile(r"(?P<start><!-- generated: (?P<name>\w+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL)
Origin = tuple[str, str]
"""A column of `raw` and the key inside it, or ""."""


def page_names() -> dict[str, Adapter | Export | None]:
    """Return what each page is about, by the name of the page; None is the page on tables of one's own."""
    adapters = {name: load_adapter(name) for name in known_formats() if name not in MAPPED_FORMATS}
    exports = {re.sub(r"\W+", "_", export.label.lower()): export for export in known_exports()}
    return {**adapters, **exports, TABLES: None}


def refreshed(text: str, name: str, folder: Path) -> str:
    """Return the text of a page with its generated parts as they should be; `folder` is empty."""
    kind = page_names()[name]
    if isinstance(kind, Adapter):
        parts = {"fields": adapter_fields(kind), "configuration": adapter_configuration(kind, folder)}
    elif isinstance(kind, Export):
        parts = {"fields": export_fields(kind), "configuration": export_configuration(kind, folder)}
    else:
        parts = {"fields": synonyms(), "configuration": _proposed(folder, {"events.csv": _OWN}, ["events.csv"])}
    return _MARK.sub(lambda found: f"{found['start']}{parts[found['name']]}{found['end']}", text)


def adapter_fields(adapter: Adapter) -> str:
    """Return which columns of a collector fill which field, and the names of events that become others."""
    layers = _layers(adapter)
    rows = []
    for field in FIELDS:
        expression, known = layers[-1].get(field), layers[:-1]
        if expression is None:
            continue
        origins = _origins(expression, known)
        texts = [_shown(adapter, *origin) for origin in origins]
        if not origins and isinstance(expression, exp.Literal):
            texts = [f"always `{expression.name}`"]
        if texts:
            rows.append((f"`{field}`", ", ".join(dict.fromkeys(texts))))
    return _table(("field", "from"), rows) + _names(dict(_renamed(layers[-1]["event_name"], layers[:-1])))


def _names(renamed: Mapping[str, str]) -> str:
    pairs = ", ".join(f"`{old}` is `{new}`" for old, new in renamed.items())
    return f"\nNames of events: {pairs}; all others stay as they are.\n" if pairs else ""


def _layers(adapter: Adapter) -> list[dict[str, exp.Expression]]:
    """Return the columns of each CTE, and last those of the adapter; a star stands for those of the one before."""
    # sqlglot takes `event = 'x'` among arguments for a named one.
    tree = sqlglot.parse_one(re.sub(r", (event = '[^']+')\)", r", (\1))", adapter.select), dialect="duckdb")
    selects = [cte.this for cte in tree.ctes]
    return [
        {column.alias_or_name: column.unalias() for column in select.expressions if not _is_star(column)}
        for select in [*selects, tree]
    ]


def _is_star(column: exp.Expression) -> bool:
    return isinstance(column, exp.Star) or isinstance(column.this, exp.Star)


def _origins(expression: exp.Expression, layers: Sequence[Mapping[str, exp.Expression]]) -> list[Origin]:
    """Return the columns of `raw` that an expression of the layer after `layers` takes values from, in order."""
    if isinstance(expression, exp.Column):
        return _column_origins(expression.name, layers)
    if isinstance(expression, exp.Case):
        results = [each.args["true"] for each in expression.args["ifs"]]
        chosen = [*results, *filter(None, [expression.args.get("default")])]
        found = [origin for each in chosen for origin in _origins(each, layers)]
        conditions = [each.this for each in expression.args["ifs"]] + [*filter(None, [expression.this])]
        return found or [origin for each in conditions for origin in _origins(each, layers)]
    if key := _key(expression):
        return [(column, ".".join(filter(None, (inner, key)))) for column, inner in _origins(expression.this, layers)]
    parts = [part for part in expression.iter_expressions() if not isinstance(part, exp.Lambda)]
    return list(dict.fromkeys(origin for part in parts for origin in _origins(part, layers)))


def _column_origins(name: str, layers: Sequence[Mapping[str, exp.Expression]]) -> list[Origin]:
    for depth in range(len(layers) - 1, -1, -1):
        if name in layers[depth]:
            return _origins(layers[depth][name], layers[:depth]) if depth else [(name, "")]
    return []


def _key(expression: exp.Expression) -> str:
    """Return the key that an expression reads inside a column of JSON or a struct."""
    if isinstance(expression, exp.JSONExtract | exp.JSONExtractScalar):
        return ".".join(str(key.this) for key in expression.expression.find_all(exp.JSONPathKey))
    if isinstance(expression, exp.Bracket) and isinstance(expression.expressions[0], exp.Literal):
        return expression.expressions[0].name
    return ""


def _shown(adapter: Adapter, column: str, key: str) -> str:
    if column == "source_row":
        return "the number of the line"
    declared = adapter.metadata.raw.get(column) or RawColumn()
    if column == "others":
        return "every other column named " + " or ".join(f"`{each}`" for each in adapter.metadata.others)
    names = " or ".join(f"`{name}`" for name in (declared.any_of or (column,)))
    return f"{names}: `{key}`" if key else names


def _renamed(expression: exp.Expression, layers: Sequence[Mapping[str, exp.Expression]]) -> Iterator[tuple[str, str]]:
    """Yield the names of events in files that become another name."""
    if isinstance(expression, exp.Column):
        for depth in range(len(layers) - 1, -1, -1):
            if expression.name in layers[depth]:
                yield from _renamed(layers[depth][expression.name], layers[:depth])
                return
    for case in expression.find_all(exp.Case):
        if isinstance(case.args.get("default"), exp.Literal):  # No name of the collector stays.
            return
        for each in case.args["ifs"]:
            if isinstance(each.args["true"], exp.Literal):
                values = [each.this] if case.this else _compared(each.this)
                yield from ((value.name, each.args["true"].name) for value in values if isinstance(value, exp.Literal))


def _compared(condition: exp.Expression) -> list[exp.Expression]:
    if isinstance(condition, exp.EQ):
        return [condition.expression]
    return list(condition.expressions) if isinstance(condition, exp.In) else []


def export_fields(export: Export) -> str:
    """Return which columns of an export fill which field, source by source."""
    rows = []
    for field in FIELDS:
        found: dict[str, None] = {}
        for source in export.sources.values():
            if field == "properties":
                found |= dict.fromkeys(f"`{name}`" for name in source["properties"])
            elif (column := source["columns"].get(field)) is not None:
                found[_mapped(column)] = None
        if field == "channel":
            found[f"always `{export.channel}`"] = None
        if found:
            rows.append((f"`{field}`", ", ".join(found)))
    pairs = {old: new for source in export.sources.values() for old, new in source.get("rename", {}).items()}
    return _table(("field", "from"), rows) + _names(pairs)


def _mapped(column: str | Mapping[str, object]) -> str:
    if isinstance(column, str):
        return f"`{column}`"
    if "constant" in column:
        return f"always `{column['constant']}`"
    if "hash" in column:
        return "a keyed hash of " + ", ".join(f"`{name}`" for name in column["hash"])
    return f"`{column['column']}`"


def synonyms() -> str:
    """Return the names of columns that `init` takes for each field."""
    rows = [(f"`{field}`", ", ".join(f"`{name}`" for name in SYNONYMS[field])) for field in FIELDS if field in SYNONYMS]
    return _table(("field", "names"), rows)


def _table(header: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    body = [(cell.replace("|", r"\|"), other.replace("|", r"\|")) for cell, other in rows]
    return "".join(f"| {left} | {right} |\n" for left, right in [header, ("---", "---"), *body])


def adapter_configuration(adapter: Adapter, folder: Path) -> str:
    """Return the source that `init` writes for rows like those of the adapter's first case."""
    suffix = SUFFIXES.get(adapter.name, "jsonl")
    name = f"{'access' if suffix == 'log' else 'events'}.{suffix}"
    header, body = parse(adapter.metadata.cases[0].given)
    if adapter.metadata.container == "lines":
        lines = adapter.metadata.cases[0].given.splitlines()[1:]
        return _proposed(folder, {name: "\n".join(lines) + "\n"}, [name])
    names = [_file_name(adapter.metadata.raw[column], column) for column in header]
    missing = [
        next(pattern for pattern in group).replace("*", "page")
        for group in adapter.metadata.signature
        if not any(fnmatchcase(name, pattern) for name in names for pattern in group)
    ]
    rows = [{**dict(zip(names, row, strict=True)), **dict.fromkeys(missing)} for row in body]
    if suffix == "jsonl":
        return _proposed(folder, {name: "".join(json.dumps(row) + "\n" for row in rows)}, [name])
    delimiter = "," if suffix == "csv" else "\t"
    files = {name: _delimited([[*names, *missing], *([v or "" for v in row.values()] for row in rows)], delimiter)}
    if adapter.name == "adobe":
        head, _, files[name] = files[name].partition("\n")
        files["column_headers.tsv"] = head + "\n"
    return _proposed(folder, files, [name])


def _file_name(declared: RawColumn | None, column: str) -> str:
    return ((declared or RawColumn()).any_of or (column,))[0].replace("*", "1_0_0")


def _delimited(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return text.getvalue()


def export_configuration(export: Export, folder: Path) -> str:
    """Return the sources that `init` writes for a generated export."""
    name, make = next((name, make) for name, (make, label, *_) in TOOL_EXPORTS.items() if label == export.label)
    return _proposed(folder, {name: make()}, [name])


_OWN = "".join(
    f"{'day,customer_id,what,page,amount' if n < 0 else f'2026-03-{n + 1:02} 10:00:00,c{n % 7},view,/p{n},'}\n"
    for n in range(-1, 20)
)


def _proposed(folder: Path, files: Mapping[str, str], given: Sequence[str]) -> str:
    """Write files into `exports/` and return the sources that are drafted for some of them, as a block of YAML."""
    place = folder / "exports"
    place.mkdir()
    for name, content in files.items():
        (place / name).write_text(content, encoding="utf-8")
    draft = draft_sources([place / name for name in given], folder, nobody)
    text = configuration(folder, draft, FirstModel(templates()["shop"]))
    sources = text[text.index("sources:\n") : text.index("\n\n# people:")]
    return f"```yaml\n{sources}\n```\n"
