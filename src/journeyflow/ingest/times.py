"""SQL that reads times: text with or without a zone, numbers of a unit, stated formats, and days in columns."""

from __future__ import annotations

from journeyflow.config.inputs import ColumnMapping
from journeyflow.ingest.quoting import literal

_HAS_ZONE = r"\d:\d\d(:\d\d([.,]\d+)?)? ?(Z|z|UTC|GMT|[+-]\d\d(:?\d\d)?)$"
_IMPOSSIBLE_ZONE = r":\d\d([.,]\d+)? ?[+-](1[5-9]|[2-9]\d)(:?\d\d){0,2}$"
_MICROSECONDS = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}


def time_of_text(text: str, zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of an ISO-like text; null where it is none.

    A cast to TIMESTAMP would drop a stated offset without a word, so the cast is to TIMESTAMP WITH TIME ZONE; the
    connection's own zone is UTC. Where the source's zone is another, it is applied to stamps that state none.

    Parameters
    ----------
    text : str
        SQL of a VARCHAR.
    zone : str
        IANA name of the zone of stamps that state none.
    """
    # The database takes any two digits for an offset; the short texts, which state none, are spared the search.
    possible = f"length({text}) < 19 or not regexp_matches({text}, {literal(_IMPOSSIBLE_ZONE)})"
    zoned = f"case when {possible} then try(make_timestamp(epoch_us(try_cast({text} as timestamptz)))) end"
    if zone == "UTC":
        return zoned
    naive = utc_of_naive(f"try_cast({text} as timestamp)", zone)
    return f"case when regexp_matches({text}, {literal(_HAS_ZONE)}) then {zoned} else {naive} end"


def utc_of_naive(stamp: str, zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of a TIMESTAMP that was written down in a zone."""
    return stamp if zone == "UTC" else f"timezone('UTC', timezone({literal(zone)}, {stamp}))"


def time_of_column(value: str, text: str, sql_type: str, mapping: ColumnMapping, zone: str) -> str:
    """Return SQL for the UTC TIMESTAMP of one column.

    Parameters
    ----------
    value, text : str
        SQL of the column as it is and as VARCHAR.
    sql_type : str
        Type of the column.
    mapping : ColumnMapping
        With its `unit` or `format`.
    zone : str
        Zone of stamps that state none.
    """
    if mapping.unit:
        return _of_number(value if sql_type in {"BIGINT", "INTEGER", "UBIGINT", "UINTEGER"} else text, mapping.unit)
    if mapping.format:
        parsed = f"try_strptime({text}, {literal(mapping.format)})"
        return f"make_timestamp(epoch_us({parsed}))" if "%z" in mapping.format.lower() else utc_of_naive(parsed, zone)
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
    # Decimal all the way: a DOUBLE has no room for microseconds of today beside a fraction.
    return f"try(make_timestamp(cast(cast({number} as decimal(26, 6)) * {_MICROSECONDS[unit]} as bigint)))"
