"""What the columns of a sample hold, by name and by value, and which canonical column each may fill; known exports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from journeyflow.config.sources import NULL_IDS
from journeyflow.setup.sample import Sample
from journeyflow.utils.files import read_yaml

WHOLE = "none"
"""Value of `records`: a list in a record holds no events."""


@dataclass(frozen=True)
class Export:
    """A kind of export: its columns, and the sources that its rows are.

    A file has columns that match a pattern of each group of the `signature`. `schema` is the page that defines it.
    `records` is the list of events in a record, or ``none``.
    """

    label: str
    schema: str
    note: str
    signature: tuple[tuple[str, ...], ...]
    channel: str
    sources: dict[str, dict[str, Any]]
    records: str | None = None

    def fits(self, sample: Sample) -> bool:
        """Return whether a sample is of this kind."""
        return all(any(fnmatchcase(c, p) for c in sample.columns for p in group) for group in self.signature)

    def sources_of(self, sample: Sample) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and content of the sources of a file, without its path and form.

        Columns that the file does not have are left out, and sources of which it has no row.
        """
        nested = self.records not in (None, WHOLE)
        for name, given in self.sources.items():
            columns = {
                key: column
                for key, column in given["columns"].items()
                if nested or all(each in sample.columns for each in _named(column))
            }
            moment = _named(given["columns"]["occurred_at"])
            if nested or all(sample.texts(column) for column in moment):
                kept = [each for each in given["properties"] if nested or each in sample.columns]
                yield name, {"channel": self.channel, **given, "columns": columns, "properties": kept}


def _named(column: str | dict[str, Any]) -> list[str]:
    """Return the names of the columns that a mapping reads."""
    if isinstance(column, str):
        return [column]
    return [*column.get("hash", ()), *([column["column"]] if "column" in column else [])]


@cache
def known_exports() -> tuple[Export, ...]:
    """Return all kinds, sorted by name."""
    found = sorted(files("journeyflow.setup").joinpath("exports").iterdir(), key=lambda file: file.name)
    contents = [read_yaml(file.read_bytes()).content for file in found if file.name.endswith(".yml")]
    return tuple(
        Export(**{**content, "signature": tuple(tuple(group) for group in content["signature"])})
        for content in contents
    )


def known_export(sample: Sample) -> Export | None:
    """Return the kind of a file, the most particular one; None where it is of none."""
    fitting = [export for export in known_exports() if export.fits(sample)]
    return max(fitting, key=lambda export: len(export.signature), default=None)


_EPOCH_UNITS = ((1e11, "s", 1), (1e14, "ms", 1e3), (1e17, "us", 1e6), (1e20, "ns", 1e9))
_PLAUSIBLE_YEARS = range(2000, 2101)
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_DATE_PARTS = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ T](\d{1,2}:\d{2}(:\d{2})?)( ?[AaPp][Mm])?)?")
_CURRENCY = re.compile(r"[A-Z]{3}")
_ADDRESS = re.compile(r"(https?://|/).*")
_PRIVATE = re.compile(
    r"e_?mail|phone|(^|_)ip(_|$)|ip_?address|first_?name|last_?name|full_?name|street|address|zip|birth_?date"
)
_MOST_PARSED = 500
_NULL_TEXTS = {*NULL_IDS, "", "n/a", "unknown", "\\n"}
_HALF = 0.5
_MOST = 0.9
FEW_VALUES = 12
_MOST_NAMES = 400
_MANY_ROWS = 100
CHANNELS = ("web", "app", "store", "call_centre", "crm", "delivery", "survey", "email", "mobile", "online", "offline")
COMPANY = re.compile(r"account|company|compan|organi[sz]ation|org_|workspace|tenant|team|group")
"""Names of columns that hold a company: their values are many people, and never a person's id."""
DEVICE_KINDS = frozenset(
    ("desktop", "mobile", "tablet", "phone", "smartphone", "pc", "computer", "tv", "web", "app", "ios", "android",
     "windows", "macos", "linux", "iphone", "ipad", "other")
)  # fmt: skip
"""Values of columns that hold a kind of device, in lower case."""


@dataclass(frozen=True)
class TimeShape:
    """How a column writes times: a `unit` since 1970, a `strptime` format, or ISO text (neither).

    `other_format` is set where day and month could be swapped: every value is valid both ways.
    """

    unit: str | None = None
    format: str | None = None
    other_format: str | None = None
    has_zone: bool = False
    has_clock: bool = True


@dataclass(frozen=True)
class Profile:
    """What a column of a sample holds; placeholders such as ``NULL`` are no values."""

    name: str
    values: tuple[str, ...]
    row_count: int

    @property
    def key(self) -> str:
        """The name in lower case with underscores, without a leading table or path."""
        parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name.rpartition(".")[2])
        return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")

    @property
    def fill(self) -> float:
        """Share of rows with a value."""
        return len(self.values) / self.row_count if self.row_count else 0.0

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """Distinct values, the most frequent first."""
        counts: dict[str, int] = {}
        for value in self.values:
            counts[value] = counts.get(value, 0) + 1
        return tuple(sorted(counts, key=lambda value: (-counts[value], value)))

    @cached_property
    def is_number(self) -> bool:
        """Whether all values are numbers."""
        return bool(self.values) and all(_NUMBER.fullmatch(value) for value in self.distinct[:_MOST_PARSED])

    @cached_property
    def has_decimal_commas(self) -> bool:
        """Whether amounts are written like 1,50."""
        return any(re.fullmatch(r"[-+]?[\d.]*,\d{1,2}", value) for value in self.distinct[:_MOST_PARSED])

    @cached_property
    def is_json(self) -> bool:
        """Whether the values are objects or lists."""
        return bool(self.values) and all(value[0] in "{[" for value in self.distinct[:_MOST_PARSED])

    @cached_property
    def is_currency(self) -> bool:
        """Whether the values are currency codes."""
        return bool(self.values) and all(_CURRENCY.fullmatch(value) for value in self.distinct[:_MOST_PARSED])

    @cached_property
    def is_address(self) -> bool:
        """Whether most values are paths or addresses of pages."""
        seen = self.distinct[:_MOST_PARSED]
        return bool(seen) and sum(bool(_ADDRESS.match(value)) for value in seen) > _HALF * len(seen)

    @cached_property
    def time(self) -> TimeShape | None:
        """How the values are times; None where they are not."""
        return time_shape(self.distinct[:_MOST_PARSED])

    @property
    def is_private(self) -> bool:
        """Whether the name says that the values identify people: not to be stored as a property."""
        return _PRIVATE.search(self.key) is not None


def profiles(sample: Sample) -> dict[str, Profile]:
    """Return the profile of every column, by its name in the file."""
    return {
        name: Profile(name, tuple(v for v in sample.texts(name) if v.lower() not in _NULL_TEXTS), len(sample.rows))
        for name in sample.columns
    }


def time_shape(values: Sequence[str]) -> TimeShape | None:
    """Return how all of these texts are times between 2000 and 2100, else None.

    Examples
    --------
    >>> time_shape(["1767225600000"]).unit
    'ms'
    >>> time_shape(["31/01/2026 10:00"]).format
    '%d/%m/%Y %H:%M'
    >>> time_shape(["4711"])
    """
    if not values:
        return None
    if all(re.fullmatch(r"\d{9,19}(\.\d+)?", value) for value in values):
        return _epoch(values)
    if all(_DATE_PARTS.fullmatch(value) for value in values):
        return _day_month(values)
    found = [_iso(value) for value in values]
    if not all(found):
        return None
    stamps = [stamp for stamp in found if stamp]
    has_clock = any((s.hour, s.minute, s.second) != (0, 0, 0) for s in stamps)
    return TimeShape(has_zone=stamps[0].tzinfo is not None, has_clock=has_clock)


def _epoch(values: Sequence[str]) -> TimeShape | None:
    numbers = [float(value) for value in values]
    unit, scale = next((unit, scale) for bound, unit, scale in _EPOCH_UNITS if numbers[0] < bound)
    least, most = (number / scale for number in (min(numbers), max(numbers)))
    if least < 0 or most > datetime(_PLAUSIBLE_YEARS.stop, 1, 1, tzinfo=UTC).timestamp():
        return None
    is_plausible = all(datetime.fromtimestamp(s, UTC).year in _PLAUSIBLE_YEARS for s in (least, most))
    return TimeShape(unit=unit, has_zone=True) if is_plausible else None


def _day_month(values: Sequence[str]) -> TimeShape:
    """Return the format of dates by what exceeds 12; with points the day comes first."""
    parts = [match for value in values if (match := _DATE_PARTS.fullmatch(value))]
    mark, clock = parts[0][2], ""
    if parts[0][5]:
        clock = (" %I:%M" if parts[0][7] else " %H:%M") + (":%S" if parts[0][6] else "")
        clock += re.sub("[AaPp][Mm]", "%p", parts[0][7] or "")
    formats = tuple(mark.join(order) + clock for order in (("%d", "%m", "%Y"), ("%m", "%d", "%Y")))
    day_first, month_first = any(int(p[1]) > 12 for p in parts), any(int(p[3]) > 12 for p in parts)
    if month_first and not day_first:
        return TimeShape(format=formats[1], has_clock=bool(clock))
    other = None if day_first or mark == "." else formats[1]
    return TimeShape(format=formats[0], other_format=other, has_clock=bool(clock))


def _iso(value: str) -> datetime | None:
    text = re.sub(r" ?(UTC|GMT)$", "+00:00", value)
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    is_time = stamp.year in _PLAUSIBLE_YEARS and re.match(r"\d{4}[-/]\d", value) is not None
    return stamp if is_time else None


SYNONYMS: dict[str, tuple[str, ...]] = {
    "event_id": ("event_id", "eventid", "message_id", "insert_id", "uuid", "id"),
    "occurred_at": (
        "occurred_at", "event_time", "event_timestamp", "event_at", "event_dt", "event_date", "client_time",
        "timestamp",
        "ts", "time", "datetime", "date_time", "date", "dt", "created_at",
    ),
    "received_at": ("received_at", "server_received_time", "ingested_at", "ingest_time"),
    "anonymous_id": (
        "anonymous_id", "visitor_id", "visitorid", "cookie", "cookie_id", "client_id", "device_id", "user_pseudo_id",
        "fullvisitorid", "distinct_id", "visitor", "device", "browser_id", "maid", "idfa",
    ),
    "user_id": (
        "user_id", "userid", "customer_id", "customerid", "customer_unique_id", "customer", "member_id",
        "user", "uid", "person_id",
        "contact_id", "lead_id", "patient_id", "client", "subscriber_id", "profile_id", "email", "account_user_id",
    ),
    "session_id": ("session_id", "sessionid", "user_session", "session", "visit_id", "visit"),
    "event_name": (
        "event_name", "eventname", "event", "event_type", "action", "activity", "interaction", "event_action", "step",
        "type", "name", "stage", "status",
    ),
    "page_path": ("page_path", "page_url", "url", "page_location", "current_url", "page", "path"),
    "referrer_host": ("referrer_host", "referrer", "referer", "page_referrer"),
    "utm_source": (
        "utm_source", "traffic_source", "traffic_source_source", "source", "marketing_channel", "acquisition_channel",
    ),
    "utm_medium": ("utm_medium", "traffic_source_medium", "medium"),
    "utm_campaign": ("utm_campaign", "campaign", "campaign_name", "campaign_id", "traffic_source_campaign"),
    "utm_term": ("utm_term", "keyword"),
    "utm_content": ("utm_content", "ad_id", "creative", "ad_name"),
    "user_agent": ("user_agent", "useragent"),
    "revenue_amount": (
        "revenue_amount", "revenue", "purchase_revenue", "amount", "total", "order_value", "order_total", "total_price",
        "payment_value", "conversion_value", "price", "value", "event_value",
    ),
    "currency": ("currency", "currency_code"),
    "sequence": ("sequence", "hit_number", "order_in_session", "event_sequence"),
}  # fmt: skip
"""Canonical column → its names in sources, likeliest first."""


def is_fit(name: str, profile: Profile) -> bool:
    """Return whether the values of a column can fill a canonical column."""
    few = profile.row_count < FEW_VALUES
    if not profile.values:
        return False
    if name in ("occurred_at", "received_at"):
        return profile.time is not None and profile.fill >= _MOST
    if name in ("anonymous_id", "user_id"):
        is_person = not COMPANY.search(profile.key) or "user" in profile.key
        if {value.lower() for value in profile.distinct} <= DEVICE_KINDS:
            return False
        # A few values on many rows are kinds of something, not people.
        are_many = len(profile.distinct) > (FEW_VALUES if profile.row_count >= _MANY_ROWS else 1)
        return is_person and not profile.is_json and profile.time is None and (few or are_many)
    if name == "event_name":
        is_name = profile.time is None and not profile.is_json and not profile.is_address
        return is_name and profile.fill >= _MOST and len(profile.distinct) <= _MOST_NAMES
    if name == "event_id":
        return profile.fill >= _MOST and len(profile.distinct) == len(profile.values) and not profile.is_json
    if name == "session_id":
        return not profile.is_json and (few or len(profile.distinct) > 1)
    if name == "revenue_amount":
        return profile.is_number
    if name == "currency":
        return profile.is_currency
    if name == "sequence":
        return profile.is_number and profile.fill >= _MOST
    if name == "page_path":
        return profile.is_address or profile.key in ("page_path", "page", "path")
    return not profile.is_json


@dataclass(frozen=True)
class Roles:
    """Which column fills which canonical one; `doubts` are pairs of a canonical column and what else it could be."""

    columns: dict[str, str]
    doubts: tuple[tuple[str, tuple[str, ...]], ...] = ()


def assign_roles(found: dict[str, Profile], *, is_named: bool = True) -> Roles:
    """Assign columns by their names where the values allow it; where no name matches, by the values alone."""
    columns: dict[str, str] = {}
    doubts: list[tuple[str, tuple[str, ...]]] = []
    for name, synonyms in SYNONYMS.items():
        keys = {profile.key: column for column, profile in reversed(found.items()) if column not in columns.values()}
        fits = [keys[s] for s in synonyms if s in keys and is_fit(name, found[keys[s]])] if is_named else []
        if name in ("anonymous_id", "user_id") and len(fits) > 1:
            best = max(found[column].fill for column in fits)
            fits.sort(key=lambda column: found[column].fill < _HALF * best)
        if fits:
            columns[name] = fits[0]
            if name in ("occurred_at", "event_name") and len(fits) > 1:
                doubts.append((name, tuple(fits[1:3])))
    unused = {column: profile for column, profile in found.items() if column not in columns.values()}
    if "occurred_at" not in columns:
        times = [c for c, p in unused.items() if p.time is not None and p.fill >= _MOST]
        times.sort(key=lambda c: (found[c].time or TimeShape()).unit is not None)
        if times:
            columns["occurred_at"] = times[0]
            doubts += [("occurred_at", tuple(times[1:3]))] if len(times) > 1 else []
    if "event_name" not in columns and "occurred_at" in columns:
        names = [c for c, p in unused.items() if _looks_like_names(p)]
        if names:
            columns["event_name"] = names[0]
            doubts.append(("event_name", tuple(names[1:3])))
    if "anonymous_id" not in columns and "user_id" not in columns:
        ids = [c for c, p in unused.items() if c not in columns.values() and _looks_like_ids(p)]
        if ids:
            columns["user_id"] = ids[0]
            doubts.append(("user_id", tuple(ids[1:3])))
    return Roles(columns, tuple(doubts))


def _looks_like_names(profile: Profile) -> bool:
    is_text = is_fit("event_name", profile) and not profile.is_number and not profile.is_currency
    return (
        is_text
        and 1 < len(profile.distinct) <= FEW_VALUES * 4
        and re.search(r"event|action|activit|step", profile.key) is not None
    )


def _looks_like_ids(profile: Profile) -> bool:
    is_id = re.search(r"(^|_)(id|uid|uuid|key|hash)$", profile.key) is not None or profile.name.startswith("column")
    repeats = 1 < len(profile.distinct) < len(profile.values)
    return is_id and repeats and profile.fill >= _MOST and is_fit("user_id", profile) and "." not in profile.distinct[0]


def order_times(found: dict[str, Profile]) -> list[str]:
    """Return the columns of a row that holds several moments, such as those of an order, in their order."""
    times = [
        column
        for column, profile in found.items()
        if profile.time is not None
        and re.search(r"(_at|_date|_time|_timestamp|_on|date|timestamp)$", profile.key)
        and not re.search(r"estimat|expected|limit|due|birth|updated|modified|loaded|synced", profile.key)
    ]
    return times if len(times) > 1 else []
