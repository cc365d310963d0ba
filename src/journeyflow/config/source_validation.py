"""Cross-field validation of sources, people, paths, time zones and money."""

from __future__ import annotations

import codecs
import glob
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import available_timezones

from journeyflow.config.config import Config
from journeyflow.config.problems import Loc
from journeyflow.config.sources import MAPPED_FORMATS, known_formats
from journeyflow.config.validation import Rule, Violation

_TIME_COLUMNS = ("occurred_at", "received_at")
_HASHED_COLUMNS = ("anonymous_id", "user_id", "session_id", "event_id")
_IDENTIFIERS = ("anonymous_id", "user_id")
_CSV_KEYS = ("delimiter", "quote", "header")


def _format_known(config: Config) -> Iterator[Violation]:
    for name, source in config.sources.items():
        if source.format not in known_formats():
            loc = ("sources", name, "format")
            yield Violation("unknown_format", loc, "is not a format", source.format, known_formats())


def _columns_complete(config: Config) -> Iterator[Violation]:
    for name, source in config.sources.items():
        if source.format not in MAPPED_FORMATS:
            continue
        loc: Loc = ("sources", name, "columns")
        for needed in ("occurred_at", "event_name"):
            if needed not in source.columns:
                yield Violation("column_missing", loc, f"lacks {needed}", expected=f"{needed}: <column>")
        if not any(identifier in source.columns for identifier in _IDENTIFIERS):
            yield Violation("identifier_missing", loc, "names nobody", expected="anonymous_id, user_id or both")


def _columns_only_for_tables(config: Config) -> Iterator[Violation]:
    for name, source in config.sources.items():
        if source.columns and source.format in known_formats() and source.format not in MAPPED_FORMATS:
            message = f"is not used with format {source.format}, whose columns are known"
            yield Violation(
                "columns_not_used",
                ("sources", name, "columns"),
                message,
                expected=f"columns with {_listed(MAPPED_FORMATS)}",
            )


def _keys_fit_format(config: Config) -> Iterator[Violation]:
    for name, source in config.sources.items():
        for key, formats in _keys_of_formats():
            if key in source.model_fields_set and source.format not in formats:
                message = f"is not used with format {source.format}"
                yield Violation("key_not_used", ("sources", name, key), message, severity="warning")


def _keys_of_formats() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from ((key, ("csv",)) for key in _CSV_KEYS)
    yield "records", ("jsonl",)


def _units_only_for_times(config: Config) -> Iterator[Violation]:
    for name, source in config.sources.items():
        for column, mapping in source.columns.items():
            loc: Loc = ("sources", name, "columns", column)
            is_timed = mapping.unit or mapping.format or mapping.columns
            if is_timed and column not in _TIME_COLUMNS:
                yield Violation(
                    "not_a_time",
                    loc,
                    "is not a time: unit, format and columns are for times",
                    expected=_listed(_TIME_COLUMNS),
                )
            if mapping.unit and (mapping.format or not mapping.column):
                yield Violation(
                    "time_unit", loc, "has a unit and another way to read the time", expected="{column: …, unit: ms}"
                )
            if mapping.hash and column not in _HASHED_COLUMNS:
                yield Violation(
                    "not_an_identifier",
                    loc,
                    "is not an identifier: hash is for identifiers",
                    expected=_listed(_HASHED_COLUMNS),
                )


def _channel_once(config: Config) -> Iterator[Violation]:
    for name, source in config.sources.items():
        if source.channel is not None and "channel" in source.columns:
            yield Violation(
                "channel_twice",
                ("sources", name, "channel"),
                "is given here and under columns",
                expected="one of the two",
            )


def _zones_known(config: Config) -> Iterator[Violation]:
    zones: list[tuple[Loc, str | None]] = [(("timezone",), config.timezone)]
    zones += [(("sources", name, "timezone"), source.timezone) for name, source in config.sources.items()]
    zones += [(("people", index, "timezone"), people.timezone) for index, people in enumerate(config.people)]
    for loc, zone in zones:
        if zone is not None and zone not in available_timezones():
            expected = "a name of the IANA time zones, such as UTC or Europe/Berlin"
            yield Violation("unknown_timezone", loc, "is not a time zone", zone, _nearest_zones(zone), expected)


def _nearest_zones(zone: str) -> tuple[str, ...]:
    city = zone.rpartition("/")[2].lower()
    return tuple(sorted(name for name in available_timezones() if name.rpartition("/")[2].lower()[:3] == city[:3]))[:5]


def _encodings_known(config: Config) -> Iterator[Violation]:
    readers: list[tuple[Loc, str]] = [(("sources", name), source.encoding) for name, source in config.sources.items()]
    readers += [(("people", index), people.encoding) for index, people in enumerate(config.people)]
    for loc, encoding in readers:
        try:
            codecs.lookup(encoding)
        except LookupError:
            expected = "an encoding such as utf-8 or latin-1"
            yield Violation("unknown_encoding", (*loc, "encoding"), "is not an encoding", encoding, expected=expected)


def _files_present(config: Config) -> Iterator[Violation]:
    paths: list[tuple[Loc, Path]] = [
        (("sources", name, "path"), source.path) for name, source in config.sources.items()
    ]
    paths += [(("people", index, "path"), people.path) for index, people in enumerate(config.people)]
    paths += [(("spend", "path"), config.spend.path)] if config.spend else []
    for loc, path in paths:
        if not is_matched(path):
            yield Violation(
                "no_file",
                loc,
                "matches no file now",
                expected="a path or glob, relative to the configuration",
                severity="warning",
            )


def is_matched(path: Path) -> bool:
    """Tell whether a path or glob matches some file."""
    return next(glob.iglob(str(path), recursive=True), None) is not None  # noqa: PTH207  (an absolute pattern)


def _folders_apart(config: Config) -> Iterator[Violation]:
    if config.state == config.publish:
        yield Violation(
            "folders_alike",
            ("publish",),
            "is the same folder as state",
            expected="a folder of its own: state is private",
        )


def _report_rate_is_one(config: Config) -> Iterator[Violation]:
    rate = config.currency.rates.get(config.currency.report)
    if rate is not None and rate != 1:
        loc: Loc = ("currency", "rates", config.currency.report)
        yield Violation(
            "report_rate", loc, "is the report currency, whose rate is 1", str(rate), expected="leave it out"
        )


def _session_longer_than_gap(config: Config) -> Iterator[Violation]:
    if config.sessions.max_duration < config.sessions.timeout:
        yield Violation(
            "session_cap", ("sessions", "max_duration"), "is shorter than the timeout", expected="at least the timeout"
        )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def _retention_names_sources(config: Config) -> Iterator[Violation]:
    for name in config.retention.sources:
        if name not in config.sources:
            loc = ("retention", "sources", name)
            yield Violation(
                "unknown_source", loc, "is not a source", name, tuple(config.sources), looked_in=("sources",)
            )


SOURCE_RULES: tuple[Rule, ...] = (
    _retention_names_sources,
    _format_known,
    _columns_complete,
    _columns_only_for_tables,
    _keys_fit_format,
    _units_only_for_times,
    _channel_once,
    _zones_known,
    _encodings_known,
    _files_present,
    _folders_apart,
    _report_rate_is_one,
    _session_longer_than_gap,
)
