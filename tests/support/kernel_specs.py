"""A small language for specs of the kernel: persons with their events, and the expected attempts.

A log has a line a person: ``ann: view@0s cart@5m``. An event may name its device (``view@0s/phone``), its source's
sequence (``view@0s#2``) and a mapped session id (``view@0s%s1``); names in capitals are offline events. A device has
one owner, unless it is `shared`; a line that begins with ``?`` is of a device whose user is unknown.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from journeyflow.config.base import microseconds, parse_duration
from journeyflow.kernel.events import EventArrays
from journeyflow.kernel.plan import (
    CompiledFunnel,
    Exclusion,
    KernelPlan,
    ModelPlan,
    RulePlan,
    StageFunnelPlan,
    compile_funnel,
)
from journeyflow.kernel.run import process_chunk
from support.kernel_logs import arrays_of, rows_of

START_US = 1_767_225_600_000_000  # 2026-01-01
DAY_US = 86_400_000_000
HIGH_WATER = "60d"
_EVENT = re.compile(r"(\w+)@(\w+)(?:/(\w+))?(?:#(\d+))?(?:%(\w+))?$")


def us(text: str) -> int:
    """Return the microseconds of a duration such as ``1h30m``."""
    return microseconds(parse_duration(text))


class Log:
    """The events of a text, and the names in it as numbers."""

    def __init__(self, text: str, shared: tuple[str, ...] = ()) -> None:
        self.names: list[str] = []
        self.persons: list[str] = []
        self.devices: list[str] = []
        self.shared = shared
        rows: list[dict[str, Any]] = []
        for line in filter(None, map(str.strip, text.splitlines())):
            who, _, events = line.partition(":")
            for token in events.split():
                rows.append(self._row(who.strip(), token, len(rows) + 1))
        self.rows = rows

    def _row(self, who: str, token: str, event_ix: int) -> dict[str, Any]:
        found = _EVENT.match(token)
        assert found, token
        name, at, device, sequence, session = found.groups()
        is_unknown = who.startswith("?")
        owner = who.lstrip("?")
        device = device or (owner if is_unknown or not self.shared else None)
        device_key = None if device is None else 1_000 + _number(self.devices, device)
        person = device_key if is_unknown else 1 + _number(self.persons, owner)
        is_shared = device in self.shared
        return {
            "event_ix": event_ix,
            "component_key": 1 if self.shared else person,
            "device_key": device_key,
            "person_key": person,
            "is_undecided": is_unknown and is_shared,
            "user_key": None if is_unknown else person,
            "session_key": None if session is None else int.from_bytes(session.encode(), "big"),
            "source_ix": 1,
            "sequence": None if sequence is None else int(sequence),
            "occurred_us": START_US + us(at),
            "event_type_ix": _number(self.names, name),
            "is_offline": name.isupper(),
        }

    def arrays(self) -> EventArrays:
        """Return the events in the kernel's order."""
        return arrays_of(self.rows)

    def event_types(self, condition: str) -> np.ndarray:
        """Return by event type whether an event has one of the names that ``a|b`` lists; ``*`` is any."""
        wanted = condition.split("|")
        return np.array([condition == "*" or name in wanted for name in self.names] or [False])

    def person(self, key: int) -> str:
        """Return the name behind a person's key."""
        return self.devices[key - 1_000] if key >= 1_000 else self.persons[key - 1]


def _number(known: list[str], name: str) -> int:
    if name not in known:
        known.append(name)
    return known.index(name)


def plan_for(log: Log, **changes: Any) -> KernelPlan:
    """Return a plan with the product's defaults."""
    event_types = max(len(log.names), 1)
    settings: dict[str, Any] = {
        "event_type_count": event_types,
        "session_timeout_us": us("30m"),
        "session_max_us": us("24h"),
        "journey_timeout_us": us("30d"),
        "high_water_us": START_US + us(HIGH_WATER),
        "day_start_us": START_US + DAY_US * np.arange(400),
        "day_date": np.arange(400, dtype=np.int32),
        "purchase": np.zeros(event_types, np.bool_),
    }
    return KernelPlan(**(settings | changes))


def funnel_of(log: Log, steps: str, **settings: Any) -> CompiledFunnel:
    """Return a funnel from ``view > cart [1d] > pay``; a time in brackets is the step's `within`."""
    conditions, within = [], []
    for part in steps.split(">"):
        name, _, time = part.strip().partition(" ")
        conditions.append(log.event_types(name)[None, :])
        within.append(us(time.strip("[]")) if time else None)
    exclusions = [
        Exclusion(first, last, log.event_types(name)[None, :], then == "person")
        for first, last, name, then in settings.pop("exclusions", ())
    ]
    entered = settings.pop("entered", None)
    if entered:
        settings["entered_from_us"], settings["entered_to_us"] = (START_US + us(day) for day in entered)
    return compile_funnel(
        1,
        conditions,
        within_us=within,
        window_us=us(settings.pop("window", "7d")),
        grace_us=us(settings.pop("grace", "0s")),
        exclusions=exclusions,
        **settings,
    )


def model_of(log: Log, rules: list[dict[str, Any]], stages: int) -> ModelPlan:
    """Return a model from rules such as ``{"stage": 1, "when": "view", "after": ("purchase", "14d"), "nth_is": 1}``."""
    return ModelPlan(
        "model",
        1,
        stages,
        tuple(
            RulePlan(
                rule_index=number,
                stage_index=rule["stage"],
                when=log.event_types(rule["when"]),
                after=log.event_types(rule["after"][0]) if "after" in rule else None,
                after_within_us=us(rule["after"][1]) if "after" in rule else None,
                nth_at_least=rule.get("nth_at_least"),
                nth_is=rule.get("nth_is"),
            )
            for number, rule in enumerate(rules, 1)
        ),
    )


def found_in(log: Log, plan: KernelPlan) -> dict[str, list[dict[str, Any]]]:
    """Return the kernel's rows by relation, times as microseconds since the start of the log."""
    tables = rows_of(process_chunk(log.arrays(), plan), plan)
    for rows in tables.values():
        for row in rows:
            for name, value in row.items():
                if name.endswith("_at") and value is not None:
                    row[name] = value - START_US
    return tables


def attempts(text: str, steps: str, *, shared: tuple[str, ...] = (), **settings: Any) -> list[dict[str, Any]]:
    """Return the attempts that count: `who`, `depth`, `entered`, `reached` (each step), `outcome`, `tie` and so on."""
    log = Log(text, shared)
    high_water = START_US + us(settings.pop("high_water", HIGH_WATER))
    plan = plan_for(log, funnels=(funnel_of(log, steps, **settings),), high_water_us=high_water)
    tables = found_in(log, plan)
    rows = []
    for unit in sorted(tables["kernel.funnel_units"], key=lambda row: row["attempt_ix"]):
        reaches = [row for row in tables["kernel.funnel_reaches"] if row["attempt_ix"] == unit["attempt_ix"]]
        reached = [row["reached_at"] for row in sorted(reaches, key=lambda row: row["step_index"])]
        is_last = unit["depth"] == plan.funnels[0].settings.steps
        rows.append(
            {
                "who": log.person(unit["person_key"]),
                "depth": unit["depth"],
                "entered": unit["entered_at"],
                "reached": reached,
                "closes": unit["closes_at"],
                "outcome": "converted" if is_last else "pending" if unit["is_pending"] else "dropped",
                "matured": unit["is_matured"],
                "tie": unit["is_tie_decided"],
            }
        )
    return rows


def assert_attempts(text: str, steps: str, expected: str, **settings: Any) -> None:
    """Check the attempts against a text table; only the columns that it has are compared."""
    header, *lines = [line.strip() for line in expected.strip().splitlines()]
    names = [name.strip() for name in header.split("|")]
    wanted = [dict(zip(names, (cell.strip() for cell in line.split("|")), strict=True)) for line in lines]
    actual = attempts(text, steps, **settings)
    assert [_read(row) for row in wanted] == [{name: row[name] for name in names} for row in actual]


def _read(row: dict[str, str]) -> dict[str, Any]:
    readers = {
        "depth": int,
        "entered": us,
        "closes": us,
        "reached": lambda cell: [us(part) for part in cell.split()],
        "matured": lambda cell: cell == "yes",
        "tie": lambda cell: cell == "yes",
    }
    return {name: readers.get(name, str)(cell) for name, cell in row.items()}


def stage_plan(log: Log, rules: list[dict[str, Any]], stages: int, window: str = "30d", **changes: Any) -> KernelPlan:
    """Return a plan of one model with its stage funnel."""
    model = model_of(log, rules, stages)
    return plan_for(log, models=(model,), stage_funnels=(StageFunnelPlan(1, 1, us(window)),), **changes)
