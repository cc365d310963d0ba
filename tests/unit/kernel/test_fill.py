"""`fill_kernel` streams events out of a database into the kernel's relations."""

from __future__ import annotations

import random
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pyarrow as pa
import pytest

from journeyflow import kernel
from journeyflow.compile.config_tables import config_tables
from journeyflow.compile.staging_events import event_type_predicates
from journeyflow.config import Config, load_config
from journeyflow.engines import DuckDBEngine
from journeyflow.errors import JourneyflowError
from journeyflow.kernel.events import COLUMNS, RELATIONS, from_arrow
from journeyflow.kernel.plan import plan_of
from journeyflow.kernel.run import STREAM, fill_affected, fill_kernel
from journeyflow.utils.files import sql_folder
from reference.log import events_of
from reference.tables import reference_rows
from support.few_models import all_models
from support.kernel_logs import rows_of

START_US = 1_767_225_600_000_000
HOUR_US = 3_600_000_000
ACCOUNTS = tuple(f"account_{number}" for number in range(40))
NAMES = ("ad_click", "page_view", "product_view", "add_to_cart", "purchase", "support_call")
STEPS = [{"name": "seen", "when": {"event": "product_view"}}, {"name": "bought", "when": {"event": "purchase"}}]
CONFIG = {
    "timezone": "Europe/Berlin",
    "sources": {
        "web": {
            "format": "csv",
            "path": "web.csv",
            "columns": {"occurred_at": "at", "anonymous_id": "device", "event_name": "event"},
        }
    },
    "models": {"four_stage": "builtin", "value_journey": "builtin"},
    "friction": [{"name": "Failed", "when": {"event": "support_call"}}],
    "personas": [{"name": "buyer", "as_of": "now", "when": {"count.purchase": {"at_least": 1}}}],
    "funnels": {
        "plain": {"steps": STEPS, "window": "2d"},
        "staged": {"model": "four_stage", "steps": [{"name": "any", "when": {"stage": "consideration"}}, STEPS[1]]},
        "visits": {"steps": STEPS, "unit": "session"},
        "accounts": {"steps": STEPS, "unit": {"property": "account"}, "window": "1d"},
        "dated": {"steps": STEPS, "entered": {"from": "2026-01-02", "to": "2026-01-02"}, "count": "attempts"},
    },
}


def _events(count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    rows = []
    for event_ix in range(count):
        person = draw.randrange(1, count // 8 + 2)
        rows.append(
            {
                "event_ix": event_ix, "component_key": person, "device_key": person, "person_key": person,
                "is_undecided": False, "user_key": None, "session_key": None, "source_ix": 1, "sequence": None,
                "occurred_us": START_US + HOUR_US * draw.randrange(24 * 6),
                "event_type_ix": draw.randrange(1, len(NAMES) + 1),
                "is_offline": draw.random() < 0.1, "account": draw.choice([None, *ACCOUNTS]),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: (row["component_key"], row["occurred_us"], row["event_ix"]))


def _engine(rows: list[dict[str, Any]], config: Config) -> DuckDBEngine:
    engine = DuckDBEngine(threads=1)
    types = {name: pa.from_numpy_dtype(dtype) for name, dtype in COLUMNS.items()}
    columns = {name: pa.array([row[name] for row in rows], type_) for name, type_ in types.items()}
    engine.register("journeys.event_stream", pa.table(columns))
    staged = columns | {"unit_1": pa.array([row["account"] for row in rows], pa.string())}
    engine.register("staging.incoming", pa.table(staged))
    engine.run(
        "staging.events",
        "select event_ix, lpad(cast(event_ix as varchar), 6, '0') as event_id, source_ix, sequence, unit_1, "
        "make_timestamp(occurred_us) as occurred_at from staging.incoming",
    )
    event_types = {
        "event_type_ix": pa.array(range(1, len(NAMES) + 1), pa.int32()),
        "event_name": pa.array(NAMES),
        "channel": pa.array(["web"] * len(NAMES)),
        "touchpoint": pa.array(NAMES),
        "condition_bits": pa.array([0] * len(NAMES), pa.uint64()),
    }
    engine.register("journeys.event_types", pa.table(event_types))
    settings = {"high_water_us": START_US + 144 * HOUR_US, "first_event_us": START_US, "person_secret": "secret"}
    for name, table in config_tables(config, run_id="run", **settings).items():
        engine.register(name, table)
    engine.run("config.event_type_predicates", event_type_predicates(config))
    for name in ("exposures", "exposure_event_types"):
        engine.run(f"map.{name}", (sql_folder() / "map" / f"{name}.sql").read_text())
    return engine


def _filled(engine: DuckDBEngine, config: Config, chunk_rows: int) -> dict[str, list[dict[str, Any]]]:
    fill_kernel(engine, config, chunk_rows=chunk_rows)
    return {name: engine.rows(f"select * from {name} order by all").to_pylist() for name in RELATIONS}


@pytest.fixture(scope="module")
def config():
    return load_config(CONFIG)


@pytest.fixture
def engine(config):
    with _engine(_events(400, seed=1), config) as engine:
        yield engine


def test_fill_equals_the_reference(engine, config):
    fill_kernel(engine, config)
    plan = plan_of(engine, config)
    accounts = engine.rows("select event_ix, md5_number_lower(unit_1) as account from staging.events").to_pylist()
    keys = {"unit_1": {row["event_ix"]: row["account"] for row in accounts if row["account"] is not None}}
    log = events_of(from_arrow(engine.rows(STREAM)))
    expected = reference_rows(log, plan, keys)
    actual = rows_of({name: [engine.rows(f"select * from {name}")] for name in RELATIONS}, plan)
    for name, rows in expected.items():
        if name.startswith("kernel.funnel"):
            # The position of an attempt in the stream of a property differs from that in the main one.
            rows, actual[name] = (_unnumbered(each) for each in (rows, actual[name]))
        assert _by_all(actual[name]) == _by_all(rows), name


def _unnumbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "attempt_ix"} for row in rows]


def _by_all(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=repr)


@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
def test_the_size_of_chunks_changes_no_row(engine, config, chunk_rows):
    assert _filled(engine, config, chunk_rows) == _filled(engine, config, 1_000_000)


def test_every_relation_exists_without_events(config):
    with _engine([], config) as engine:
        fill_kernel(engine, config)
        assert {name: engine.rows(f"select * from {name}").num_rows for name in RELATIONS} == dict.fromkeys(
            RELATIONS, 0
        )


def test_relations_have_the_types_that_their_pages_promise(engine, config):

    fill_kernel(engine, config)
    graph = all_models()
    for name in RELATIONS:
        promised = {column: described.type for column, described in graph[name].columns.items()}
        described = engine.rows(f"describe {name}").to_pylist()
        assert {row["column_name"]: row["column_type"] for row in described} == promised, name


def test_classifications_add_up(engine, config):
    fill_kernel(engine, config)
    events = engine.rows("select count(*) as n from kernel.events").to_pylist()[0]["n"]
    per_model = engine.rows(
        "select cast(sum(event_count) as bigint) as n from kernel.classifications group by model_index"
    )
    assert per_model.column("n").to_pylist() == [events, events]
    counted = engine.rows("""
        select model_index, event_type_ix, rule_index, person_count from kernel.event_type_persons order by all
    """).to_pylist()
    distinct = engine.rows("""
        select l.model_index, l.event_type_ix, l.rule_index, count(distinct e.person_key) as person_count
        from kernel.events as e join kernel.classifications as l using (classification_key) group by all order by all
    """).to_pylist()
    assert counted == distinct


def test_a_later_start_of_numbers_changes_only_numbers(engine, config):
    plan = plan_of(engine, config)
    fill_affected(engine, plan)
    first = {name: engine.rows(f"select * from {name}") for name in RELATIONS}
    fill_affected(engine, plan, first_position=1_000)
    for name, rows in first.items():
        again = engine.rows(f"select * from {name}")
        # The unit of a funnel of sessions is the session.
        for column in set(rows.column_names) - {"unit_key"}:
            shift = 1_000 if column in ("session_ix", "attempt_ix") else 0
            was = [value + shift if shift and value is not None else value for value in rows.column(column).to_pylist()]
            assert sorted(was, key=repr) == sorted(again.column(column).to_pylist(), key=repr), (name, column)


def test_a_stream_out_of_order_is_refused(engine, config):
    by_time = engine.rows("select * from journeys.event_stream order by occurred_us, event_ix")
    engine.register("journeys.event_stream", by_time)
    with pytest.raises(JourneyflowError, match="not ordered by component_key"):
        fill_kernel(engine, config)


@pytest.mark.parametrize("sequence", [-(2**63), 2**63 - 1])
def test_no_sequence_of_a_source_stops_the_kernel(engine, config, sequence):
    engine.execute(f"""
        create table stream_with_sequences as
        select * replace (0 as occurred_us, case when event_ix % 2 = 0 then cast({sequence} as bigint) end as sequence)
        from journeys.event_stream
    """)
    ordered = engine.rows("select * from stream_with_sequences order by component_key, sequence nulls last, event_ix")
    engine.register("journeys.event_stream", ordered)

    fill_kernel(engine, config)

    assert engine.count("kernel.events") == ordered.num_rows


def test_a_run_compiles_every_loop_for_one_set_of_types(engine, config):
    # Tests that ran before in this process may have given other types; only what this run adds counts.
    before = {name: len(loop.signatures) for name, loop in compiled_loops()}

    fill_kernel(engine, config)
    fill_kernel(engine, config, chunk_rows=7)

    added = {name: len(loop.signatures) - before[name] for name, loop in compiled_loops()}
    assert max(added.values()) <= 1, {name: count for name, count in added.items() if count > 1}


def compiled_loops():
    for each in iter_modules(kernel.__path__):
        module = import_module(f"journeyflow.kernel.{each.name}")
        for name, loop in vars(module).items():
            if hasattr(loop, "signatures") and loop.py_func.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", loop


@pytest.mark.parametrize(("delay_us", "depth"), [(1_500_000, 2), (1_500_001, 1), (1_900_000, 1)])
def test_a_window_below_a_second_is_exact(delay_us, depth):
    stages = [{"name": name, "rules": [{"id": name, "when": {"event": name}}]} for name in ("page_view", "purchase")]
    config = load_config(CONFIG | {"models": {"shop": {"stages": stages}}, "funnels": {}}
                         | {"journeys": {"window": "1500ms", "timeout": "30d"}})  # fmt: skip
    first, second = (dict(row) for row in _events(400, seed=1)[:2])
    for event_ix, (row, name) in enumerate(((first, "page_view"), (second, "purchase"))):
        row |= {"event_ix": event_ix, "component_key": 1, "device_key": 1, "person_key": 1, "is_offline": False}
        row |= {"occurred_us": START_US + delay_us * event_ix, "event_type_ix": NAMES.index(name) + 1}
    with _engine([first, second], config) as engine:
        fill_kernel(engine, config)
        assert engine.rows("select depth from kernel.map_journeys").to_pylist() == [{"depth": depth}]
