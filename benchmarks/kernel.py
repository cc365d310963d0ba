"""The kernel's passes on classified events, beside ClickHouse in process on the same rows.

Both start from the same table, sorted by person and time, in memory: (person, second, kind). Both end with how many
persons reached each level of an ordered four-step funnel and how many sessions there are. The kernel also finds the
events of the steps, their times, what is pending and the best attempt of each day; `windowFunnel` a level.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from journeyflow.kernel.events import EventArrays
    from journeyflow.kernel.plan import KernelPlan

STEPS = ("product_view", "add_to_cart", "checkout_started", "purchase")
EXCLUDED = "payment_error"
WINDOW_SECONDS = 7 * 86_400
TIMEOUT_SECONDS = 1_800
CHUNK_ROWS = 20_000
THREADS = 2
TABLE = "classified.parquet"
NAMES = (*STEPS, EXCLUDED)
_US = 1_000_000


def classify(folder: Path) -> dict[str, object]:
    """Write the events of the log as (person, second, kind), sorted; kinds are numbers, 0 for what no step names."""
    import duckdb

    kinds = " ".join(f"when '{name}' then {number}" for number, name in enumerate(NAMES, 1))
    started = time.perf_counter()
    duckdb.connect().execute(f"""
        copy (
            select
                cast(dense_rank() over (order by coalesce(customer, cookie)) as ubigint) as person,
                cast(epoch(ts) as uinteger) as second,
                cast(case event {kinds} else 0 end as utinyint) as kind
            from read_parquet('{folder / "events" / "*.parquet"}')
            where ts is not null and coalesce(customer, cookie) is not null
            order by person, second
        ) to '{folder / TABLE}' (format parquet)
    """)
    return {"seconds": time.perf_counter() - started}


def kernel(folder: Path, **settings: Any) -> dict[str, object]:
    """Sessions and the funnel by the kernel; `settings` change the funnel."""
    events = _events(folder)
    plan = _plan(events, **settings)
    parts = list(_parts(events))
    _run(events.slice(0, 1_000), plan)  # Loads the compiled code.
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(lambda part: _run(part, plan), parts))
    seconds = time.perf_counter() - started
    levels = sum((levels for levels, _ in found), start=found[0][0] * 0)
    return {
        "seconds": seconds,
        "events": len(events),
        "levels": levels.tolist(),
        "sessions": sum(sessions for _, sessions in found),
    }


def clickhouse(folder: Path) -> dict[str, object]:
    """Sessions and the funnel by `windowFunnel` and `arrayDifference`."""
    from chdb import session

    database = session.Session()
    database.query("create database bench engine = Atomic")
    database.query("create table bench.events (person UInt64, second UInt32, kind UInt8) engine = Memory")
    database.query(f"insert into bench.events select person, second, kind from file('{folder / TABLE}')")
    steps = ", ".join(f"kind = {number}" for number in range(1, len(STEPS) + 1))
    query = f"""
        select level, count(), sum(sessions)
        from (
            select
                windowFunnel({WINDOW_SECONDS})(second, {steps}) as level,
                arrayDifference(arraySort(groupArray(second))) as gaps,
                1 + arrayCount(gap -> gap > {TIMEOUT_SECONDS}, gaps) as sessions
            from bench.events
            where __WHERE__
            group by person
        )
        group by level
        order by level
    """
    database.query(query.replace("__WHERE__", "person < 100"), "CSV")
    started = time.perf_counter()
    answer = str(database.query(query.replace("__WHERE__", "1"), "CSV"))
    seconds = time.perf_counter() - started
    rows = [[int(cell) for cell in line.split(",")] for line in answer.split()]
    levels = {level: count for level, count, _ in rows}
    return {
        "seconds": seconds,
        "levels": [levels.get(level, 0) for level in range(1, len(STEPS) + 1)],
        "sessions": sum(sessions for *_, sessions in rows),
    }


def _events(folder: Path) -> EventArrays:
    import numpy as np
    import pyarrow.parquet as pq

    from journeyflow.kernel.events import NO_SEQUENCE, EventArrays

    table = pq.read_table(folder / TABLE)
    person = table.column("person").to_numpy().astype(np.uint64)
    count = len(person)
    return EventArrays(
        event_ix=np.arange(count),
        component_key=person,
        device_key=person,
        person_key=person,
        is_undecided=np.zeros(count, np.bool_),
        user_key=np.zeros(count, np.uint64),
        session_key=np.zeros(count, np.uint64),
        source_ix=np.zeros(count, np.int32),
        sequence=np.full(count, NO_SEQUENCE),
        occurred_us=table.column("second").to_numpy().astype(np.int64) * _US,
        event_type_ix=table.column("kind").to_numpy().astype(np.int32),
        is_offline=np.zeros(count, np.bool_),
    )


def _parts(events: EventArrays) -> Iterator[EventArrays]:
    import numpy as np

    start = 0
    while start < len(events):
        stop = min(start + CHUNK_ROWS, len(events))
        if stop < len(events):
            stop = int(np.searchsorted(events.component_key, events.component_key[stop], side="left"))
        yield events.slice(start, stop)
        start = stop


def _plan(events: EventArrays, **settings: Any) -> KernelPlan:
    import numpy as np

    from journeyflow.kernel.plan import Exclusion, KernelPlan, compile_funnel

    def named(name: str) -> np.ndarray:
        return np.array([[kind > 0 and NAMES[kind - 1] == name for kind in range(len(NAMES) + 1)]])

    if settings.pop("with_exclusion", False):
        settings["exclusions"] = [Exclusion(3, 4, named(EXCLUDED))]
    funnel = compile_funnel(1, [named(step) for step in STEPS], window_us=WINDOW_SECONDS * _US, **settings)
    first, last = (int(end) // (86_400 * _US) for end in (events.occurred_us.min(), events.occurred_us.max()))
    days = np.arange(first, last + 1)
    return KernelPlan(
        event_type_count=len(NAMES) + 1,
        session_timeout_us=TIMEOUT_SECONDS * _US,
        session_max_us=10**17,
        journey_timeout_us=10**17,
        high_water_us=10**17,
        day_start_us=days * 86_400 * _US,
        day_date=days.astype(np.int32),
        funnels=(funnel,),
        purchase=np.zeros(len(NAMES) + 1, np.bool_),
    )


def _run(events: EventArrays, plan: KernelPlan) -> tuple[np.ndarray, int]:
    """Run the passes of one chunk; return how many units reached each level, and the number of sessions."""
    import numpy as np

    from journeyflow.kernel import funnel_attempts
    from journeyflow.kernel.events import group_persons, read_sessions
    from journeyflow.kernel.funnels import evaluate_funnel

    sessions = read_sessions(events, plan)
    _, start, rank, at, kind = group_persons(events, sessions)
    counted, *_ = evaluate_funnel(start, at, rank, kind, None, plan.funnels[0], plan.day_start_us)
    depth = counted[:, funnel_attempts.DEPTH]
    reached = [int(np.count_nonzero(depth == level)) for level in range(1, len(STEPS) + 1)]
    return np.array(reached), len(sessions.first)


TASKS: dict[str, Callable[[Path], dict[str, object]]] = {
    "classify": classify,
    "kernel": kernel,
    "clickhouse": clickhouse,
    "kernel_strict": lambda folder: kernel(folder, order="strict"),
    "kernel_any_order": lambda folder: kernel(folder, order="any_order"),
    "kernel_strictly_later": lambda folder: kernel(folder, is_strictly_later=True),
    "kernel_exclusion": lambda folder: kernel(folder, with_exclusion=True),
}
"""Tasks by name; each is given the folder of the generated log."""
