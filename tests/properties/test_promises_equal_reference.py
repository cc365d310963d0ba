"""Promises in SQL end as a plain reading of the rules says, on any small log."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from journeyflow.engines import DuckDBEngine
from support.examples import examples
from support.few_models import all_models

GRAPH = all_models()
BUILT = ("map.promise_events", "map.promise_outcomes")
START = datetime(2026, 1, 1)
WITHIN, MARK = 3, 9
"""Hours that a promise has, and hours from the start to the high-water mark."""
FROM, TO, BOTH, OTHER = range(1, 5)
"""Kinds of events: what makes the promise due, what keeps it, one that is both, and none."""

EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from([FROM, FROM, TO, TO, BOTH, OTHER]),
            "hour": st.integers(0, MARK),
            "person": st.integers(1, 2),
            "key": st.sampled_from([None, "a", "b"]),
            "sequence": st.sampled_from([None, 1, 2]),
        }
    ),
    max_size=9,
)


def reference(events, *, is_matched):
    """Return (number of the event that makes it due, outcome) of every promise, by trying every event."""
    shared = "key" if is_matched else "person"
    told, seen = [], set()
    # Sequence before none, then the event's id, which is its number here.
    order = sorted(enumerate(events, 1), key=lambda each: (each[1]["hour"], each[1]["sequence"] or 9, each[0]))
    for number, event in order:
        value = event[shared]
        if event["kind"] not in (FROM, BOTH) or value is None or (is_matched and value in seen):
            continue
        seen.add(value)
        keepers = [
            other["hour"]
            for at, other in enumerate(events, 1)
            if at != number
            and other["kind"] in (TO, BOTH)
            and other[shared] == value
            and other["hour"] >= event["hour"]
        ]
        is_kept = bool(keepers) and min(keepers) - event["hour"] <= WITHIN
        is_over = event["hour"] + WITHIN <= MARK
        told.append((number, "kept" if is_kept else "broken" if is_over else "pending"))
    return sorted(told)


@pytest.fixture(scope="module")
def engine():
    with DuckDBEngine(threads=1) as engine:
        yield engine


def put(engine, name, rows):
    """Register rows as the relation `name` of the graph; columns that they leave out are null."""
    types = {column: described.type for column, described in GRAPH[name].columns.items()}
    engine.register(
        "support.incoming", pa.Table.from_pylist(rows) if rows else pa.table({"_": pa.array([], pa.int8())})
    )
    given = set(rows[0]) if rows else set()
    columns = ", ".join(
        f'cast({name if name in given else "null"} as {kind}) as "{name}"' for name, kind in types.items()
    )
    engine.run(name, f"select {columns} from support.incoming")


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.booleans())
def test_every_promise_ends_as_the_rules_say(engine, events, is_matched):
    promise = {"promise": "p", "promise_index": 1, "kind": "timed", "within_us": WITHIN * 3_600_000_000}
    put(engine, "config.promises", [promise | {"match_path": "/key" if is_matched else None}])
    put(engine, "config.settings", [{"high_water_at": START + timedelta(hours=MARK)}])
    truths = [(FROM, "from"), (TO, "to"), (BOTH, "from"), (BOTH, "to")]
    put(
        engine,
        "journeys.predicate_classifications",
        [{"predicate": f"promise/p/{end}", "classification_key": kind} for kind, end in truths],
    )
    put(engine, "map.survey_answers", [])
    put(engine, "config.sources", [{"source": "web", "source_ix": 1}])
    numbered = list(enumerate(events, 1))
    put(
        engine,
        "journeys.labelled_events",
        [
            {"event_ix": at, "person_key": e["person"], "journey_index": 1, "classification_key": e["kind"]}
            for at, e in numbered
        ],
    )
    put(
        engine,
        "sources.events",
        [
            {
                "event_ix": at,
                "event_id": f"{at:02}",
                "source": "web",
                "occurred_at": START + timedelta(hours=event["hour"]),
                "sequence": event["sequence"] if event["sequence"] is None else str(event["sequence"]),
                "properties": '{"key":"' + event["key"] + '"}' if event["key"] else "{}",
            }
            for at, event in numbered
        ],
    )
    for name in BUILT:
        engine.run(name, GRAPH[name].sql)
    rows = engine.rows("select event_ix, outcome, due_at, broken_at from map.promise_outcomes").to_pylist()
    assert sorted((row["event_ix"], row["outcome"]) for row in rows) == reference(events, is_matched=is_matched)
    late = {row["broken_at"] - row["due_at"] for row in rows if row["outcome"] == "broken"}
    assert late <= {timedelta(hours=WITHIN)}
