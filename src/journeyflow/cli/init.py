"""`init`, `check` and `schema`: propose and validate a configuration and user-defined models."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Annotated, Any

import typer

from journeyflow.cli.output import DEFAULT_CONFIG, ConfigOption, JsonOption
from journeyflow.errors import ExitCode, InputError, JourneyflowError

if TYPE_CHECKING:
    from journeyflow.config.problems import Problem


def init(
    data: Annotated[
        Path | None, typer.Argument(help="A file of events to inspect: CSV, JSON lines or Parquet.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a commented configuration to start from. With a file of events, propose how to read it."""
    from journeyflow.cli.output import write_file

    if output.exists() and not force:
        raise InputError(f"{output} exists. Name another file with --output, or replace it with --force.")
    text, notes = starter(data, output.parent)
    write_file(output, text.encode())
    typer.echo(f"Wrote {output}.")
    for note in notes:
        typer.echo(f"  {note}")
    typer.echo(f"Next: review it, then journeyflow check --config {output}")


def check(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Report every error of the configuration and lint the user-defined models, without reading data."""
    from journeyflow.config import check as check_config
    from journeyflow.utils.formatting import escaped

    problems = [*check_config(config), *lint_models(config if config.is_dir() else config.parent)]
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        typer.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
    else:
        for problem in problems:
            typer.echo(escaped(problem))
        typer.echo(_summary(config, errors, len(problems) - errors))
    if errors:
        raise typer.Exit(ExitCode.CONFIGURATION)


def lint_models(project: Path) -> list[Problem]:
    """Return what is wrong with the user's models: an error stops a run, a broken rule of the lint does not."""
    from journeyflow.config.problems import Problem

    if not any((project / name).is_dir() for name in ("sql", "models")):
        return []  # Without models nothing of sqlglot and duckdb is imported.
    from journeyflow.models import load_graph
    from journeyflow.models.lint import lint
    from journeyflow.state.paths import own_folder
    from journeyflow.utils.files import sql_folder

    try:
        graph = load_graph(sql_folder(), own_folder(project))
    except JourneyflowError as error:
        return [Problem("error", error.code, str(project / "sql"), None, "models", None, None, None, error.message)]
    return [
        Problem("warning", finding.code, str(graph[finding.model].path), None, finding.model, None, None, None, text)
        for finding in lint(graph, [model for model in graph if model.is_own])
        for text in [finding.message.removesuffix(".")]
    ]


def _summary(config: Path, errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return f"{config} is valid."
    found = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    return f"{config}: {' and '.join(found)}."


def schema(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else the terminal.")] = None,
) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    from journeyflow.cli.output import write_file
    from journeyflow.config.json_schema import json_schema

    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if output:
        write_file(output, text.encode())
    else:
        typer.echo(text, nl=False)


HEAD_BYTES = 262_144
HEAD_ROWS = 2_000
_COMPRESSED = {".gz", ".zst", ".bz2"}
_ACCESS_LOG = re.compile(r'^\S+ \S+ \S+ \[[^\]]+\] "')
# Below the first, seconds since 1970 stay before the year 5138; each next unit is a thousand times finer.
_EPOCH_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (1e20, "ns"))


@dataclass(frozen=True)
class Peek:
    """The first rows of a file: at most `HEAD_ROWS`.

    `form` is ``csv``, ``jsonl``, ``parquet`` or ``access_log``. `columns` are in the file's order, nested JSON as
    dotted paths. `delimiter` is of CSV only. `encoding` is a guess where the text is not UTF-8.
    """

    form: str
    columns: list[str]
    rows: list[dict[str, Any]]
    delimiter: str | None = None
    encoding: str | None = None

    def values(self, column: str) -> list[str]:
        """Return the distinct values of `column`, sorted."""
        return sorted({str(row[column]) for row in self.rows if row.get(column) not in (None, "")})

    def epoch_unit(self, column: str) -> str | None:
        """Return the unit of a column that counts from 1970, else None."""
        value = next((str(row[column]) for row in self.rows if row.get(column) not in (None, "")), "")
        if not re.fullmatch(r"\d{9,19}(\.\d+)?", value):
            return None
        return next(unit for bound, unit in _EPOCH_UNITS if float(value) < bound)


def peek(path: Path) -> Peek:
    """Read the first rows of a file of events; refuse one that is neither CSV, JSON lines, Parquet nor access log."""
    if not path.is_file():
        raise InputError(f"There is no file {path}. Name one file of events, or none for an example.")
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix == ".parquet":
        return _peek_parquet(path)
    text, encoding = _head(path)
    if suffix in {".json", ".jsonl", ".ndjson"}:
        return replace(_peek_json(path, text), encoding=encoding)
    if _ACCESS_LOG.match(text):
        return Peek("access_log", [], [])
    return replace(_peek_csv(path, text), encoding=encoding)


def _head(path: Path) -> tuple[str, str | None]:
    import pyarrow as pa

    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            head = bytes(stream.read(HEAD_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read. Check that it is complete and that its suffix is right.") from error
    encoding = _encoding(head)
    text = head.decode(encoding or "utf-8-sig", errors="replace")
    if not text.strip():
        raise InputError(f"{path} is empty. Name a file with a few events.")
    return text, encoding


def _encoding(head: bytes) -> str | None:
    """Return the encoding of a text that is not UTF-8, else None; the head may end inside a character."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return None


def _peek_parquet(path: Path) -> Peek:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        batch = next(file.iter_batches(batch_size=HEAD_ROWS), None)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} is not a complete Parquet file.") from error
    return Peek("parquet", list(file.schema_arrow.names), batch.to_pylist() if batch else [])


def _peek_csv(path: Path, text: str) -> Peek:
    header = text.splitlines()[0]
    delimiter = max(",;\t|", key=header.count)
    if delimiter not in header:
        raise InputError(f"{path} is not CSV, JSON lines, Parquet or an access log: its first line has no separator.")
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter)
    rows = [row for row, _ in zip(reader, range(HEAD_ROWS), strict=False)]
    return Peek("csv", list(reader.fieldnames or []), rows, delimiter)


def _peek_json(path: Path, text: str) -> Peek:
    rows = []
    for line in text.splitlines()[:HEAD_ROWS]:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            rows.append(dict(_flat(value, "")))
    if not rows:
        raise InputError(f"{path} holds no JSON objects, one a line. Write one event a line.")
    return Peek("jsonl", list(dict.fromkeys(name for row in rows for name in row)), rows)


def _flat(value: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, item in value.items():
        pairs += _flat(item, f"{prefix}{name}.") if isinstance(item, dict) else [(f"{prefix}{name}", item)]
    return pairs


SYNONYMS = {
    "event_id": ("event_id", "eventid", "id", "uuid", "message_id", "insert_id"),
    "occurred_at": (
        "occurred_at", "event_time", "event_timestamp", "timestamp", "ts", "time", "datetime", "created_at", "date",
    ),
    "anonymous_id": (
        "anonymous_id", "visitor_id", "visitorid", "cookie", "cookie_id", "client_id", "device_id", "user_pseudo_id",
        "fullvisitorid", "distinct_id",
    ),
    "user_id": ("user_id", "userid", "customer_id", "customer", "member_id", "account_id", "uid"),
    "session_id": ("session_id", "sessionid", "session", "visit_id", "visit", "user_session"),
    "event_name": ("event_name", "event", "event_type", "action", "type", "name", "activity"),
    "page_path": ("page_path", "page_url", "url", "page", "path", "page_location"),
    "referrer_host": ("referrer_host", "referrer", "referer"),
    "utm_source": ("utm_source",),
    "utm_medium": ("utm_medium",),
    "utm_campaign": ("utm_campaign",),
    "revenue_amount": ("revenue_amount", "revenue", "amount", "total", "price", "value"),
    "currency": ("currency", "currency_code"),
    "sequence": ("sequence", "hit_number", "order_in_session"),
}  # fmt: skip
"""Canonical column → its names in sources, likeliest first."""

VOCABULARY = {
    "page_view": ("pageview", "page", "view_page"),
    "product_view": ("view", "view_item", "product_viewed", "detail"),
    "add_to_cart": ("cart", "addtocart", "product_added", "basket", "carts"),
    "remove_from_cart": ("removefromcart", "product_removed"),
    "checkout_started": ("checkout", "begin_checkout"),
    "purchase": ("transaction", "order", "order_completed", "orders", "payment_done", "buy"),
    "sign_up": ("signup", "register", "registration"),
}
"""Event name of the built-in models → names that may mean it; only proposed, never applied."""


def starter(data: Path | None, folder: Path) -> tuple[str, list[str]]:
    """Return the text of a `journeyflow.yml` for a file of events, and notes of one line each for its reader.

    `folder` is that of the configuration, whose paths are relative to it; without `data` the sources are an example.
    """
    if data is None:
        return _TEMPLATE.substitute(project="my-project", source=_EXAMPLE_SOURCE), [
            "Fill in `sources`: the paths of the event files and the names of their columns."
        ]
    seen = peek(data)
    path = glob.escape(os.path.relpath(data.resolve(), folder.resolve()))  # `path` of a source is a pattern.
    source, notes = _source(seen, path)
    return _TEMPLATE.substitute(project=_quoted(_identifier(data.resolve().parent.name)), source=source), notes


def _source(seen: Peek, path: str) -> tuple[str, list[str]]:
    lines = ["  events:", f"    format: {seen.form}", f"    path: {_quoted(path)}", "    channel: web"]
    if seen.form == "access_log":
        return "\n".join(lines), [f"{path} looks like a web server's access log; it needs no columns."]
    if seen.delimiter not in (None, ","):
        lines.append(f"    delimiter: {json.dumps(seen.delimiter)}")
    if seen.encoding:
        lines.append(f"    encoding: {seen.encoding}               # a guess: the file is not UTF-8")
    mapping = propose_columns(seen.columns)
    lines += [
        "    timezone: UTC                  # of timestamps without a zone",
        *_rename_lines(seen, mapping),
        "    columns:",
    ]
    lines += [f"      {name}: {_column(name, column, seen)}" for name, column in mapping.items()]
    missing = _missing(mapping)
    lines += [f"      # {name}: ...                # required; one of: {', '.join(seen.columns)}" for name in missing]
    rest = [column for column in seen.columns if column not in mapping.values()]
    if rest:
        lines.append(f"    properties: [{', '.join(map(_quoted, rest))}]")
    notes = [f"{name} is read from the column {column}" for name, column in mapping.items()]
    return "\n".join(lines), [
        *notes,
        *_amount_notes(seen, mapping),
        *(f"No column looks like {name}: name one before the first run" for name in missing),
    ]


def propose_columns(columns: list[str]) -> dict[str, str]:
    """Return canonical column → column of the file, where the names match.

    Examples
    --------
    >>> propose_columns(["ts", "visitorid", "event", "colour"])
    {'occurred_at': 'ts', 'anonymous_id': 'visitorid', 'event_name': 'event'}
    """
    known = {column.lower().replace(" ", "_").replace("-", "_"): column for column in reversed(columns)}
    mapping: dict[str, str] = {}
    for name, synonyms in SYNONYMS.items():
        column = next((known[s] for s in synonyms if s in known and known[s] not in mapping.values()), None)
        if column is not None:
            mapping[name] = column
    return mapping


def _amount_notes(seen: Peek, mapping: dict[str, str]) -> list[str]:
    column = mapping.get("revenue_amount", "")
    if not any(re.fullmatch(r"[-+]?[\d.]*,\d{1,2}", value) for value in seen.values(column)):
        return []
    return [f"{column} has decimal commas, and such amounts are quarantined: write 1.50 for 1,50, or remove the column"]


def _missing(mapping: dict[str, str]) -> list[str]:
    missing = [name for name in ("occurred_at", "event_name") if name not in mapping]
    has_person = "anonymous_id" in mapping or "user_id" in mapping
    return missing if has_person else [*missing, "anonymous_id"]


def _column(name: str, column: str, seen: Peek) -> str:
    unit = seen.epoch_unit(column) if name == "occurred_at" else None
    return f"{{column: {_quoted(column)}, unit: {unit}}}" if unit else _quoted(column)


def _rename_lines(seen: Peek, mapping: dict[str, str]) -> list[str]:
    """Return comments: the event names of the file, and a proposal of what they mean for the user to confirm."""
    names = seen.values(mapping.get("event_name", ""))
    if not names or len(names) > 40:
        return []
    lines = [f"    # event names seen: {', '.join(map(_quoted, names))}"]
    guesses = {name: known for known, others in VOCABULARY.items() for name in names if name.lower() in others}
    if guesses:
        pairs = ", ".join(f"{_quoted(name)}: {known}" for name, known in guesses.items())
        lines.append(f"    # rename: {{{pairs}}}    # their names in the built-in models; uncomment it if it is right")
    return lines


_YAML_WORDS = frozenset(("yes", "no", "on", "off", "true", "false", "null", "y", "n", "nan", "inf"))


def _quoted(text: str) -> str:
    is_plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text) and text.lower() not in _YAML_WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "my-project"


_EXAMPLE_SOURCE = """\
  web:
    format: csv                    # csv, jsonl, parquet, access_log, snowplow
    path: data/web/*.csv.gz
    channel: web
    timezone: UTC                  # of timestamps without a zone
    columns:                       # canonical name: column of the file
      occurred_at: ts
      anonymous_id: cookie
      user_id: customer
      event_name: event
      page_path: url
      revenue_amount: amount"""


_TEMPLATE = Template("""\
# Inputs, definitions and outputs of journeyflow. Paths are relative to this file.
# Every key: docs/reference/configuration.md. Editors complete them from `journeyflow schema > journeyflow.schema.json`.
project: $project
timezone: UTC                      # of reporting days; stored times are UTC
state: state/                      # private: the warehouse and the archive of input files
publish: published/                # tables for BI tools

sources:
$source

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
""")
