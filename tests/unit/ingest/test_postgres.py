"""The SELECT over a table, its batches, and what is said of errors; `tests/services` reads a server."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from journeyflow.ingest import postgres
from journeyflow.ingest.files import RefusedFileError


def test_names_are_quoted_and_the_watermark_is_bound():
    types = {'a"b': "text", "at": "timestamp with time zone"}
    found = postgres._select('"s"."t"', types, "at", "2026-03-01", 5)
    assert found == (
        'select source."a""b"::text as "a""b", source."at"::text as "at" from "s"."t" as source '
        'where source."at" is not null '
        "and source.\"at\" > current_setting('journeyflow.after')::timestamp with time zone "
        'and source."at" <= (now() - interval \'60 s\')::timestamp with time zone order by source."at" limit 5'
    )
    days = postgres._select('"s"."t"', {"day": "date"}, "day", None, None)
    assert "source.\"day\" < (now() - interval '60 s')::date" in days, "of today more rows may come"
    assert "now()" not in postgres._select('"s"."t"', {"id": "bigint"}, "id", None, None)
    assert timedelta(minutes=1) == postgres.SETTLED


def test_a_database_that_ends_early_refuses_its_source_only(tmp_path):
    def rows():
        yield pa.record_batch([pa.array(["1"])], names=["id"])
        raise OSError("[libpq] canceling statement of 'a row value'")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("id", pa.string())]), rows())
    with pytest.raises(RefusedFileError, match="ended the answer early") as refused:
        list(postgres._batches(reader, "id", tmp_path))
    assert "row value" not in str(refused.value)


@pytest.mark.parametrize(
    ("most_rows", "expected"),
    [(100, [(5, "3")]), (0, [(2, None), (2, "1"), (1, "2")]), (2, [(4, "1"), (1, "3")])],
)
def test_a_batch_is_read_up_to_the_last_value_that_no_other_may_have(most_rows, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "BATCH_ROWS", most_rows)
    schema = pa.schema([("id", pa.string())])
    parts = [pa.record_batch([pa.array(each)], schema=schema) for each in (["1", "1"], ["1", "2"], ["3"])]
    found = list(postgres._batches(pa.RecordBatchReader.from_batches(schema, parts), "id", tmp_path))
    assert [(pq.read_table(each.path).num_rows, each.watermark) for each in found] == expected


def test_an_error_of_the_driver_is_named_by_its_code_only():
    class DriverError(Exception):
        def __init__(self, message: str, sqlstate: str | None) -> None:
            super().__init__(message)
            self.sqlstate = sqlstate

    for message, state, reason in (
        ('relation "hidden" does not exist', "42P01", "vanished"),
        ("permission denied for table hidden", "42501", "denied"),
        ('password authentication failed for user "hidden"', None, "denied"),
        ("canceling statement of hidden", "57014", "unreachable"),
    ):
        with pytest.raises(RefusedFileError) as found, postgres._database_errors():
            raise DriverError(message, state)
        assert found.value.reason == reason
        assert "hidden" not in found.value.detail
    with pytest.raises(ZeroDivisionError), postgres._database_errors():
        raise ZeroDivisionError
