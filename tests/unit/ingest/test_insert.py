from __future__ import annotations

from journeyflow.engines import DuckDBEngine
from journeyflow.ingest.insert import COLUMNS, CONTENT
from journeyflow.ingest.mapping import typed_select
from journeyflow.state.warehouse import open_warehouse


def test_raw_events_have_the_canonical_columns_in_their_order():
    with open_warehouse(threads=1) as warehouse:
        stored = list(warehouse.columns("raw.events"))
    assert stored == ["event_ix", "event_key", *COLUMNS.split(", "), "file_ix", "source_row", "has_placeholder_id"]


def test_what_makes_two_rows_the_same_is_never_reordered():
    # Ids of events without one are hashes of these in this order: another order would load every such row again.
    assert CONTENT == (
        "occurred_at, anonymous_id, user_id, session_id, event_name, channel, utm_source, utm_medium, utm_campaign, "
        "utm_term, utm_content, referrer_host, page_path, target, user_agent, revenue_amount, currency, properties"
    )


def test_every_canonical_column_is_typed():
    with DuckDBEngine(threads=1) as engine:
        engine.execute("create temp view canonical_records as select 1 as record_ix, 1 as source_row")
        engine.execute(f"create temp view typed as {typed_select({}, 'UTC')}")
        assert set(CONTENT.split(", ")) <= set(engine.columns("typed"))
