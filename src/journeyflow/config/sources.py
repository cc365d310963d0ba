"""Sections `sources`, `people`, `spend`, `limits` and `retention`, with paths in the file system or at a URL."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializationInfo,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from journeyflow.config.base import (
    PATTERN,
    FilePath,
    Name,
    PositiveDuration,
    Section,
    Text,
    format_duration,
    parse_duration,
)
from journeyflow.config.conditions import ALWAYS, TrafficCondition
from journeyflow.utils.files import sql_folder

OBJECT_STORES = ("s3", "gs", "az")
HTTPS = "https"
POSTGRES = "postgres"
"""`postgres://schema/table`: rows by a watermark, see `Source.watermark`."""
SCHEMES = (*OBJECT_STORES, HTTPS, POSTGRES)
SECRET_IN_URL = "secret_in_url"
SERVER_ADDRESS = "server_address"
"""Codes of the errors whose messages do not show the value."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET = re.compile(
    r"(^|[-_.])(sig|auth|key|pwd|passwd|pass|pw|jwt)($|[-_.])|token|secret|signature|password|credential|apikey", re.I
)
_PLAIN_PORT = re.compile(r"[^@:\[\]]*(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True)
class RemotePath:
    """A URL of input files; as text without its query, which may be long and is nobody's business.

    `place` is the bucket, the container, the server or the schema; `key` is what follows it. The key of an object store
    may be a glob.
    """

    scheme: str
    place: str
    key: str

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.place}/{self.key}"

    def __str__(self) -> str:
        shown = self.key.partition("?")[0] if self.scheme == HTTPS else self.key
        return f"{self.scheme}://{self.place}/{shown}"


def is_url(text: str) -> bool:
    """Return whether a text is a URL and no path of the file system."""
    return _URL.fullmatch(text) is not None


def remote_path(text: str) -> RemotePath:
    """Return the parts of a URL; PydanticCustomError for one that is not supported or holds a secret."""
    found = _URL.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", text)
    # A key of an object store may hold the sign; elsewhere it ends a password, which may hold a slash.
    if "@" in (rest.partition("/")[0] if scheme in OBJECT_STORES else rest.partition("?")[0]) or _has_secret(text):
        allowed = "a URL without password, key or token: they are read from the environment"
        raise PydanticCustomError(SECRET_IN_URL, "holds a secret", {"allowed": allowed})
    if scheme not in SCHEMES:
        allowed = ", ".join(f"{each}://" for each in SCHEMES)
        raise PydanticCustomError("url_scheme", "is a URL of another kind", {"allowed": f"a path, {allowed}"})
    place, _, key = rest.partition("/")
    if scheme == HTTPS:
        is_place = _PLAIN_PORT.fullmatch(place) is not None and bool(urlsplit(text).hostname)
        is_key = not glob.has_magic(key.partition("?")[0]) and "#" not in key
        allowed = "https://<server>/<path> of one file, without a glob"
    elif scheme == POSTGRES:
        is_place, is_key = bool(place), bool(key) and "/" not in key
        allowed = "postgres://<schema>/<table>; the environment names server, database and user (PGHOST, PGDATABASE, …)"
    else:
        is_place, is_key = _PLACE.fullmatch(place) is not None, bool(key) and not key.endswith("/")
        allowed = f"{scheme}://<{'container' if scheme == 'az' else 'bucket'}>/<key or glob>"
    if not is_place or not is_key or _CONTROL.search(rest):
        raise PydanticCustomError("url", "is no URL of files", {"allowed": allowed})
    return RemotePath(scheme, place, key)


def _has_secret(url: str) -> bool:
    return any(_SECRET.search(name) for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))


def _input_path(raw: object, info: ValidationInfo) -> Path | RemotePath:
    if isinstance(raw, RemotePath):
        return raw
    if not isinstance(raw, str | Path):
        raise PydanticCustomError("path_type", "is not a path", {"allowed": "a path, a glob or a URL"})
    if isinstance(raw, str) and is_url(raw):
        return remote_path(raw)
    folder = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / raw)) if folder else Path(raw)


def _written(path: Path | RemotePath, info: SerializationInfo) -> str:
    if isinstance(path, RemotePath):
        return path.url
    folder = (info.context or {}).get("folder")
    return Path(os.path.relpath(path, folder)).as_posix() if folder else str(path)


InputPath = Annotated[
    Path | RemotePath,
    PlainValidator(_input_path),
    PlainSerializer(_written),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A path or glob, written relative to the folder of the configuration and absolute as a value; or a URL."""


MAPPED_FORMATS = ("csv", "jsonl", "parquet", "xlsx")
CanonicalColumn = Literal[
    "event_id",
    "occurred_at",
    "received_at",
    "anonymous_id",
    "user_id",
    "session_id",
    "sequence",
    "event_name",
    "channel",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "referrer_host",
    "page_path",
    "target",
    "user_agent",
    "revenue_amount",
    "currency",
]
CANONICAL_COLUMNS: tuple[str, ...] = get_args(CanonicalColumn)
"""The columns that a source fills, in the order of `raw.events`."""
UTM_COLUMNS = tuple(name for name in CANONICAL_COLUMNS if name.startswith("utm_"))
PREVIOUS_ID = "previous_id"
"""Property of an alias event that holds the user_id that was used before."""
NULL_IDS = (
    "null",
    "none",
    "undefined",
    "nan",
    "0",
    "-1",
    "[object object]",
    "(not set)",
    "anonymous",
    "00000000-0000-0000-0000-000000000000",
)
"""Texts that are no identifier, in lower case; `null_ids` of the configuration adds others."""
SLICE_COLUMNS = ("source", "channel", *UTM_COLUMNS, "referrer_host", "page_path", "target", "currency")
"""The columns that `slices:` may name, beside properties: those whose values may be few."""


@cache
def known_formats() -> tuple[str, ...]:
    """Return the formats with mapped columns, then the adapters: `.yml` files of `sql/sources/` with a key `raw`."""
    return (*MAPPED_FORMATS, *_adapters(r"^raw:"))


@cache
def utc_formats() -> tuple[str, ...]:
    """Return the formats whose times are always UTC, so that a source cannot state another zone."""
    return _adapters(r"^is_utc: true$")


def _adapters(line: str) -> tuple[str, ...]:
    paths = sorted((sql_folder() / "sources").glob("*.yml"))
    return tuple(path.stem for path in paths if re.search(line, path.read_text(encoding="utf-8"), re.MULTILINE))


class ColumnMapping(Section):
    """Origin of a canonical column: exactly one of `column`, `columns`, `hash`, `constant`."""

    column: Text | None = None
    """Name of the column; for JSON the path to the value, joined by points. A plain text is short for this."""
    columns: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Columns with the parts of a time: year, month, day, and optionally hour, minute, second."""
    hash: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Columns that are hashed together into an identifier; only the keyed hash is stored."""
    constant: Text | None = None
    """The same value for every event."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Unit of a time that is a number since 1970."""
    format: Text | None = None
    """Format of a time in `strptime` codes, such as `%d/%m/%Y %H:%M`."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        given = [name for name in ("column", "columns", "hash", "constant") if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "column_mapping", "needs exactly one origin", {"allowed": "one of column, columns, hash, constant"}
            )
        return self


def _column(raw: object) -> object:
    if isinstance(raw, dict):
        constant = raw.get("constant")
        is_number = isinstance(constant, int | float) and not isinstance(constant, bool)
        return {**raw, "constant": str(constant)} if is_number else raw
    return {"column": raw} if isinstance(raw, str) else raw


def _channel(raw: object) -> object:
    return {"constant": raw} if isinstance(raw, str) else raw


def _properties(raw: object) -> object:
    return ("*",) if raw == "*" else raw


Column = Annotated[ColumnMapping, BeforeValidator(_column)]


class Source(Section):
    """A source of events: files of one format."""

    format: Text
    """`csv`, `jsonl`, `parquet` or `xlsx` with `columns`; or a collector with an adapter in `sql/sources/`."""
    path: InputPath
    """A file or a glob, also of objects at `s3://`, `gs://` or `az://`; one file at `https://`; or a table at
    `postgres://schema/table`. Files may be plain, gzip, zstd or zip.
    """
    channel: Annotated[ColumnMapping, BeforeValidator(_channel)] | None = None
    """Channel of the events: a constant, or `{column: name}`. An adapter may set it."""
    timezone: Text = "UTC"
    """IANA time zone of times without an offset."""
    encoding: Text = "utf-8"
    """Encoding of text files."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """CSV only: field separator."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """CSV only: quote character; empty for none."""
    header: StrictBool | Annotated[tuple[Text, ...], Field(min_length=1)] = True
    """Delimited text: whether the first line names the columns. If not, they are `column1`, `column2`, …; or a list of
    their names, for files without such a line.
    """
    pad_short_rows: StrictBool = False
    """CSV only: whether the cells that a row lacks at its end are empty. If not, such a row is quarantined."""
    sheet: Text | None = None
    """Excel only: name of the sheet. Default: the first visible one."""
    records: Text | None = None
    """JSON lines only: path of a nested list of events; the fields around the list are read too."""
    where: TrafficCondition = ALWAYS
    """Events to load, evaluated after `rename`; all others are counted as filtered."""
    rename: dict[Text, Text] = Field(default_factory=dict)
    """Event name of the source → name of the vocabulary."""
    columns: dict[CanonicalColumn, Column] = Field(default_factory=dict)
    """Canonical column → its origin. Required: `occurred_at`, `event_name`, and `anonymous_id` or `user_id`."""
    properties: Annotated[tuple[Text, ...], BeforeValidator(_properties)] = ()
    """Further columns to store, read as `properties.<key>`; `'*'` stores all."""
    watermark: Text | None = None
    """Tables of PostgreSQL only: column of an increasing number or time; a run reads the rows above its last value."""
    passive: tuple[Text, ...] = ()
    """Event names (after `rename`) that reach a person without an act of theirs, such as a message sent. Those of the
    vocabulary are known.
    """


class People(Section):
    """A file with traits of persons, joined by `user_id`."""

    path: InputPath
    """A file, a glob or a URL, as of a source; every run reads it in full."""
    user_id: Text
    """Column with the user_id."""
    traits: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Columns to store, read as `trait.<name>`."""
    valid_from: Text | None = None
    """Column with the time from which a row is valid. Without it the traits are valid at all times."""
    format: Literal["csv", "jsonl", "parquet", "xlsx"] = "csv"
    """Format of the files."""
    encoding: Text = "utf-8"
    """Encoding of text files."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """CSV only: field separator."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """CSV only: quote character; empty for none."""
    pad_short_rows: StrictBool = False
    """CSV only: whether the cells that a row lacks at its end are empty."""
    timezone: Text | None = None
    """IANA time zone of `valid_from` without an offset. Default: that of the project."""


class Spend(Section):
    """Advertising spend: a file with the columns date, channel, amount, currency."""

    path: InputPath
    """A file, a glob or a URL, as of a source."""
    format: Literal["csv", "jsonl", "parquet", "xlsx"] = "csv"
    """Format of the file."""


_SIZE_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
SIZE_PATTERN = r"^[1-9][0-9]{0,5}(KB|MB|GB|TB)$"
_LEAST_MEMORY = 300 * _SIZE_UNITS["MB"]
"""Memory that the libraries need before the first row."""


def parse_size(value: object) -> int:
    """Return the bytes of a size such as ``2GB``; a bare number is refused, because its unit would be a guess.

    Examples
    --------
    >>> parse_size("2GB")
    2000000000
    """
    if not isinstance(value, str) or not re.fullmatch(SIZE_PATTERN, value):
        raise PydanticCustomError(
            "size", "is not a size", {"allowed": "a whole number with a unit (KB, MB, GB, TB), such as 2GB"}
        )
    return int(value[:-2]) * _SIZE_UNITS[value[-2:]]


def format_size(value: int) -> str:
    """Return a size in its largest whole unit, the inverse of `parse_size`."""
    unit = next(unit for unit in reversed(_SIZE_UNITS) if value % _SIZE_UNITS[unit] == 0)
    return f"{value // _SIZE_UNITS[unit]}{unit}"


def _memory(value: object) -> int:
    size = parse_size(value)
    if size < _LEAST_MEMORY:
        raise PydanticCustomError("memory", "is too little to read any file", {"allowed": "at least 300MB"})
    return size


_SIZE_SCHEMA = WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["1GB", "500MB"]})
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size), _SIZE_SCHEMA]
Memory = Annotated[int, BeforeValidator(_memory), PlainSerializer(format_size), _SIZE_SCHEMA]


class Limits(Section):
    """Limits for one input file and the process that parses it; a file beyond them is refused."""

    file: Size = Field(default=parse_size("64GB"), json_schema_extra={"default": "64GB"})
    """Largest size of the file."""
    memory: Memory = Field(default=parse_size("1GB"), json_schema_extra={"default": "1GB"})
    """Memory that the parsing process may allocate; at least 300MB."""
    time: PositiveDuration = timedelta(hours=1)
    """Longest time that the parsing process may take."""
    rows: Annotated[StrictInt, Field(ge=1)] = 1_000_000_000
    """Most records in the file."""
    columns: Annotated[StrictInt, Field(ge=1, le=100_000)] = 10_000
    """Most columns in the file."""


FOREVER, NONE = "forever", "none"
SPAN_PATTERN = f"^(forever|none)$|{PATTERN}"
_ZERO = timedelta(0)


def _parse_span(value: object) -> timedelta | None:
    if value is None or value == FOREVER:
        return None
    if value in (NONE, _ZERO):
        return _ZERO
    try:
        return parse_duration(value)
    except PydanticCustomError as error:
        raise PydanticCustomError(
            "span", "is not a retention period", {"allowed": "forever, none, or a duration such as 90d"}
        ) from error


def _format_span(value: timedelta | None) -> str:
    if value is None:
        return FOREVER
    return format_duration(value) if value else NONE


Span = Annotated[
    timedelta | None,
    BeforeValidator(_parse_span),
    PlainSerializer(_format_span),
    WithJsonSchema({"type": "string", "pattern": SPAN_PATTERN, "examples": [FOREVER, NONE, "90d"]}),
]
"""A retention period: None is unlimited, zero is no retention."""


SCHEMA_PATTERN = r"^[a-z_][a-z0-9_]{0,62}$"


class PostgresTarget(Section):
    """A schema of a PostgreSQL database that gets all published tables with each run. Needs the extra `postgres`."""

    schema_name: Annotated[str, StringConstraints(strict=True, pattern=SCHEMA_PATTERN)] = Field(
        default="journeyflow", alias="schema"
    )
    """Name of the schema. The first run makes it; it must be of this project alone. The address of the database, with
    user and password, is in the environment variable `JOURNEYFLOW_POSTGRES`.
    """


def _store_folder(address: str) -> str:
    allowed = {"allowed": "s3://<bucket>/<folder>, gs://<bucket>/<folder> or az://<container>/<folder>"}
    try:
        path = remote_path(address.rstrip("/"))
    except PydanticCustomError as error:
        if error.type == SECRET_IN_URL:
            raise
        raise PydanticCustomError("url", "is no folder of an object store", allowed) from None
    is_plain = not glob.has_magic(path.key) and not {".", "..", ""} & {*path.key.split("/")} and "#" not in path.key
    if path.scheme not in OBJECT_STORES or not is_plain:
        raise PydanticCustomError("url", "is no folder of an object store", allowed)
    return path.url


class ObjectStoreTarget(Section):
    """A folder of an object store that gets a copy of each published generation."""

    url: Annotated[str, StringConstraints(strict=True), AfterValidator(_store_folder)]
    """The folder, `s3://<bucket>/<folder>`, `gs://…` or `az://…`; it must be of this project alone. Credentials are
    those of sources at such addresses: from the environment only.
    """


class Targets(Section):
    """Further places for the published tables."""

    postgres: PostgresTarget | None = None
    """A PostgreSQL database."""
    object_store: ObjectStoreTarget | None = None
    """A folder of an object store."""


def _server(address: str) -> str:
    if not re.fullmatch(SERVER_PATTERN, address):
        raise PydanticCustomError(SERVER_ADDRESS, "is no address of a server", {"allowed": "sc://<server>:<port>"})
    return address


SERVER_PATTERN = r"^sc://[^ ]{1,1995}$"


class Spark(Section):
    """The Spark Connect server of `engine: spark`."""

    address: Annotated[
        StrictStr, AfterValidator(_server), WithJsonSchema({"type": "string", "pattern": SERVER_PATTERN})
    ]
    """Address of the server, such as `sc://127.0.0.1:15002`."""
    folder: FilePath
    """A folder that this machine, the server and its workers see under one path; holds relations while a run lasts."""


class Retention(Section):
    """Retention of the archived records of input files (Parquet, in `state/raw`) and of published generations."""

    raw: Span = Field(default=None, json_schema_extra={"default": FOREVER})
    """How long the records of an input file are archived after it was first read: a duration, `forever`, or `none`. A
    rebuild needs the archived records.
    """
    originals: Span = Field(default=_ZERO, json_schema_extra={"default": NONE})
    """How long the bytes of an input file are kept as well. With them its records can be parsed again after a change
    of `encoding`, `delimiter` or another setting of that kind. An erasure removes the originals of files it changes.
    """
    sources: dict[Name, Span] = Field(default_factory=dict)
    """Source → retention of its files, instead of `raw`."""
    generations: Annotated[StrictInt, Field(ge=1)] = 5
    """How many published generations are kept, the current one included."""

    def span(self, source: str) -> timedelta | None:
        """Return the retention period of a source: None is unlimited, zero is no retention."""
        return self.sources.get(source, self.raw)
