"""What one busy person does costs in proportion to their events: answers and clicks between the visits of stages."""

from __future__ import annotations

import time

import pytest

from journeyflow.engines import DuckDBEngine
from support.few_models import all_models

GRAPH = all_models()
SIZE = 3_000
KEYS = {"model_index": "1", "person_key": "1", "journey_index": "1", "classification_key": "1"}
AT = "timestamp '2026-03-01' + n * interval '1 second'"
VISITS = KEYS | {
    "visit_index": "n + 1",
    "stage_index": "n % 2 + 1",
    "entered_at": AT,
    "left_at": f"{AT} + interval '1 second'",
}
ONE = {
    "kernel.classifications": KEYS | {"stage_index": "0"},
    "config.models": KEYS,
    "config.settings": {"journeys_window_us": "1000000000000"},
    "kernel.map_journeys": KEYS | {"entered_at": AT},
    "config.months": {"month": "'2026-03'", "start_at": AT, "end_at": f"{AT} + interval '31 day'"},
    "config.surveys": {"survey_index": "1", "kind": "'csat'", "is_low_good": "false", "least": "1", "most": "5"},
}
"""Relations of one row, and those of a row an event."""
MANY = {
    "kernel.stage_visits": VISITS,
    "map.survey_answers": KEYS | {"event_ix": "n", "survey_index": "1", "score": "n % 5 + 1", "answered_at": AT},
    "map.rage_clicks": KEYS | {"clicked_at": AT},
}


def seconds(name: str, size: int) -> tuple[float, int]:
    """Return the processor seconds of a model over so many events of one journey, and its rows."""
    model = GRAPH[name]
    with DuckDBEngine(threads=1) as engine:
        for relation in model.inputs:
            given = ONE.get(relation) or MANY.get(relation) or {}
            columns = ", ".join(
                f'cast({given.get(column, "null")} as {described.type}) as "{column}"'
                for column, described in GRAPH[relation].columns.items()
            )
            rows = size if relation in MANY else int(relation in ONE)
            engine.run(relation, f"select {columns} from range({rows}) as numbers(n)")
        began = time.process_time()
        engine.run("actual.rows", model.sql)
        return time.process_time() - began, engine.count("actual.rows")


@pytest.mark.parametrize(("name", "rows"), [("map.answer_stages", 1), ("map.rage_click_exposures", 0)])
def test_twice_the_events_take_twice_the_time(name, rows):
    once, _ = min(seconds(name, SIZE) for _ in range(2))
    many, row_count = seconds(name, 8 * SIZE)
    assert row_count >= max(rows * 8 * SIZE, 1)
    # Eight times the events; a join of each with each would take sixty-four times as long.
    assert many < 24 * max(once, 0.02)
