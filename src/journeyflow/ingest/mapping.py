"""Column mapping: from configured columns to canonical columns; SQL for time stamps."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from journeyflow.config.sources import CANONICAL_COLUMNS, PREVIOUS_ID, ColumnMapping, Source
from journeyflow.engines.base import text as literal
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.records import RawRecords, json_path


def with_sorted_keys(json: str, depth: int = 3) -> str:
    """Return SQL of the text of a JSON value with the keys of its objects sorted, down to `depth` levels.

    The order of keys means nothing, and exports of one event may write them in another one. An object that has a key
    twice stays as it is.
    """
    text = f"cast({json} as varchar)"
    if not depth:
        return text
    pair, element = f"pair_{depth}", f"element_{depth}"

    def inner(value: str) -> str:
        is_nested = f"left(cast({value} as varchar), 1) in ('{{', '[')"
        nested = with_sorted_keys(value, depth - 1)
        return f"coalesce(case when {is_nested} then {nested} else cast({value} as varchar) end, 'null')"

    entries = f"list_sort(map_entries(try_cast({json} as map(varchar, json))))"
    member = f"cast(to_json({pair}.key) as varchar) || ':' || {inner(f'{pair}.value')}"
    pairs = f"list_transform({entries}, lambda {pair}: {member})"
    elements = f"list_transform(try_cast({json} as json[]), lambda {element}: {inner(element)})"
    return (
        f"coalesce(case json_type({json}) when 'OBJECT' then '{{' || array_to_string({pairs}, ',') || '}}' "
        f"when 'ARRAY' then '[' || array_to_string({elements}, ',') || ']' end, {text})"
    )


AMOUNT = "decimal(18, 4)"
_MOST_WHOLE = "1e18"
"""Floating point numbers below this have a whole number of 64 bits."""
TIMES = ("occurred_at", "received_at")
TEXTS = (
    *(name for name in CANONICAL_COLUMNS if name not in (*TIMES, "revenue_amount")),
    "content",
    "quarantine_raw",
    "reason",
)
IDENTIFIERS = ("anonymous_id", "user_id", "session_id")
"""Columns in which a placeholder is null: all records that have it would share one person or session."""
PERSON_IDENTIFIERS = IDENTIFIERS[:2]
TRIMMED = ("event_id", *IDENTIFIERS)
"""Columns without blanks around their texts."""
_COUNTED_FROM_ZERO = "('0', '-1')"
NUMBERED = "has_numbered_device"
"""Flag of canonical records: the device is a number by its type, as where an export numbers its visitors from 0."""


def typed_select(columns: Mapping[str, str], zone: str, constant_channel: str | None = None) -> str:
    """Return a SELECT over `canonical_records` that has every canonical column, null where the source gives none.

    `columns` are those of `canonical_records` with their types. Times may be ISO text, in `zone` where they state none,
    naive timestamps of that zone, or already UTC with a `has_…` column beside them. `constant_channel` overrides the
    source's channel.
    """
    listed = ["record_ix", "source_row"]
    # In a step of their own: an expression in a macro is written, planned and computed several times.
    trimmed = [f"trimmed_id({_as_text(name, columns)}) as {name}" for name in TRIMMED if name in columns]
    for name in TEXTS:
        listed.append(f"{_typed_text(name, columns)} as {name}")
    for name in TIMES:
        flag = f"has_{name.removesuffix('_at')}"
        listed += [f"{_typed_time(name, flag, columns, zone)} as {name}", f"{_has(name, flag, columns)} as {flag}"]
    amount = "revenue_amount" if "revenue_amount" in columns else "null"
    listed += [f"try_cast({amount} as {AMOUNT}) as revenue_amount"]
    listed += [f"{_has('revenue_amount', 'has_amount', columns)} as has_amount"]
    listed += ["properties" if "properties" in columns else "cast(null as json) as properties"]
    placeholders = [_is_placeholder(name, columns) for name in PERSON_IDENTIFIERS if name in columns]
    listed.append(f"coalesce({' or '.join(placeholders) or 'false'}, false) as has_placeholder_id")
    if constant_channel:
        listed[listed.index(f"{_typed_text('channel', columns)} as channel")] = (
            f"{literal(constant_channel)} as channel"
        )
    replaced = f" replace ({', '.join(trimmed)})" if trimmed else ""
    return f"select {', '.join(listed)} from (select *{replaced} from canonical_records)"


def _as_text(name: str, columns: Mapping[str, str]) -> str:
    return name if columns[name] == "VARCHAR" else f"cast({name} as varchar)"


def _typed_text(name: str, columns: Mapping[str, str]) -> str:
    if name not in columns:
        return "cast(null as varchar)"
    if name in TRIMMED:
        return f"case when not {_is_placeholder(name, columns)} then {name} end"
    text = _as_text(name, columns)
    if name != "event_name":
        return text
    # Nearly all names begin with a visible character of ASCII, and trimming is slow.
    return f"case when ({text} >= '!' and {text} < chr(127)) or trim({text}) <> '' then {text} end"


def _is_placeholder(name: str, columns: Mapping[str, str]) -> str:
    """Return SQL of whether a trimmed identifier is a placeholder."""
    if name == "event_id":
        # Rows may be numbered from 0, so that these two are placeholders of persons only.
        return f"({name} not in {_COUNTED_FROM_ZERO} and is_null_id({name}))"
    if name == "anonymous_id" and NUMBERED in columns:
        return f"(is_null_id({name}) and not ({NUMBERED} and {name} = '0'))"
    return f"is_null_id({name})"


def _has(name: str, flag: str, columns: Mapping[str, str]) -> str:
    if flag in columns:
        return flag
    return f"{name} is not null" if name in columns else "false"


def _typed_time(name: str, flag: str, columns: Mapping[str, str], zone: str) -> str:
    if name not in columns:
        return "cast(null as timestamp)"
    if flag in columns:
        return name
    if columns[name] == "VARCHAR":
        return time_of_text(name, zone)
    return utc_of_naive(f"cast({name} as timestamp)", zone)


_HAS_ZONE = r"\d:\d\d(:\d\d([.,]\d+)?)? ?(Z|z|UTC|GMT|[+-]\d\d(:?\d\d){0,2})$"
_IMPOSSIBLE_ZONE = r":\d\d([.,]\d+)? ?[+-](1[5-9]|[2-9]\d)(:?\d\d){0,2}$"
_HAS_WORD = r"[A-SU-Za-su-z]|[Tt].*[Tt]|[^0-9][Tt]|[Tt][^0-9]"
"""A letter other than one T between digits, which separates date and time."""
_KNOWN_WORD = r"^[^A-Za-z]*([Tt]\d[^A-Za-z]*)?([Zz]|(?i:UTC|GMT)([+-]\d\d?)?|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+\d*) ?$"
"""One word at the end that names a zone without doubt; of abbreviations the database would read BST as Dhaka."""
_HAS_HALF_DAY = r"(?i)\d ?[ap]\.?m\.?$"
_HALF_DAYS = ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S.%f %p")
_MICROSECONDS = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}


def time_of_text(text: str, zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of an ISO-like text; null where it is not one.

    A cast to TIMESTAMP would silently drop a stated offset, and a word after the time, so the cast is to TIMESTAMP WITH
    TIME ZONE; the connection is in UTC. Another zone of the source applies to times that state none. A half of the day
    (AM, PM) counts; any word but UTC, GMT, Z and names such as Europe/Berlin makes the time unreadable: abbreviations
    stand for several zones. Of the hour that comes twice the second is taken, and the hour that is skipped is read as
    the one after it. Digits below a microsecond are cut off, as in columns with a type and numbers with a unit.
    """
    # The database accepts any two digits as an offset. Short texts state none and skip the search.
    possible = f"length({text}) < 19 or not regexp_matches({text}, {literal(_IMPOSSIBLE_ZONE)})"
    zoned = f"case when {possible} then try(make_timestamp(epoch_us(try_cast({text} as timestamptz)))) end"
    has_zone, has_word = (f"regexp_matches({text}, {literal(each)})" for each in (_HAS_ZONE, _HAS_WORD))
    is_plain = f"right({text}, 1) between '0' and '9' and not {has_word}"
    if zone == "UTC":
        # The cast refuses words by itself, but for names of zones, which end in a letter where they may be ambiguous.
        is_plain, plain = f"right({text}, 1) between '0' and '9'", zoned
    else:
        plain = f"case when {has_zone} then {zoned} else {utc_of_naive(f'try_cast({text} as timestamp)', zone)} end"
    parsed = f"regexp_replace(replace({text}, 'T', ' '), ' ?([apAP])\\.?([mM])\\.?$', ' \\1\\2')"
    half_days = f"try_strptime({parsed}, [{', '.join(map(literal, _HALF_DAYS))}])"
    return (
        f"case when {is_plain} then {plain} "
        f"when regexp_matches({text}, {literal(_HAS_HALF_DAY)}) then {utc_of_naive(half_days, zone)} "
        f"when regexp_matches({text}, {literal(_KNOWN_WORD)}) then {zoned} "
        f"when not {has_word} then {plain} end"
    )


def utc_of_naive(stamp: str, zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of a naive TIMESTAMP in a zone; null where that is infinite or out of range."""
    # Microseconds of infinity are an error.
    return f"try(make_timestamp(epoch_us({stamp if zone == 'UTC' else f'timezone({literal(zone)}, {stamp})'})))"


def time_of_column(value: str, text: str, sql_type: str, mapping: ColumnMapping, zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of one column.

    `value` and `text` are SQL of the column as it is and as VARCHAR; `zone` is that of times that state none.
    """
    if mapping.unit:
        return _of_number(value if sql_type in {"BIGINT", "INTEGER", "UBIGINT", "UINTEGER"} else text, mapping.unit)
    if mapping.format:
        parsed = f"try_strptime({text}, {literal(mapping.format)})"
        return f"make_timestamp(epoch_us({parsed}))" if "%z" in mapping.format.lower() else utc_of_naive(parsed, zone)
    if sql_type.endswith("_NS"):
        # A cast would round to the next microsecond, which may be the next day.
        rest = f"(epoch_ns({value}) % 1000 + 1000) % 1000"
        stamp = f"try(make_timestamp((epoch_ns({value}) - {rest}) // 1000))"
        return stamp if sql_type.startswith("TIMESTAMPTZ") else utc_of_naive(stamp, zone)
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"try(make_timestamp(epoch_us({value})))"
    if sql_type.startswith("TIMESTAMP") or sql_type == "DATE":
        return utc_of_naive(f"try_cast({value} as timestamp)", zone)
    return time_of_text(text, zone)


def time_of_parts(texts: list[str], zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of year, month, day and as much of hour, minute, second as is given."""
    numbers = [f"try_cast({text} as {'double' if index == 5 else 'bigint'})" for index, text in enumerate(texts)]
    zeros = ["0"] * (6 - len(numbers))
    return utc_of_naive(f"try(make_timestamp({', '.join([*numbers, *zeros])}))", zone)


def _of_number(number: str, unit: str) -> str:
    # DECIMAL: a DOUBLE cannot hold today's microseconds and a fraction.
    scaled = f"cast({number} as decimal(30, 9)) * {_MICROSECONDS[unit]}"
    return f"try(make_timestamp(cast(floor({scaled}) as bigint)))"


@dataclass(frozen=True)
class Fields:
    """SQL of the fields of `raw_records`, by their names in the file."""

    raw: RawRecords

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names that the file's header does not have; JSON records may lack any."""
        return [] if self.raw.shape == "json" else sorted(name for name in set(names) if self._column(name) is None)

    def is_inside(self, name: str) -> bool:
        """Return whether a dotted name is in a struct of Parquet: `device.category` in the column `device`."""
        return name not in self.raw.names and self._column(name) is not None

    def _column(self, name: str) -> tuple[str, str] | None:
        """Return SQL and type of a column, or of the field of a struct that a dotted name leads to."""
        if name in self.raw.names:
            index = self.raw.names.index(name)
            return f"c{index}", self.raw.types[index]
        columns = zip(self.raw.names, self.raw.types, strict=False)
        found = (_field(f"c{index}", kind, name[len(head) + 1 :]) for index, (head, kind) in enumerate(columns)
                 if name.startswith(f"{head}."))  # fmt: skip
        return next((each for each in found if each), None)

    def doubled(self, names: Iterable[str]) -> list[str]:
        """Return the names that the file's header has more than once."""
        return sorted(name for name in set(names) if self.raw.names.count(name) > 1)

    def value(self, name: str) -> str:
        """Return SQL of the field as it is."""
        column = None if self.raw.shape == "json" else self._column(name)
        return column[0] if column else self.text(name)

    def type_of(self, name: str) -> str:
        """Return the SQL type of `value`."""
        column = None if self.raw.shape == "json" else self._column(name)
        return column[1] if column else "VARCHAR"

    def text(self, name: str) -> str:
        """Return SQL of the field as text; an empty text is null."""
        if self.raw.shape == "json":
            path = literal(json_path(name))
            inner = f"json_extract_string(record, {path})"
            return f"nullif(coalesce({inner}, json_extract_string(parent, {path})), '')"
        if (found := self._column(name)) is None:
            return "cast(null as varchar)"
        column, sql_type = found
        if sql_type == "VARCHAR":
            return f"nullif({column}, '')"
        if sql_type == "BLOB":
            return f"nullif(try(decode({column})), '')"
        if ("(" in sql_type and not sql_type.startswith("DECIMAL")) or sql_type.endswith("]"):
            return f"cast(to_json({column}) as varchar)"
        if sql_type in ("FLOAT", "DOUBLE"):
            # Data frames write a column of integers with gaps as floating point, and the gaps as NaN. Of structs
            # the database may cast before it looks at the condition, so the cast must not fail.
            whole = f"{column} = trunc({column}) and abs({column}) < {_MOST_WHOLE}"
            return (
                f"case when isnan({column}) then null when {whole} then cast(try_cast({column} as bigint) as varchar) "
                f"else cast({column} as varchar) end"
            )
        if sql_type.startswith("DECIMAL"):
            return (
                f"case when {column} = trunc({column}) then cast(try_cast({column} as hugeint) as varchar) "
                f"else cast({column} as varchar) end"
            )
        return f"cast({column} as varchar)"

    def is_given(self, name: str) -> str:
        """Return SQL of whether the field has a text; a time needs not be written as one, which is slow."""
        is_time = self.type_of(name).startswith(("TIMESTAMP", "DATE"))
        return f"{self.value(name) if is_time else self.text(name)} is not null"

    def identifier(self, name: str) -> str:
        """Return SQL of the field as the text of an identifier: of a whole number with decimals, the whole number.

        A text of JSON or Parquet stays as it is; where the file knows no types, a number is what looks like one.
        """
        text = self.text(name)
        if self.raw.shape == "json":
            path = literal(json_path(name))
            is_number = f"coalesce(json_type(record, {path}), json_type(parent, {path})) = 'DOUBLE'"
        elif all(sql_type == "VARCHAR" for sql_type in self.raw.types):
            return rf"regexp_replace(trimmed_id({text}), '^(-?\d{{1,18}})\.0+$', '\1')"
        else:
            return text
        return f"case when ends_with({text}, '.0') and {is_number} then split_part({text}, '.', 1) else {text} end"

    def is_number(self, name: str) -> str | None:
        """Return SQL of whether the field is a whole number by its type; None where the file knows no types."""
        if self.raw.shape == "json":
            path = literal(json_path(name))
            return f"coalesce(json_type(record, {path}), json_type(parent, {path})) in ('BIGINT', 'UBIGINT')"
        return "true" if "INT" in self.type_of(name) else None

    def json(self, name: str) -> str:
        """Return SQL of the field as JSON, nested values kept."""
        if self.raw.shape == "json":
            path = literal(json_path(name))
            return f"coalesce(json_extract(record, {path}), json_extract(parent, {path}))"
        if self.type_of(name) == "BLOB":  # A text where it is one; bytes of no text are kept escaped.
            return f"coalesce({self.text(name)}, cast({self.value(name)} as varchar))"
        return self.text(name) if self.type_of(name) == "VARCHAR" else f"to_json({self.value(name)})"

    def is_no_text(self, names: Iterable[str]) -> str | None:
        """Return SQL of whether one of these fields holds bytes that are no UTF-8 text; None where none can.

        Parquet texts without the mark of UTF-8 are bytes for the database. RefusedFileError for bytes inside a list or
        group, which cannot be distinguished from text there.
        """
        if self.raw.shape == "json":
            return None
        types = {name: self.type_of(name) for name in sorted(set(names))}
        if nested := [name for name, sql_type in types.items() if "BLOB" in sql_type and sql_type != "BLOB"]:
            detail = f"the column {', '.join(nested)} holds binary values inside a list or group; write them as text"
            raise RefusedFileError("binary_values", detail)
        columns = [self.value(name) for name, sql_type in types.items() if sql_type == "BLOB"]
        return " or ".join(f"({column} is not null and try(decode({column})) is null)" for column in columns) or None


_TYPE_PART = re.compile(r"""\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'|[(),]|[^\"'(),]+""")


def _field(column: str, sql_type: str, name: str) -> tuple[str, str] | None:
    """Return SQL and type of the field `name`, dotted, of a struct; None where it has no such field."""
    for field, inner in _struct_fields(sql_type):
        value = f"struct_extract({column}, {literal(field)})"
        if name == field:
            return value, inner
        if name.startswith(f"{field}.") and (found := _field(value, inner, name[len(field) + 1 :])):
            return found
    return None


@lru_cache(maxsize=1024)
def _struct_fields(sql_type: str) -> tuple[tuple[str, str], ...]:
    """Return the fields of a struct and their types, from the text of its type; of other types none.

    Examples
    --------
    >>> _struct_fields('STRUCT(id DOUBLE, "a, b" STRUCT(c DECIMAL(4,2)))')
    (('id', 'DOUBLE'), ('a, b', 'STRUCT(c DECIMAL(4,2))'))
    """
    if not sql_type.startswith("STRUCT(") or sql_type.endswith("]"):
        return ()
    fields, depth = [""], 0
    for part in _TYPE_PART.findall(sql_type.removeprefix("STRUCT(")[:-1]):
        depth += (part == "(") - (part == ")")
        if part == "," and not depth:
            fields.append("")
        else:
            fields[-1] += part
    found = (_TYPE_PART.match(each.strip()) for each in fields)
    pairs = ((match[0] if match[0].startswith('"') else match[0].split()[0], match.string) for match in found if match)
    return tuple((name[1:-1].replace('""', '"') if name.startswith('"') else name, text[len(name) :].strip())
                 for name, text in pairs)  # fmt: skip


def named_columns(source: Source) -> set[str]:
    """Return the columns of the file that a source's configuration names."""
    mappings = [*source.columns.values(), *([source.channel] if source.channel else [])]
    names = {
        name for m in mappings for name in [*(m.columns or ()), *(m.hash or ()), *([m.column] if m.column else [])]
    }
    return names | {name for name in source.properties if name != "*"}


_NO_HEADER = "it has none of the columns named; see `delimiter`, `header` and `columns` of the source"
_OF_DATA = re.compile(r"\d{4}|@|.{65}")
"""What a name of a header hardly has, and a row has: a year, an address, a long text."""


def check_header(fields: Fields, names: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raise RefusedFileError when the header lacks a named column or has it twice."""
    wanted = set(names)
    if missing := fields.missing(wanted):
        # A first line without any known name may be data, which must not appear in messages; so may a part of one.
        is_header = fields.raw.shape != "columns" or len(missing) < len(wanted)
        is_shown = is_header and not any(map(_OF_DATA.search, fields.raw.names))
        found = f"it has {', '.join(fields.raw.names[:40])}" if is_shown else _NO_HEADER
        if is_header and not is_shown:
            found = f"it has {len(fields.raw.names):,} columns, which look like a row; see its first line"
        raise RefusedFileError("missing_column", f"the header has no column {', '.join(missing)}; {found}")
    if doubled := fields.doubled(wanted | set(optional)):
        raise RefusedFileError("doubled_column", f"the header has the column {', '.join(doubled)} more than once")


def mapped_select(source: Source, fields: Fields) -> str:
    """Return a SELECT over `raw_records` with the mapped canonical columns, typed, and `record_ix` and `source_row`.

    `has_occurred`, `has_received`, `has_amount` distinguish an absent value from one that cannot be read.
    """
    named = named_columns(source)
    check_header(fields, named)
    columns = ["record_ix", "source_row"]
    if is_no_text := fields.is_no_text(named):
        columns.append(f"case when {is_no_text} then 'bad_encoding' end as reason")
    for name, mapping in source.columns.items():
        columns += [f"{sql} as {alias}" for alias, sql in _canonical(name, mapping, fields, source.timezone)]
    if source.channel and "channel" not in source.columns:
        columns.append(f"{_text(source.channel, fields)} as channel")
    columns.append(f"{_properties(source, fields)} as properties")
    return f"select {', '.join(columns)} from raw_records"


def _canonical(name: str, mapping: ColumnMapping, fields: Fields, zone: str) -> list[tuple[str, str]]:
    text = _text(mapping, fields, is_identifier=name in (*IDENTIFIERS, "event_id"))
    if name in TIMES:
        is_given = fields.is_given(mapping.column) if mapping.column else f"{text} is not null"
        return [(name, _time(mapping, fields, zone)), (f"has_{name.removesuffix('_at')}", is_given)]
    if name == "revenue_amount":
        return [(name, f"try_cast({text} as {AMOUNT})"), ("has_amount", f"{text} is not null")]
    if name == "anonymous_id" and mapping.column and (is_number := fields.is_number(mapping.column)):
        return [(name, text), (NUMBERED, is_number)]
    return [(name, text)]


def _text(mapping: ColumnMapping, fields: Fields, *, is_identifier: bool = False) -> str:
    text = fields.identifier if is_identifier else fields.text
    if mapping.constant is not None:
        return literal(mapping.constant)
    if mapping.hash:
        texts = [text(name) for name in mapping.hash]
        identifiers = ", ".join(f"identifier_of({each})" for each in texts)
        # Of placeholders alone there is no hash: it would look like somebody's identifier.
        return f"case when coalesce({identifiers}, null) is not null then {keyed_hash(texts)} end"
    if mapping.columns:
        return f"nullif(concat_ws('-', {', '.join(text(name) for name in mapping.columns)}), '')"
    return text(str(mapping.column))


def keyed_hash(texts: Iterable[str]) -> str:
    """Return SQL of a keyed hash of several texts, 32 hexadecimal digits; null when all of them are.

    The keys are the session variables `inner_key` and `outer_key`, derived from the project's secret, so that no
    statement contains it.
    """
    listed = list(texts)
    message = " || chr(31) || ".join(f"coalesce({text}, chr(30))" for text in listed)
    hashed = f"sha256(getvariable('outer_key') || sha256(getvariable('inner_key') || {message}))"
    return f"case when coalesce({', '.join([*listed, 'null'])}) is not null then left({hashed}, 32) end"


def _time(mapping: ColumnMapping, fields: Fields, zone: str) -> str:
    if mapping.columns:
        return time_of_parts([fields.text(name) for name in mapping.columns], zone)
    if mapping.column is None:
        return time_of_column(_text(mapping, fields), _text(mapping, fields), "VARCHAR", mapping, zone)
    name = mapping.column
    return time_of_column(fields.value(name), fields.text(name), fields.type_of(name), mapping, zone)


def _properties(source: Source, fields: Fields) -> str:
    names = [name for name in source.properties if name != "*"]
    if "*" in source.properties:
        if fields.raw.shape == "json":
            return "json_merge_patch(coalesce(parent, '{}'::json), record)"
        used = named_columns(source) - set(names)
        names = sorted(name for name in fields.raw.names if name not in used and fields.raw.names.count(name) == 1)
    check_width(names)
    return _object(_tree(names), fields) if names else "null::json"


MAX_PROPERTIES = 1_000
"""Columns that may be kept as properties: the database plans the statement that reads them in the square of them."""


def check_width(names: Sequence[str]) -> None:
    """Refuse a file with too many columns that are to be kept as properties."""
    if len(names) > MAX_PROPERTIES:
        detail = f"{len(names):,} of its columns are to be kept as properties, more than {MAX_PROPERTIES:,}"
        raise RefusedFileError("too_wide", f"{detail}; name in `properties` those that you need")


MAX_NAME_PARTS = 20
"""A name of more parts joined by points is not nested: each part is a level of the statement that reads the file."""


def _tree(names: Iterable[str]) -> dict[str, object]:
    """Nest dotted names, because conditions read `properties.<key>` that way; a leaf holds the whole name."""
    tree: dict[str, object] = {}
    # Shorter names first: below one that is a value, a longer name cannot be nested and stays whole.
    for name in sorted(names, key=len):
        parts = name.split(".")
        *above, last = parts if len(parts) <= MAX_NAME_PARTS else [name]
        place = tree
        for part in above:
            below = place.setdefault(part, {})
            if not isinstance(below, dict):
                tree[name] = name
                break
            place = below
        else:
            place[last] = name
    return tree


def _object(tree: dict[str, object], fields: Fields) -> str:
    def value(below: object) -> str:
        if isinstance(below, dict):
            return _object(below, fields)
        # The former id of an alias event must be written as its user_id is.
        return fields.identifier(str(below)) if below == PREVIOUS_ID else fields.json(str(below))

    pairs = (f"{literal(key)}, {value(below)}" for key, below in tree.items())
    return f"json_object({', '.join(pairs)})"
