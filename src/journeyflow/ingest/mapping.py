"""From `columns:` of the configuration to a SELECT of canonical columns over `raw_records`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from journeyflow.config.inputs import ColumnMapping, Source
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.quoting import json_path, literal
from journeyflow.ingest.readers.raw import RawRecords
from journeyflow.ingest.times import time_of_column, time_of_parts
from journeyflow.ingest.typed import AMOUNT, TIMES


@dataclass(frozen=True)
class Fields:
    """The fields of the records in `raw_records`, by the names that the file gives them."""

    raw: RawRecords

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names that the file's header does not have; JSON records may lack any."""
        return [] if self.raw.shape == "json" else sorted(set(names) - set(self.raw.names))

    def doubled(self, names: Iterable[str]) -> list[str]:
        """Return the names that the file's header has more than once."""
        return sorted(name for name in set(names) if self.raw.names.count(name) > 1)

    def value(self, name: str) -> str:
        """Return SQL of the field as it is."""
        return self.text(name) if self.raw.shape == "json" else f"c{self.raw.names.index(name)}"

    def type_of(self, name: str) -> str:
        """Return the SQL type of `value`."""
        return "VARCHAR" if self.raw.shape == "json" else self.raw.types[self.raw.names.index(name)]

    def text(self, name: str) -> str:
        """Return SQL of the field as text; an empty text is null."""
        if self.raw.shape == "json":
            path = literal(json_path(name))
            inner = f"json_extract_string(record, {path})"
            return f"nullif(coalesce({inner}, json_extract_string(parent, {path})), '')"
        column, sql_type = self.value(name), self.type_of(name)
        if sql_type == "VARCHAR":
            return f"nullif({column}, '')"
        if ("(" in sql_type and not sql_type.startswith("DECIMAL")) or sql_type.endswith("]"):
            return f"cast(to_json({column}) as varchar)"
        return f"cast({column} as varchar)"

    def json(self, name: str) -> str:
        """Return SQL of the field as JSON, nested values kept."""
        if self.raw.shape == "json":
            path = literal(json_path(name))
            return f"coalesce(json_extract(record, {path}), json_extract(parent, {path}))"
        return self.text(name) if self.type_of(name) == "VARCHAR" else f"to_json({self.value(name)})"


def named_columns(source: Source) -> set[str]:
    """Return the columns of the file that a source's configuration names."""
    mappings = [*source.columns.values(), *([source.channel] if source.channel else [])]
    names = {
        name for m in mappings for name in [*(m.columns or ()), *(m.hash or ()), *([m.column] if m.column else [])]
    }
    return names | {name for name in source.properties if name != "*"}


_NO_HEADER = "it has none of the columns named; see `delimiter`, `header` and `columns` of the source"


def check_header(fields: Fields, names: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Refuse a file whose header lacks a named column or has it twice.

    Raises
    ------
    RefusedFileError
        Naming the columns.
    """
    wanted = set(names)
    if missing := fields.missing(wanted):
        # A first line without a single known name may be data, and data stay out of messages.
        is_header = fields.raw.shape != "columns" or len(missing) < len(wanted)
        found = f"it has {', '.join(fields.raw.names[:40])}" if is_header else _NO_HEADER
        raise RefusedFileError("missing_column", f"the header has no column {', '.join(missing)}; {found}")
    if doubled := fields.doubled(wanted | set(optional)):
        raise RefusedFileError("doubled_column", f"the header has the column {', '.join(doubled)} more than once")


def mapped_select(source: Source, fields: Fields) -> str:
    """Return a SELECT over `raw_records` with the mapped canonical columns, typed, and `record_ix` and `source_row`.

    `has_occurred`, `has_received`, `has_amount` tell a value that is absent from one that cannot be read.

    Raises
    ------
    RefusedFileError
        When the file lacks a mapped column.
    """
    check_header(fields, named_columns(source))
    columns = ["record_ix", "source_row"]
    for name, mapping in source.columns.items():
        columns += [f"{sql} as {alias}" for alias, sql in _canonical(name, mapping, fields, source.timezone)]
    if source.channel and "channel" not in source.columns:
        columns.append(f"{_text(source.channel, fields)} as channel")
    columns.append(f"{_properties(source, fields)} as properties")
    return f"select {', '.join(columns)} from raw_records"


def _canonical(name: str, mapping: ColumnMapping, fields: Fields, zone: str) -> list[tuple[str, str]]:
    text = _text(mapping, fields)
    if name in TIMES:
        return [(name, _time(mapping, fields, zone)), (f"has_{name.removesuffix('_at')}", f"{text} is not null")]
    if name == "revenue_amount":
        return [(name, f"try_cast({text} as {AMOUNT})"), ("has_amount", f"{text} is not null")]
    return [(name, text)]


def _text(mapping: ColumnMapping, fields: Fields) -> str:
    if mapping.constant is not None:
        return literal(mapping.constant)
    if mapping.hash:
        return keyed_hash([fields.text(name) for name in mapping.hash])
    if mapping.columns:
        return f"nullif(concat_ws('-', {', '.join(fields.text(name) for name in mapping.columns)}), '')"
    return fields.text(str(mapping.column))


def keyed_hash(texts: Iterable[str]) -> str:
    """Return SQL of a keyed hash of several texts, 32 hexadecimal digits; null when all of them are.

    The two keys are the session variables `inner_key` and `outer_key`, derived from the project's secret, so that no
    secret stands in a statement.
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
    return _object(_tree(names), fields) if names else "null::json"


def _tree(names: Iterable[str]) -> dict[str, object]:
    """Nest names at their points, because that is how conditions read `properties.<key>`; a leaf is its whole name."""
    tree: dict[str, object] = {}
    # Shorter names first: where one is a value of its own, a longer one cannot stand below it and stays whole.
    for name in sorted(names, key=len):
        *above, last = name.split(".")
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
    pairs = (
        f"{literal(key)}, {_object(below, fields) if isinstance(below, dict) else fields.json(str(below))}"
        for key, below in tree.items()
    )
    return f"json_object({', '.join(pairs)})"
