"""Validation rules of sources, people, paths, time zones and currencies: one function per rule."""

from __future__ import annotations

import codecs
import glob
import itertools
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import available_timezones

from journeyflow.config.base import Violation
from journeyflow.config.config import Config
from journeyflow.config.sources import (
    CANONICAL_COLUMNS,
    MAPPED_FORMATS,
    POSTGRES,
    SLICE_COLUMNS,
    RemotePath,
    Source,
    known_formats,
    utc_formats,
)
from journeyflow.utils.files import Loc

_FOLDERS_OF_RUNS = ("raw", "work")
_TIME_COLUMNS = ("occurred_at", "received_at")
_PERSON_COLUMNS = ("anonymous_id", "user_id")
_HASHED_COLUMNS = (*_PERSON_COLUMNS, "session_id", "event_id")
_FORMAT_OF_KEY = {"delimiter": "csv", "quote": "csv", "pad_short_rows": "csv", "records": "jsonl", "sheet": "xlsx"}


def source_violations(config: Config) -> Iterator[Violation]:
    """Yield the violations of every source, then those of paths, time zones, encodings and further sections."""
    for name, source in config.sources.items():
        for rule in _SOURCE_RULES:
            yield from rule(("sources", name), source)
    for check in _CONFIG_RULES:
        yield from check(config)


def _known_format(loc: Loc, source: Source) -> Iterator[Violation]:
    if source.format not in known_formats():
        yield Violation("unknown_format", (*loc, "format"), "is not a format", source.format, known_formats())


def _required_columns(loc: Loc, source: Source) -> Iterator[Violation]:
    if source.format not in MAPPED_FORMATS:
        return
    columns: Loc = (*loc, "columns")
    for required in ("occurred_at", "event_name"):
        if required not in source.columns:
            yield Violation("column_missing", columns, f"lacks {required}", expected=f"{required}: <column>")
    if not any(column in source.columns for column in _PERSON_COLUMNS):
        expected = "anonymous_id, user_id or both"
        yield Violation("identifier_missing", columns, "has no identifier of a person", expected=expected)


def _columns_of_mapped_formats(loc: Loc, source: Source) -> Iterator[Violation]:
    if source.columns and source.format in known_formats() and source.format not in MAPPED_FORMATS:
        message = f"is not used with format {source.format}, whose columns are known"
        expected = f"columns with {', '.join(MAPPED_FORMATS)}"
        yield Violation("columns_not_used", (*loc, "columns"), message, expected=expected)


def _keys_of_format(loc: Loc, source: Source) -> Iterator[Violation]:
    for key, file_format in _FORMAT_OF_KEY.items():
        if key in source.model_fields_set and source.format != file_format:
            message = f"is not used with format {source.format}"
            yield Violation("key_not_used", (*loc, key), message, severity="warning")
    if "header" in source.model_fields_set and source.format in ("jsonl", "parquet", "access_log"):
        message = f"is not used with format {source.format}"
        yield Violation("key_not_used", (*loc, "header"), message, severity="warning")
    if isinstance(source.header, tuple) and (doubled := _doubled(source.header)):
        yield Violation("doubled_column", (*loc, "header"), "names a column more than once", doubled)


def _installed_reader(loc: Loc, source: Source) -> Iterator[Violation]:
    if source.format == "xlsx" and find_spec("openpyxl") is None:
        expected = "pip install 'journeyflow[excel]'"
        yield Violation("extra_missing", (*loc, "format"), "needs an extra", source.format, expected=expected)


def _tables(loc: Loc, source: Source) -> Iterator[Violation]:
    """Rows that are read twice are known by their id; what a run reads is archived as Parquet."""
    is_table = isinstance(source.path, RemotePath) and source.path.scheme == POSTGRES
    if not is_table:
        if source.watermark is not None:
            message = "is for tables of PostgreSQL"
            yield Violation("key_not_used", (*loc, "watermark"), message, severity="warning")
        return
    if find_spec("adbc_driver_postgresql") is None:
        expected = "pip install 'journeyflow[postgres]'"
        yield Violation("extra_missing", (*loc, "path"), "needs an extra", expected=expected)
    if source.format != "parquet":
        message = "is not the format of a table"
        yield Violation("table_format", (*loc, "format"), message, source.format, expected="parquet")
    if source.watermark is None:
        message = "lacks watermark, the column by which new rows are found"
        yield Violation("watermark_missing", loc, message, expected="watermark: <column>")
    if "event_id" not in source.columns:
        message = "lacks event_id, by which a row that is read twice is known"
        yield Violation("column_missing", (*loc, "columns"), message, expected="event_id: <column>")


def _doubled(names: tuple[str, ...]) -> str | None:
    return next((name for index, name in enumerate(names) if name in names[:index]), None)


def _zone_of_format(loc: Loc, source: Source) -> Iterator[Violation]:
    if source.format in utc_formats() and source.timezone != "UTC":
        message = f"is not used with format {source.format}, whose times are UTC whatever the zone of its project"
        yield Violation("timezone_not_used", (*loc, "timezone"), message, source.timezone, expected="no timezone")


def _column_mappings(loc: Loc, source: Source) -> Iterator[Violation]:
    for column, mapping in source.columns.items():
        place: Loc = (*loc, "columns", column)
        if (mapping.unit or mapping.format or mapping.columns) and column not in _TIME_COLUMNS:
            message = "is not a time: unit, format and columns are for times"
            yield Violation("not_a_time", place, message, expected=", ".join(_TIME_COLUMNS))
        if mapping.unit and (mapping.format or not mapping.column):
            message = "has a unit and another way to read the time"
            yield Violation("time_unit", place, message, expected="{column: …, unit: ms}")
        if mapping.hash and column not in _HASHED_COLUMNS:
            message = "is not an identifier: hash is for identifiers"
            yield Violation("not_an_identifier", place, message, expected=", ".join(_HASHED_COLUMNS))


def _one_channel(loc: Loc, source: Source) -> Iterator[Violation]:
    if source.channel is not None and "channel" in source.columns:
        message = "is set here and under columns"
        yield Violation("channel_twice", (*loc, "channel"), message, expected="one of the two")


def _passive_after_rename(loc: Loc, source: Source) -> Iterator[Violation]:
    for index, name in enumerate(source.passive):
        renamed = source.rename.get(name)
        if renamed is not None and name not in source.rename.values():
            message = "is a name before rename; passive events are named as after it"
            yield Violation("passive_renamed", (*loc, "passive", index), message, name, expected=renamed)


_SOURCE_RULES: tuple[Callable[[Loc, Source], Iterator[Violation]], ...] = (
    _known_format,
    _required_columns,
    _columns_of_mapped_formats,
    _keys_of_format,
    _installed_reader,
    _tables,
    _zone_of_format,
    _column_mappings,
    _one_channel,
    _passive_after_rename,
)


def _retention_of_known_sources(config: Config) -> Iterator[Violation]:
    for name in config.retention.sources:
        if name not in config.sources:
            loc, known = ("retention", "sources", name), tuple(config.sources)
            yield Violation("unknown_source", loc, "is not a source", name, known, looked_in=("sources",))


def _known_zones(config: Config) -> Iterator[Violation]:
    zones: list[tuple[Loc, str | None]] = [(("timezone",), config.timezone)]
    zones += [(("sources", name, "timezone"), source.timezone) for name, source in config.sources.items()]
    zones += [(("people", index, "timezone"), people.timezone) for index, people in enumerate(config.people)]
    for loc, zone in zones:
        if zone is not None and zone not in _zones():
            expected = "an IANA time zone, such as UTC or Europe/Berlin"
            yield Violation("unknown_timezone", loc, "is not a time zone", zone, _similar_zones(zone), expected)


@cache
def _zones() -> frozenset[str]:
    """Return the names of all time zones: finding them reads a folder of hundreds of files."""
    return frozenset(available_timezones())


def _similar_zones(zone: str) -> tuple[str, ...]:
    start = _city(zone)[:3]
    return tuple(sorted(known for known in _zones() if _city(known)[:3] == start))[:5]


def _city(zone: str) -> str:
    return zone.rpartition("/")[2].lower()


def _known_encodings(config: Config) -> Iterator[Violation]:
    encodings: list[tuple[Loc, str]] = [(("sources", name), source.encoding) for name, source in config.sources.items()]
    encodings += [(("people", index), people.encoding) for index, people in enumerate(config.people)]
    for loc, encoding in encodings:
        try:
            # base64 and its like turn bytes into bytes.
            is_text = codecs.lookup(encoding)._is_text_encoding
        except LookupError:
            is_text = False
        if not is_text:
            expected = "an encoding such as utf-8 or latin-1"
            yield Violation("unknown_encoding", (*loc, "encoding"), "is not an encoding", encoding, expected=expected)


def _input_paths(config: Config) -> list[tuple[Loc, Path]]:
    """Return the places and paths of files in the file system."""
    paths: list[tuple[Loc, Path | RemotePath]] = [
        *((("sources", name), source.path) for name, source in config.sources.items()),
        *((("people", index), people.path) for index, people in enumerate(config.people)),
        *([(("spend",), config.spend.path)] if config.spend else []),
    ]
    return [(loc, path) for loc, path in paths if isinstance(path, Path)]


def _matched_paths(config: Config) -> Iterator[Violation]:
    expected = "a path or glob, relative to the configuration"
    for loc, path in _input_paths(config):
        if next(glob.iglob(str(path), recursive=True), None) is None:  # noqa: PTH207  (an absolute pattern)
            yield Violation("no_file", (*loc, "path"), "matches no file now", expected=expected, severity="warning")


def _files_of_people(config: Config) -> Iterator[Violation]:
    paths: list[tuple[Loc, object]] = [(("people", index), people.path) for index, people in enumerate(config.people)]
    paths += [(("spend",), config.spend.path)] if config.spend else []
    for loc, path in paths:
        if isinstance(path, RemotePath) and path.scheme == POSTGRES:
            message = "is a table; only sources read tables"
            yield Violation("table_here", (*loc, "path"), message, expected="a file, a glob or a URL of files")


def _separate_folders(config: Config) -> Iterator[Violation]:
    """Refuse folders of the product that hold each other, the configuration, the user's files, or everything."""
    state, publish = _real(config.state), _real(config.publish)
    key = _real(config.privacy.key_file)
    if state == publish:
        expected = "another folder: state is private"
        yield Violation("folders_alike", ("publish",), "is the same folder as state", expected=expected)
    elif _holds(state, publish) or _holds(publish, state):
        inner, outer = ("publish", "state") if _holds(state, publish) else ("state", "publish")
        expected = f"a folder that is not inside {outer}"
        yield Violation("folder_in_folder", (inner,), f"is inside the folder {outer}", expected=expected)
    if _holds(publish, key):
        expected = "a place that nobody else reads: published tables are for others"
        yield Violation("key_in_publish", ("privacy", "key_file"), "is inside the folder publish", expected=expected)
    if any(_holds(state / name, key) for name in _FOLDERS_OF_RUNS):
        expected = "a file directly in the folder state, or one elsewhere"
        yield Violation("key_in_state", ("privacy", "key_file"), "is among the files of runs", expected=expected)
    for name, folder in (("state", state), ("publish", publish)):
        expected = "a folder for it alone, such as one beside the configuration"
        if folder == Path(folder.anchor):
            yield Violation("folder_is_root", (name,), "is the root of the file system", expected=expected)
        elif _holds(folder, _real(config.path or config.folder)):
            yield Violation("folder_of_config", (name,), "holds the configuration", expected=expected)
        else:
            yield from _folder_of_inputs(config, name, folder)


def _folder_of_inputs(config: Config, name: str, folder: Path) -> Iterator[Violation]:
    for loc, path in _input_paths(config):
        given = Path(os.path.normpath(path))
        start = _real(_without_glob(given))
        may_reach = _holds(start, folder) and ("**" in given.parts or len(given.parts) > len(folder.parts))
        matched = glob.iglob(str(given), recursive=True) if may_reach else ()  # noqa: PTH207
        if _holds(folder, start) or any(_holds(folder, _real(Path(each))) for each in matched):
            expected = "a folder without input files: what is in it is written and removed by runs"
            message = f"holds files that {'.'.join(map(str, loc))} reads"
            yield Violation("folder_of_inputs", (name,), message, expected=expected)


def _without_glob(path: Path) -> Path:
    """Return the part of a pattern before the first part that is a glob."""
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    return Path(*fixed)


def _real(path: Path) -> Path:
    """Return a path without links; its last parts need not be there."""
    return Path(os.path.realpath(path))


def _holds(folder: Path, path: Path) -> bool:
    return path.is_relative_to(folder)


def _rate_of_report_currency(config: Config) -> Iterator[Violation]:
    currency = config.currency.report
    rate = config.currency.rates.get(currency)
    if rate is not None and rate != 1:
        message = "is the rate of the report currency, whose rate is 1"
        yield Violation("report_rate", ("currency", "rates", currency), message, str(rate), expected="no rate")


def _session_cap(config: Config) -> Iterator[Violation]:
    if config.sessions.max_duration < config.sessions.timeout:
        loc, message = ("sessions", "max_duration"), "is shorter than the timeout"
        yield Violation("session_cap", loc, message, expected="at least the timeout")


def _slices_of_known_columns(config: Config) -> Iterator[Violation]:
    kept = {key for source in config.sources.values() for key in source.properties}
    # A collector's adapter and '*' keep properties whose names only the data knows.
    is_open = "*" in kept or any(source.format not in MAPPED_FORMATS for source in config.sources.values())
    known = (*sorted(kept - {"*"}), *SLICE_COLUMNS)
    seen: set[str] = set()
    for index, name in enumerate(config.slices):
        loc: Loc = ("slices", index)
        is_known = name in known or any(name.startswith(f"{key}.") for key in kept)
        if name in seen:
            yield Violation("duplicate_slice", loc, "is the name of another slice", name)
        elif name in CANONICAL_COLUMNS and name not in (*SLICE_COLUMNS, *kept):
            yield Violation("slice_column", loc, "is a column with too many values to slice by", name, known)
        elif not is_known and not is_open:
            message = "is neither a column nor a property that some source keeps"
            expected = f"a name in properties: of a source, or one of {', '.join(SLICE_COLUMNS)}"
            yield Violation("unknown_slice", loc, message, name, known, expected, looked_in=("sources",))
        seen.add(name)


_CONFIG_RULES: tuple[Callable[[Config], Iterator[Violation]], ...] = (
    _retention_of_known_sources,
    _known_zones,
    _known_encodings,
    _matched_paths,
    _files_of_people,
    _separate_folders,
    _rate_of_report_currency,
    _session_cap,
    _slices_of_known_columns,
)
